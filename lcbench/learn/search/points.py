"""Points of a search: the hyperparameters that can be searched, and grids and random samples of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Solver
from lcbench.losses.implementation import LossName

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
            raise LcbenchError(f"no range {self}: the lower end must be above 0, and the upper end not below it")
        if self.count is not None and self.count < 1:
            raise LcbenchError(f"no range {self}: the number of values must be at least 1")

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
    return [dict(zip(names, point, strict=True)) for point in product(*values)]


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
