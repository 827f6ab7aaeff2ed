"""The result file: one schema, written and read here and nowhere else.

A record is written whole or not at all and never rewritten. The names in it are what ``--json`` prints too.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from lcbench import files
from lcbench.errors import LcbenchError

SCHEMA = 2
"""Raised by every change that an older lcbench could not read; what older schemas hold, `read` converts."""

_OTHER_FOLDER = "; LCBENCH_RESULTS names another folder"

Duration = Annotated[float, Meta(gt=0, le=1e9)]
"""Seconds that something took."""

Status = Literal["ok", "wrong", "crashed", "timeout", "unavailable"]
RowSide = Literal["", "base", "control", "head"]


class Counters(msgspec.Struct, kw_only=True, frozen=True):
    """What else happened on the machine during one turn of a process. None where the system does not tell."""

    seconds: float
    steal_s: float | None = None
    pressure_s: float | None = None
    """Time in which some process waited for a CPU (Linux pressure stall information)."""
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    frequency_mhz: float | None = None
    throttled_periods: int | None = None
    """Periods in which the time that the container grants was used up."""
    gpu_clock_mhz: float | None = None
    """Of the multiprocessors at the end of the turn, where it was computed on a GPU; the next two likewise."""
    gpu_throttle_reasons: list[str] | None = None
    """What held that clock back, by nvidia-smi's names."""
    gpu_temperature_c: float | None = None


class Turn(msgspec.Struct, kw_only=True, frozen=True):
    """Samples that a process took one after the other."""

    samples: Annotated[list[Duration], Meta(min_length=1)]
    """Seconds a call."""
    calls: int | None = None
    """In one sample."""
    counters: Counters | None = None


class ProcessResult(msgspec.Struct, kw_only=True, frozen=True):
    """What one worker process measured of a row. None where a record of schema 1 does not tell."""

    warm_up_calls: int | None = None
    """Between the first call and the samples."""
    steady: bool | None = None
    """Whether the samples show no warm-up any more."""
    turns: Annotated[list[Turn], Meta(min_length=1)]

    @property
    def samples(self) -> list[float]:
        """Seconds a call of every sample, in the order in which they were taken."""
        return [seconds for turn in self.turns for seconds in turn.samples]


class Workload(NamedTuple):
    """What a row computed; the names are those of the row."""

    loss: str
    dtype: str
    rows: int
    features: int
    classes: int
    data: str
    batch: int | None = None
    streamed: bool = False

    def __str__(self) -> str:
        of = "" if self.batch is None else f"{self.batch:,} of "
        rest = describe_fields(self, "classes", "dtype", "data", "streamed")
        return f"{self.loss}: {of}{describe_fields(self, 'rows')} x {describe_fields(self, 'features')}, {rest}"


SINGULAR = {"rows": "row", "features": "feature", "classes": "class", "threads": "thread"}
"""What there is one of or several."""


def describe_field(field: str, value: Any) -> str:
    """Return a field of a row in words: 1,000 rows, 1 thread, float64; nothing where it is as usual."""
    if value is None or value is False:
        return ""
    if field == "streamed":
        return field
    if field == "batch":
        return f"batch {value:,}"
    return f"{value:,} {SINGULAR[field] if value == 1 else field}" if field in SINGULAR else str(value)


def describe_fields(of: Workload | Row, *fields: str) -> str:
    """Return fields of a workload, threads included, in a few words each; what it does not have is left out."""
    return ", ".join(filter(None, (describe_field(field, getattr(of, field)) for field in dict.fromkeys(fields))))


class Row(msgspec.Struct, kw_only=True):
    """One implementation on one workload."""

    implementation: str
    loss: str
    dtype: str
    rows: int
    features: int
    classes: int
    data: str
    batch: int | None = None
    """Rows of X, drawn at random, that each call computes on; None is all of X."""
    streamed: bool = False
    """Whether X stayed in its file and was read block by block in every call."""
    device: Literal["cpu", "cuda", "simulator"]
    status: Status
    reason: str = ""
    """Why the status is not `ok`; one line."""
    convention: str = ""
    """How a user's file counts, where that differs from the signature's own."""
    side: RowSide = ""
    """Of a gate's row: what was measured. `control` is the base once more."""
    threads: int = 1
    median_s: Duration | None = None
    """Median over processes of each one's median, seconds a call."""
    ci95_s: tuple[float, float] | None = None
    processes: list[ProcessResult] = []
    """In the order in which they ran."""
    error_loss: float | None = None
    error_grad: float | None = None
    flops: int = 0
    bytes: int = 0
    import_s: float | None = None
    prepare_s: float | None = None
    """Bringing the data to where the implementation wants it and the result back."""
    first_call_s: float | None = None
    compile_s: float | None = None
    """First call less a steady one, where the first call compiles."""
    roofline_fraction: float | None = None

    @property
    def workload(self) -> Workload:
        """What was computed: rows with equal workloads can be compared."""
        return Workload(
            self.loss, self.dtype, self.rows, self.features, self.classes, self.data, self.batch, self.streamed
        )

    @property
    def ranked(self) -> bool:
        """Whether the row has a time that means something beside others."""
        return self.status == "ok" and self.device != "simulator" and self.median_s is not None and bool(self.processes)

    @property
    def blocks(self) -> list[list[float]]:
        """Seconds a call of every sample, a list a process; in every JSON too."""
        return [process.samples for process in self.processes]

    def fail(self, status: str, reason: str) -> None:
        """Note why the row has no time: what failed once has none, whatever it had before."""
        self.status, self.reason, self.processes = status, reason, []  # type: ignore[assignment]


