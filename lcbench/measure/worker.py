"""Functions that do the jobs of `lcbench.measure.messages` in a worker process."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter, sleep
from typing import cast

import numpy as np
from msgspec.structs import replace

from lcbench.errors import type_and_message
from lcbench.host.counters import CounterDelta
from lcbench.losses.implementation import Implementation, LossError, LossName, Unavailable
from lcbench.measure import clock, workload
from lcbench.measure.clock import with_injected_slowdown
from lcbench.measure.inputs import Inputs
from lcbench.measure.messages import (
    Cell,
    DiscoverJob,
    Finish,
    FunctionFound,
    Imported,
    InterpreterFound,
    InterpreterJob,
    Leave,
    LimitsJob,
    Load,
    Loaded,
    NothingFound,
    Order,
    PeakMeasured,
    PeaksJob,
    ReachJob,
    TakeTurn,
    Timed,
    Trying,
    TurnsJob,
    TurnTaken,
    WarmedUp,
    WarmUp,
)
from lcbench.measure.verification import Unchanged, Verifier, WrongResult
from lcbench.ranges import dtype_of_W
from lcbench.usercode import own_tree
from lcbench.workers.messages import Emit, Failed, Orders


def load_implementation(
    spec: str, emit: Emit, tree: own_tree.OwnTree | None = None
) -> tuple[Implementation | None, float]:
    """Return the implementation and the seconds that its import took; None if it failed, after emitting the reason.

    tree: source tree from which modules of the repository are imported.
    """
    from lcbench.usercode.recognition import resolve

    imports = own_tree.use(tree)
    start = perf_counter()
    try:
        implementation, import_s = resolve(spec), perf_counter() - start
        if imports:
            imports.require_own()
        return implementation, import_s
    except Unavailable as error:
        emit(Failed("unavailable", str(error)))
    except LossError as error:
        file = Path(spec if spec.endswith(".py") else spec.rpartition(":")[0])
        vanished = file.suffix == ".py" and not file.exists()
        emit(Failed("unavailable" if vanished else "wrong", str(error)))
    except Exception as error:
        emit(Failed("crashed", type_and_message(error)))
    return None, 0.0


def time_in_turns(job: TurnsJob, emit: Emit, orders: Orders) -> None:
    """Time the cells of the job one after the other, as ordered. A cell that fails does not end the job."""
    implementation, import_s = load_implementation(job.implementation, emit, job.tree)
    if implementation is None:
        return
    emit(Imported(import_s=import_s))
    rng = np.random.default_rng(job.seed)
    problems: dict[str, workload.Problem] = {}  # only the latest one: loading X takes longer than timing a call
    timed: Timed | None = None
    measurement: _CellMeasurement | None = None
    while not isinstance(order := orders(Order), Leave):
        try:
            if isinstance(order, Load):
                timed = Timed(
                    convention=str(implementation.convention) if implementation.convention.differs else "",
                    compiles=implementation.compiles,
                )
                cell = job.cells[order.index]
                measurement = None
                if cell.folder not in problems:
                    problems.clear()
                    converted = cell.pixels == "converted"
                    problems[cell.folder] = workload.load_problem(Path(cell.folder), job.mapped, converted)
                measurement = _CellMeasurement(implementation, job.planted, cell, problems[cell.folder], timed, rng)
                emit(Loaded())
            elif measurement:
                emit(measurement.follow(order))
        except Exception as error:
            timed = timed or Timed()
            timed.status, timed.reason = _status_of(error)
            if isinstance(error, WrongResult):
                problems.clear()  # the implementation may have written to it
            measurement = None
            emit(timed)
    implementation.release()


def _status_of(error: Exception) -> tuple[str, str]:
    """Return the status of a row that failed with `error`, and the reason."""
    if isinstance(error, WrongResult):
        return "wrong", str(error)
    if isinstance(error, Unavailable):
        return "unavailable", str(error)
    return "crashed", "out of memory" if isinstance(error, MemoryError) else type_and_message(error)


class _CellMeasurement:
    """Measurement of one cell: its inputs, its timing, and what becomes of it in `timed`."""

    def __init__(
        self,
        implementation: Implementation,
        planted: float,
        cell: Cell,
        problem: workload.Problem,
        timed: Timed,
        rng: np.random.Generator,
    ) -> None:
        loss = cast(LossName, cell.loss)
        implementation = workload.adapted(implementation, problem, cell.pixels)
        # a streamed X is opened read-only, so only arrays are checked
        given = {"X": problem.X, "mean": problem.mean}
        self._unchanged = Unchanged(**{name: array for name, array in given.items() if isinstance(array, np.ndarray)})
        self._inputs = Inputs(implementation, problem, workload.load_answers(Path(cell.folder), loss), rng)
        self._verifier = Verifier(implementation, self._inputs)
        function = with_injected_slowdown(implementation.functions[loss], planted)
        self._timing = clock.Timing(function, self._inputs, self._verifier, rng)
        self._implementation, self._timed = implementation, timed
        self._counter_delta: CounterDelta | None = None

    def follow(self, order: WarmUp | TakeTurn | Finish) -> WarmedUp | TurnTaken | Timed:
        """Return the answer to an order. Raise WrongResult if the implementation is wrong."""
        try:
            if isinstance(order, WarmUp):
                return self._warm_up(order)
            if isinstance(order, TakeTurn):
                if self._counter_delta is None:
                    self._counter_delta = CounterDelta()
                samples, calls = self._timing.turn(order.samples, order.calls, order.one_call_s)
                samples = [round(seconds, 10) for seconds in samples]  # a tenth of a nanosecond
                return TurnTaken(samples=samples, calls=calls)
            return self._finish()
        except WrongResult:
            self._unchanged.verify()  # a changed input explains a wrong result, so it is reported instead
            self._inputs.require_unchanged()
            raise

    def _warm_up(self, order: WarmUp) -> WarmedUp:
        self._timing.first_call()
        if not order.simulated:
            self._timing.warm_up(order.thorough)
        return WarmedUp(first_call_s=self._timing.first_call_s, one_call_s=self._timing.one_call_s)

    def _finish(self) -> Timed:
        timed = self._timed
        if self._counter_delta:
            timed.counters = self._counter_delta.read()
        timed.steady = self._timing.finish()
        self._verifier.require_prompt()
        timed.threads = self._implementation.threads() if self._implementation.threads else None
        self._unchanged.verify()
        self._inputs.require_unchanged()
        timed.warm_up_calls = self._timing.warm_up_calls
        timed.prepare_s = self._inputs.prepare_s + self._verifier.fetch_s
        timed.error_loss, timed.error_grad = self._verifier.error_loss, self._verifier.error_grad
        return timed


def limits_in_turns(job: LimitsJob, emit: Emit, orders: Orders) -> None:
    """Measure the machine's limit for the cells of the job, as ordered.

    A sample is the shortest possible time of a call: reading its data, or its arithmetic if that takes longer.
    """
    from lcbench.host import machine
    from lcbench.host.limits import Limit
    from lcbench.losses import jit

    emit(Imported(import_s=0.0))
    gemm: dict[str, float] = {}
    limit: Limit | None = None
    data, cold = ("", 0), True
    while not isinstance(order := orders(Order), Leave):
        if isinstance(order, Load):
            cell = job.cells[order.index]
            if data != (cell.dtype, cell.footprint):  # both losses read the same data
                data = (cell.dtype, cell.footprint)
                limit = None  # frees its array first
                limit, cold = Limit(*data, jit.thread_count()), True
            emit(Loaded())
        assert limit
        if isinstance(order, WarmUp):
            if cold:
                limit.warm_up()
                cold = False
            start = perf_counter()
            limit.call_s(cell.bytes, cell.flops)
            # The measurement of a limit takes longer than a call at the limit, and its time decides on the turns.
            emit(WarmedUp(first_call_s=0.0, one_call_s=perf_counter() - start))
        elif isinstance(order, TakeTurn):
            emit(TurnTaken(samples=[limit.call_s(cell.bytes, cell.flops) for _ in range(order.samples)], calls=1))
        elif isinstance(order, Finish):
            dtype = dtype_of_W(cell.dtype)
            if job.gemm and dtype not in gemm:
                gemm[dtype] = machine.gemm_flops_s(dtype)
                sleep(clock.REST_S)  # the threads of BLAS spin for a while, which would disturb other measurements
            emit(Timed(peak=replace(limit.peak, gemm_flops_s=gemm.get(dtype))))


def measure_peaks(job: PeaksJob, emit: Emit) -> None:
    """Measure the peak rates of the GPU."""
    from lcbench.host import gpu_limits

    for peak in gpu_limits.gpu_peaks(job.wanted):
        emit(PeakMeasured(peak))


def discover_functions(job: DiscoverJob, emit: Emit) -> None:
    """Emit `Trying` and then `FunctionFound` for each function in the user's code, except the first `skip`.

    Emit `NothingFound` if there is no such code.
    """
    from lcbench import usercode

    imports = own_tree.use(job.tree)
    try:
        for index, function in enumerate(usercode.load_functions(job.spec)):
            if index < job.skip:
                continue
            losses: list[str] = [function.loss] if function.loss else []
            emit(Trying(index=index, implementation=function.spec, losses=losses))
            found = FunctionFound(implementation=function.spec, losses=losses, notes=list(function.notes))
            recognised = usercode.recognise(function)
            if imports:
                imports.require_own()
            if isinstance(recognised, usercode.Refusal):
                found.problem, found.kind = str(recognised), recognised.kind
                if imports:
                    found.problem = imports.explain(found.problem)
            else:
                found.losses = list(recognised.functions)
                found.convention = str(recognised.convention) if recognised.convention.differs else ""
            emit(found)
    except LossError as error:
        reason = imports.explain(str(error)) if imports else str(error)
        found_nothing = isinstance(error, usercode.NotFound) and reason == str(error)
        emit(NothingFound(reason) if found_nothing else Failed("unavailable", reason))


def describe_interpreter(job: InterpreterJob, emit: Emit) -> None:
    """Emit the Python build and the package versions of this process."""
    from lcbench.host import machine

    emit(InterpreterFound(python=machine.python_build(), versions=machine.versions()))


def check_reachable(job: ReachJob, emit: Emit) -> None:
    """Emit Failed if the implementation cannot be loaded or has no machines to compute on."""
    implementation, _ = load_implementation(job.implementation, emit)
    if implementation is None or implementation.threads is None:
        return
    try:
        implementation.threads()
    except Unavailable as error:
        emit(Failed("unavailable", str(error)))
    implementation.release()
