"""Known mistakes that make a user's function fail on some inputs only.

The function is called with inputs that differ in one property from plain ones, for which it is right. If it is wrong
for one of them, this property is the reason. Recognition names the mistakes that show on any input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from lcbench.checks.cases import Case
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.usercode.mistakes import TrialInputs, TrialOutput, find_mistake

EARLIER_RESULT = "returns the result of an earlier call"

PLAIN = Case("plain", 40, 20, 10, labels="each")

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


def second_call(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    """Call twice with the same arrays, whose values change between the calls; return what is wrong, or None.

    W changes in this way in training.
    """
    W, X, y, reg = PLAIN.inputs(dtype)
    others = (-W[::-1], X[::-1], y[::-1])
    first, second = oracle.expected(loss, W, X, y, reg), oracle.expected(loss, *others, reg)
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


def _earlier_result(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    return EARLIER_RESULT if second_call(implementation, loss, dtype) == EARLIER_RESULT else None


def _single_property(loss: LossName, run_case: RunCase) -> str | None:
    def failure_only_of(variant: Case, control: Case = PLAIN) -> str:
        """Return the failure of `variant` if the function is right for `control`, otherwise an empty string."""
        return (not run_case(control) and run_case(variant)) or ""

    if failure_only_of(replace(PLAIN, labels="absent")):
        return "wrong if y lacks a class; take the number of classes from W, not from y"
    if loss == "softmax":
        failure = failure_only_of(replace(PLAIN, shift=1e4))
        if "nan" in failure.lower() or "inf" in failure:
            return "exp overflows; subtract the maximum of each row first"
        if "loss is inf" in failure_only_of(replace(PLAIN, spread=30)):
            return "log of 0: a probability underflows, as in single precision"
    if failure_only_of(replace(PLAIN, rows=48, classes=12), replace(PLAIN, rows=48)):
        return "right for 10 classes only; take the number of classes from W"
    if failure_only_of(replace(PLAIN, rows=330, classes=300), replace(PLAIN, rows=330)):
        return "wrong for 300 classes: are the labels converted to bytes?"
    return None


def _logarithm(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    """Find an epsilon in -log(p + epsilon) from the loss of a row with p = 0."""
    if loss != "softmax":
        return None
    W, X, y, reg = replace(PLAIN, rows=1, spread=1e3).inputs(dtype)
    y[:] = (X @ W).argmin()
    value, _ = implementation.loss(loss, W, X, y, reg)
    epsilon = float(np.exp(reg * np.sum(np.square(W, dtype=np.float64)) - value))
    if 1e-100 < epsilon < 0.1:
        return f"the logarithm's argument is increased by, or clipped to, {epsilon:.2g}"
    return None


def _many_rows(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    W, X, y, reg = replace(PLAIN, rows=1033).inputs(dtype)
    value, dW = implementation.loss(loss, W, X, y, reg)
    inputs = TrialInputs(W.astype(np.float64), X.astype(np.float64), y.astype(np.int64), reg)
    found = find_mistake(loss, [inputs], [TrialOutput(value, np.asarray(dW, dtype=np.float64))])
    return found.words if found and found.loss and found.gradient else None
