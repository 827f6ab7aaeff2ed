"""Where, along an axis of a sweep, one implementation passes another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, isclose, log, sqrt

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from lcbench.record import Record, Row
from lcbench.stats import growth
from lcbench.stats.growth import NUMERIC, Curve, OtherAxis, curves

DEGREE = 3
"""Of the curve that is drawn through the points on either side of a crossing and their next neighbours."""


@dataclass(frozen=True)
class Crossing:
    """Above `at`, `faster` is faster than `slower`, and below it slower. low, high: of `at`, at 95 %.

    It lies between two points of the sweep at each of which the difference is beyond the noise, so never outside them.
    The interval holds both the noise and what is not known of the curves between their points. other: the place on the
    other axis.
    """

    faster: str
    slower: str
    loss: str
    axis: str
    at: float
    low: float
    high: float
    other: OtherAxis


def crossings(record: Record) -> list[Crossing]:
    """Every crossing of two implementations along every axis with distances, in ascending order of each pair's."""
    found = []
    for axis in NUMERIC:
        for one, two in combinations(curves(record, axis), 2):
            if (one.loss, one.other) == (two.loss, two.other):
                found += _between(one, two)
    return found


def _between(one: Curve, two: Curve) -> list[Crossing]:
    common = [float(value) for value in one.values if value in two.values]
    one, two = one.at(common), two.at(common)
    if len(common) < 2 or min(len(one.blocks), len(two.blocks)) < 2:
        return []
    lead = one.lead_of(two)
    signs = [_sign(of_point) for of_point in lead]
    sure = [point for point, sign in enumerate(signs) if sign]
    return [
        _crossing(two, one, lead, slice(left, right + 1))
        if signs[right] > 0
        else _crossing(one, two, -lead, slice(left, right + 1))
        for left, right in pairwise(sure)
        if signs[left] != signs[right]
    ]


def _crossing(faster: Curve, slower: Curve, lead: NDArray[np.float64], between: slice) -> Crossing:
    """Where `lead`, `slower`'s logarithm less `faster`'s (points, blocks), is zero: within the points `between`.

    At both ends of them, it is beyond the noise.
    """
    places = np.log(faster.values)

    def zero(kept: list[int]) -> float:
        return _zero(places, np.nanmean(lead[:, kept], axis=1), between)

    found = growth.jackknife(zero, range(lead.shape[1]))
    unsure = max(abs(other - found.value) for other in _other_zeros(faster, lead, between))
    bounds = (found.value, found.low - unsure, found.high + unsure)
    value, low, high = (exp(place) for place in np.clip(bounds, places[between][0], places[between][-1]))
    return Crossing(
        faster=faster.implementation,
        slower=slower.implementation,
        loss=faster.loss,
        axis=faster.axis,
        at=value,
        low=low,
        high=high,
        other=faster.other,
    )


def _sign(lead: NDArray[np.float64]) -> int:
    """1 or -1 where the difference at one point (blocks,) is beyond the noise; else 0."""
    difference = growth.jackknife_mean(lead)
    return int(difference.low > 0) - int(difference.high < 0)


def _zero(places: NDArray[np.float64], lead: NDArray[np.float64], between: slice) -> float:
    """Where the curve through the differences (points,) at `between` and the next neighbours is zero.

    A fixed cost bends times in the logarithm: a straight line between two points would err to the side of its bend,
    always by as much, and noise says nothing of that.
    """
    around = slice(max(0, between.start - 1), between.stop + 1)
    curve = Polynomial.fit(places[around], lead[around], min(DEGREE, len(places[around]) - 1))
    straight = _straight_zero(places[between], lead[between])
    roots = [float(root.real) for root in curve.roots() if isclose(root.imag, 0, abs_tol=1e-9)]
    inside = [root for root in roots if places[between][0] <= root <= places[between][-1]]
    return min(inside, key=lambda root: abs(root - straight), default=straight)


def _straight_zero(places: NDArray[np.float64], lead: NDArray[np.float64]) -> float:
    """Where the straight line through the differences (points,) is zero."""
    slope, offset = np.polyfit(places, lead, 1)
    return float(-offset / slope)


