"""Known mistakes that make a user's function fail on some inputs only.

The function is called with inputs that differ in one property from plain ones, for which it is right. If it is wrong
for one of them, this property is the reason. Recognition names the mistakes that show on any input.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import sqrt
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.checks.cases import Case
from lcbench.errors import type_and_message
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.losses.oracle import Expected
from lcbench.usercode.loading import describe_error
from lcbench.usercode.mistakes import EARLIER_RESULT, TrialInputs, TrialOutput, find_mistake, unrepeatable

PLAIN = Case("plain", 40, 20, 10, labels="each")

MOST_GUARD = 1e-6
"""Largest guard of a logarithm with which a softmax is right. A larger one shows in ordinary losses."""

REPEATED_S, LONG_ENOUGH_S = 2.0, 0.03
MOST_REPEATED, FEWEST_REPEATED, MOST_ROWS = 40, 3, 100_000
"""Repeated calls: seconds of all and of each, their number if they are compiled and if not, and the number of rows.

Threads that have little to do end before others begin, and do not meet in a race."""

RunCase = Callable[[Case], str | None]
"""Run a case; return what is wrong, or None."""


def diagnose(implementation: Implementation, loss: LossName, dtype: str, run_case: RunCase) -> str | None:
    """Return the known mistake of a user's function in a few words, or None."""
    for diagnosis in (
        partial(_earlier_result, implementation, loss, dtype),
        partial(_single_property, loss, run_case),
        partial(_logarithm, implementation, loss, dtype),
        partial(_many_rows, implementation, loss, dtype),
    ):
        try:
            with np.errstate(all="ignore"):
                mistake = diagnosis()
        except Exception:  # exceptions of the function are reported by the check
            continue
        if mistake:
            return mistake
    return None


class Raised(str):
    """Failure of a test by an exception, in one line."""


def raised(error: Exception, filename: str | None) -> Raised:
    """Return an exception as a failure, with the line of the code from `filename` that raised it, if any."""
    return Raised(describe_error(error, filename) if filename else type_and_message(error))


def limit(failure: Raised) -> str | None:
    """Return the limit of a NumPy function that an exception stands for, or None."""
    found = re.search(r"at most (\d+) array objects", failure)
    return f"np.choose takes at most {found[1]} classes" if found else None


