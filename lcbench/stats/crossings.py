"""Features of the curves of a sweep: crossings of two implementations, ends of caches, and speed-ups by threads."""

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

# Crossings: places on an axis where one implementation becomes faster than another

DEGREE = 3
"""Maximum degree of the polynomial through the points on both sides of a crossing and their next neighbours."""


@dataclass(frozen=True)
class Crossing:
    """Crossing of two implementations: above `at`, `faster` is faster than `slower`, and below `at` it is slower.

    low, high: 95 % interval of `at`. It includes the noise and the error of the interpolation between the points, and
    ends at the two nearest points at which the difference is significant. other: value of the other axis.
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
    """Return the crossings of all pairs of implementations along all numeric axes, in ascending order for each pair."""
    found = []
    for axis in NUMERIC:
        for one, two in combinations(curves(record, axis), 2):
            if (one.loss, one.other) == (two.loss, two.other):
                found += _between(one, two)
    return found


def _between(one: Curve, two: Curve) -> list[Crossing]:
    common = [float(value) for value in one.values if value in two.values]
    one, two = one.at(common), two.at(common)
    if len(common) < 2:
        return []
    lead = one.lead_of(two)
    if lead.shape[1] < 2:
        return []
    signs = [_sign(of_point) for of_point in lead]
    significant = [point for point, sign in enumerate(signs) if sign]
    return [
        _crossing(two, one, lead, slice(left, right + 1))
        if signs[right] > 0
        else _crossing(one, two, -lead, slice(left, right + 1))
        for left, right in pairwise(significant)
        if signs[left] != signs[right]
    ]


def _crossing(faster: Curve, slower: Curve, lead: NDArray[np.float64], between: slice) -> Crossing:
    """Return the crossing within the points `between`, where `lead` is zero.

    lead: log-ratios of the times of `slower` and `faster`, of shape (points, generations). They are significant at the
    first and the last point of `between`, with opposite signs.
    """
    places = np.log(faster.values)

    def zero(kept: list[int]) -> float:
        return _zero(places, np.mean(lead[:, kept], axis=1), between)

    found = growth.jackknife(zero, range(lead.shape[1]))
    interpolation_error = max(abs(other - found.value) for other in _other_zeros(faster, lead, between))
    bounds = (found.value, found.low - interpolation_error, found.high + interpolation_error)
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
    """Return the sign of the mean of `lead`, of shape (generations,), or 0 if its 95 % interval includes 0."""
    difference = growth.jackknife_mean(lead)
    return int(difference.low > 0) - int(difference.high < 0)


def _zero(places: NDArray[np.float64], lead: NDArray[np.float64], between: slice) -> float:
    """Return the zero of the polynomial through `lead`, of shape (points,), at `between` and the next neighbours.

    With a fixed cost, log times are not linear in the logarithm of the axis. Linear interpolation would have a bias
    that the spread between generations does not show.
    """
    around = slice(max(0, between.start - 1), between.stop + 1)
    curve = Polynomial.fit(places[around], lead[around], min(DEGREE, len(places[around]) - 1))
    straight = _straight_zero(places[between], lead[between])
    roots = [float(root.real) for root in curve.roots() if isclose(root.imag, 0, abs_tol=1e-9)]
    inside = [root for root in roots if places[between][0] <= root <= places[between][-1]]
    return min(inside, key=lambda root: abs(root - straight), default=straight)


def _straight_zero(places: NDArray[np.float64], lead: NDArray[np.float64]) -> float:
    """Return the zero of the straight line fitted to `lead`, of shape (points,)."""
    slope, offset = np.polyfit(places, lead, 1)
    return float(-offset / slope)


def _other_zeros(faster: Curve, lead: NDArray[np.float64], between: slice) -> list[float]:
    """Return the crossings by other interpolations, whose distances estimate the error of the interpolation.

    The first one assumes that times are powers of the axis between the points. The second one assumes that they are
    linear, as with a fixed cost and a cost per row.
    """
    values = faster.values[between]
    zeros = [_straight_zero(np.log(values), np.mean(lead[between], axis=1))]
    if len(values) == 2:
        faster_s = np.exp(np.mean(faster.log_times[between], axis=1))
        behind = faster_s * np.expm1(np.mean(lead[between], axis=1))  # difference of the times in seconds
        share = behind[0] / (behind[0] - behind[1])
        zeros.append(float(np.log(values[0] + share * (values[1] - values[0]))))
    return zeros


# Ends of caches: places on an axis where the time per element of X increases
#
# If the time grows faster than X, the time per element increases everywhere without any cache. Therefore, the growth of
# the whole curve is subtracted from the increase.

CACHE_AXES = ("rows", "features")

MIN_STEP = 1.1
"""Smallest reported increase. Clock frequency and memory pages cause smaller ones."""

GOOD_FIT = 0.05
"""Largest deviation from the fitted growth, in addition to the noise, of a curve without the end of a cache."""

MAX_CACHE_STEP = 10.0
"""Largest increase that the end of a cache can cause. Larger ones are the growth of the computation."""


@dataclass(frozen=True)
class CacheEnd:
    """Increase of the time per element of X by the factor `slower`, from `start` to `end` on the axis.

    low, high: 95 % interval of `slower`. growth: additional factor due to the growth of the whole curve. start_bytes,
    end_bytes: size of X. caches: caches that X exceeds between `start` and `end`, with the value of the axis at which
    it does. other: value of the other axis.
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
    """Return all significant increases of the time per element, minus the growth of the whole curve."""
    cpu = record.machine.get("cpu")
    caches = (cpu.get("caches") or {}) if isinstance(cpu, dict) else {}
    sizes = {name: size for name, size in caches.items() if size}
    return [
        end
        for axis in CACHE_AXES
        for curve in curves(record, axis)
        if len(curve.rows) > 1 and len(curve.generations) > 1 and curve.rows[0].batch is None
        for end in _rises(curve, sizes)
    ]


