"""Jobs of measuring that are sent to worker processes, and the events that answer them."""

from __future__ import annotations

import msgspec

from lcbench.record import MachinePeak, ProcessResult
from lcbench.workers.messages import Job


class Cell(msgspec.Struct, frozen=True):
    """Loss to time on the problem in `folder`."""

    loss: str
    folder: str


class Timed(msgspec.Struct, tag="timed", kw_only=True):
    """Outcome of cell `index`; `reason` explains a status other than "ok"."""

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


class PeakMeasured(msgspec.Struct, tag="peak"):
    """Peak rates of the CPU or GPU for one dtype and footprint."""

    peak: MachinePeak


class GemmMeasured(msgspec.Struct, tag="gemm", kw_only=True):
    """Floating-point operations per second of NumPy's matrix product."""

    dtype: str
    flops_s: float


class Trying(msgspec.Struct, tag="trying", kw_only=True):
    """Announcement that the user's function number `index` is called next; the process may not survive that."""

    index: int
    implementation: str
    losses: list[str]


class FunctionFound(msgspec.Struct, tag="found", kw_only=True):
    """Function in the user's code. `problem` explains why it cannot be used, or is empty."""

    implementation: str
    losses: list[str]
    convention: str = ""
    problem: str = ""
    kind: str = ""
    notes: list[str] = []


class InterpreterFound(msgspec.Struct, tag="interpreter", kw_only=True):
    """Interpreter of a worker process, and versions of the packages that determine its times."""

    python: str
    versions: dict[str, str]


class TimeJob(Job, kw_only=True):
    """Timing of one implementation on each cell."""

    does = "lcbench.measure.worker.time_cells"
    answers = Timed

    implementation: str
    cells: list[Cell]
    seconds: float
    """Sampling time of one cell."""
    most_samples: int
    """Maximum number of samples of one cell; with 0 the first call is the only sample."""
    seed: int
    sample_s: float = 0.01
    """Minimum length of a sample: a million times the clock's resolution, and long compared with a timer interrupt."""
    planted: float = 0.0
    """Injected slowdown of every call, relative to its own time (self-test of a gate)."""


class PeaksJob(Job, kw_only=True):
    """Measurement of the peak rates of the CPU or GPU, for each dtype and footprint in bytes."""

    does = "lcbench.measure.worker.measure_peaks"
    answers = PeakMeasured

    wanted: list[tuple[str, int]]
    device: str = "cpu"


class GemmJob(Job, kw_only=True):
    """Measurement of the rate of NumPy's matrix product, for each dtype."""

    does = "lcbench.measure.worker.measure_gemm"
    answers = GemmMeasured

    dtypes: list[str]


class DiscoverJob(Job, kw_only=True):
    """Search for functions in a user's file, module or entry point, skipping the first `skip`."""

    does = "lcbench.measure.worker.discover_functions"
    answers = Trying | FunctionFound

    spec: str
    skip: int = 0


class InterpreterJob(Job, kw_only=True):
    """Query for the Python interpreter and the package versions of the worker process."""

    does = "lcbench.measure.worker.describe_interpreter"
    answers = InterpreterFound


class ReachJob(Job, kw_only=True):
    """Check that an implementation reaches the machines on which it computes."""

    does = "lcbench.measure.worker.check_reachable"

    implementation: str