LARGEST_FOOTPRINT = 1 << 27
"""Bytes of a streamed X over which a ceiling is measured at most: more than most caches hold, and little in memory."""


class MachinePeak(msgspec.Struct, kw_only=True, frozen=True):
    """What the machine itself can do, measured in the same run: all threads of the CPU together, or the GPU."""

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: str
    footprint: int
    """Bytes read over and over for `read_bytes_s`: those of the workload's X, so that caches count alike."""
    read_bytes_s: float
    flops_s: float
    copy_bytes_s: float | None = None
    """Bytes read and written a second by a copy; of a GPU."""
    gemm_flops_s: float | None = None
    """Rate of NumPy's own matrix product: for reference, and no limit; of the CPU."""


class Side(msgspec.Struct, kw_only=True, frozen=True):
    """One of the two that a gate measured in turn."""

    given: str
    """As the user named it."""
    kind: Literal["revision", "folder", "interpreter", "implementation"]
    revision: str | None = None
    """Git's, in full; of a folder, that of its checkout."""
    dirty: bool = False
    """Whether the folder has changes since that revision."""
    python: str
    versions: dict[str, str]


class InterimAnalysis(msgspec.Struct, kw_only=True, frozen=True):
    """One look at the verdicts: after how many blocks, and the share of the permitted error that it could spend."""

    blocks: int
    share: float


class Gate(msgspec.Struct, kw_only=True):
    """How base and head were measured in turn: what a verdict needs to know beside the times."""

    base: Side
    head: Side
    fail_above: float
    """How much slower head may be: 0.03 is 3 %."""
    budget_s: float
    planted: float = 0.0
    """The slowdown that was planted into head, to see whether it is noticed."""
    orders: list[str] = []
    """The order of the four processes of each block: b is base, c the control (base again), h is head."""
    interim_analyses: list[InterimAnalysis] = []


class Sweep(msgspec.Struct, kw_only=True):
    """Which points a sweep measures, and what it takes to go on with it."""

    axes: dict[str, list[int | str]]
    """By the name that a row has for it, its values in ascending order; one axis or two."""
    settings: dict[str, Any] = {}
    """All else that `lcbench.sweep` was given, by its names."""
    rounds: int = 0
    """That are complete: each has one process, or a few, for every implementation and number of threads."""
    spent_s: float = 0.0
    """That those rounds took."""


class Record(msgspec.Struct, kw_only=True):
    """One run."""

    schema: int = SCHEMA
    lcbench: str
    created: str
    """UTC, ISO 8601."""
    id: str
    command: list[str] = []
    git_revision: str | None = None
    git_dirty: bool | None = None
    fingerprint: str
    machine: dict[str, Any]
    score: int | None = None
    """How quiet the machine was, from 0 to 100, as `lcbench doctor` counts it without a measurement of noise."""
    findings: list[str] = []
    """What could have disturbed the measurement, with its severity, a line each."""
    ceilings: list[MachinePeak] = []
    rows: list[Row]
    gate: Gate | None = None
    """Where base and head were measured in turn; each of them then has rows of its own."""
    sweep: Sweep | None = None
    """Where the rows are points along axes."""
    interrupted: bool = False
    path: str = ""
    """Where it was written; not in the file."""


class CheckResult(msgspec.Struct, tag="checked", kw_only=True):
    """How one loss of an implementation did in one dtype."""

    implementation: str
    users: bool = False
    """Whether it is the user's own code and not the catalogue's."""
    loss: str
    dtype: str
    device: str = "cpu"
    status: str = "ok"
    cases: int = 0
    left_out: int = 0
    """Cases that the simulator is too slow for."""
    error_loss: float = 0.0
    error_grad: float = 0.0
    """Largest over the cases, relative."""
    reason: str = ""
    notes: list[str] = []
    """What it does not do, though nobody asked it to; one line each."""
    file_notes: list[str] = []
    """What of the user's file was passed over; the same for each of its functions."""
    convention: str = ""


class _Head(msgspec.Struct):
    schema: int


class _Schema1(msgspec.Struct):
    rows: list[dict[str, Any]]
    gate: dict[str, Any] | None = None


class _RowOfSchema1(msgspec.Struct):
    """What a row held in lists of their own, with an entry a process; the later ones may be missing."""

    side: str = ""
    blocks: list[Any] = []
    calls: list[Any] = []
    covariates: list[Any] = []
    warm_up_calls: list[Any] = []
    steady: list[Any] = []


