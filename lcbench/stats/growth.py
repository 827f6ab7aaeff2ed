"""Curves of a sweep, the growth of their times, and jackknife intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import exp, inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.record import Record, Row
from lcbench.stats.estimates import CONFIDENCE, by_generation, t_quantile


class Estimate(NamedTuple):
    """Value and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def jackknife(statistic: Callable[[list[int]], float], generations: Sequence[int]) -> Estimate:
    """Return `statistic` of all generations with its jackknife interval.

    For a mean over generations, this is Student's interval. With fewer than two, the interval is (-inf, inf).
    Sources: Tukey 1958, "Bias and confidence in not-quite large samples"; Miller 1974, "The jackknife: a review".
    """
    value = statistic(list(generations))
    count = len(generations)
    if count < 2:
        return Estimate(value, -inf, inf)
    without_one = [statistic([*generations[:left_out], *generations[left_out + 1 :]]) for left_out in range(count)]
    error = sqrt((count - 1) * float(np.var(without_one)))
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * error
    return Estimate(value, value - half, value + half)


def jackknife_mean(numbers: NDArray[np.float64]) -> Estimate:
    """Return the mean of an array of shape (generations,) with its jackknife interval."""
    return jackknife(lambda kept: float(np.mean(numbers[kept])), range(len(numbers)))


# Curves of a sweep

GROWING = ("rows", "features", "classes", "batch")
"""Axes along which the amount of computation grows."""

NUMERIC = (*GROWING, "threads")
"""Axes with numeric values."""

OtherAxis = dict[str, int | str]
"""Name and value of the second axis of a sweep; empty if there is only one axis."""


@dataclass(frozen=True)
class Curve:
    """Rows of one implementation and loss along `axis` in ascending order, at one value of the other axis."""

    implementation: str
    loss: str
    axis: str
    other: OtherAxis
    rows: list[Row]

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Return the values of the axis, of shape (points,)."""
        return np.array([getattr(row, self.axis) for row in self.rows], float)

    @cached_property
    def generations(self) -> list[int]:
        """Return the numbers of the generations in which all points were measured."""
        return sorted(set.intersection(*(set(logs) for logs in self._by_generation)))

    @cached_property
    def log_times(self) -> NDArray[np.float64]:
        """Return the logarithms of the times in seconds per call, of shape (points, generations)."""
        return self._log_times(self.generations)

    def rise(self, first: int, last: int) -> NDArray[np.float64]:
        """Return the log-ratio of the times at the points `last` and `first`, of shape (generations,)."""
        rise: NDArray[np.float64] = self.log_times[last] - self.log_times[first]
        return rise

    def lead_of(self, other: Curve) -> NDArray[np.float64]:
        """Return the log-ratio of the times of this curve and `other`, of shape (points, generations).

        Positive values mean that `other` is faster. Both curves have the same points. The generations are those of both
        curves.
        """
        common = [number for number in self.generations if number in other.generations]
        return self._log_times(common) - other._log_times(common)

    @cached_property
    def _by_generation(self) -> list[dict[int, float]]:
        return [by_generation(row) for row in self.rows]

    def _log_times(self, generations: list[int]) -> NDArray[np.float64]:
        return np.array([[logs[number] for number in generations] for logs in self._by_generation])

    def at(self, values: list[float]) -> Curve:
        """Return the curve with only the points at `values`."""
        rows = [row for row in self.rows if getattr(row, self.axis) in values]
        return Curve(self.implementation, self.loss, self.axis, self.other, rows)


def curves(record: Record, axis: str) -> Iterator[Curve]:
    """Yield the curves of all ranked rows along `axis`, in the order of the rows."""
    if record.sweep is None or axis not in record.sweep.axes:
        return
    others = [name for name in record.sweep.axes if name != axis]
    groups: dict[tuple[str, str, tuple[int | str, ...]], list[Row]] = {}
    for row in record.rows:
        if row.ranked:
            place = tuple(getattr(row, name) for name in others)
            groups.setdefault((row.implementation, row.loss, place), []).append(row)
    for (implementation, loss, place), rows in groups.items():
        along = sorted(rows, key=lambda row: getattr(row, axis))
        yield Curve(implementation, loss, axis, dict(zip(others, place, strict=True)), along)


# Growth of the time along an axis: fixed cost and exponent

MAX_EXPONENT = 4.0
"""Limit of the absolute value of fitted exponents."""

MIN_POINTS_FOR_FIXED_COST = 5
"""Points needed to separate a fixed cost from the growth. With fewer, the fixed cost is assumed to be zero."""


class Fit(NamedTuple):
    """Parameters of the curve t = fixed_s + coefficient * n ** exponent, in seconds per call."""

    fixed_s: float
    coefficient: float
    exponent: float

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fitted time at `values`, in seconds per call."""
        return self.fixed_s + self.coefficient * values**self.exponent


