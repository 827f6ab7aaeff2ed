"""Where, along an axis of a sweep on which X grows, each of its elements begins to cost more: the end of a cache.

A call whose time grows faster than X takes longer an element at every step, and needs no cache for it: a rise counts as
far as the growth of the whole curve does not explain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from lcbench.judge import growth, jackknife
from lcbench.judge.points import Curve, Other, curves
from lcbench.record import Record, Row

ALONG = ("rows", "features")

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
    other: Other


def cache_ends(record: Record) -> list[CacheEnd]:
    """Every rise of the time an element, beyond the noise and the growth of the whole, along rows and features."""
    sizes = record.machine.get("cpu", {})
    sizes = sizes.get("caches", {}) if isinstance(sizes, dict) else {}
    return [
        end
        for axis in ALONG
        for curve in curves(record, axis)
        if len(curve.rows) > 1 and len(curve.blocks) > 1 and curve.rows[0].batch is None
        for end in _rises(curve, sizes)
    ]


def _rises(curve: Curve, sizes: dict[str, int]) -> Iterator[CacheEnd]:
    explained = _explained(curve)
    for first, last in _climbs(curve, explained):
        own = max(0.0, float(explained[last] - explained[first]))
        rise = jackknife.mean(_rise(curve, first, last) - own)
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
    up = [jackknife.mean(_rise(curve, point, point + 1) - step).low > 0 for point, step in enumerate(own)]
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
    fit = growth.fit(curve.values, log_times)
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
    return {name: place for name, place in places(start, curve.axis, sizes).items() if first < place <= last}


def places(row: Row, axis: str, sizes: dict[str, int]) -> dict[str, float]:
    """Where, along rows or features, X is as large as each cache, of `sizes` bytes by name, in all else like `row`'s.

    Each thread reads a part of X of its own, and each core has the lower levels to itself.
    """
    an_element = _bytes(row) / float(getattr(row, axis))
    return {name: (size if name == "l3" else size * row.threads) / an_element for name, size in sizes.items()}


def _bytes(row: Row) -> int:
    """Of X."""
    return row.rows * row.features * int(np.dtype(row.dtype).itemsize)
