"""Points of a search, and the search file: its schema, reading, writing, and the ranking of its trials.

The file holds all trials from the start, in a fixed order. It is replaced whole after every trial, so an interrupted
search can resume from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta

from lcbench import files
from lcbench.errors import LcbenchError, plain_error, require
from lcbench.learn.recipe import Recipe, Solver
from lcbench.losses.implementation import LossName
from lcbench.ranges import RANGES
from lcbench.settings import within

FORMAT: Final = "lcbench search"

SCHEMA = 1
"""Version of the schema, raised by every change that an older lcbench could not read."""

TrialStatus = Literal["waiting", "finished", "stopped early", "diverged", "crashed"]
"""waiting: not run yet. crashed: training raised an exception, or its process died twice."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Trial(msgspec.Struct, kw_only=True, frozen=True):
    """Recipe and the result of training it.

    The other fields are None until the trial has ended. The accuracies stay None if it diverged or crashed.
    """

    recipe: Recipe
    status: TrialStatus = "waiting"
    validation_accuracy: Share | None = None
    train_accuracy: Share | None = None
    loss: float | None = None
    """Loss of the last step; None if it is not finite."""
    steps: int | None = None
    seconds: float | None = None
    """Duration of the whole trial."""
    reason: str = ""
    """Reason for a crash."""

    @property
    def succeeded(self) -> bool:
        """Whether the trial gave a model that can be chosen."""
        return self.validation_accuracy is not None


class Refit(msgspec.Struct, kw_only=True, frozen=True):
    """Model of the best recipe, trained once more and written to a file."""

    trial: Annotated[int, Meta(ge=0)]
    """Index of the trial, from 0."""
    model: str
    """Name of the model file, in the folder of the search file."""
    accuracy: dict[str, Share]
    """Accuracy by split. Without "validation" if the model was trained on the validation rows too."""


class Search(msgspec.Struct, kw_only=True, frozen=True):
    """Content of a search file."""

    format: Literal["lcbench search"] = FORMAT
    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    way: Literal["grid", "random"]
    axes: dict[Annotated[str, Meta(pattern="^(learning_rate|reg|batch|margin)$")], list[float]]
    """Requested values by field of the recipe, in ascending order. For a range of a random search: its two ends."""
    fingerprint: str
    """Fingerprint of the data."""
    validation_rows: Annotated[int, Meta(ge=1)] | None = None
    """Number of validation rows; None in files of earlier versions."""
    threads: Annotated[int, within("threads")]
    """Threads of each worker. They affect the last bits of a model."""
    refit_all: bool = False
    """Whether the best recipe is refitted on the validation rows too."""
    trials: Annotated[list[Trial], Meta(min_length=1, max_length=int(RANGES["trials"].high))]
    refit: Refit | None = None
    """None until all trials have ended, and if none gave a model."""

    @property
    def waiting(self) -> list[int]:
        """Indices of the trials that have not run yet."""
        return [index for index, trial in enumerate(self.trials) if trial.status == "waiting"]

    def standard_error(self, accuracy: float) -> float | None:
        """Return the standard error of a validation accuracy, assuming independent rows; None if it is unknown."""
        return None if self.validation_rows is None else math.sqrt(accuracy * (1 - accuracy) / self.validation_rows)


def ranking(trials: Sequence[Trial]) -> list[int]:
    """Return the indices of the trials that gave a model, best first, independent of the order of completion.

    The order is by validation accuracy. Of equal accuracies the smaller learning rate comes first, then the larger
    regularisation, as these are the safer choices, then the smaller batch and the smaller margin.
    """

    def key(index: int) -> tuple[float, ...]:
        trial, recipe = trials[index], trials[index].recipe
        assert trial.validation_accuracy is not None
        return (-trial.validation_accuracy, recipe.learning_rate, -recipe.reg, recipe.batch, recipe.margin, index)

    return sorted((index for index, trial in enumerate(trials) if trial.succeeded), key=key)


def write(path: Path, search: Search) -> None:
    """Write the search to `path`, whole or not at all. Raise LcbenchError if it cannot be written."""
    files.write_file(path, to_json(search) + "\n", "; --output names another file")


def to_json(search: Search, **more: Any) -> str:
    """Return the search as JSON text, with additional fields."""
    return msgspec.json.format(msgspec.json.encode(more | msgspec.structs.asdict(search)), indent=1).decode()


class _Head(msgspec.Struct):
    """Fields that a file of any schema has."""

    format: str
    schema: int


def read(path: Path) -> Search:
    """Return the search in `path`. Raise LcbenchError if the file is missing, damaged or of a newer schema."""
    content = files.read_file(path, "; 'lcbench search' makes one")
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise LcbenchError(f"{path} is not a search: its format is '{head.format}'; 'lcbench search' makes one")
        if head.schema > SCHEMA:
            raise LcbenchError(
                f"{path} has search schema {head.schema}, this lcbench reads up to {SCHEMA}: upgrade lcbench"
            )
        search = msgspec.json.decode(content, type=Search)
        _require_consistent(search)
        return search
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = plain_error(error)
        raise LcbenchError(f"{path} is not a search, or damaged: {reason}; 'lcbench search' makes one") from None


