"""Result files: their schema, and functions to write, read and find them.

A result file is written atomically and is not changed afterwards. ``--json`` prints the same names.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from lcbench import files
from lcbench.errors import LcbenchError, plain_error, printable
from lcbench.progress import NoteCallback, no_note
from lcbench.ranges import FLOAT_OF_PIXELS, ITEMSIZES, bytes_of_X

SCHEMA = 3
"""Schema version. Increase it with every change that an older lcbench cannot read; `read` converts older schemas."""

SPACE = 1_000_000
"""Bytes that are reserved for a record before it is measured. Few records take more."""

Duration = Annotated[float, Meta(ge=1e-12, le=1e7)]
"""Measured time in seconds. The limits keep logarithms, ratios and their intervals finite."""

Dtype = Annotated[str, Meta(pattern=f"^({'|'.join(ITEMSIZES)})$")]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
NotNegative = Annotated[float, Meta(ge=0, le=1e18)]
Rate = Annotated[float, Meta(gt=0, le=1e18)]

Status = Literal["ok", "unstable", "wrong", "crashed", "timeout", "unavailable"]
RowSide = Literal["", "base", "control", "head"]
PixelUse = Literal["", "read", "converts", "converted"]
"""Use of uint8 pixels by a row: in place, after a conversion within the call, or after one before the call."""

CONVERTS = " (converts)"
"""End of the name of rows whose calls convert the pixels."""

AxisName = Annotated[str, Meta(pattern="^(rows|features|classes|batch|threads|dtype)$")]
AxisValues = Annotated[list[Positive | str], Meta(min_length=1)]


class Record(msgspec.Struct, kw_only=True):
    """Result of one run, sweep or gate."""

    schema: int = SCHEMA
    lcbench: str
    """Version of lcbench that wrote the record."""
    lcbench_revision: str | None = None
    """Commit of lcbench itself, if it ran from a checkout or was installed from a repository."""
    lcbench_dirty: bool | None = None
    """Whether files of lcbench differed from that commit."""
    created: str
    """UTC, ISO 8601."""
    id: str
    command: list[str] = []
    git_revision: str | None = None
    git_dirty: bool | None = None
    fingerprint: str
    """Hash of the machine's hardware; see `lcbench.host.machine.fingerprint`."""
    machine: dict[str, Any]
    score: Annotated[int, Meta(ge=0, le=100)] | None = None
    """Score of the machine from 0 to 100, as `lcbench doctor` computes it without a measurement of the noise."""
    findings: list[str] = []
    """Possible disturbances of the measurement: one line each, with its severity."""
    ceilings: list[MachinePeak] = []
    """Best rates of the machine that were measured during the run."""
    limits: list[Row] = []
    """Shortest possible time of a call, one row for each workload, measured in turn with the rows of that workload."""
    rows: list[Row]
    gate: Gate | None = None
    """Set if base and head were measured in turn; each of them then has its own rows."""
    sweep: Sweep | None = None
    """Set if the rows are points along axes."""
    interrupted: bool = False
    path: str = ""
    """Path of the result file. It is not stored in the file."""


