"""Check of an implementation against the oracle on the table of cases: the job of a worker process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import numpy as np

from lcbench.checks import diagnosis, gradient
from lcbench.checks.cases import CASES, Case
from lcbench.losses import oracle
from lcbench.losses.catalog import CATALOG
from lcbench.losses.implementation import Implementation, LossName
from lcbench.losses.oracle import Expected
from lcbench.measure.verification import OneAnswer, Unchanged, Verifier, WrongResult
from lcbench.measure.worker import load_implementation
from lcbench.record import CheckResult
from lcbench.workers.messages import Began, Emit, Job, one_line

MAX_PRODUCTS_IN_SIMULATOR = 12_000
"""Maximum of rows x features x classes of a case that the CUDA simulator computes within seconds."""

SINGLE_PRECISION = "accurate to single precision only"


class CheckJob(Job, kw_only=True):
    """Check of an implementation for each cell (loss, dtype)."""

    does = "lcbench.checks.checking.check_cells"
    answers = CheckResult

    implementation: str
    cells: list[tuple[str, str]]


def check_cells(job: CheckJob, emit: Emit) -> None:
    """Check each cell of the job and emit its result."""
    implementation, _ = load_implementation(job.implementation, emit)
    if implementation is None:
        return
    for index, (loss, dtype) in enumerate(job.cells):
        emit(Began(index))
        emit(check(implementation, cast(LossName, loss), dtype))
    implementation.release()


def check(implementation: Implementation, loss: LossName, dtype: str) -> CheckResult:
    """Check one loss of `implementation` in `dtype` on every case and in a second call with the same arrays.

    In float64 the gradient is also compared with central differences. The result names the first case that fails and,
    for a user's function, the mistake if it is a known one.
    """
    simulated = implementation.device == "simulator"
    cases = [case for case in CASES if not simulated or case.products <= MAX_PRODUCTS_IN_SIMULATOR]
    result = CheckResult(
        implementation=implementation.name,
        loss=loss,
        dtype=dtype,
        device=implementation.device,
        left_out=len(CASES) - len(cases),
        convention=str(implementation.convention) if implementation.convention.differs else "",
    )
    users = implementation.name not in CATALOG
    run_case = partial(_run_case, implementation, loss=loss, dtype=dtype, result=result, accept_single=users)

    def precision() -> str:
        return "float32" if SINGLE_PRECISION in result.notes else dtype

    tests: list[tuple[str, Callable[[], str | None]]] = [(case.name, partial(run_case, case)) for case in cases]
    tests.append(("a second call", lambda: _run(diagnosis.second_call, implementation, loss, precision())))
    if dtype == "float64":
        tests.append(("numerical gradient", lambda: _run(_numerical_gradient, implementation, loss)))
    optional = {case.name for case in cases if case.demanding} if users else set()
    for name, run_test in tests:
        if name == "numerical gradient" and precision() == "float32":
            continue  # its step is too small for single precision
        failure = run_test()
        if not failure:
            result.cases += 1
        elif name in optional:
            result.notes.append(f"{name}: {failure}")
        else:
            mistake = diagnosis.diagnose(implementation, loss, dtype, run_case) if users else None
            result.status = "wrong"
            named = mistake and mistake not in failure
            result.reason = f"{mistake} ({name}: {failure})" if named else f"{name}: {failure}"
            return result
    return result


def _run_case(
    implementation: Implementation,
    case: Case,
    loss: LossName,
    dtype: str,
    result: CheckResult,
    accept_single: bool = False,
) -> str | None:
    """Run one case and update the errors in `result`; return what is wrong, or None.

    accept_single: accept single precision in float64, with a note.
    """
    W, X, y, reg = case.inputs(dtype)
    right = _expected(case, dtype, loss)
    unchanged, verify = Unchanged(W=W, X=X, y=y), Verifier(implementation, OneAnswer(right))
    try:
        with np.errstate(all="ignore"):
            value, dW = implementation.functions[loss](*implementation.prepare(W, X, y), reg)
        unchanged.verify()
        try:
            verify([value], dW, batch_s=0.0)
        except WrongResult:
            output = implementation.fetch(value, dW)
            if not accept_single or dtype != "float64" or _expected(case, "float32", loss).mismatch(*output):
                raise
            result.error_loss = max(result.error_loss, right.error_of_loss(output[0]))
            result.error_grad = max(result.error_grad, right.error_of_gradient(output[1]))
            if SINGLE_PRECISION not in result.notes:
                result.notes.append(SINGLE_PRECISION)
    except WrongResult as error:
        return str(error)
    except Exception as error:
        return one_line(error)
    result.error_loss = max(result.error_loss, verify.error_loss)
    result.error_grad = max(result.error_grad, verify.error_grad)
    return None


@cache
def _expected(case: Case, dtype: str, loss: LossName) -> Expected:
    with np.errstate(all="ignore"):  # user code may have changed it for the process
        return oracle.expected(loss, *case.inputs(dtype))


def _run(test: Callable[..., str | None], *arguments: Any) -> str | None:
    """Return the failure of `test`, which may be an exception, or None."""
    try:
        with np.errstate(all="ignore"):
            return test(*arguments)
    except Exception as error:
        return one_line(error)


def _numerical_gradient(implementation: Implementation, loss: LossName) -> str | None:
    """Compare the implementation's gradient with central differences of its own loss, in float64."""
    case = Case("numerical gradient", 7, 6, 4)
    W, X, y, reg = case.inputs("float64")
    _, dW = implementation.loss(loss, W, X, y, reg)
    rng = np.random.default_rng(1)
    for _ in range(5):
        index = (int(rng.integers(case.features)), int(rng.integers(case.classes)))
        slope = gradient.slope(lambda W: implementation.loss(loss, W, X, y, reg)[0], W, index)
        analytic = float(dW[index])
        if abs(slope - analytic) > 1e-6 * max(1.0, abs(slope)):
            return f"dW[{index[0]}, {index[1]}] is {analytic:.6g}, but the slope of the loss is {slope:.6g}"
    return None
