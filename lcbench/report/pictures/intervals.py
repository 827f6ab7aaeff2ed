"""Intervals in pictures: an axis goes as far as what was found, and an interval beyond it is cut, with an arrow.

Of few and noisy processes an interval says next to nothing, over many powers of ten: it would leave no room for the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Interval = tuple[float, float]

_BEYOND = "beyond"

FARTHEST = 2.0
"""How many times the largest median an interval may reach; below the smallest, as many times less."""


def reach(medians: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """From where to where an axis goes that shows all medians, and their intervals as far as they are of that size."""
    lows, highs = zip(*intervals, strict=True)
    return max(min(lows), min(medians) / FARTHEST), min(max(highs), max(medians) * FARTHEST)


def within(interval: Interval, ends: Interval) -> Interval:
    """What of an interval lies between the ends."""
    return max(ends[0], min(interval[0], ends[1])), min(ends[1], max(interval[1], ends[0]))


def draw_arrows(
    axes: Axes, places: Sequence[Any], intervals: Sequence[Interval], ends: Interval, along: str, colour: str,
    **options: Any,
) -> None:  # fmt: skip
    """An arrow where an interval goes on beyond one of the ends, `along` x or y; the other axis has the places."""
    beyond = (
        ([place for place, (low, _) in zip(places, intervals, strict=True) if low < ends[0]], ends[0], "v<"),
        ([place for place, (_, high) in zip(places, intervals, strict=True) if high > ends[1]], ends[1], "^>"),
    )
    for some, end, marks in beyond:
        if some:
            at = (some, [end] * len(some)) if along == "y" else ([end] * len(some), some)
            axes.plot(
                *at, linestyle="", marker=marks[along == "x"], color=colour, markersize=5, clip_on=False, zorder=4,
                gid=_BEYOND, **options,
            )  # fmt: skip


def told(figure: Figure) -> str:
    """What a caption says of arrows, or nothing where there are none."""
    some = any(line.get_gid() == _BEYOND for axes in figure.axes for line in axes.lines)
    return "arrows: the interval goes on" if some else ""
