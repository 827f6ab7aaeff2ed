"""What can be asked of a measurement: every setting with its default and its limits.

The command line and the Python API fill these structs, the scheduler reads them, and the record of a sweep keeps them.
Nothing here imports what computes: what is refused is refused at once.
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

from lcbench.errors import LcbenchError, require
from lcbench.losses.implementation import LOSSES, LossName, did_you_mean

ScalingName = Literal["none", "mean", "halved", "standard"]
"""none: as they are. mean: less the mean of the training rows, as the assignment does it. halved: that over 128, so
that pixels lie about in [-1, 1]. standard: each column less its mean, over its standard deviation."""

NAMED_DATA = ("synthetic", "cifar10")
"""The data that has a name; all other is a file."""

CIFAR10_ROWS, CIFAR10_FEATURES, CIFAR10_CLASSES = 50_000, 3073, 10
"""To train on; with the ones column."""

TIMEOUT_S = 60.0

_BYTES = {"float32": 4, "float64": 8}

NotNegative = Annotated[float, Meta(ge=0)]


class MeasurementSettings(msgspec.Struct, kw_only=True, frozen=True):
    """What `run`, `sweep` and `gate` share."""

    implementations: tuple[str, ...] = ()
    """As ``--impl`` takes them; none is every one that runs here."""
    losses: tuple[str, ...] = LOSSES
    rows: int | tuple[int, ...] = ()
    """Of X; none is `dev` (500, every implementation) and `train` (10,000, all but `naive`), or, streamed, all."""
    features: int = CIFAR10_FEATURES
    classes: int = CIFAR10_CLASSES
    dtype: str = "float32"
    data: str = "synthetic"
    """"synthetic", "cifar10" or a file, which says itself how many features and classes it has."""
    threads: int | None = None
    """Of every library; None is every core that may be used."""
    timeout_s: Annotated[float, Meta(gt=0)] = TIMEOUT_S
    """A worker process silent for longer is killed."""
    seed: Annotated[int, Meta(ge=0)] | None = None
    """Of the random order of processes and inputs."""
    save: str | None = None
    """Also keep the record as the baseline of this name."""

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings that `given` names, the rest as it is by default.

        Raises LcbenchError with one line where one of them is unknown or cannot be.
        """
        values = {name: _plain(value) for name, value in given.items()}
        if "patience_s" in values:  # as it was called; records of older sweeps have it
            values["timeout_s"] = values.pop("patience_s")
        require_known(values, cls)
        for name, default in defaults(cls).items():
            if isinstance(default, tuple) and name in values and not isinstance(values[name], tuple):
                values[name] = (values[name],)
        try:
            settings = msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise LcbenchError(f"no such measurement: {error}") from None
        settings.validate()
        return settings

    @classmethod
    def from_keywords(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings as `of` does; an old name among the keywords of a caller's caller is warned of."""
        if "patience_s" in given:
            warnings.warn("patience_s is now called timeout_s", DeprecationWarning, stacklevel=3)
        return cls.from_mapping(given)

    def validate(self) -> None:
        """Raise LcbenchError with one line where there is no such problem to measure."""
        require(self.dtype in _BYTES, f"dtype is {self.dtype!r}: {' and '.join(_BYTES)} can be measured")
        require(
            bool(self.losses) and set(self.losses) <= set(LOSSES),
            f"losses are {list(self.losses)}: there is {' and '.join(LOSSES)}",
        )
        require(min([self.features, *self.row_counts]) >= 1, "rows and features must be at least 1")
        require(self.classes >= 2, "classes must be at least 2")
        require(self.threads is None or self.threads >= 1, "threads must be at least 1")

    @property
    def row_counts(self) -> tuple[int, ...]:
        """The numbers of rows that were asked for."""
        return self.rows if isinstance(self.rows, tuple) else (self.rows,)

    @property
    def selected_losses(self) -> list[LossName]:
        """The losses in the order of all that there are."""
        return [loss for loss in LOSSES if loss in self.losses]


class RunSettings(MeasurementSettings, kw_only=True, frozen=True):
    """What `lcbench.run` takes."""

    batch: int | None = None
    """Each call computes on so many rows, drawn at random, and gathers them."""
    stream: bool = False
    """X stays in its HDF5 file and is read block by block in every call, as it also does where it would not fit in
    memory."""
    blocks: int = 20
    """Most rounds, each of one worker process for every implementation."""
    budget_s: NotNegative = 36.0
    """Rounds stop when the next would end later, but not before the third."""
    most_call_s: float | None = None
    """What would take longer a call, going by smaller problems, is left out; None measures everything."""

    def validate(self) -> None:
        """Raise LcbenchError with one line where there is no such run."""
        super().validate()
        require(
            self.data in NAMED_DATA or bool(Path(self.data).suffix) or Path(self.data).exists(),
            f"no data '{self.data}': give synthetic, cifar10, or a CSV, NPZ or HDF5 file",
        )
        require(self.blocks >= 1, "blocks must be at least 1")
        require(self.batch is None or self.batch >= 1, "batch must be at least 1")
        require(self.most_call_s is None or self.most_call_s > 0, "most_call_s must be above 0")
        self.validate_axes({})

    def validate_axes(self, axes: Mapping[str, list[Any]]) -> None:
        """Raise LcbenchError where a point of these axes is no problem that can be measured."""

        def values(name: str) -> list[Any]:
            return axes.get(name) or [getattr(self, name)]

        require(
            not (self.stream and any(values("batch"))),
            "a batch is drawn from rows in memory: leave either the batch or the streaming out",
        )
        if not axes:
            return
        for name in ("features", "classes"):
            generated = self.data in NAMED_DATA and not self.stream
            require(name not in axes or generated, f"{name} are no axis of {self.data}: its file fixes them")
        rows, features = axes.get("rows") or self.row_counts, max(values("features"))
        require(
            max(rows) * features * max(_BYTES[dtype] for dtype in values("dtype")) <= sys.maxsize,
            f"X of {max(rows):,} x {features:,} is more than an array can have",
        )
        batches = [batch for batch in values("batch") if batch is not None]
        require(
            not batches or max(batches) <= min(rows),
            f"a batch of {max(batches, default=0):,} is drawn from {min(rows):,} rows: choose more rows",
        )


class SweepSettings(RunSettings, kw_only=True, frozen=True):
    """What `lcbench.sweep` takes beside its axes."""

    rows: int = 10_000
    budget_s: NotNegative = 100.0
    most_call_s: float = 1.0


class GateSettings(MeasurementSettings, kw_only=True, frozen=True):
    """What `lcbench.gate` takes."""

    base: str
    """A git revision, a folder, a Python interpreter or environment, or an implementation (a file, a file's function or
    a catalog's name)."""
    head: str = "."
    rows: int = 5000
    """Large enough for every core to have its share, small enough for a dozen blocks in a minute."""
    fail_above: float = 0.03
    """How much slower head may be: 0.03 is 3 %."""
    budget_s: float | None = None
    """For everything, compilation included; None is a minute, or as long as it takes until a verdict is possible."""
    build: str | None = None
    """Shell command that is run in each checked-out revision."""
    planted: float = 0.0
    """Makes head slower by that much, to see whether it is noticed."""

    def validate(self) -> None:
        """Raise LcbenchError with one line where there is no such gate."""
        super().validate()
        require(self.data in NAMED_DATA, f"data is {self.data!r}: there is {' and '.join(NAMED_DATA)}")
        require(0 <= self.fail_above < 1, f"fail_above is {self.fail_above}: a share between 0 and 1 is needed")
        require(self.budget_s is None or self.budget_s > 0, "the budget must be above 0 seconds")


def defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the default of every field of `struct` that has a plain one."""
    return {
        field.name: field.default for field in msgspec.structs.fields(struct) if field.default is not msgspec.NODEFAULT
    }


def require_known(names: Iterable[str], struct: type[msgspec.Struct]) -> None:
    """Raise LcbenchError where one of `names` is no field of `struct`; the command line's names are understood."""
    fields = struct.__struct_fields__
    for name in names:
        if name not in fields:
            begin = "learning_rate" if name == "lr" else name
            candidates = [field for field in fields if field.startswith(begin)]
            hint = did_you_mean(candidates[0] if candidates else name, fields, f"there are {', '.join(fields)}")
            raise LcbenchError(f"no setting '{name}': {hint}")


def _plain(value: Any) -> Any:
    """Return a path as text, a number of NumPy's as one of Python's, and several values as a tuple, each once."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(dict.fromkeys(map(_plain, value)))
    return value.item() if hasattr(value, "item") else value
