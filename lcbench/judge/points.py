"""The rows of a sweep as curves: one an implementation, loss and value of the other axis, along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lcbench.judge.quiet import kept_blocks
from lcbench.record import Record, Row

GROWING = ("rows", "features", "classes", "batch")
"""Axes along which there is more and more to compute."""

NUMERIC = (*GROWING, "threads")
"""Axes whose values have distances."""

Other = dict[str, int | str]


@dataclass(frozen=True)
class Curve:
    """An implementation and loss along `axis`, in ascending order; `other` is the place on the other axis, if any."""

    implementation: str
    loss: str
    axis: str
    other: Other
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
