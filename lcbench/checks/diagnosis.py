"""Which known mistake makes a user's function fail on some inputs only.

The function is called with problems that differ in one property from a plain one, on which it is right: where one of
them goes wrong, the property is the reason. What is wrong on any input, recognition has named already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from lcbench.checks.cases import Case, problem
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.usercode import mistakes
from lcbench.usercode.mistakes import TrialInputs, TrialOutput

EARLIER_RESULT = "returns the result of an earlier call"

PLAIN = Case("plain", 40, 20, 10, labels="each")


def mistake(
    implementation: Implementation, loss: LossName, dtype: str, wrong_in: Callable[[Case], str | None]
) -> str | None:
    """The known mistake, in a few words; None where nothing known fits.

    wrong_in: what is wrong with the function in a case, None where it is right.
    """
    for found in (
        partial(_of_an_earlier_call, implementation, loss, dtype),
        partial(_one_property, loss, wrong_in),
        partial(_inside_the_logarithm, implementation, loss, dtype),
        partial(_many_rows, implementation, loss, dtype),
    ):
        try:
            with np.errstate(all="ignore"):
                words = found()
        except Exception:  # what the function raises has been told
            continue
        if words:
            return words
    return None


def second_call(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    """What is wrong with a second call on the same arrays, which hold other values by then, as W does in training."""
    W, X, y, reg = problem(PLAIN, dtype)
    others = (-W[::-1], X[::-1], y[::-1])
    of_first, of_second = oracle.expected(loss, W, X, y, reg), oracle.expected(loss, *others, reg)
    first_loss, first_dW = implementation.loss(loss, W, X, y, reg)
    first_dW = np.array(first_dW)
    for array, other in zip((W, X, y), [other.copy() for other in others], strict=True):
        array[:] = other
    second_loss, second_dW = implementation.loss(loss, W, X, y, reg)
    wrong = of_second.mismatch(second_loss, second_dW)
    if not wrong:
        return None
    repeated = first_loss == second_loss != 0 or (first_dW.any() and np.array_equal(first_dW, second_dW))
    partly = not of_first.mismatch(second_loss) or not of_first.mismatch(of_first.loss, second_dW)
    return EARLIER_RESULT if repeated or partly else wrong


def _of_an_earlier_call(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    return EARLIER_RESULT if second_call(implementation, loss, dtype) == EARLIER_RESULT else None


def _one_property(loss: LossName, wrong_in: Callable[[Case], str | None]) -> str | None:
    def only(variant: Case, control: Case = PLAIN) -> str:
        """What is wrong in one case, where the function is right in the other."""
        return (not wrong_in(control) and wrong_in(variant)) or ""

    if only(replace(PLAIN, labels="absent")):
        return "wrong where a class has no label: are the classes counted from y?"
    if loss == "softmax":
        wrong = only(replace(PLAIN, shift=1e4))
        if "nan" in wrong.lower() or "inf" in wrong:
            return "exp overflows: each row's maximum is not subtracted first"
        if "loss is inf" in only(replace(PLAIN, spread=30)):
            return "log of 0: a probability underflows, as they do in single precision"
    if only(replace(PLAIN, rows=48, classes=12), replace(PLAIN, rows=48)):
        return "right with 10 classes only: is their number written into the code?"
    if only(replace(PLAIN, rows=330, classes=300), replace(PLAIN, rows=330)):
        return "wrong with 300 classes: are the labels cut to bytes?"
    return None


def _inside_the_logarithm(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    """-log(p + small) of a probability that is 0 tells what was added."""
    if loss != "softmax":
        return None
    W, X, y, reg = problem(replace(PLAIN, rows=1, spread=1e3), dtype)
    y[:] = (X @ W).argmin()
    value, _ = implementation.loss(loss, W, X, y, reg)
    added = float(np.exp(reg * np.sum(np.square(W, dtype=np.float64)) - value))
    return f"{added:.2g} is added or clipped to inside the logarithm" if 1e-100 < added < 0.1 else None


def _many_rows(implementation: Implementation, loss: LossName, dtype: str) -> str | None:
    W, X, y, reg = problem(replace(PLAIN, rows=1033), dtype)
    value, dW = implementation.loss(loss, W, X, y, reg)
    asked = TrialInputs(W.astype(np.float64), X.astype(np.float64), y.astype(np.int64), reg)
    named = mistakes.find_mistake(loss, [asked], [TrialOutput(value, np.asarray(dW, dtype=np.float64))])
    return named.words if named and named.loss and named.gradient else None
