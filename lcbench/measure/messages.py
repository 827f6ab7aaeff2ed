"""Jobs of measuring that are sent to worker processes, and the events that answer them."""

from __future__ import annotations

import msgspec

from lcbench.record import Counters, MachinePeak, PixelUse
from lcbench.usercode.own_tree import OwnTree
from lcbench.workers.messages import Job


class Cell(msgspec.Struct, frozen=True):
    """Loss to time on the problem in `folder`. pixels: how the implementation uses the pixels, if X is pixels."""

    loss: str
    folder: str
    pixels: PixelUse = ""


class LimitCell(msgspec.Struct, frozen=True):
    """Workload whose limit is measured: dtype, bytes of X, and the memory traffic and arithmetic of one call."""

    dtype: str
    footprint: int
    bytes: int
    flops: int


class Load(msgspec.Struct, tag="load", frozen=True):
    """Order: load the problem of cell `index` and prepare it for the implementation. The answer is `Loaded`."""

    index: int


class WarmUp(msgspec.Struct, tag="warm up", frozen=True):
    """Order: make the first call and warm up. The answer is `WarmedUp`.

    thorough: also test whether the implementation works between its calls. simulated: make the first call only.
    """

    thorough: bool = False
    simulated: bool = False


class TakeTurn(msgspec.Struct, tag="take turn", frozen=True):
    """Order: take `samples` samples of at least `calls` calls each. The answer is `TurnTaken`.

    one_call_s: approximate seconds per call, which decides on the untimed calls; None means that of the process.
    """

    samples: int
    calls: int
    one_call_s: float | None = None


class Finish(msgspec.Struct, tag="finish", frozen=True):
    """Order: end the measurement of the cell. The answer is `Timed`."""


class Leave(msgspec.Struct, tag="leave", frozen=True):
    """Order: release the implementation and end the job."""


Order = Load | WarmUp | TakeTurn | Finish | Leave


class Imported(msgspec.Struct, tag="imported", kw_only=True, frozen=True):
    """Event: the implementation has been imported, which took `import_s` seconds."""

    import_s: float


class Loaded(msgspec.Struct, tag="loaded", frozen=True):
    """Event: the problem of the cell has been loaded."""


class WarmedUp(msgspec.Struct, tag="warmed up", kw_only=True, frozen=True):
    """Event: the first call took `first_call_s` seconds, and a call takes about `one_call_s` after the warm-up."""

    first_call_s: float
    one_call_s: float


class TurnTaken(msgspec.Struct, tag="turn", kw_only=True, frozen=True):
    """Event: samples of a turn in seconds per call, and the number of calls in each."""

    samples: list[float]
    calls: int


class Timed(msgspec.Struct, tag="timed", kw_only=True):
    """Event: outcome of a cell. If it failed at any step, `reason` explains the status, and the cell has ended."""

    status: str = "ok"
    reason: str = ""
    convention: str = ""
    warm_up_calls: int = 0
    steady: bool = True
    counters: Counters | None = None
    error_loss: float | None = None
    error_grad: float | None = None
    prepare_s: float | None = None
    compiles: bool = False
    threads: int | None = None
    peak: MachinePeak | None = None
    """Best rates of the machine, if its limit was measured."""


class PeakMeasured(msgspec.Struct, tag="peak"):
    """Peak rates of the GPU for one dtype and footprint."""

    peak: MachinePeak


class Trying(msgspec.Struct, tag="trying", kw_only=True):
    """Announcement that the user's function number `index` is called next; the process may not survive that."""

    index: int
    implementation: str
    losses: list[str]


class NothingFound(msgspec.Struct, tag="nothing-found"):
    """Event: the file does not exist, or the function is not in it."""

    reason: str


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


class TurnsJob(Job, kw_only=True):
    """Timing of one implementation on its cells, in turns. The worker process follows orders until `Leave`."""

    does = "lcbench.measure.worker.time_in_turns"
    answers = Imported | Loaded | WarmedUp | TurnTaken | Timed

    implementation: str
    cells: list[Cell]
    seed: int
    mapped: bool = False
    """Whether X is a copy-on-write mapping of its file, to save memory, and not an array of its own."""
    planted: float = 0.0
    """Injected slowdown of every call, relative to its own time (self-test of a gate)."""
    tree: OwnTree | None = None
    """Source tree of the side of a gate."""


class LimitsJob(Job, kw_only=True):
    """Measurement of the machine's limit on each workload, in turns. It follows the same orders as `TurnsJob`."""

    does = "lcbench.measure.worker.limits_in_turns"
    answers = TurnsJob.answers

    cells: list[LimitCell]
    gemm: bool = False
    """Whether the peaks contain the rate of NumPy's matrix product."""


class PeaksJob(Job, kw_only=True):
    """Measurement of the peak rates of the GPU, for each dtype and footprint in bytes."""

    does = "lcbench.measure.worker.measure_peaks"
    answers = PeakMeasured

    wanted: list[tuple[str, int]]


class DiscoverJob(Job, kw_only=True):
    """Search for functions in a user's file, module or entry point, skipping the first `skip`."""

    does = "lcbench.measure.worker.discover_functions"
    answers = Trying | FunctionFound | NothingFound

    spec: str
    skip: int = 0
    tree: OwnTree | None = None


class InterpreterJob(Job, kw_only=True):
    """Query for the Python interpreter and the package versions of the worker process."""

    does = "lcbench.measure.worker.describe_interpreter"
    answers = InterpreterFound


class ReachJob(Job, kw_only=True):
    """Check that an implementation reaches the machines on which it computes."""

    does = "lcbench.measure.worker.check_reachable"

    implementation: str
