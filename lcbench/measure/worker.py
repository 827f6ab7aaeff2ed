"""What a worker process does to measure: the jobs of `messages`, each done by the function that it names."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np

from lcbench.host.counters import CounterDelta
from lcbench.losses.implementation import Implementation, LossError, LossName, Unavailable
from lcbench.measure import clock, messages, workload
from lcbench.measure.clock import with_injected_slowdown
from lcbench.measure.inputs import Inputs
from lcbench.measure.messages import (
    AskJob,
    DiscoverJob,
    FunctionFound,
    GemmJob,
    GemmMeasured,
    InterpreterFound,
    PeaksJob,
    PeaksMeasured,
    ReachJob,
    TimeJob,
    Trying,
)
from lcbench.measure.verification import Unchanged, Verifier, WrongResult
from lcbench.record import ProcessResult, Turn
from lcbench.workers.messages import Began, Emit, Failed, one_line


def load(spec: str, emit: Emit) -> tuple[Implementation | None, float]:
    """Return the implementation and the seconds that importing it took; None after the reason was told."""
    from lcbench.usercode.discovery import resolve

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


def time_block(job: TimeJob, emit: Emit) -> None:
    """One block: every cell of the job, problem by problem in random order, and in random order within each."""
    implementation, import_s = load(job.implementation, emit)
    if implementation is None:
        return
    rng = np.random.default_rng(job.seed)
    problems: dict[str, workload.Problem] = {}  # both losses on one X: reading it again takes longer than timing a call
    for index in _together(job.cells, rng):
        emit(Began(index))
        timed = messages.Timed(
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
                problems.clear()  # its last cell is done
                problems[cell.folder] = workload.load_problem(Path(cell.folder))
            _time_cell(implementation, job, cell, problems[cell.folder], timed, rng)
        except WrongResult as error:
            timed.status, timed.reason = "wrong", str(error)
            problems.clear()  # what is wrong may have been written into it
        except Unavailable as error:
            timed.status, timed.reason = "unavailable", str(error)
        except MemoryError:
            timed.status, timed.reason = "crashed", "out of memory"
        except Exception as error:
            timed.status, timed.reason = "crashed", one_line(error)
        emit(timed)
    implementation.release()


def _together(cells: list[messages.Cell], rng: np.random.Generator) -> list[int]:
    """The cells' indices, those of one problem one after the other, so that only one problem need be held."""
    turn = {folder: place for place, folder in enumerate(rng.permutation(sorted({cell.folder for cell in cells})))}
    return sorted(rng.permutation(len(cells)).tolist(), key=lambda index: turn[cells[index].folder])


def _time_cell(
    implementation: Implementation,
    job: TimeJob,
    cell: messages.Cell,
    problem: workload.Problem,
    timed: messages.Timed,
    rng: np.random.Generator,
) -> None:
    loss = cast(LossName, cell.loss)
    implementation = workload.fitted(implementation, problem)
    # what stays in its file cannot be written to
    unchanged = Unchanged(**({"X": problem.X} if isinstance(problem.X, np.ndarray) else {}))
    inputs = Inputs(implementation, problem, workload.load_answers(Path(cell.folder), loss), rng)
    verifier = Verifier(implementation, inputs)
    function = with_injected_slowdown(implementation.functions[loss], job.planted)
    sampling = clock.Sampling(job.seconds, job.most_samples, job.sample_s)
    watch = CounterDelta()
    try:
        samples = clock.take_samples(function, inputs, verifier, sampling, rng)
        verifier.require_prompt()
    except WrongResult:
        unchanged.verify()  # an input that was changed is the cause, and the better thing to say
        inputs.require_unchanged()
        raise
    counters = watch.read()
    timed.threads = implementation.threads() if implementation.threads else None
    unchanged.verify()
    inputs.require_unchanged()

    timed.prepare_s = inputs.prepare_s + verifier.fetch_s
    timed.first_call_s = samples.first_call_s
    turn = Turn(samples=samples.seconds, calls=samples.calls, counters=counters)
    timed.process = ProcessResult(warm_up_calls=samples.warm_up_calls, steady=samples.steady, turns=[turn])
    timed.error_loss, timed.error_grad = verifier.error_loss, verifier.error_grad


def measure_ceilings(job: PeaksJob, emit: Emit) -> None:
    """The machine's own limits, or its GPU's."""
    if job.device == "cuda":
        from lcbench.host import gpu_limits

        ceilings = gpu_limits.gpu_peaks(job.wanted)
    else:
        from lcbench.host import limits
        from lcbench.losses import jit

        ceilings = limits.cpu_peaks(job.wanted, jit.thread_count())
    for ceiling in ceilings:
        emit(PeaksMeasured(ceiling))


def multiply(job: GemmJob, emit: Emit) -> None:
    """NumPy's matrix product, in a process of its own: threads of its BLAS spin on for a while after each."""
    from lcbench.host import limits

    for dtype in job.dtypes:
        emit(GemmMeasured(dtype=dtype, flops_s=limits.gemm_flops_s(dtype)))


def discover(job: DiscoverJob, emit: Emit) -> None:
    """Which function of a user's file comes next, then what it is, for all but the first `skip`."""
    from lcbench import usercode
    from lcbench.losses import oracle

    try:
        for index, function in enumerate(usercode.load_functions(job.spec)):
            if index < job.skip:
                continue
            losses: list[str] = [function.loss] if function.loss else []
            emit(Trying(index=index, implementation=function.spec, losses=losses))
            found = FunctionFound(implementation=function.spec, losses=losses, notes=list(function.notes))
            recognised = usercode.recognise(function, oracle)
            if isinstance(recognised, usercode.Refusal):
                found.problem, found.kind = str(recognised), recognised.kind
            else:
                found.losses = list(recognised.functions)
                found.convention = str(recognised.convention) if recognised.convention.differs else ""
            emit(found)
    except LossError as error:
        emit(Failed("unavailable", str(error)))


def answer(job: AskJob, emit: Emit) -> None:
    """Python and the packages here."""
    from lcbench.host import machine

    emit(InterpreterFound(python=machine.python_build(), versions=machine.versions()))


def reach(job: ReachJob, emit: Emit) -> None:
    """Whether there are threads to compute on; Failed says why not."""
    implementation, _ = load(job.implementation, emit)
    if implementation is None or implementation.threads is None:
        return
    try:
        implementation.threads()
    except Unavailable as error:
        emit(Failed("unavailable", str(error)))
    implementation.release()
