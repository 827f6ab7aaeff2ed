"""Settings of a measurement, with their defaults and limits.

The command line and the Python API create these structs, the scheduler reads them, and the record of a sweep stores
them. This module imports no numerical library, so that invalid settings are refused without delay.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from lcbench.errors import LcbenchError, plain_error, require
from lcbench.losses.implementation import LOSSES, LossName, did_you_mean
from lcbench.ranges import FLOATS, ITEMSIZES, RANGES, bytes_of_X

ScalingName = Literal["none", "mean", "halved", "standard"]
"""Scaling of the features.

none: unchanged. mean: minus the mean of the training rows, as in the CS231n assignment. halved: minus that mean and
divided by 128, which maps pixels approximately to [-1, 1]. standard: each column minus its mean, divided by its
standard deviation.
"""

NAMED_DATA = ("synthetic", "cifar10")
"""Data that is selected by a name. All other data is a file."""

CIFAR10_ROWS, CIFAR10_FEATURES, CIFAR10_CLASSES = 50_000, 3073, 10
"""Shape of the training set, including the ones column."""

TIMEOUT_S = 60.0


def within(setting: str) -> Meta:
    """Return the range of a setting as a constraint of msgspec."""
    low, high, above, below = RANGES[setting]
    limits: dict[str, Any] = {"gt" if above else "ge": low, "lt" if below else "le": high}
    return Meta(**limits)


Rows = Annotated[int, within("rows")]
Budget = Annotated[float, within("budget_s")]


class MeasurementSettings(msgspec.Struct, kw_only=True, frozen=True):
    """Settings that `run`, `sweep` and `gate` have in common."""

    implementations: tuple[str, ...] = ()
    """Implementations as for ``--impl``; empty means all that run on this machine."""
    losses: tuple[str, ...] = LOSSES
    rows: Rows | tuple[Rows, ...] = ()
    """Rows of X. Empty means `dev` (500, all implementations) and `train` (10,000, all but `naive`), or, if X is
    streamed, all rows."""
    features: Annotated[int, within("features")] = CIFAR10_FEATURES
    classes: Annotated[int, within("classes")] = CIFAR10_CLASSES
    dtype: str = "float32"
    """Data type of X, W and dW. With uint8, X holds the pixels without the column of ones, and W and dW are float32."""
    data: str = "synthetic"
    """"synthetic", "cifar10" or a file. A file determines the numbers of features and classes."""
    threads: Annotated[int, within("threads")] | None = None
    """Threads of each library; None means all usable cores."""
    timeout_s: Annotated[float, within("timeout_s")] = TIMEOUT_S
    """Kill a worker process after this long without output."""
    seed: Annotated[int, within("seed")] | None = None
    """Random seed for the order of processes and inputs."""
    save: str | None = None
    """Name of a baseline as which the record is saved, too."""

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings in `given`, with defaults for all others.

        Raises
        ------
        LcbenchError
            If a setting is unknown or invalid.
        """
        values = {name: _plain(value) for name, value in given.items()}
        if "patience_s" in values:  # former name, used in records of older sweeps
            values["timeout_s"] = values.pop("patience_s")
        require_known(values, cls)
        require_not_empty(values)
        for name, default in defaults(cls).items():
            if isinstance(default, tuple) and name in values and not isinstance(values[name], tuple):
                values[name] = (values[name],)
        try:
            settings = msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise LcbenchError(f"invalid settings: {plain_error(error)}") from None
        settings.validate()
        return settings

    @classmethod
    def from_keywords(cls, given: Mapping[str, Any]) -> Self:
        """Return the same as `from_mapping`, and warn about former names in the call of a public function."""
        if "patience_s" in given:
            warnings.warn("patience_s is now called timeout_s", DeprecationWarning, stacklevel=3)
        return cls.from_mapping(given)

    def validate(self) -> None:
        """Raise LcbenchError if the settings are invalid."""
        require(self.dtype in ITEMSIZES, f"dtype is {self.dtype!r}, must be {' or '.join(ITEMSIZES)}")
        require(
            bool(self.losses) and set(self.losses) <= set(LOSSES),
            f"losses are {list(self.losses)}, available are {' and '.join(LOSSES)}",
        )
        require(
            self.features > 1 or self.dtype in FLOATS,
            f"X of {self.dtype} holds pixels without the column of ones, and with 1 feature there is no other: "
            "choose more features, or a float dtype",
        )

    @property
    def row_counts(self) -> tuple[int, ...]:
        """Return the requested numbers of rows."""
        return self.rows if isinstance(self.rows, tuple) else (self.rows,)

    @property
    def selected_losses(self) -> list[LossName]:
        """Return the selected losses in the order of `LOSSES`."""
        return [loss for loss in LOSSES if loss in self.losses]