def new(**fields: Any) -> Record:
    """A record with a fresh identity, created now."""
    now = datetime.now(UTC)
    return Record(created=now.isoformat(timespec="seconds"), id=secrets.token_hex(4), **fields)


def to_json(value: Any) -> str:
    """Return a record, as it stands in its file, or anything else that holds rows, as JSON.

    Each row has `blocks` beside its fields: schema 1 had it, and other programs read it.
    """
    fields = _with_blocks(msgspec.to_builtins(value))
    if isinstance(value, Record):
        del fields["path"]
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode()


def _with_blocks(part: Any) -> Any:
    if isinstance(part, list | tuple):
        return [_with_blocks(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "processes" not in part:
        return {name: _with_blocks(each) for name, each in part.items()}
    return part | {"blocks": [[s for turn in one["turns"] for s in turn["samples"]] for one in part["processes"]]}


def write(record: Record, name: str | None = None) -> Path:
    """Writes the record into the results folder, and also as the baseline `name`. Returns the file's path."""
    stamp = datetime.fromisoformat(record.created).strftime("%Y%m%dT%H%M%SZ")
    path = files.results_folder() / f"{stamp}-{record.id}.json"
    content = to_json(record)
    files.write_file(path, content, _OTHER_FOLDER)
    record.path = str(path)
    if name is not None:
        files.write_file(_baseline_file(name), content, _OTHER_FOLDER)
    return path


def write_unfinished(path: Path, record: Record) -> None:
    """Replaces `path` by a record that is not complete yet."""
    files.write_file(path, to_json(record), _OTHER_FOLDER)


def require_writable(name: str | None = None) -> None:
    """Raises LcbenchError where `write` could not succeed: to be known before a measurement and not after it."""
    folder = _baseline_file(name).parent if name is not None else files.results_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LcbenchError(f"cannot write {folder}: {error.strerror}{_OTHER_FOLDER}") from None


def _baseline_file(name: str) -> Path:
    if not name or name != Path(name).name or name.startswith("."):
        raise LcbenchError(f"'{name}' is no name for a baseline: use letters, digits, '-', '_' and '.'")
    return files.baselines_folder() / f"{name}.json"


def read(path: Path) -> Record:
    """The record in `path`, validated. Raises LcbenchError with one line where it cannot be used."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LcbenchError(f"cannot read {path}: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(content, type=_Head).schema
        if schema > SCHEMA:
            raise LcbenchError(
                f"{path} has result schema {schema}, this lcbench reads up to {SCHEMA}: "
                "upgrade with 'pip install -U lcbench'"
            )
        if schema < SCHEMA:
            record = msgspec.convert(_from_schema_1(msgspec.json.decode(content)), Record)
        else:
            record = msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError as error:
        raise LcbenchError(f"{path} is not an lcbench result: {error}") from None
    record.path = str(path)
    return record


def _from_schema_1(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record of schema 1 by the names of this one.

    Before its first block, a gate ran one process more of base and of head, of which some lists have an entry.
    """
    old = msgspec.convert(fields, _Schema1)
    for row in old.rows:
        lists = msgspec.convert(row, _RowOfSchema1)
        first, count = int(lists.side in ("base", "head")), len(lists.blocks)
        columns = (lists.blocks, lists.calls, lists.covariates, lists.warm_up_calls[first:], lists.steady[first:])
        row["processes"] = [
            {
                "warm_up_calls": n,
                "steady": steady,
                "turns": [{"samples": samples, "calls": calls, "counters": counters}],
            }
            for samples, calls, counters, n, steady in zip_longest(*(column[:count] for column in columns))
        ]
    if old.gate:
        old.gate["interim_analyses"] = old.gate.get("looks", [])
    return fields | {"schema": SCHEMA, "rows": old.rows, "gate": old.gate}


def find(name: str) -> Record:
    """The record that a user names: a file, a saved baseline, or the start of a result's file name or id."""
    if Path(name).is_file():
        return read(Path(name))
    if name == Path(name).name and _baseline_file(name).is_file():
        return read(_baseline_file(name))
    matches = [path for path in _files() if path.name.startswith(name) or path.stem.endswith(f"-{name}")]
    if len(matches) == 1:
        return read(matches[0])
    saved = sorted(path.stem for path in files.baselines_folder().glob("*.json"))
    known = f"saved names: {', '.join(saved)}" if saved else "'lcbench run --save NAME' keeps one under a name"
    what = f"{len(matches)} results begin with '{name}'" if matches else f"no result '{name}'"
    raise LcbenchError(f"{what} in {files.results_folder()}; {known}")


def newest_first() -> Iterator[Record]:
    """Every readable record in the results folder. Files that cannot be read are passed over."""
    for path in reversed(_files()):
        try:
            yield read(path)
        except LcbenchError:
            continue


def _files() -> list[Path]:
    return sorted(path for path in files.results_folder().glob("*.json") if not path.name.startswith("."))
