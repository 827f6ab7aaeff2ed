"""Check of an implementation against the oracle on the table of cases: the job of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from math import log

import numpy as np

from lcbench import usercode
from lcbench.checks import diagnosis, gradient
from lcbench.checks.cases import CASES, Case
from lcbench.checks.diagnosis import MOST_GUARD, Raised, raised
from lcbench.checks.example import add_example, filename_of
from lcbench.losses import oracle
from lcbench.losses.catalog import CATALOG
from lcbench.losses.implementation import Implementation, LossError, LossName
from lcbench.losses.oracle import Expected
from lcbench.measure.verification import OneAnswer, Unchanged, Verifier, WrongResult
from lcbench.measure.worker import load_implementation
from lcbench.record import CheckResult
from lcbench.usercode.discovery import UserFunction, is_user_code
from lcbench.usercode.mistakes import unrepeatable
from lcbench.workers.messages import Began, Emit, Failed, Job

MAX_PRODUCTS_IN_SIMULATOR = 12_000
"""Maximum of rows x features x classes of a case that the CUDA simulator computes within seconds."""

SINGLE_PRECISION = "accurate to single precision only"


class CheckJob(Job, kw_only=True):
    """Check of an implementation for each cell (loss, dtype).

    mistake: known mistake in a user's function, which is called nevertheless, to show its effect.
    """

    does = "lcbench.checks.checking.check_cells"
    answers = CheckResult

    implementation: str
    cells: list[tuple[LossName, str]]
    mistake: str = ""


def check_cells(job: CheckJob, emit: Emit) -> None:
    """Check each cell of the job and emit its result. Each case resets the timeout."""
    implementation, function = load(job.implementation, job.mistake, emit)
    if implementation is None:
        return
    for index, (loss, dtype) in enumerate(job.cells):
        emit(Began(index))
        if job.mistake:
            result = _empty_result(implementation, loss, dtype)
            result.status, result.reason = "wrong", job.mistake
            add_example(result, implementation, function)
            emit(result)
        else:
            emit(check(implementation, loss, dtype, function, partial(emit, Began(index))))
    implementation.release()


def load(spec: str, mistake: str, emit: Emit) -> tuple[Implementation | None, UserFunction | None]:
    """Return the implementation and, for a user's code, its function; None after emitting the reason of a failure.

    mistake: known mistake in a user's function. The implementation then has wrong results. None means that it has none.
    """
    if not is_user_code(spec):
        return load_implementation(spec, emit)[0], None
    try:
        function = next(iter(usercode.load_functions(spec)))
    except LossError as error:
        emit(Failed("unavailable", str(error)))
        return None, None
    recognised = (usercode.recognise_by_loss if mistake else usercode.recognise)(function)
    if isinstance(recognised, Implementation):
        return recognised, function
    if not mistake:
        emit(Failed("wrong" if recognised.kind == "wrong" else "unavailable", str(recognised)))
    return None, function


def _empty_result(implementation: Implementation, loss: LossName, dtype: str) -> CheckResult:
    return CheckResult(
        implementation=implementation.name,
        loss=loss,
        dtype=dtype,
        device=implementation.device,
        convention=str(implementation.convention) if implementation.convention.differs else "",
    )


def check(
    implementation: Implementation,
    loss: LossName,
    dtype: str,
    function: UserFunction | None = None,
    on_test: Callable[[], None] = lambda: None,
) -> CheckResult:
    """Check one loss of `implementation` in `dtype` on every case and in repeated calls with the same arrays.

    In float64 the gradient is also compared with central differences. The result names the first case that fails, and
    for a user's function also the mistake if it is a known one, a line of the code, and a small example.

    The cases of large scores come last: if one of them is the first that fails, the status is "unstable". Otherwise, it
    is "crashed" for an exception.

    function: the user's function behind the implementation. on_test: callback before each test.
    """
    simulated = implementation.device == "simulator"
    cases = [case for case in CASES if not simulated or case.products <= MAX_PRODUCTS_IN_SIMULATOR]
    result = _empty_result(implementation, loss, dtype)
    result.left_out = len(CASES) - len(cases)
    users = implementation.name not in CATALOG
    comparison = _Comparison(implementation, loss, dtype, filename_of(function) if users else None)
    tests: list[tuple[Case, Callable[[], str | None]]] = [(case, partial(comparison.run, case)) for case in cases]
    ordinary = sum(case.demand in ("ordinary", "hard") for case in cases)
    tests.insert(ordinary, (SECOND_CALL, comparison.second_call))
    if dtype == "float64":
        tests.insert(ordinary + 1, (NUMERICAL_GRADIENT, comparison.numerical_gradient))
    if users:
        comparison.find_guard()
        tests.insert(0, (SAME_CALL_AGAIN, comparison.same_call_again))
    notes: list[str] = []
    for case, run_test in tests:
        on_test()
        if case is NUMERICAL_GRADIENT and comparison.single_precision:
            continue  # its step is too small for single precision
        failure = run_test()
        if not failure:
            result.cases += 1
        elif users and case.demand == "optional":
            if case.spread == 1:
                notes.append(f"{case.name}: {failure}")
            elif not any(APART in note for note in notes):
                of_loss, _, _ = failure.partition("; ")  # the gradient follows
                notes.append(f"{comparison.limit_of(case)}, {of_loss}")
        elif users and case.demand == "hard" and isinstance(failure, Raised):
            notes.append(diagnosis.limit(failure) or f"with {case.name}: {failure}")
        else:
            of_result = "crashed" if isinstance(failure, Raised) else "wrong"
            result.status = "unstable" if case.demand == "scores" else of_result
            result.reason = f"{case.name}: {failure}"
            if users:
                mistake = comparison.mistake(case, run_test)
                if mistake and mistake not in failure:
                    result.reason = f"{mistake} ({result.reason})"
                add_example(result, implementation, function, case)
            return result
    result.error_loss, result.error_grad = comparison.error_loss, comparison.error_grad
    result.single_precision = comparison.single_precision
    result.notes = [*([SINGLE_PRECISION] if result.single_precision else []), *comparison.guard_notes(), *notes]
    return result


SAME_CALL_AGAIN = Case("the same call again", 0, 0, 0)
SECOND_CALL = Case("a second call", 0, 0, 0)
NUMERICAL_GRADIENT = Case("numerical gradient", 7, 6, 4)

APART = "apart"

REPEATED = 4
"""Number of calls that must fail in the same way, or else a race is the reason."""


class _Comparison:
    """Comparison of one loss of an implementation with the oracle, case by case.

    filename: of the code of a user's function, "" if it is unknown; None for an implementation of the catalog, which
    must be as accurate as its dtype. A user's function may compute in single precision, or guard its logarithm.

    error_loss, error_grad: largest relative errors so far. single_precision: whether a result was accurate to single
    precision only. guard: see `diagnosis.find_guard`; 0 without one.
    """

    def __init__(self, implementation: Implementation, loss: LossName, dtype: str, filename: str | None) -> None:
        self._implementation, self._loss, self._dtype, self._filename = implementation, loss, dtype, filename
        self.error_loss = self.error_grad = self.guard = 0.0
        self.single_precision = False

    def find_guard(self) -> None:
        """Find the number with which a softmax guards its logarithm."""
        with np.errstate(all="ignore"), suppress(Exception):  # the cases report exceptions
            self.guard = diagnosis.find_guard(self._implementation, self._loss, self._dtype)

    def guard_notes(self) -> Iterator[str]:
        """Yield what the guard of the logarithm means for the loss."""
        if self.guard:
            yield f"{diagnosis.guard_in_words(self.guard)}: no row's loss exceeds {-log(self.guard):.3g}"

    def run(self, case: Case) -> str | None:
        """Run one case and update the errors; return what is wrong, or None."""
        failure, single, errors = self._compare(case)
        self.single_precision |= single and case.demand in ("ordinary", "hard")
        self.error_loss, self.error_grad = max(self.error_loss, errors[0]), max(self.error_grad, errors[1])
        return failure

    def failure(self, case: Case) -> str | None:
        """Return what is wrong in one case, or None."""
        return self._compare(case)[0]

    def _compare(self, case: Case) -> tuple[str | None, bool, tuple[float, float]]:
        """Return what is wrong, whether only the tolerance of single precision fits, and the relative errors."""
        implementation, nothing = self._implementation, (0.0, 0.0)
        W, X, y, reg = case.inputs(self._dtype)
        right = _expected(case, self._dtype, self._loss)
        unchanged, verify = Unchanged(W=W, X=X, y=y), Verifier(implementation, OneAnswer(right))
        try:
            with np.errstate(all="ignore"):
                value, dW = implementation.functions[self._loss](*implementation.prepare(W, X, y), reg)
            unchanged.verify()
            try:
                verify([value], dW, batch_s=0.0)
            except WrongResult:
                output = implementation.fetch(value, dW)
                if self._filename is None or all(other.mismatch(*output) for other in self._tolerated(case, right)):
                    raise
                return None, True, (right.error_of_loss(output[0]), right.error_of_gradient(output[1]))
        except WrongResult as error:
            return str(error), False, nothing
        except Exception as error:
            return raised(error, self._filename), False, nothing
        return None, False, (verify.error_loss, verify.error_grad)

    def _tolerated(self, case: Case, right: Expected) -> Iterator[Expected]:
        """Yield the right result with the tolerances of a user's function."""
        in_single = _expected(case, "float32", self._loss)
        if self._dtype == "float64":
            yield in_single
        if 0 < self.guard <= MOST_GUARD:
            for each in (right, in_single):
                yield diagnosis.with_guard(each, self.guard, *case.inputs(self._dtype))

    def same_call_again(self) -> str | None:
        """Return what differs between calls with the same arrays, or None. The cases report exceptions."""
        failure = self._run(diagnosis.repeated_calls)
        return None if isinstance(failure, Raised) else failure

    def second_call(self) -> str | None:
        """Return what is wrong in a call with the same arrays but other values, or None."""
        dtype = "float32" if self.single_precision else self._dtype
        return self._run(partial(diagnosis.second_call, guard=self.guard), dtype)

    def numerical_gradient(self) -> str | None:
        """Return where the gradient differs from central differences of the loss, or None."""
        return self._run(lambda implementation, loss, dtype: _numerical_gradient(implementation, loss))

    def _run(self, test: Callable[[Implementation, LossName, str], str | None], dtype: str = "") -> str | None:
        try:
            with np.errstate(all="ignore"):
                return test(self._implementation, self._loss, dtype or self._dtype)
        except Exception as error:
            return raised(error, self._filename)

    def mistake(self, case: Case, run_test: Callable[[], str | None]) -> str | None:
        """Return the known mistake of a user's function that fails in `case`, which `run_test` tests, or None."""
        failures, calls_differ = {run_test() for _ in range(REPEATED)}, unrepeatable(self._implementation.compiles)
        if len(failures) > 1 or any(calls_differ in failure for failure in failures if failure):
            return calls_differ
        if case.demand == "scores":
            remedy = f"; {case.remedy}" if self._loss == "softmax" else ""
            return f"right only {self.limit_of(case)}{remedy}"
        return diagnosis.diagnose(self._implementation, self._loss, self._dtype, self.failure)

    def limit_of(self, case: Case) -> str:
        """Return, in words, up to which scores the function is right, if it is wrong for those of `case`."""
        limit = diagnosis.largest_right(self.failure, case)
        if case.spread > 1:
            return f"with scores more than about {limit} {APART}"
        sign = "-" if case.shift < 0 else ""
        return f"up to scores of about {sign}{limit}" + (" in one row" if case.one_row else "")


@cache
def _expected(case: Case, dtype: str, loss: LossName) -> Expected:
    with np.errstate(all="ignore"):  # user code may have changed it for the process
        return oracle.expected(loss, *case.inputs(dtype))


def _numerical_gradient(implementation: Implementation, loss: LossName) -> str | None:
    """Compare the implementation's gradient with central differences of its own loss, in float64."""
    case = NUMERICAL_GRADIENT
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