def _other_zeros(faster: Curve, lead: NDArray[np.float64], between: slice) -> list[float]:
    """Where the curves might meet as well: how far these lie from the crossing bounds the error of interpolation.

    The one is for times that are powers from point to point, the other for times that are straight lines there, as a
    fixed cost beside a cost a row has them.
    """
    values = faster.values[between]
    zeros = [_straight_zero(np.log(values), np.nanmean(lead[between], axis=1))]
    if len(values) == 2:
        faster_s = np.exp(np.nanmean(faster.log_times[between], axis=1))
        behind = faster_s * np.expm1(np.nanmean(lead[between], axis=1))  # `slower`, in seconds
        share = behind[0] / (behind[0] - behind[1])
        zeros.append(float(np.log(values[0] + share * (values[1] - values[0]))))
    return zeros


# Where, along an axis of a sweep on which X grows, each of its elements begins to cost more: the end of a cache.
#
# A call whose time grows faster than X takes longer an element at every step, and needs no cache for it: a rise counts
# as far as the growth of the whole curve does not explain it.

CACHE_AXES = ("rows", "features")

LEAST_STEP = 1.1
"""A smaller rise is not worth a line: the clock and the pages of memory move it as much from point to point."""

GOOD_FIT = 0.05
"""A curve that is off its fit by less, beside the noise, grows as that says; at the end of a cache it is off more."""

FEWEST_FOR_GROWTH = growth.FEWEST_FOR_FIXED
"""Points: any two or three lie near some power."""

SLOWEST_MEMORY = 10.0
"""No cache makes the time of an element more than so many times as long when it ends: more is the call's own growth."""


@dataclass(frozen=True)
class CacheEnd:
    """From `start` to `end` on the axis, the time an element of X rises by the factor `slower` [low, high], at 95 %.

    growth: the factor by which it would rise there as the whole curve grows, where that is no cache's doing; `slower`
    comes on top of it. start_bytes, end_bytes: of X there. caches: those of the machine that X outgrows in between,
    with the place on the axis where it does. other: the place on the other axis.
    """

    implementation: str
    loss: str
    axis: str
    start: float
    end: float
    start_bytes: int
    end_bytes: int
    slower: float
    low: float
    high: float
    growth: float
    caches: dict[str, float]
    other: OtherAxis


def cache_ends(record: Record) -> list[CacheEnd]:
    """Every rise of the time an element, beyond the noise and the growth of the whole, along rows and features."""
    sizes = record.machine.get("cpu", {})
    sizes = sizes.get("caches", {}) if isinstance(sizes, dict) else {}
    return [
        end
        for axis in CACHE_AXES
        for curve in curves(record, axis)
        if len(curve.rows) > 1 and len(curve.blocks) > 1 and curve.rows[0].batch is None
        for end in _rises(curve, sizes)
    ]


def _rises(curve: Curve, sizes: dict[str, int]) -> Iterator[CacheEnd]:
    explained = _explained(curve)
    for first, last in _climbs(curve, explained):
        own = max(0.0, float(explained[last] - explained[first]))
        rise = growth.jackknife_mean(_rise(curve, first, last) - own)
        everywhere = (first, last) == (0, len(curve.rows) - 1)  # with nothing to stand out from, it is how it grows
        if everywhere or rise.low <= 0 or rise.value < log(LEAST_STEP):
            continue
        start, end = curve.rows[first], curve.rows[last]
        yield CacheEnd(
            implementation=curve.implementation,
            loss=curve.loss,
            axis=curve.axis,
            start=float(curve.values[first]),
            end=float(curve.values[last]),
            start_bytes=_bytes(start),
            end_bytes=_bytes(end),
            slower=exp(rise.value),
            low=exp(rise.low),
            high=exp(rise.high),
            growth=exp(own),
            caches=_outgrown(curve, start, end, sizes),
            other=curve.other,
        )


