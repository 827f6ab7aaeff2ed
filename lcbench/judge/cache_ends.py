"""Where, along an axis of a sweep on which X grows, each of its elements begins to cost more: the end of a cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from lcbench.judge import jackknife
from lcbench.judge.points import Curve, Other, curves
from lcbench.record import Record, Row

ALONG = ("rows", "features")

LEAST_STEP = 1.1
"""A smaller rise is not worth a line: the clock and the pages of memory move it as much from point to point."""


@dataclass(frozen=True)
class CacheEnd:
    """From `start` to `end` on the axis, the time an element of X rises by the factor `slower` [low, high], at 95 %.

    start_bytes, end_bytes: of X there. caches: those of the machine that X outgrows in between, with the place on the
    axis where it does. other: the place on the other axis.
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
    caches: dict[str, float]
    other: Other


def cache_ends(record: Record) -> list[CacheEnd]:
    """Every rise of the time an element, beyond the noise, along rows and features."""
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
    for first, last in _climbs(curve):
        rise = jackknife.mean(_rise(curve, first, last))
        if rise.low <= 0 or rise.value < log(LEAST_STEP):
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
            caches=_outgrown(curve, start, end, sizes),
            other=curve.other,
        )


def _climbs(curve: Curve) -> Iterator[tuple[int, int]]:
    """First and last point of every stretch along which each step goes up beyond the noise."""
    up = [jackknife.mean(_rise(curve, point, point + 1)).low > 0 for point in range(len(curve.rows) - 1)]
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
