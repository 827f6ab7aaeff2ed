"""The jobs of measuring for worker processes, and the events that they answer with."""

from __future__ import annotations

import msgspec

from lcbench.record import MachinePeak, ProcessResult
from lcbench.workers.messages import Job


class Cell(msgspec.Struct, frozen=True):
    """One thing to time: a loss on the problem in `folder`."""

    loss: str
    folder: str


class Timed(msgspec.Struct, tag="timed", kw_only=True):
    """How cell `index` went. `reason` says why where the status is not "ok"."""

    index: int
    status: str
    reason: str = ""
    device: str = "cpu"
    convention: str = ""
    process: ProcessResult | None = None
    error_loss: float | None = None
    error_grad: float | None = None
    import_s: float | None = None
    prepare_s: float | None = None
    first_call_s: float | None = None
    compiles: bool = False
    threads: int | None = None


class PeaksMeasured(msgspec.Struct, tag="measured"):
    """One of the machine's own limits."""

    ceiling: MachinePeak


class GemmMeasured(msgspec.Struct, tag="multiplied", kw_only=True):
    """Floating-point operations a second of NumPy's matrix product."""

    dtype: str
    flops_s: float


class Trying(msgspec.Struct, tag="trying", kw_only=True):
    """The user's function number `index` is about to be called, which may be the end of the process."""

    index: int
    implementation: str
    losses: list[str]


class FunctionFound(msgspec.Struct, tag="found", kw_only=True):
    """One function of the user's. `problem` says why it cannot be used, or is empty."""

    implementation: str
    losses: list[str]
    convention: str = ""
    problem: str = ""
    kind: str = ""
    notes: list[str] = []


class InterpreterFound(msgspec.Struct, tag="answered", kw_only=True):
    """The interpreter of a worker, and the versions of what decides its times."""

    python: str
    versions: dict[str, str]


class TimeJob(Job, kw_only=True):
    """One block: an implementation, timed on each cell."""

    does = "lcbench.measure.worker.time_block"
    answers = Timed

    implementation: str
    cells: list[Cell]
    seconds: float
    """Time for the samples of one cell."""
    most_samples: int
    """Of one cell; 0 makes the first call only, and its time the one sample."""
    seed: int
    sample_s: float = 0.01
    """Least length of a sample: a million times the clock's resolution, long beside a timer interrupt."""
    planted: float = 0.0
    """Share of its own time by which every call is made slower, to see whether that is noticed."""


class PeaksJob(Job, kw_only=True):
    """The machine's own limits, for each dtype and footprint in bytes: those of the CPU or of the GPU."""

    does = "lcbench.measure.worker.measure_ceilings"
    answers = PeaksMeasured

    wanted: list[tuple[str, int]]
    device: str = "cpu"


class GemmJob(Job, kw_only=True):
    """The rate of NumPy's matrix product, for each dtype."""

    does = "lcbench.measure.worker.multiply"
    answers = GemmMeasured

    dtypes: list[str]


class DiscoverJob(Job, kw_only=True):
    """What a user's file, module or entry point holds, but for the first `skip` functions: they are known already."""

    does = "lcbench.measure.worker.discover"
    answers = Trying | FunctionFound

    spec: str
    skip: int = 0


class AskJob(Job, kw_only=True):
    """What Python and which packages the worker runs with."""

    does = "lcbench.measure.worker.answer"
    answers = InterpreterFound


class ReachJob(Job, kw_only=True):
    """Whether an implementation reaches the machines that it computes on."""

    does = "lcbench.measure.worker.reach"

    implementation: str