def _rises(curve: Curve, sizes: dict[str, int]) -> Iterator[CacheEnd]:
    explained = _explained(curve)
    for first, last in _climbs(curve, explained):
        own = max(0.0, float(explained[last] - explained[first]))
        rise = growth.jackknife_mean(_rise(curve, first, last) - own)
        # An increase over the whole curve is its growth.
        everywhere = (first, last) == (0, len(curve.rows) - 1)
        if everywhere or rise.low <= 0 or rise.value < log(MIN_STEP):
            continue
        start, end = curve.rows[first], curve.rows[last]
        yield CacheEnd(
            implementation=curve.implementation,
            loss=curve.loss,
            axis=curve.axis,
            start=float(curve.values[first]),
            end=float(curve.values[last]),
            start_bytes=start.footprint,
            end_bytes=end.footprint,
            slower=exp(rise.value),
            low=exp(rise.low),
            high=exp(rise.high),
            growth=exp(own),
            caches=_outgrown(curve, start, end, sizes),
            other=curve.other,
        )


def _climbs(curve: Curve, explained: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield the first and last point of each run of significant increases that exceed the explained growth."""
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
    """Return the log-ratio of the times per element of X at the points `last` and `first`, of shape (generations,)."""
    return curve.rise(first, last) - np.log(curve.values[last] / curve.values[first])


def _explained(curve: Curve) -> NDArray[np.float64]:
    """Return the logarithm of the time per element by the growth of the whole curve, of shape (points,).

    Zero if there are too few points or if the fit is poor, as it is with the end of a cache.
    """
    nothing = np.zeros(len(curve.values))
    if len(curve.values) < growth.MIN_POINTS_FOR_FIXED_COST:
        return nothing
    log_times = np.mean(curve.log_times, axis=1)
    fit = growth.fit_growth(curve.values, log_times)
    if (
        min(fit.fixed_s, fit.coefficient) < 0
    ):  # the effect of a step after the first points; no power law has this shape
        exponent, log_coefficient = np.polyfit(np.log(curve.values), log_times, 1)
        fit = growth.Fit(0.0, exp(log_coefficient), float(exponent))
    fitted = np.log(fit(curve.values))
    of_generation = np.mean(curve.log_times, axis=0)  # common to all points of a generation
    noise = np.std(curve.log_times - of_generation, axis=1, ddof=1) / sqrt(len(curve.generations))
    follows = bool(np.all(np.abs(fitted - log_times) <= GOOD_FIT + 2 * noise))
    steepens = (curve.values[-1] / curve.values[0]) ** (fit.exponent - 1)
    return fitted - np.log(curve.values) if follows or steepens > MAX_CACHE_STEP else nothing


def _outgrown(curve: Curve, start: Row, end: Row, sizes: dict[str, int]) -> dict[str, float]:
    """Return the caches that X exceeds between `start` and `end`, with the value of the axis where it does."""
    first, last = (float(getattr(row, curve.axis)) for row in (start, end))
    return {name: place for name, place in cache_end_places(start, curve.axis, sizes).items() if first < place <= last}


def cache_end_places(row: Row, axis: str, sizes: dict[str, int]) -> dict[str, float]:
    """Return the value of the axis at which X has the size of each cache, with all other dimensions as in `row`.

    Each thread reads its own part of X. All cores share the L3 cache; each core has its own L1 and L2 caches.

    Parameters
    ----------
    row
        Row of the sweep.
    axis
        "rows" or "features".
    sizes
        Size of each cache in bytes.
    """
    bytes_per_step = row.footprint / float(getattr(row, axis))
    return {name: (size if name == "l3" else size * row.threads) / bytes_per_step for name, size in sizes.items()}


# Speed-up by threads


@dataclass(frozen=True)
class Efficiency:
    """Speed-up of an implementation with `threads` threads over `base` threads.

    low, high: 95 % interval of `speedup`. base: smallest measured number of threads. other: value of the other axis.
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
        """Return the speed-up divided by the ideal speed-up."""
        return self.speedup / self.ideal

    @property
    def ideal(self) -> float:
        """Return the ideal speed-up: the ratio of the numbers of threads."""
        return self.threads / self.base


def efficiencies(record: Record) -> list[Efficiency]:
    """Return the speed-up of each curve along the threads, for all but the smallest number of threads."""
    found = []
    for curve in curves(record, "threads"):
        for point in range(1, len(curve.rows) if curve.generations else 0):
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