class Row(msgspec.Struct, kw_only=True):
    """Measurement of one implementation on one workload."""

    implementation: str
    loss: str
    dtype: Dtype
    rows: Positive
    features: Positive
    classes: Positive
    data: str
    batch: Positive | None = None
    """Number of randomly drawn rows of X in each call; None means all rows."""
    streamed: bool = False
    """Whether X stayed in its file and was read block by block in every call."""
    pixels: PixelUse = ""
    """Use of the pixels, if the dtype is uint8. The name of a row that converts them ends in `CONVERTS`."""
    device: Literal["cpu", "cuda", "simulator"]
    status: Status
    reason: str = ""
    """Reason for a status other than `ok`; one line."""
    convention: str = ""
    """Conventions of a user's function that differ from the standard signature."""
    code: str = ""
    """Hash of the file that holds the implementation; empty if it is unknown."""
    side: RowSide = ""
    """Side of a gate. `control` is a second measurement of the base."""
    threads: Positive = 1
    median_s: Duration | None = None
    """Geometric mean over generations of the time of the process (`ProcessResult.seconds`), in seconds per call."""
    ci95_s: tuple[float, float] | None = None
    processes: list[ProcessResult] = []
    """Worker processes in the order in which they ran."""
    error_loss: float | None = None
    error_grad: float | None = None
    flops: Annotated[int, Meta(ge=0)] = 0
    bytes: Annotated[int, Meta(ge=0)] = 0
    import_s: float | None = None
    prepare_s: float | None = None
    """Time to convert or copy the data for the implementation and to copy the result back."""
    first_call_s: float | None = None
    compile_s: float | None = None
    """Time of the first call minus the time of a steady call, for implementations that compile."""
    roofline_fraction: NotNegative | None = None
    """Shortest possible time of a call over the time of this row, both measured in the same rounds."""

    @property
    def workload(self) -> Workload:
        """Return the workload. Rows with equal workloads are comparable."""
        return Workload(
            self.loss, self.dtype, self.rows, self.features, self.classes, self.data, self.batch, self.streamed
        )

    @property
    def dtype_of_X(self) -> str:
        """Return the data type of the X that a call reads: float32 if the pixels were converted before."""
        return FLOAT_OF_PIXELS if self.pixels == "converted" else self.dtype

    @property
    def footprint(self) -> int:
        """Return the bytes of the X that calls read, which is all of it even if each call reads a batch."""
        return bytes_of_X(self.rows, self.features, self.dtype_of_X)

    @property
    def ranked(self) -> bool:
        """Return whether the row has a time that can be compared with other rows, and is right for all scores."""
        return self.status == "ok" and self.timed

    @property
    def timed(self) -> bool:
        """Return whether the row has a time, which may be that of an unstable function."""
        right = self.status in ("ok", "unstable")
        return right and self.device != "simulator" and self.median_s is not None and bool(self.processes)

    @property
    def blocks(self) -> list[list[float]]:
        """Return the samples of each process, in seconds per call."""
        return [process.samples for process in self.processes]

    def fail(self, status: str, reason: str) -> None:
        """Set the status and its reason, and discard all processes measured so far."""
        self.status, self.reason, self.processes = status, reason, []  # type: ignore[assignment]


class ProcessResult(msgspec.Struct, kw_only=True):
    """Measurements of a row in one worker process. Fields are None if an older record does not have them."""

    generation: int | None = None
    """Number of the generation, from 0: the worker processes that were alive together and took turns."""
    seconds: Duration | None = None
    """Time of the process in seconds per call, estimated from its turns and those of its generation."""
    warm_up_calls: int | None = None
    """Number of calls between the first call and the samples."""
    steady: bool | None = None
    """Whether the samples no longer show a warm-up."""
    counters: Counters | None = None
    """System counters from the first turn to the last one."""
    turns: Annotated[list[Turn], Meta(min_length=1)]

    @property
    def samples(self) -> list[float]:
        """Return all samples in the order of measurement, in seconds per call."""
        return [seconds for turn in self.turns for seconds in turn.samples]


class Turn(msgspec.Struct, kw_only=True, frozen=True):
    """Consecutive samples of one worker process, while the others of its generation were stopped."""

    round: int | None = None
    """Number of the round within the generation and the workload, from 0."""
    place: int | None = None
    """Place in the order of that round, from 0."""
    samples: Annotated[list[Duration], Meta(min_length=1)]
    """Seconds per call."""
    calls: int | None = None
    """Number of calls in one sample."""


class Counters(msgspec.Struct, kw_only=True, frozen=True):
    """System counters while a worker process took its turns. None if the system does not provide the counter."""

    seconds: float
    steal_s: float | None = None
    pressure_s: float | None = None
    """Time in which at least one process waited for a CPU (Linux pressure stall information)."""
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    frequency_mhz: float | None = None
    throttled_periods: int | None = None
    """Number of periods in which the CPU quota of the container was used up."""
    gpu_clock_mhz: float | None = None
    """SM clock at the end of the last turn. This and the next two are set if the process computes on a GPU."""
    gpu_throttle_reasons: list[str] | None = None
    """Reasons for a reduced GPU clock, named as in nvidia-smi."""
    gpu_temperature_c: float | None = None


class Workload(NamedTuple):
    """Computation that a row measures. The field names are those of `Row`."""

    loss: str
    dtype: str
    rows: int
    features: int
    classes: int
    data: str
    batch: int | None = None
    streamed: bool = False

    def __str__(self) -> str:
        batch = "" if self.batch is None else f"{self.batch:,} of "
        size = f"{describe_fields(self, 'rows')} x {describe_fields(self, 'features')}"
        return f"{self.loss}: {batch}{size}, {describe_fields(self, 'classes', 'dtype', 'data', 'streamed')}"