@dataclass(frozen=True)
class Growth:
    """Growth of one implementation and loss along `axis`: ``fixed_s + coefficient * n ** exponent`` seconds per call.

    low, high: 95 % interval of the exponent, from the spread between generations, assuming this form of the curve.
    fixed_low, fixed_high: 95 % interval of the fixed cost, which may be negative. misfit: largest relative deviation of
    a point from the fit; large if X exceeds a cache along the axis. other: value of the other axis.
    """

    implementation: str
    loss: str
    axis: str
    exponent: float
    low: float
    high: float
    fixed_s: float
    fixed_low: float
    fixed_high: float
    coefficient: float
    misfit: float
    points: int
    other: OtherAxis

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fitted time at `values`, in seconds per call."""
        return Fit(self.fixed_s, self.coefficient, self.exponent)(values)


def growths(record: Record) -> list[Growth]:
    """Return the growth of each curve with at least two points, along all axes of `GROWING` in the sweep."""
    along = [curve for axis in GROWING for curve in curves(record, axis)]
    return [_growth(curve) for curve in along if len(curve.values) >= 2 and curve.generations]


def _growth(curve: Curve) -> Growth:
    @cache
    def fitted(kept: tuple[int, ...]) -> Fit:
        return fit_growth(curve.values, np.mean(curve.log_times[:, kept], axis=1))

    everything = range(len(curve.generations))
    best = fitted(tuple(everything))
    exponent = jackknife(lambda kept: fitted(tuple(kept)).exponent, everything)
    fixed = jackknife(lambda kept: fitted(tuple(kept)).fixed_s, everything)
    times = np.exp(np.mean(curve.log_times, axis=1))
    return Growth(
        implementation=curve.implementation,
        loss=curve.loss,
        axis=curve.axis,
        exponent=exponent.value,
        low=exponent.low,
        high=exponent.high,
        fixed_s=fixed.value,
        fixed_low=fixed.low,
        fixed_high=fixed.high,
        coefficient=best.coefficient,
        misfit=float(np.abs(best(curve.values) / times - 1).max()),
        points=len(times),
        other=curve.other,
    )


def fit_growth(values: NDArray[np.float64], log_times: NDArray[np.float64]) -> Fit:
    """Return the least-squares fit of the relative deviations.

    The fixed cost may be negative: a bound at zero would bias the exponent.

    Parameters
    ----------
    values
        Values of the axis, shape (points,), float64, ascending.
    log_times
        Logarithms of the times in seconds per call, shape (points,), float64.
    """
    if len(values) < MIN_POINTS_FOR_FIXED_COST:
        exponent, log_coefficient = (float(number) for number in np.polyfit(np.log(values), log_times, 1))
        return Fit(0.0, exp(log_coefficient), exponent)

    from scipy.optimize import curve_fit

    scaled = values / values[-1]  # keeps the coefficient in the order of the times for all exponents
    largest_s = float(np.exp(log_times[-1]))
    times = np.exp(log_times - log_times[-1])
    start = float(np.clip(np.polyfit(np.log(scaled[-3:]), log_times[-3:], 1)[0], 1 - MAX_EXPONENT, MAX_EXPONENT - 1))
    (fixed, coefficient, exponent), _ = curve_fit(
        lambda n, fixed, coefficient, exponent: fixed + coefficient * n**exponent,
        scaled,
        times,
        p0=(0.0, 1.0, start),
        sigma=times,
        bounds=((-np.inf, -np.inf, start - 1), (np.inf, np.inf, start + 1)),
    )
    return Fit(fixed * largest_s, coefficient * largest_s / float(values[-1]) ** exponent, float(exponent))
