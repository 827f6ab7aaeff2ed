"""Which hyperparameters a search tries, and which of them it chooses. Nothing here trains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Solver
from lcbench.learn.search.search_file import Trial
from lcbench.losses.implementation import LossName

AXES = ("learning_rate", "reg", "batch", "margin")
"""What can be searched, in the order of a grid: the last changes fastest."""


@dataclass(frozen=True)
class Range:
    """From low to high, evenly in their logarithm: `count` values of a grid, any value of a random search."""

    low: float
    high: float
    count: int | None = None

    def __post_init__(self) -> None:
        """Raises LcbenchError where there is no such range."""
        if not 0 < self.low <= self.high < math.inf:
            raise LcbenchError(f"no range {self}: it goes from above 0 to something larger, evenly in the logarithm")
        if self.count is not None and self.count < 1:
            raise LcbenchError(f"no range {self}: it has at least one value")

    def __str__(self) -> str:
        """As the command line writes it."""
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
"""What goes with the default learning rates: with a constant one, the last steps' noise is as large as what tells good
places apart. Where learning rates are given, training's own defaults hold, and with them the published protocols."""


def default_axes(pixels: bool, solver: Solver, loss: LossName) -> dict[str, Axis]:
    """What is searched where nothing is said: around what is known to work, by kind of data, solver and loss."""
    if solver == "random":
        return {}
    if solver == "lbfgs":
        return dict(_LBFGS)
    return dict(_PIXELS[loss] if pixels else _FEATURES)


def grid_values(axis: Axis, name: str) -> list[float]:
    """The values of an axis of a grid, ascending, each once. Raises LcbenchError for a range without a count."""
    if not isinstance(axis, Range):
        return sorted(set(axis))
    if axis.count is None:
        raise LcbenchError(f"{name} {axis}: how many values? Write {axis}:5, or draw at random with --random 20")
    return sorted({_round(value, name) for value in np.geomspace(axis.low, axis.high, axis.count)})


def grid(axes: Axes) -> list[Point]:
    """Every combination of the values of all axes."""
    names = [name for name in AXES if name in axes]
    values = [grid_values(axes[name], name) for name in names]
    return [dict(zip(names, point, strict=True)) for point in product(*values)]


def drawn(axes: Axes, count: int, seed: int) -> list[Point]:
    """`count` random points: of a range log-uniformly, of values one of them (Bergstra & Bengio, JMLR 13, 2012).

    The seed and its place decide a point: a larger count begins with the same ones.
    """
    points: list[Point] = []
    for place in range(count):
        draws = np.random.default_rng([seed, 6, place]).random(len(AXES))
        points.append(
            {name: _at(axes[name], draw, name) for name, draw in zip(AXES, draws, strict=True) if name in axes}
        )
    return points


def _at(axis: Axis, draw: float, name: str) -> float:
    """The value of `axis` that a draw in [0, 1) stands for."""
    if isinstance(axis, Range):
        return _round(axis.low * (axis.high / axis.low) ** draw, name)
    values = sorted(set(axis))
    return values[int(draw * len(values))]


def _round(value: float, name: str) -> float:
    """To three digits, so that what a table shows is what was tried; a number of rows to a whole one."""
    return max(1, round(value)) if name == "batch" else float(f"{value:.3g}")


def ranking(trials: Sequence[Trial]) -> list[int]:
    """Places of the trials that gave a model, best first, whatever the order in which they ended.

    By validation accuracy; of equal ones the smaller learning rate is better, then the larger regularisation, since
    both are the safer side, then the smaller batch and margin.
    """

    def order(place: int) -> tuple[float, ...]:
        trial, recipe = trials[place], trials[place].recipe
        assert trial.validation_accuracy is not None
        return (-trial.validation_accuracy, recipe.learning_rate, -recipe.reg, recipe.batch, recipe.margin, place)

    return sorted(_succeeded(trials), key=order)


def _succeeded(trials: Iterable[Trial]) -> list[int]:
    return [place for place, trial in enumerate(trials) if trial.succeeded]