def repeated_calls(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    """Call many times with the same inputs; return how the results differ, or None. Very slow code is called twice.

    Threads that write to the same element lose updates now and then. So there are many rows, if calls are fast.
    """
    case = replace(PLAIN, rows=1033)
    inputs = case.inputs(dtype)

    def call() -> tuple[float, NDArray[Any]]:
        W, X, y, reg = inputs
        value, dW = implementation.loss(loss, W.copy(), X.copy(), y.copy(), reg)
        return value, np.array(dW, dtype=np.float64)

    call()  # it may compile
    times = []
    for _ in range(3 if implementation.compiles else 1):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    if min(times) > REPEATED_S:
        return None
    rows = min(MOST_ROWS, int(case.rows * LONG_ENOUGH_S / min(times)))
    if rows > case.rows and implementation.compiles:
        inputs = replace(PLAIN, rows=rows).inputs(dtype)
        call()
    right = oracle.expected(loss, *inputs)
    first = call()
    if right.mismatch(*first) and not (single := _in_single(loss, *inputs)).mismatch(*first):
        right = single
    start = perf_counter()
    for _ in range(MOST_REPEATED if implementation.compiles else FEWEST_REPEATED):
        value, dW = call()
        apart = float(np.linalg.norm(dW - first[1]))
        if abs(value - first[0]) > 2 * right.loss_tolerance or apart > 2 * right.gradient_tolerance:
            return unrepeatable(implementation.compiles)
        if perf_counter() - start > REPEATED_S:
            break
    return None


def _in_single(loss: LossName, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> Expected:
    return oracle.expected(loss, W.astype(np.float32), X.astype(np.float32), y, reg)


def second_call(implementation: Implementation, loss: LossName, dtype: str, guard: float = 0.0) -> str | None:
    """Call twice with the same arrays, whose values change between the calls; return what is wrong, or None.

    W changes in this way in training. guard: of the logarithm, see `find_guard`.
    """
    W, X, y, reg = PLAIN.inputs(dtype)
    others = (-W[::-1], X[::-1], y[::-1])
    first, second = oracle.expected(loss, W, X, y, reg), oracle.expected(loss, *others, reg)
    if 0 < guard <= MOST_GUARD:
        second = with_guard(second, guard, *others, reg)
    first_loss, first_dW = implementation.loss(loss, W, X, y, reg)
    first_dW = np.array(first_dW)
    for array, other in zip((W, X, y), [other.copy() for other in others], strict=True):
        array[:] = other
    second_loss, second_dW = implementation.loss(loss, W, X, y, reg)
    failure = second.mismatch(second_loss, second_dW)
    if not failure:
        return None
    repeated = first_loss == second_loss != 0 or (first_dW.any() and np.array_equal(first_dW, second_dW))
    half_repeated = not first.mismatch(second_loss) or not first.mismatch(first.loss, second_dW)
    return EARLIER_RESULT if repeated or half_repeated else failure


def find_guard(implementation: Implementation, loss: LossName, dtype: str) -> float:
    """Return the epsilon in -log(p + epsilon) or -log(max(p, epsilon)), from the loss of a row with p = 0; 0 if none.

    Raise any exception of the implementation.
    """
    if loss != "softmax":
        return 0.0
    W, X, y, reg = replace(PLAIN, rows=1, spread=1e3).inputs(dtype)
    y[:] = (X @ W).argmin()
    value, _ = implementation.loss(loss, W, X, y, reg)
    epsilon = float(np.exp(reg * np.sum(np.square(W, dtype=np.float64)) - value))
    return epsilon if 1e-100 < epsilon < 0.1 else 0.0


def guard_in_words(guard: float) -> str:
    """Return the guard of a logarithm in words."""
    return f"the logarithm's argument is increased by, or clipped to, {guard:.2g}"


def with_guard(
    right: Expected, guard: float, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float
) -> Expected:
    """Return the right result of a softmax with tolerances that include a guard of its logarithm.

    The loss of a row with probability p changes by log(1 + guard / p) at most, and each probability by the guard.
    """
    scores = X.astype(np.float64) @ W.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)[np.arange(len(X)), y] / np.exp(scores).sum(axis=1)
    with np.errstate(divide="ignore"):
        of_loss = float(np.minimum(np.log1p(guard / p), -scores[np.arange(len(X)), y] + np.log(W.shape[1])).mean())
    of_gradient = guard * float(np.linalg.norm(X.astype(np.float64))) * sqrt(W.shape[1] / len(X))
    return replace(
        right,
        loss_tolerance=right.loss_tolerance + 1.001 * of_loss,
        gradient_tolerance=right.gradient_tolerance + of_gradient,
    )


def largest_right(failure_of: RunCase, case: Case) -> str:
    """Return the largest score, or distance of scores, up to which the function is right; it is wrong in `case`."""
    of_spread = case.spread > 1
    low, high = 1.0, case.spread if of_spread else abs(case.shift)

    def sized(size: float) -> Case:
        return replace(case, spread=size) if of_spread else replace(case, shift=size if case.shift > 0 else -size)

    for _ in range(12):
        middle = sqrt(low * high)
        low, high = (low, middle) if failure_of(sized(middle)) else (middle, high)
    W, X, y, _ = sized(low).inputs("float64")
    scores = X @ W
    reached = scores.max(axis=1) - scores[np.arange(len(y)), y] if of_spread else np.abs(scores)
    return f"{float(reached.max()):.2g}" if reached.max() < 100 else f"{10 * round(float(reached.max()) / 10)}"


def _earlier_result(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    return EARLIER_RESULT if second_call(implementation, loss, dtype) == EARLIER_RESULT else None


def _single_property(loss: LossName, run_case: RunCase) -> str | None:
    def failure_only_of(variant: Case, control: Case = PLAIN) -> str:
        """Return the failure of `variant` if the function is right for `control`, otherwise an empty string."""
        return (not run_case(control) and run_case(variant)) or ""

    if failure_only_of(replace(PLAIN, labels="absent")):
        return "wrong if y lacks a class; take the number of classes from W, not from y"
    if failure_only_of(replace(PLAIN, rows=48, classes=12), replace(PLAIN, rows=48)):
        return "right for 10 classes only; take the number of classes from W"
    if failure_only_of(replace(PLAIN, rows=330, classes=300), replace(PLAIN, rows=330)):
        return "wrong for 300 classes: are the labels converted to bytes?"
    return None


def _logarithm(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    guard = find_guard(implementation, loss, dtype)
    return guard_in_words(guard) if guard > MOST_GUARD else None


def _many_rows(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    W, X, y, reg = replace(PLAIN, rows=1033).inputs(dtype)
    value, dW = implementation.loss(loss, W, X, y, reg)
    inputs = TrialInputs(W.astype(np.float64), X.astype(np.float64), y.astype(np.int64), reg)
    found = find_mistake(loss, [inputs], [TrialOutput(value, np.asarray(dW, dtype=np.float64))])
    return found.words if found and found.loss and found.gradient else None
