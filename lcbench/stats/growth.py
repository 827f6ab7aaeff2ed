"""Intervals for whatever is computed from several blocks: leave one out, see how much it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import exp, inf, sqrt
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.record import Record, Row
from lcbench.stats.estimates import CONFIDENCE, kept_blocks, t_quantile


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


def jackknife(statistic: Callable[[list[int]], float], blocks: Sequence[int]) -> Estimate:
    """`statistic` of all blocks, with the jackknife's interval (Tukey 1958; Miller 1974, "The jackknife: a review").

    For a mean over blocks it is Student's interval. One block says nothing: the interval is then all numbers.
    """
    value = statistic(list(blocks))
    count = len(blocks)
    if count < 2:
        return Estimate(value, -inf, inf)
    without_one = [statistic([*blocks[:left_out], *blocks[left_out + 1 :]]) for left_out in range(count)]
    error = sqrt((count - 1) * float(np.var(without_one)))
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * error
    return Estimate(value, value - half, value + half)


def jackknife_mean(numbers: NDArray[np.float64]) -> Estimate:
    """The mean of one number a block (blocks,); NaN is left out."""
    present = numbers[~np.isnan(numbers)]
    return jackknife(lambda kept: float(np.mean(present[kept])), range(len(present)))


# The rows of a sweep as curves: one an implementation, loss and value of the other axis, along one axis.

GROWING = ("rows", "features", "classes", "batch")
"""Axes along which there is more and more to compute."""

NUMERIC = (*GROWING, "threads")
"""Axes whose values have distances."""

OtherAxis = dict[str, int | str]


@dataclass(frozen=True)
class Curve:
    """An implementation and loss along `axis`, in ascending order; `other` is the place on the other axis, if any."""

    implementation: str
    loss: str
    axis: str
    other: OtherAxis
    rows: list[Row]

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Places on the axis (points,)."""
        return np.array([getattr(row, self.axis) for row in self.rows], float)

    @cached_property
    def blocks(self) -> range:
        """The blocks that every point has."""
        return range(min(len(row.processes) for row in self.rows))

    @cached_property
    def log_times(self) -> NDArray[np.float64]:
        """Logarithm of the median of every point and block, seconds a call (points, blocks); NaN where disturbed."""
        return np.stack([self._log_times(row, row) for row in self.rows])

    def rise(self, first: int, last: int) -> NDArray[np.float64]:
        """Logarithm of the time at point `last` over that at `first` (blocks,); NaN where one was disturbed."""
        return self._log_times(self.rows[last], self.rows[first]) - self._log_times(self.rows[first], self.rows[last])

    def lead_of(self, other: Curve) -> NDArray[np.float64]:
        """Logarithm of this one's time over the other's (points, blocks), positive where the other is faster.

        They have the same points. NaN where one was disturbed.
        """
        count = min(len(self.blocks), len(other.blocks))
        pairs = zip(self.rows, other.rows, strict=True)
        leads = [self._log_times(own, its)[:count] - other._log_times(its, own)[:count] for own, its in pairs]
        return np.stack(leads)

    def _log_times(self, row: Row, beside: Row) -> NDArray[np.float64]:
        """Of `row`, NaN in the blocks in which it or `beside` was disturbed, if at least two are left."""
        logs = np.log([median(row.processes[block].samples) for block in self.blocks])
        kept = [block for block in kept_blocks(row, beside) if block < len(logs)]
        if len(kept) >= 2:
            logs[np.setdiff1d(self.blocks, kept)] = np.nan
        return logs

    def at(self, values: list[float]) -> Curve:
        """The same with the points at `values` only."""
        rows = [row for row in self.rows if getattr(row, self.axis) in values]
        return Curve(self.implementation, self.loss, self.axis, self.other, rows)


def curves(record: Record, axis: str) -> Iterator[Curve]:
    """Every curve along `axis` of what has times, in the order of the rows."""
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


# How the time of an implementation grows along an axis of a sweep: the exponent, beside a fixed cost of every call.

STEEPEST = 4.0
"""Exponents are looked for between the negative of this and this."""

FEWEST_FOR_FIXED = 5
"""Points: with fewer, the fixed cost could not be told from the growth, and counts as none."""


class Fit(NamedTuple):
    """t = fixed_s + coefficient * n ** exponent, in seconds."""

    fixed_s: float
    coefficient: float
    exponent: float

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds a call at `values`."""
        return self.fixed_s + self.coefficient * values**self.exponent


@dataclass(frozen=True)
class Growth:
    """How one implementation and loss grow along `axis`: seconds a call are ``fixed_s + coefficient * n ** exponent``.

    low, high: of the exponent, at 95 %, from the differences between blocks; that the curve has that shape is assumed.
    fixed_low, fixed_high: of the fixed cost, which may come out below zero where there is none. misfit: how far the
    point farthest from the fit lies from it, relative; large where caches end. other: the place on the other axis.
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
        """Seconds a call at `values`, by the fit."""
        return Fit(self.fixed_s, self.coefficient, self.exponent)(values)


def growths(record: Record) -> list[Growth]:
    """The growth of every implementation and loss along every axis of the sweep along which there is more to compute.

    None for a curve of fewer than two points.
    """
    along = [curve for axis in GROWING for curve in curves(record, axis)]
    return [_growth(curve) for curve in along if len(curve.values) >= 2]


def _growth(curve: Curve) -> Growth:
    @cache
    def fitted(blocks: tuple[int, ...]) -> Fit:
        return fit_growth(curve.values, np.nanmean(curve.log_times[:, blocks], axis=1))

    best = fitted(tuple(curve.blocks))
    exponent = jackknife(lambda blocks: fitted(tuple(blocks)).exponent, curve.blocks)
    fixed = jackknife(lambda blocks: fitted(tuple(blocks)).fixed_s, curve.blocks)
    times = np.exp(np.nanmean(curve.log_times, axis=1))
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
    """The curve with the least sum of squared relative distances from the points (points,), which are logarithms.

    The fixed cost may come out negative: were it held at zero, noise could only push exponents one way.
    """
    if len(values) < FEWEST_FOR_FIXED:
        exponent, log_coefficient = (float(number) for number in np.polyfit(np.log(values), log_times, 1))
        return Fit(0.0, exp(log_coefficient), exponent)

    from scipy.optimize import curve_fit

    scaled = values / values[-1]  # so that the coefficient is of the order of the times, whatever the exponent
    largest_s = float(np.exp(log_times[-1]))
    times = np.exp(log_times - log_times[-1])
    start = float(np.clip(np.polyfit(np.log(scaled[-3:]), log_times[-3:], 1)[0], 1 - STEEPEST, STEEPEST - 1))
    (fixed, coefficient, exponent), _ = curve_fit(
        lambda n, fixed, coefficient, exponent: fixed + coefficient * n**exponent,
        scaled,
        times,
        p0=(0.0, 1.0, start),
        sigma=times,
        bounds=((-np.inf, -np.inf, start - 1), (np.inf, np.inf, start + 1)),
    )
    return Fit(fixed * largest_s, coefficient * largest_s / float(values[-1]) ** exponent, float(exponent))