class RunSettings(MeasurementSettings, kw_only=True, frozen=True):
    """Settings of `lcbench.run`."""

    batch: Annotated[int, within("batch")] | None = None
    """Number of rows that each call draws at random and gathers."""
    stream: bool = False
    """Leave X in its HDF5 file and read it block by block in every call. This is also done if X does not fit in
    memory."""
    blocks: Annotated[int, within("blocks")] = 20
    """Maximum number of generations. Each one has a worker process of each implementation."""
    budget_s: Budget = 36.0
    """Time budget: no generation is started that would end later, except the first five."""
    most_call_s: Annotated[float, within("most_call_s")] | None = None
    """Longest call to measure, estimated from smaller problems. Slower ones are skipped; None means no limit."""

    def validate(self) -> None:
        """Raise LcbenchError if the settings are invalid."""
        super().validate()
        require(
            self.data in NAMED_DATA or bool(Path(self.data).suffix) or Path(self.data).exists(),
            f"no data '{self.data}': use synthetic, cifar10, or a CSV, NPZ or HDF5 file",
        )
        self.validate_axes({})

    def validate_axes(self, axes: Mapping[str, list[Any]]) -> None:
        """Raise LcbenchError if a point of the sweep along `axes` is invalid."""

        def values(name: str) -> list[Any]:
            return axes.get(name) or [getattr(self, name)]

        pixels = next((dtype for dtype in values("dtype") if dtype not in FLOATS), None)
        require(
            not (self.stream and pixels),
            f"streaming reads the numbers as they are in the file, and W and dW have the dtype: leave {pixels} or "
            "streaming out",
        )
        require(
            not (self.stream and any(values("batch"))),
            "a batch is drawn from rows in memory: a batch and streaming cannot be combined",
        )
        if not axes:
            return
        for name in ("features", "classes"):
            generated = self.data in NAMED_DATA and not self.stream
            require(name not in axes or generated, f"{name} cannot be an axis with {self.data}: its file fixes them")
        rows, features = axes.get("rows") or self.row_counts, max(values("features"))
        require(
            min(values("features")) > 1 or not pixels,
            f"X of {pixels} holds pixels without the column of ones, and with 1 feature there is no other: begin "
            "the axis at 2 features",
        )
        require(
            max(bytes_of_X(max(rows), features, dtype) for dtype in values("dtype")) <= sys.maxsize,
            f"X of {max(rows):,} x {features:,} is too large for an array",
        )
        batches = [batch for batch in values("batch") if batch is not None]
        require(
            not batches or max(batches) <= min(rows),
            f"a batch of {max(batches, default=0):,} cannot be drawn from {min(rows):,} rows: choose more rows",
        )


class SweepSettings(RunSettings, kw_only=True, frozen=True):
    """Settings of `lcbench.sweep`, without its axes."""

    rows: Rows = 10_000
    budget_s: Budget = 100.0
    most_call_s: Annotated[float, within("most_call_s")] = 1.0


class GateSettings(MeasurementSettings, kw_only=True, frozen=True):
    """Settings of `lcbench.gate`."""

    base: str
    """Git revision, folder, Python interpreter or environment, or implementation (a file, a function of a file, or a
    name in the catalog)."""
    head: str = "."
    rows: Rows = 5000
    """Rows of X: enough work for all cores, and few enough for a dozen generations per minute."""
    fail_above: float = 0.03
    """Tolerated slowdown of head: 0.03 is 3 %."""
    budget_s: Annotated[float, within("gate_budget_s")] | None = None
    """Time budget for everything, compilation included; None means a minute, or longer if a verdict needs it."""
    precision: float | None = None
    """Half width of the 95 % interval to reach: 0.01 is 1 %. None means that the budget decides."""
    build: str | None = None
    """Shell command to build each checked-out revision."""
    planted: float = 0.0
    """Slowdown planted into head for a self-test: 0.05 is 5 %."""

    def validate(self) -> None:
        """Raise LcbenchError if the settings are invalid."""
        super().validate()
        require(self.data in NAMED_DATA, f"data is {self.data!r}, must be {' or '.join(NAMED_DATA)}")
        require(0 <= self.fail_above < 1, f"fail_above is {self.fail_above}, must be at least 0 and below 1")
        require(self.precision is None or self.precision > 0, "the precision must be above 0 %")
        require(
            self.precision is None or self.budget_s is None,
            "a precision and a budget cannot be combined: the precision determines the time",
        )


def defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the default of each field of `struct` that has one; default factories are skipped."""
    return {
        field.name: field.default for field in msgspec.structs.fields(struct) if field.default is not msgspec.NODEFAULT
    }


def require_not_empty(values: Mapping[str, Any]) -> None:
    """Raise LcbenchError if a setting is an empty text, or has one among its values."""
    for name, value in values.items():
        several = value if isinstance(value, list | tuple) else [value]
        require(not any(isinstance(each, str) and not each.strip() for each in several), f"{name} is empty")


def require_known(names: Iterable[str], struct: type[msgspec.Struct]) -> None:
    """Raise LcbenchError if one of `names` is not a field of `struct`, and suggest a similar field.

    Short names of the command line, such as ``lr``, are recognized for the suggestion.
    """
    fields = struct.__struct_fields__
    for name in names:
        if name not in fields:
            full_name = "learning_rate" if name == "lr" else name
            similar = next((field for field in fields if field.startswith(full_name)), name)
            hint = did_you_mean(similar, fields, f"available are {', '.join(fields)}")
            raise LcbenchError(f"no setting '{name}': {hint}")


def _plain(value: Any) -> Any:
    """Return a path as str, a NumPy scalar as a Python number, and an iterable as a tuple without duplicates."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(dict.fromkeys(map(_plain, value)))
    return value.item() if hasattr(value, "item") else value