SINGULAR = {"rows": "row", "features": "feature", "classes": "class", "threads": "thread"}
"""Singular of the fields that count something."""


def describe_field(field: str, value: Any) -> str:
    """Return a field of a row as text: "1,000 rows", "1 thread", "float64"; "" if it is None or False."""
    if value is None or value is False:
        return ""
    if field == "streamed":
        return field
    if field == "batch":
        return f"batch {value:,}"
    return f"{value:,} {SINGULAR[field] if value == 1 else field}" if field in SINGULAR else str(value)


def describe_fields(source: Workload | Row, *fields: str) -> str:
    """Return several fields as text, separated by commas, without repeated and empty ones."""
    return ", ".join(filter(None, (describe_field(field, getattr(source, field)) for field in dict.fromkeys(fields))))


LARGEST_FOOTPRINT = 1 << 27
"""Largest footprint, in bytes, for which a limit is measured if X is streamed.

It exceeds most caches and is small compared with memory.
"""


class MachinePeak(msgspec.Struct, kw_only=True, frozen=True):
    """Limits of the machine, measured in the same run: all threads of the CPU together, or the GPU."""

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Dtype
    footprint: Positive
    """Bytes that are read repeatedly to measure `read_bytes_s`: the size of the workload's X, so that caches have the
    same effect."""
    read_bytes_s: Rate
    flops_s: Rate
    """Operations per second of the arithmetic unit. For a unit of bytes, those of the product of numbers that it gets
    from products of their digits."""
    unit: str = "FMA"
    """Unit, by its instruction, of which `flops_s` is the rate."""
    copy_bytes_s: Rate | None = None
    """Bytes read and written per second by a copy; GPU only."""
    gemm_flops_s: Rate | None = None
    """Rate of NumPy's matrix product; CPU only. It is a reference and not a limit."""


class Gate(msgspec.Struct, kw_only=True):
    """Setup of a gate, which measures base and head in turn."""

    base: Side
    head: Side
    fail_above: Annotated[float, Meta(ge=0, lt=1)]
    """Tolerated slowdown of head: 0.03 is 3 %."""
    budget_s: NotNegative
    precision: float | None = None
    """Half width of the 95 % interval that was asked for; None means that the budget decided."""
    started_s: float | None = None
    """Seconds that went into first calls, imports, loading and warm-up, of `spent_s` in all."""
    spent_s: float | None = None
    planted: float = 0.0
    """Slowdown that was planted into head for a self-test."""
    orders: list[str] = []
    """Side of each of the four processes of a generation, in the order of their start: b is base, c the control (base
    again), h is head."""
    interim_analyses: list[InterimAnalysis] = []
    new: list[str] = []
    """Implementations that base does not have, by the name of their rows."""


class Side(msgspec.Struct, kw_only=True, frozen=True):
    """Base or head of a gate."""

    given: str
    """Name given by the user."""
    kind: Literal["revision", "folder", "interpreter", "implementation", "none"]
    revision: str | None = None
    """Full git revision; for a folder, the revision of its checkout."""
    dirty: bool = False
    """Whether the folder has changes since that revision."""
    python: str
    versions: dict[str, str]


class Commit(msgspec.Struct, kw_only=True, frozen=True):
    """Commit of a range of git revisions."""

    revision: str
    subject: str
    parents: list[str] = []

    def __str__(self) -> str:
        return f"{self.revision[:10]} ({self.subject})"


class InterimAnalysis(msgspec.Struct, kw_only=True, frozen=True):
    """Interim analysis of a gate: the number of generations (`blocks`) so far, and its share of the permitted error."""

    blocks: Positive
    share: Annotated[float, Meta(ge=0, le=1)]


class Sweep(msgspec.Struct, kw_only=True):
    """Points of a sweep, and the state needed to resume it."""

    axes: Annotated[dict[AxisName, AxisValues], Meta(min_length=1, max_length=2)]
    """Values of each axis in ascending order, by the name of the row's field; one axis or two."""
    settings: dict[str, Any] = {}
    """Other arguments of `lcbench.sweep`."""
    rounds: Annotated[int, Meta(ge=0)] = 0
    """Number of complete generations. Each has a process for each implementation and number of threads."""
    spent_s: NotNegative = 0.0
    """Time spent on them."""