def _climbs(curve: Curve, explained: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """First and last point of every stretch along which each step goes up, beyond the noise and what is explained."""
    own = np.maximum(0.0, np.diff(explained))
    up = [growth.jackknife_mean(_rise(curve, point, point + 1) - step).low > 0 for point, step in enumerate(own)]
    first = None
    for point, rises in enumerate([*up, False]):
        if rises and first is None:
            first = point
        elif not rises and first is not None:
            yield first, point
            first = None


def _rise(curve: Curve, first: int, last: int) -> NDArray[np.float64]:
    """Logarithm of the time an element of X at point `last` over that at `first` (blocks,)."""
    return curve.rise(first, last) - np.log(curve.values[last] / curve.values[first])


def _explained(curve: Curve) -> NDArray[np.float64]:
    """Logarithm of the time an element by the growth of the whole curve (points,); zero where that tells nothing."""
    nothing = np.zeros(len(curve.values))
    if len(curve.values) < FEWEST_FOR_GROWTH:
        return nothing
    log_times = np.nanmean(curve.log_times, axis=1)
    fit = growth.fit_growth(curve.values, log_times)
    if min(fit.fixed_s, fit.coefficient) < 0:  # as a step behind the first points makes it; no power bends so
        exponent, log_coefficient = np.polyfit(np.log(curve.values), log_times, 1)
        fit = growth.Fit(0.0, exp(log_coefficient), float(exponent))
    fitted = np.log(fit(curve.values))
    measured = curve.log_times[:, ~np.isnan(curve.log_times).all(axis=0)]
    of_process = np.nanmean(measured, axis=0)  # slower or faster as a whole
    noise = np.nanstd(measured - of_process, axis=1, ddof=1) / sqrt(measured.shape[1])
    follows = bool(np.all(np.abs(fitted - log_times) <= GOOD_FIT + 2 * noise))
    steepens = (curve.values[-1] / curve.values[0]) ** (fit.exponent - 1)
    return fitted - np.log(curve.values) if follows or steepens > SLOWEST_MEMORY else nothing


def _outgrown(curve: Curve, start: Row, end: Row, sizes: dict[str, int]) -> dict[str, float]:
    """The caches whose size lies between X's at `start` and at `end`, by name, and where X has that size."""
    first, last = (float(getattr(row, curve.axis)) for row in (start, end))
    return {name: place for name, place in cache_end_places(start, curve.axis, sizes).items() if first < place <= last}


def cache_end_places(row: Row, axis: str, sizes: dict[str, int]) -> dict[str, float]:
    """Where, along rows or features, X is as large as each cache, of `sizes` bytes by name, in all else like `row`'s.

    Each thread reads a part of X of its own, and each core has the lower levels to itself.
    """
    an_element = _bytes(row) / float(getattr(row, axis))
    return {name: (size if name == "l3" else size * row.threads) / an_element for name, size in sizes.items()}


def _bytes(row: Row) -> int:
    """Of X."""
    return row.rows * row.features * int(np.dtype(row.dtype).itemsize)


# What more threads gain, from a sweep over their number.


@dataclass(frozen=True)
class Efficiency:
    """With `threads`, an implementation is `speedup` [low, high] times as fast as with `base` of them, at 95 %.

    base: the fewest that were measured, 1 where there is a choice. other: the place on the other axis.
    """

    implementation: str
    loss: str
    threads: int
    base: int
    speedup: float
    low: float
    high: float
    other: OtherAxis

    @property
    def efficiency(self) -> float:
        """Speed-up over the one that as many times the threads could give: 1 is ideal."""
        return self.speedup / self.ideal

    @property
    def ideal(self) -> float:
        """The speed-up where the threads do not disturb each other."""
        return self.threads / self.base


def efficiencies(record: Record) -> list[Efficiency]:
    """Of every implementation, loss and place on the other axis, for each number of threads but the fewest."""
    found = []
    for curve in curves(record, "threads"):
        for point in range(1, len(curve.rows)):
            times = growth.jackknife_mean(curve.rise(point, 0))
            found.append(
                Efficiency(
                    implementation=curve.implementation,
                    loss=curve.loss,
                    threads=int(curve.values[point]),
                    base=int(curve.values[0]),
                    speedup=exp(times.value),
                    low=exp(times.low),
                    high=exp(times.high),
                    other=curve.other,
                )
            )
    return found
