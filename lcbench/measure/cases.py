"""The table of cases that an implementation must get right, from one row to a thousand classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.learn import gradient_check
from lcbench.losses import oracle
from lcbench.losses.catalog import CATALOG
from lcbench.losses.implementation import Implementation, LossName
from lcbench.losses.oracle import Expected
from lcbench.measure.messages import one_line
from lcbench.measure.verification import Unchanged, Verifier, WrongResult
from lcbench.record import Checked

MOST_IN_SIMULATOR = 12_000
"""Rows x features x classes that the CUDA simulator gets through in seconds."""


@dataclass(frozen=True)
class Case:
    """One problem.

    layout: how X lies in memory: "C", "F", "strided" (every other row and column of a larger array, backwards) or
        "uint8".
    labels: dtype of y; "equal" makes them all the last class.
    shift: added to every score; spread: size of the scores' differences.
    demanding: beyond what the assignment asks of its readers, so that their code is told and not refused.
    """

    name: str
    rows: int
    features: int
    classes: int
    layout: str = "C"
    labels: str = "int64"
    shift: float = 0.0
    spread: float = 1.0
    demanding: bool = False

    @property
    def products(self) -> int:
        return self.rows * self.features * self.classes


CASES = (
    Case("one row", 1, 20, 5),
    Case("one feature", 30, 1, 4),
    Case("two classes", 40, 30, 2),
    Case("one of everything", 1, 1, 2),
    Case("whole tiles", 64, 64, 10),
    Case("remainders of every tile", 67, 131, 13),
    Case("primes", 101, 37, 7),
    Case("many rows", 1033, 19, 10),
    Case("many features", 6, 3073, 10),
    Case("1000 classes", 21, 33, 1000),
    Case("scores of 1e4", 29, 41, 10, shift=1e4),
    Case("scores 1e4 apart", 29, 41, 10, spread=1e4, demanding=True),
    Case("all labels equal", 50, 21, 10, labels="equal"),
    Case("X in Fortran order", 45, 70, 10, layout="F"),
    Case("X with gaps, backwards", 45, 70, 10, layout="strided"),
    Case("X of uint8 pixels", 45, 70, 10, layout="uint8", demanding=True),
    Case("int8 labels", 33, 21, 10, labels="int8"),
    Case("uint8 labels", 33, 21, 10, labels="uint8"),
)


def problem(case: Case, dtype: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]:
    """(W, X, y, reg) of a case in `dtype`, made anew, since what is checked may write to it."""
    rng = np.random.default_rng([case.rows, case.features, case.classes])
    shape = (case.rows, case.features)
    X: NDArray[Any] = rng.normal(0, 1, shape).astype(dtype)
    scale = 1.0
    if case.layout == "F":
        X = np.asfortranarray(X)
    elif case.layout == "strided":
        X = rng.normal(0, 1, (2 * case.rows, 2 * case.features)).astype(dtype)[::-2, ::2]
    elif case.layout == "uint8":
        X, scale = rng.integers(0, 256, shape).astype(np.uint8), 0.01
    W = case.spread * scale * rng.normal(0, 1, (case.features, case.classes))
    if case.shift:
        X[:, -1] = 1
        W[-1] += case.shift
    labels = "int64" if case.labels == "equal" else case.labels
    y = rng.integers(0, min(case.classes, 127), case.rows).astype(labels)
    if case.labels == "equal":
        y[:] = case.classes - 1
    return W.astype(dtype), X, y, 0.3 / max(1.0, float(np.square(W).sum()))


@cache
def _answer(case: Case, dtype: str, loss: LossName) -> Expected:
    with np.errstate(all="ignore"):  # user code may have changed it for the process
        return oracle.expected(loss, *problem(case, dtype))


def check(implementation: Implementation, loss: LossName, dtype: str) -> Checked:
    """One loss of `implementation` on every case in `dtype`, and in float64 its gradient against centred differences.

    The answer names the first case that is wrong.
    """
    simulated = implementation.device == "simulator"
    cases = [case for case in CASES if not simulated or case.products <= MOST_IN_SIMULATOR]
    checked = Checked(
        implementation=implementation.name,
        loss=loss,
        dtype=dtype,
        device=implementation.device,
        left_out=len(CASES) - len(cases),
        convention=str(implementation.convention) if implementation.convention.differs else "",
    )
    theirs = implementation.name not in CATALOG
    for case in cases:
        wrong = _try(implementation, case, loss, dtype, checked)
        if wrong and case.demanding and theirs:
            checked.notes.append(f"{case.name}: {wrong}")
        elif wrong:
            checked.status, checked.reason = "wrong", f"{case.name}: {wrong}"
            return checked
        else:
            checked.cases += 1
    if dtype == "float64":
        try:
            with np.errstate(all="ignore"):
                wrong = _numerical_gradient(implementation, loss)
        except Exception as error:
            wrong = one_line(error)
        if wrong:
            checked.status, checked.reason = "wrong", f"numerical gradient: {wrong}"
        else:
            checked.cases += 1
    return checked


def _try(implementation: Implementation, case: Case, loss: LossName, dtype: str, checked: Checked) -> str | None:
    """Runs one case; says what is wrong, or None."""
    W, X, y, reg = problem(case, dtype)
    right = _answer(case, dtype, loss)
    unchanged, verify = Unchanged(W=W, X=X, y=y), Verifier(implementation, [right])
    try:
        with np.errstate(all="ignore"):
            result = implementation.functions[loss](*implementation.prepare(W, X, y), reg)
        unchanged.verify()
        verify(0, *result)
    except WrongResult as error:
        return str(error)
    except Exception as error:
        return one_line(error)
    checked.error_loss = max(checked.error_loss, verify.error_loss)
    checked.error_grad = max(checked.error_grad, verify.error_grad)
    return None


def _numerical_gradient(implementation: Implementation, loss: LossName) -> str | None:
    """The implementation's own gradient against centred differences of its own loss, in float64."""
    case = Case("numerical gradient", 7, 6, 4)
    W, X, y, reg = problem(case, "float64")
    _, dW = implementation.loss(loss, W, X, y, reg)
    rng = np.random.default_rng(1)
    for _ in range(5):
        where = (int(rng.integers(case.features)), int(rng.integers(case.classes)))
        slope = gradient_check.slope(lambda W: implementation.loss(loss, W, X, y, reg)[0], W, where)
        if abs(slope - float(dW[where])) > 1e-6 * max(1.0, abs(slope)):
            return f"dW[{where[0]}, {where[1]}] is {float(dW[where]):.6g}, the slope of the loss there {slope:.6g}"
    return None