class Example(msgspec.Struct):
    """Small inputs for which a user's function is wrong.

    inputs: lines of Python code. results: name ("loss", "dW[0, 2]"), expected and actual value.
    """

    inputs: list[str]
    results: list[tuple[str, str, str]]


class CheckResult(msgspec.Struct, tag="checked", kw_only=True):
    """Result of `lcbench check` for one loss of an implementation in one dtype."""

    implementation: str
    users: bool = False
    """Whether this is the user's code and not an implementation of the catalog."""
    loss: str
    dtype: str
    device: str = "cpu"
    status: str = "ok"
    cases: int = 0
    left_out: int = 0
    """Number of cases that would take too long in the simulator."""
    single_precision: bool = False
    """Whether a user's function is accurate to single precision only, in float64."""
    error_loss: float = 0.0
    error_grad: float = 0.0
    """Largest relative error of all cases."""
    reason: str = ""
    line: int | None = None
    code: str = ""
    """Line of the user's file that the reason is about, or that defines the function."""
    example: Example | None = None
    """Small inputs for which the result is wrong, if there are any."""
    notes: list[str] = []
    """Limits of an implementation that is right; one line each."""
    file_notes: list[str] = []
    """Parts of the user's file that were skipped; the same for each of its functions."""
    convention: str = ""


def new(**fields: Any) -> Record:
    """Return a record with a new id, created now."""
    now = datetime.now(UTC)
    return Record(created=now.isoformat(timespec="seconds"), id=secrets.token_hex(4), **fields)


def to_json(value: Any, *, blocks: bool = True) -> str:
    """Return a record, or any other value that holds rows, as JSON.

    Parameters
    ----------
    value
        Record, or any value that msgspec can encode.
    blocks
        Whether each row also has `blocks`, the samples of each process as one list in seconds per call. ``--json``
        promises this name of schema 1 to CI jobs. Result files do not have it: it repeats `processes`.
    """
    fields = msgspec.to_builtins(value)
    if isinstance(value, Record):
        del fields["path"]
    if blocks:
        fields = _with_blocks(fields)
    try:
        encoded = msgspec.json.encode(fields)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_encodable(fields))
    return msgspec.json.format(encoded, indent=1).decode()


def _encodable(part: Any) -> Any:
    """Return the part with escapes for bytes that are no text, as in the names of files and of other programs."""
    if isinstance(part, str):
        return part.encode(errors="backslashreplace").decode()
    if isinstance(part, list | tuple):
        return [_encodable(item) for item in part]
    if isinstance(part, dict):
        return {_encodable(name): _encodable(item) for name, item in part.items()}
    return part


