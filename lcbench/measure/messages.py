"""What a run tells its worker processes and what they answer: jobs in, one JSON line an event out."""

from __future__ import annotations

from typing import Any

import msgspec

from lcbench.record import Ceiling, Checked, Covariates


class Cell(msgspec.Struct, frozen=True):
    """One thing to time: a loss on the problem in `folder`."""

    loss: str
    folder: str


class TimeJob(msgspec.Struct, tag="time", kw_only=True):
    """One block: an implementation, timed on each cell."""

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


class CheckJob(msgspec.Struct, tag="check", kw_only=True):
    """An implementation against the oracle on the table of cases, for each (loss, dtype)."""

    implementation: str
    cells: list[tuple[str, str]]


class CeilingJob(msgspec.Struct, tag="ceilings", kw_only=True):
    """The machine's own limits, for each dtype and footprint in bytes: those of the CPU or of the GPU."""

    wanted: list[tuple[str, int]]
    device: str = "cpu"


class GemmJob(msgspec.Struct, tag="gemm", kw_only=True):
    """The rate of NumPy's matrix product, for each dtype."""

    dtypes: list[str]


class DiscoverJob(msgspec.Struct, tag="discover", kw_only=True):
    """What a user's file, module or entry point holds, but for the first `skip` functions: they are known already."""

    spec: str
    skip: int = 0


class AskJob(msgspec.Struct, tag="ask", kw_only=True):
    """What Python and which packages the worker runs with."""


class ReachJob(msgspec.Struct, tag="reach", kw_only=True):
    """Whether an implementation reaches the machines that it computes on."""

    implementation: str


Job = TimeJob | CheckJob | CeilingJob | GemmJob | DiscoverJob | AskJob | ReachJob


class Began(msgspec.Struct, tag="began"):
    """Cell number `index` is under way: where a worker dies, this is where."""

    index: int


class Timed(msgspec.Struct, tag="timed", kw_only=True):
    """How cell `index` went. `reason` says why where the status is not "ok"."""

    index: int
    status: str
    reason: str = ""
    device: str = "cpu"
    convention: str = ""
    samples: list[float] = []
    calls: int = 0
    covariates: Covariates | None = None
    error_loss: float | None = None
    error_grad: float | None = None
    import_s: float | None = None
    prepare_s: float | None = None
    first_call_s: float | None = None
    warm_up_calls: int = 0
    steady: bool = True
    compiles: bool = False
    threads: int | None = None


class Measured(msgspec.Struct, tag="measured"):
    """One of the machine's own limits."""

    ceiling: Ceiling


class Multiplied(msgspec.Struct, tag="multiplied", kw_only=True):
    """Floating-point operations a second of NumPy's matrix product."""

    dtype: str
    flops_s: float


class Trying(msgspec.Struct, tag="trying", kw_only=True):
    """The user's function number `index` is about to be called, which may be the end of the process."""

    index: int
    implementation: str
    losses: list[str]


class Found(msgspec.Struct, tag="found", kw_only=True):
    """One function of the user's. `problem` says why it cannot be used, or is empty."""

    implementation: str
    losses: list[str]
    convention: str = ""
    problem: str = ""
    kind: str = ""
    notes: list[str] = []


class Answered(msgspec.Struct, tag="answered", kw_only=True):
    """The interpreter of a worker, and the versions of what decides its times."""

    python: str
    versions: dict[str, str]


class Failed(msgspec.Struct, tag="failed"):
    """The whole job cannot be done. `status` is one of a row's."""

    status: str
    reason: str


class Done(msgspec.Struct, tag="done"):
    """The whole job is done. What becomes of the process afterwards does not matter."""


Event = Began | Timed | Checked | Measured | Multiplied | Trying | Found | Answered | Failed | Done

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Event)


def encode(message: Any) -> bytes:
    """A job or an event as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_job(line: bytes) -> Any:
    """The job in `line`."""
    return msgspec.json.decode(line, type=Job)


def decode_events(lines: bytes) -> list[Any]:
    """The events in a worker's output, up to the first line that is not one: a dying worker may leave half a line."""
    events = []
    for line in lines.splitlines():
        try:
            events.append(_decoder.decode(line))
        except msgspec.DecodeError:
            break
    return events


def one_line(error: BaseException) -> str:
    """An exception as a worker reports it: its type and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
