"""An implementation on every case of the table, and what is wrong where it fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import numpy as np

from lcbench.checks import diagnosis, gradient
from lcbench.checks.cases import CASES, Case, problem
from lcbench.losses import oracle
from lcbench.losses.catalog import CATALOG
from lcbench.losses.implementation import Implementation, LossName
from lcbench.losses.oracle import Expected
from lcbench.measure.verification import OneAnswer, Unchanged, Verifier, WrongResult
from lcbench.measure.worker import load
from lcbench.record import CheckResult
from lcbench.workers.messages import Began, Emit, Job, one_line


class CheckJob(Job, kw_only=True):
    """An implementation against the oracle on the table of cases, for each (loss, dtype)."""

    does = "lcbench.checks.checking.check_cells"
    answers = CheckResult

    implementation: str
    cells: list[tuple[str, str]]


MOST_IN_SIMULATOR = 12_000
"""Rows x features x classes that the CUDA simulator gets through in seconds."""


SINGLE_PRECISION = "to single precision only"


@cache
def _answer(case: Case, dtype: str, loss: LossName) -> Expected:
    with np.errstate(all="ignore"):  # user code may have changed it for the process
        return oracle.expected(loss, *problem(case, dtype))


def check_cells(job: CheckJob, emit: Emit) -> None:
    """Do the job, in a worker process."""
    implementation, _ = load(job.implementation, emit)
    if implementation is None:
        return
    for index, (loss, dtype) in enumerate(job.cells):
        emit(Began(index))
        emit(check(implementation, cast(LossName, loss), dtype))
    implementation.release()


def check(implementation: Implementation, loss: LossName, dtype: str) -> CheckResult:
    """One loss of `implementation` on every case in `dtype`, called twice with the same arrays, and in float64 its
    gradient against centred differences.

    The answer names the first case that is wrong, and of a user's code the mistake where it is a known one.
    """
    simulated = implementation.device == "simulator"
    cases = [case for case in CASES if not simulated or case.products <= MOST_IN_SIMULATOR]
    checked = CheckResult(
        implementation=implementation.name,
        loss=loss,
        dtype=dtype,
        device=implementation.device,
        left_out=len(CASES) - len(cases),
        convention=str(implementation.convention) if implementation.convention.differs else "",
    )
    theirs = implementation.name not in CATALOG
    attempt = partial(_try, implementation, loss=loss, dtype=dtype, checked=checked, single=theirs)
    tries: list[tuple[str, Callable[[], str | None]]] = [(case.name, partial(attempt, case)) for case in cases]
    precision = partial(_precision, dtype, checked)
    tries.append(("a second call", lambda: _told(diagnosis.second_call, implementation, loss, precision())))
    if dtype == "float64":
        tries.append(("numerical gradient", lambda: _told(_numerical_gradient, implementation, loss)))
    asked_too_much = {case.name for case in cases if case.demanding} if theirs else set()
    for name, wrong_in in tries:
        if name == "numerical gradient" and precision() == "float32":
            continue  # its steps are too small for that
        wrong = wrong_in()
        if not wrong:
            checked.cases += 1
        elif name in asked_too_much:
            checked.notes.append(f"{name}: {wrong}")
        else:
            mistake = diagnosis.mistake(implementation, loss, dtype, attempt) if theirs else None
            checked.status = "wrong"
            checked.reason = f"{mistake} ({name}: {wrong})" if mistake and mistake not in wrong else f"{name}: {wrong}"
            return checked
    return checked


def _try(
    implementation: Implementation, case: Case, loss: LossName, dtype: str, checked: CheckResult, single: bool = False
) -> str | None:
    """Runs one case; says what is wrong, or None.

    single: whether single precision is good enough in float64 as well, with a note.
    """
    W, X, y, reg = problem(case, dtype)
    right = _answer(case, dtype, loss)
    unchanged, verify = Unchanged(W=W, X=X, y=y), Verifier(implementation, OneAnswer(right))
    try:
        with np.errstate(all="ignore"):
            value, dW = implementation.functions[loss](*implementation.prepare(W, X, y), reg)
        unchanged.verify()
        try:
            verify([value], dW, batch_s=0.0)
        except WrongResult:
            rounded, result = _answer(case, "float32", loss), implementation.fetch(value, dW)
            if not single or dtype != "float64" or rounded.mismatch(*result):
                raise
            checked.error_loss = max(checked.error_loss, right.error_of_loss(result[0]))
            checked.error_grad = max(checked.error_grad, right.error_of_gradient(result[1]))
            if SINGLE_PRECISION not in checked.notes:
                checked.notes.append(SINGLE_PRECISION)
    except WrongResult as error:
        return str(error)
    except Exception as error:
        return one_line(error)
    checked.error_loss = max(checked.error_loss, verify.error_loss)
    checked.error_grad = max(checked.error_grad, verify.error_grad)
    return None


def _precision(dtype: str, checked: CheckResult) -> str:
    return "float32" if SINGLE_PRECISION in checked.notes else dtype


def _told(wrong_in: Callable[..., str | None], *arguments: Any) -> str | None:
    """What `wrong_in` says is wrong, or what was raised in it."""
    try:
        with np.errstate(all="ignore"):
            return wrong_in(*arguments)
    except Exception as error:
        return one_line(error)


def _numerical_gradient(implementation: Implementation, loss: LossName) -> str | None:
    """The implementation's own gradient against centred differences of its own loss, in float64."""
    case = Case("numerical gradient", 7, 6, 4)
    W, X, y, reg = problem(case, "float64")
    _, dW = implementation.loss(loss, W, X, y, reg)
    rng = np.random.default_rng(1)
    for _ in range(5):
        where = (int(rng.integers(case.features)), int(rng.integers(case.classes)))
        slope = gradient.slope(lambda W: implementation.loss(loss, W, X, y, reg)[0], W, where)
        if abs(slope - float(dW[where])) > 1e-6 * max(1.0, abs(slope)):
            return f"dW[{where[0]}, {where[1]}] is {float(dW[where]):.6g}, the slope of the loss there {slope:.6g}"
    return None