def _require_consistent(search: Search) -> None:
    """Raise ValueError if the parts of a search contradict each other."""
    first, refit = search.trials[0].recipe, search.refit
    varying = {name: getattr(first, name) for name in (*AXES, "iterations")}  # epochs give iterations by batch
    for number, trial in enumerate(search.trials, 1):
        if msgspec.structs.replace(trial.recipe, **varying) != first:
            raise ValueError(f"trial {number} has other settings than trial 1 beyond {', '.join(varying)}")
        if trial.status not in ("finished", "stopped early") and trial.succeeded:
            raise ValueError(f"trial {number} is {trial.status} and has an accuracy")
    if refit and refit.trial >= len(search.trials):
        raise ValueError(f"it refitted trial {refit.trial} of {len(search.trials)}")
    if refit and refit.model != Path(refit.model).name:
        raise ValueError(f"its model '{refit.model}' is not in the folder of the search")


def newest() -> Path:
    """Return the newest search file that lcbench named itself. Raise LcbenchError if there is none."""
    found = files.stored(files.searches_folder(), ".json")
    if not found:
        raise LcbenchError(f"no search in {files.searches_folder()}: 'lcbench search' makes one, or name a file")
    return found[-1]


# Points of a search: the hyperparameters that can be searched, and grids and random samples of them.

AXES = ("learning_rate", "reg", "batch", "margin")
"""Hyperparameters that can be searched, in the order of a grid: the last one changes fastest."""


@dataclass(frozen=True)
class Range:
    """Interval on a logarithmic scale: `count` evenly spaced values for a grid, any value for a random search."""

    low: float
    high: float
    count: int | None = None

    def __post_init__(self) -> None:
        """Raise LcbenchError if the range is empty or not positive."""
        if not 0 < self.low <= self.high < math.inf:
            raise LcbenchError(f"invalid range {self}: the lower end must be above 0, and the upper end not below it")
        if self.count is not None and self.count not in RANGES["trials"]:
            raise LcbenchError(f"invalid range {self}: the number of values must be {RANGES['trials']}")

    def __str__(self) -> str:
        """Return the range as the command line takes it."""
        return f"{self.low:g}:{self.high:g}" + ("" if self.count is None else f":{self.count}")


Axis: TypeAlias = Sequence[float] | Range
Axes: TypeAlias = Mapping[str, Axis]
Point: TypeAlias = dict[str, float]

_PIXELS: dict[str, dict[str, Axis]] = {
    "svm": {"learning_rate": Range(2e-7, 3.2e-6, 5), "reg": Range(5e2, 8e3, 5)},
    "softmax": {"learning_rate": Range(1e-6, 1.6e-5, 5), "reg": Range(1e2, 1.6e3, 5)},
}
_FEATURES: dict[str, Axis] = {"learning_rate": Range(1e-3, 1e-1, 5), "reg": Range(1e-4, 1e-1, 4)}
_LBFGS: dict[str, Axis] = {"reg": Range(3e-4, 3e-2, 5)}

DEFAULT_DESCENT: dict[str, Any] = {"schedule": "linear", "iterations": 6000}
"""Settings that go with the default learning rates. With a constant learning rate, the noise of the last steps is as
large as the differences between good points. If learning rates are given, the defaults of training apply instead, and
with them the published protocols."""


def default_axes(pixels: bool, solver: Solver, loss: LossName) -> dict[str, Axis]:
    """Return the axes to search by default: ranges around values that are known to work."""
    if solver == "random":
        return {}
    if solver == "lbfgs":
        return dict(_LBFGS)
    return dict(_PIXELS[loss] if pixels else _FEATURES)


def grid(axes: Axes) -> list[Point]:
    """Return all combinations of the values of the axes."""
    names = [name for name in AXES if name in axes]
    values = [grid_values(axes[name], name) for name in names]
    require_trials(math.prod(map(len, values)))
    return [dict(zip(names, point, strict=True)) for point in product(*values)]


def require_trials(count: int) -> None:
    """Raise LcbenchError if that many trials cannot be asked for."""
    require(count in RANGES["trials"], f"{count:,} trials: the number must be {RANGES['trials']}")


def grid_values(axis: Axis, name: str) -> list[float]:
    """Return the distinct values of a grid axis in ascending order. Raise LcbenchError for a range without a count."""
    if not isinstance(axis, Range):
        return sorted(set(axis))
    if axis.count is None:
        raise LcbenchError(f"{name} {axis}: how many values? Write {axis}:5, or draw at random with --random 20")
    return sorted({_rounded(value, name) for value in np.geomspace(axis.low, axis.high, axis.count)})


def random_points(axes: Axes, count: int, seed: int) -> list[Point]:
    """Return `count` random points: log-uniform from a range, uniform from a list of values.

    Random search follows Bergstra & Bengio, JMLR 13, 2012. Each point depends on `seed` and on its index only, so a
    larger count extends the same sequence of points.
    """
    require_trials(count)
    if not any(isinstance(axis, Range) and axis.low < axis.high for axis in axes.values()):
        combinations = math.prod(len(set(axis)) if not isinstance(axis, Range) else 1 for axis in axes.values())
        require(
            count <= combinations,
            f"{count:,} random points of {combinations:,} combinations would repeat: leave random out, or give a range",
        )
    points: list[Point] = []
    for index in range(count):
        draws = np.random.default_rng([seed, 6, index]).random(len(AXES))
        points.append(
            {name: _value_at(axes[name], draw, name) for name, draw in zip(AXES, draws, strict=True) if name in axes}
        )
    return points


def _value_at(axis: Axis, draw: float, name: str) -> float:
    """Return the quantile `draw`, in [0, 1), of the axis."""
    if isinstance(axis, Range):
        return _rounded(axis.low * (axis.high / axis.low) ** draw, name)
    values = sorted(set(axis))
    return values[int(draw * len(values))]


def _rounded(value: float, name: str) -> float:
    """Return the value to three significant digits, as tables print it; a batch size as a whole number."""
    return max(1, round(value)) if name == "batch" else float(f"{value:.3g}")
