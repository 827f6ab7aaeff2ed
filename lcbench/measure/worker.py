"""Functions that do the jobs of `lcbench.measure.messages` in a worker process."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np

from lcbench.host.counters import CounterDelta
from lcbench.losses.implementation import Implementation, LossError, LossName, Unavailable
from lcbench.measure import clock, workload
from lcbench.measure.clock import with_injected_slowdown
from lcbench.measure.inputs import Inputs
from lcbench.measure.messages import (
    Cell,
    DiscoverJob,
    FunctionFound,
    GemmJob,
    GemmMeasured,
    InterpreterFound,
    InterpreterJob,
    PeakMeasured,
    PeaksJob,
    ReachJob,
    Timed,
    TimeJob,
    Trying,
)
from lcbench.measure.verification import Unchanged, Verifier, WrongResult
from lcbench.record import ProcessResult, Turn
from lcbench.workers.messages import Began, Emit, Failed, one_line


def load_implementation(spec: str, emit: Emit) -> tuple[Implementation | None, float]:
    """Return the implementation and the seconds that its import took; None if it failed, after emitting the reason."""
    from lcbench.usercode.recognition import resolve

    start = perf_counter()
    try:
        return resolve(spec), perf_counter() - start
    except Unavailable as error:
        emit(Failed("unavailable", str(error)))
    except LossError as error:
        emit(Failed("wrong", str(error)))
    except Exception as error:
        emit(Failed("crashed", one_line(error)))
    return None, 0.0


def time_cells(job: TimeJob, emit: Emit) -> None:
    """Time every cell of the job: problems in random order, and the cells of each problem in random order."""
    implementation, import_s = load_implementation(job.implementation, emit)
    if implementation is None:
        return
    rng = np.random.default_rng(job.seed)
    problems: dict[str, workload.Problem] = {}  # the one loaded last: loading X takes longer than timing a call
    for index in _random_order(job.cells, rng):
        emit(Began(index))
        timed = Timed(
            index=index,
            status="ok",
            device=implementation.device,
            convention=str(implementation.convention) if implementation.convention.differs else "",
            import_s=import_s,
            compiles=implementation.compiles,
        )
        cell = job.cells[index]
        try:
            if cell.folder not in problems:
                problems.clear()  # all its cells are done
                problems[cell.folder] = workload.load_problem(Path(cell.folder))
            _time_cell(implementation, job, cell, problems[cell.folder], timed, rng)
        except WrongResult as error:
            timed.status, timed.reason = "wrong", str(error)
            problems.clear()  # the implementation may have written to it
        except Unavailable as error:
            timed.status, timed.reason = "unavailable", str(error)
        except MemoryError:
            timed.status, timed.reason = "crashed", "out of memory"
        except Exception as error:
            timed.status, timed.reason = "crashed", one_line(error)
        emit(timed)
    implementation.release()


def _random_order(cells: list[Cell], rng: np.random.Generator) -> list[int]:
    """Return the cells' indices in random order, grouped by problem, so that only one is in memory at a time."""
    folders = rng.permutation(sorted({cell.folder for cell in cells}))
    position = {folder: number for number, folder in enumerate(folders)}
    return sorted(rng.permutation(len(cells)).tolist(), key=lambda index: position[cells[index].folder])


def _time_cell(
    implementation: Implementation,
    job: TimeJob,
    cell: Cell,
    problem: workload.Problem,
    timed: Timed,
    rng: np.random.Generator,
) -> None:
    loss = cast(LossName, cell.loss)
    implementation = workload.adapted(implementation, problem)
    # a streamed X is opened read-only, so only arrays are checked
    unchanged = Unchanged(**({"X": problem.X} if isinstance(problem.X, np.ndarray) else {}))
    inputs = Inputs(implementation, problem, workload.load_answers(Path(cell.folder), loss), rng)
    verifier = Verifier(implementation, inputs)
    function = with_injected_slowdown(implementation.functions[loss], job.planted)
    sampling = clock.Sampling(job.seconds, job.most_samples, job.sample_s)
    counter_delta = CounterDelta()
    try:
        samples = clock.take_samples(function, inputs, verifier, sampling, rng)
        verifier.require_prompt()
    except WrongResult:
        unchanged.verify()  # a changed input explains a wrong result, so it is reported instead
        inputs.require_unchanged()
        raise
    counters = counter_delta.read()
    timed.threads = implementation.threads() if implementation.threads else None
    unchanged.verify()
    inputs.require_unchanged()

    timed.prepare_s = inputs.prepare_s + verifier.fetch_s
    timed.first_call_s = samples.first_call_s
    turn = Turn(samples=samples.seconds, calls=samples.calls, counters=counters)
    timed.process = ProcessResult(warm_up_calls=samples.warm_up_calls, steady=samples.steady, turns=[turn])
    timed.error_loss, timed.error_grad = verifier.error_loss, verifier.error_grad


def measure_peaks(job: PeaksJob, emit: Emit) -> None:
    """Measure the peak rates of the CPU or GPU."""
    if job.device == "cuda":
        from lcbench.host import gpu_limits

        peaks = gpu_limits.gpu_peaks(job.wanted)
    else:
        from lcbench.host import limits
        from lcbench.losses import jit

        peaks = limits.cpu_peaks(job.wanted, jit.thread_count())
    for peak in peaks:
        emit(PeakMeasured(peak))


def measure_gemm(job: GemmJob, emit: Emit) -> None:
    """Measure NumPy's matrix product.

    This is a job of its own: the threads of the BLAS library spin for a while after each product, which would disturb
    other measurements in the same process.
    """
    from lcbench.host import limits

    for dtype in job.dtypes:
        emit(GemmMeasured(dtype=dtype, flops_s=limits.gemm_flops_s(dtype)))


def discover_functions(job: DiscoverJob, emit: Emit) -> None:
    """Emit `Trying` and then `FunctionFound` for each function in the user's code, except the first `skip`."""
    from lcbench import usercode

    try:
        for index, function in enumerate(usercode.load_functions(job.spec)):
            if index < job.skip:
                continue
            losses: list[str] = [function.loss] if function.loss else []
            emit(Trying(index=index, implementation=function.spec, losses=losses))
            found = FunctionFound(implementation=function.spec, losses=losses, notes=list(function.notes))
            recognised = usercode.recognise(function)
            if isinstance(recognised, usercode.Refusal):
                found.problem, found.kind = str(recognised), recognised.kind
            else:
                found.losses = list(recognised.functions)
                found.convention = str(recognised.convention) if recognised.convention.differs else ""
            emit(found)
    except LossError as error:
        emit(Failed("unavailable", str(error)))


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