def _with_blocks(part: Any) -> Any:
    if isinstance(part, list | tuple):
        return [_with_blocks(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "processes" not in part:
        return {name: _with_blocks(item) for name, item in part.items()}
    blocks = [[s for turn in process["turns"] for s in turn["samples"]] for process in part["processes"]]
    return part | {"blocks": blocks}


_FOLDER_HINT = "; LCBENCH_RESULTS names another folder"


def write(record: Record, name: str | None = None) -> Path:
    """Write the record into the results folder, and also as the baseline `name`. Return the path of the file."""
    path = files.results_folder() / f"{_stamp_of(datetime.fromisoformat(record.created))}-{record.id}.json"
    content = to_json(record, blocks=False)
    files.write_file(path, content, _FOLDER_HINT)
    record.path = str(path)
    if name is not None:
        files.write_file(_baseline_file(name), content, _FOLDER_HINT)
    return path


def write_unfinished(path: Path, record: Record) -> None:
    """Replace `path` by a record that is not complete yet."""
    files.write_file(path, to_json(record, blocks=False), _FOLDER_HINT)


@contextmanager
def reserved(name: str | None = None) -> Iterator[None]:
    """Reserve space for a record until the end of the context, after which `write` is called with the same `name`.

    Raise LcbenchError if `write` would fail.
    """
    if name is not None:
        files.require_writable(_baseline_file(name), hint=_FOLDER_HINT)
    with files.reserved(files.results_folder() / "result.json", SPACE, _FOLDER_HINT):
        yield


def _baseline_file(name: str) -> Path:
    if not name or name != Path(name).name or name.startswith("."):
        raise LcbenchError(f"'{name}' is not a valid name for a baseline: use letters, digits, '-', '_' and '.'")
    return files.baselines_folder() / f"{name}.json"


def find(name: str) -> Record:
    """Return the record that `name` selects: a file, a baseline, the start of a result's file name, or an id."""
    path = Path(name)
    if path.is_file():
        return read(path)
    if name == path.name and _baseline_file(name).is_file():
        return read(_baseline_file(name))
    matches = [path for path in _result_files() if path.name.startswith(name) or path.stem.endswith(f"-{name}")]
    if len(matches) == 1:
        return read(matches[0])
    if not matches and path.exists() and not path.is_dir():
        return read(path)  # which says that it is a pipe or a device
    saved = [path.stem for path in files.stored(files.baselines_folder(), ".json")]
    known = f"saved names: {', '.join(saved)}" if saved else "'lcbench run --save NAME' saves a result under a name"
    problem = f"{len(matches)} results begin with '{name}'" if matches else f"no result '{name}'"
    raise LcbenchError(f"{problem} in {files.results_folder()}; {known}")


def newest_first(note: NoteCallback = no_note) -> Generator[Record, None, None]:
    """Yield all records in the results folder, newest first; a copy of a record is left out.

    Files that cannot be read are passed over. At its end the iterator calls `note` with one line about them.
    """
    passed_over: list[LcbenchError] = []
    known: set[str] = set()
    try:
        for path in reversed(_result_files()):
            try:
                found = read(path)
            except LcbenchError as error:
                passed_over.append(error)
                continue
            if found.id not in known:
                known.add(found.id)
                yield found
    finally:
        if passed_over:
            others = len(passed_over) - 1
            more = f"; and {others} more {'file' if others == 1 else 'files'}" if others else ""
            note(f"passed over: {passed_over[0]}{more}")


def newer_than(path: Path) -> Path | None:
    """Return the newest result if it is dated later than the one in `path`, as after the clock was set back."""
    [*_, newest] = _result_files() or [path]
    length = len("20260131T235959Z")
    return newest if _stamp(newest)[:length] > _stamp(path)[:length] else None


def _result_files() -> list[Path]:
    """Return the files of the results folder, oldest first."""
    return sorted(files.stored(files.results_folder(), ".json"), key=_stamp)


def _stamp(path: Path) -> str:
    """Return the time in the name of a result file, or of a file that a user named: when it was measured or written."""
    if re.match(r"\d{8}T\d{6}Z", path.name):
        return path.name
    try:
        time = datetime.fromisoformat(read(path).created)
    except LcbenchError:
        try:
            time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            return ""
    return f"{_stamp_of(time)}-{path.name}"


def _stamp_of(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ")


def read(path: Path) -> Record:
    r"""Return the validated record in `path`. Raise LcbenchError if the file cannot be read or is not valid.

    Control characters in its texts, such as escapes of a terminal, become visible: "\x1b".
    """
    content = files.read_file(path)
    try:
        schema = msgspec.json.decode(content, type=_SchemaVersion).schema
        if schema > SCHEMA:
            raise LcbenchError(
                f"{path} has result schema {schema}, this lcbench reads up to {SCHEMA}: "
                "upgrade with 'pip install -U lcbench'"
            )
        # most files are ASCII without escapes, and large ones are read faster without Python objects in between
        if schema < 2 or b"\\" in content or b"\x7f" in content or not content.isascii():
            fields = _visible(msgspec.json.decode(content))
            record = msgspec.convert(_from_schema_1(fields) if schema < 2 else fields, Record)
        else:
            record = msgspec.json.decode(content, type=Record)
        record.schema = SCHEMA
        record.machine = _facts(record.machine)
        record.created = _time(record.created)
        _require_plausible(record)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise LcbenchError(f"{path} is not an lcbench result: {plain_error(error)}") from None
    record.path = str(path)
    return record


def _visible(value: Any) -> Any:
    """Return the value with visible characters in place of control characters, in all its texts."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_visible(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _visible(item) for name, item in value.items()}
    return value


class _Cpu(msgspec.Struct):
    caches: dict[str, int | None] | None = None


class _Facts(msgspec.Struct):
    """Parts of `Record.machine` that are computed with. Other versions of lcbench may have others, or none."""

    cpu: _Cpu | str | None = None
    memory_bytes: Positive | None = None
    gpu: dict[str, Any] | None = None
    versions: dict[str, str | None] | None = None
    environment: dict[str, str | None] | None = None
    blas: list[dict[str, Any]] | None = None


def _facts(machine: dict[str, Any]) -> dict[str, Any]:
    """Return the facts without those that are None. Raise msgspec.ValidationError if one has a wrong type."""
    msgspec.convert(machine, _Facts)
    return {
        name: {key: fact for key, fact in facts.items() if fact is not None}
        if name in ("versions", "environment")
        else facts
        for name, facts in machine.items()
        if facts is not None
    }


def _time(text: str) -> str:
    """Return a time in UTC, in the form of ISO 8601. Raise ValueError if it is none or has no zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"its time '{text}' has no zone")
    return time.astimezone(UTC).isoformat()


def _require_plausible(record: Record) -> None:
    """Raise ValueError if a row cannot have been measured like this."""
    for number, row in enumerate([*record.rows, *record.limits], 1):
        if row.ci95_s and not 0 <= row.ci95_s[0] <= row.ci95_s[1]:
            raise ValueError(f"the interval of row {number} is {list(row.ci95_s)}")
        if row.ranked and not (row.flops and row.bytes):
            raise ValueError(f"row {number} has a time for 0 {'bytes' if row.flops else 'floating-point operations'}")
        if not row.footprint:
            raise ValueError(f"row {number} has an X of {row.dtype} without pixels")
    if record.gate:
        _require_complete(record.gate, record.rows)


def _require_complete(gate: Gate, rows: list[Row]) -> None:
    """Raise ValueError unless the sides of a gate have their processes in every generation."""
    count = len(gate.orders)
    if any(analysis.blocks > count for analysis in gate.interim_analyses):
        raise ValueError(f"it has {count} generations, and an analysis of more")
    sides: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        sides.setdefault((row.implementation, row.workload), []).append(row)
    for (name, _), compared in sides.items():
        if sorted(row.side for row in compared) != ["base", "control", "head"]:
            raise ValueError(f"{name} has the sides {', '.join(row.side or 'none' for row in compared)}")
        if any(row.status != "ok" for row in compared):
            continue
        for row in compared:
            each = 2 if row.side == "head" else 1
            numbers = [  # older records do not have the number
                index // each if process.generation is None else process.generation
                for index, process in enumerate(row.processes)
            ]
            if any(numbers.count(number) != each for number in range(count)):
                raise ValueError(f"{name} on {row.side} does not have {each} in each of {count} generations")


class _SchemaVersion(msgspec.Struct):
    schema: int


class _RecordOfSchema1(msgspec.Struct):
    rows: list[dict[str, Any]]
    gate: dict[str, Any] | None = None


class _RowOfSchema1(msgspec.Struct):
    """Lists with one entry per process, which later schemas replace by `processes`. All but `blocks` may be shorter."""

    side: str = ""
    blocks: list[Any] = []
    calls: list[Any] = []
    covariates: list[Any] = []
    warm_up_calls: list[Any] = []
    steady: list[Any] = []


def _from_schema_1(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record of schema 1, converted to the current schema.

    Before its first block, a gate ran one additional process of base and of head. `warm_up_calls` and `steady` have an
    entry for it, which is dropped.
    """
    old = msgspec.convert(fields, _RecordOfSchema1)
    for row in old.rows:
        lists = msgspec.convert(row, _RowOfSchema1)
        first, count = int(lists.side in ("base", "head")), len(lists.blocks)
        columns = (lists.blocks, lists.calls, lists.covariates, lists.warm_up_calls[first:], lists.steady[first:])
        row["processes"] = [
            {
                "generation": number // 2 if lists.side == "head" else number,
                "warm_up_calls": warm_up_calls,
                "steady": steady,
                "counters": counters,
                "turns": [{"samples": samples, "calls": calls}],
            }
            for number, (samples, calls, counters, warm_up_calls, steady) in enumerate(
                zip_longest(*(column[:count] for column in columns))
            )
        ]
    if old.gate:
        old.gate["interim_analyses"] = old.gate.get("looks", [])
    return fields | {"schema": SCHEMA, "rows": old.rows, "gate": old.gate}
