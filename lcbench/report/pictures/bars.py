"""How long a call takes: the median of each implementation with its interval, fastest first, a panel a workload."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lcbench.judge import ratios
from lcbench.record import Record, Row
from lcbench.report import style as words
from lcbench.report.pictures import intervals, records, style
from lcbench.report.pictures.records import Key
from lcbench.report.pictures.records import why_no_run as unfit

__all__ = ["draw", "unfit"]

BASELINE = "numpy"
"""What speed-ups are over, where the run has it."""

WIDE_RANGE = 15.0
"""Slowest over fastest from which the axis is logarithmic."""

_ROW_INCHES = 0.27
_TITLE_INCHES = 0.62
_LONGEST_NAME = 20
_LONGEST_BAR = 0.55
"""Of the axis' length; right of it, there is room for its numbers."""


def draw(record: Record) -> Figure:
    """Two panels beside each other. Where the axis is logarithmic, points: there the length of a bar says nothing."""
    panels = records.by_workload(record)
    columns = min(2, len(panels))
    most = [max(len(rows) for rows in some) for some in _rows_of(list(panels.values()), columns)]
    heights = [_TITLE_INCHES + _ROW_INCHES * count for count in most]
    figure = style.figure(0.7 + sum(heights), "Time of a call: median and 95 % interval")
    titles, key = records.titles(panels), records.key_of(record, _LONGEST_NAME)
    for axes, (workload, rows) in zip(
        records.grid(figure, len(panels), columns, height_ratios=heights), panels.items(), strict=True
    ):
        _draw_panel(axes, rows, key)
        axes.set_title(titles[workload], loc="left")
    has_baseline = any(row.implementation == BASELINE for rows in panels.values() for row in rows)
    records.caption(figure, record, f"x: times as fast as {BASELINE}" if has_baseline else "", intervals.told(figure))
    return figure


def _rows_of(panels: list[list[Row]], columns: int) -> list[list[list[Row]]]:
    return [panels[first : first + columns] for first in range(0, len(panels), columns)]


def _draw_panel(axes: Axes, rows: list[Row], key: Key) -> None:
    medians = [row.median_s or 0.0 for row in rows]
    spans = [row.ci95_s or (median, median) for row, median in zip(rows, medians, strict=True)]
    ends = intervals.reach(medians, spans)
    logarithmic = medians[-1] > WIDE_RANGE * medians[0]
    base = next((row for row in rows if row.implementation == BASELINE and not row.side), None)
    for place, (row, median, span) in enumerate(zip(rows, medians, spans, strict=True)):
        low, high = intervals.within(span, ends)
        error = [[median - low], [high - median]]
        of = key.looks[row.implementation]
        ink = of.colour if logarithmic else style.INK
        if logarithmic:
            axes.errorbar(median, place, xerr=error, capsize=2.5, markersize=6, linestyle="", **key.mark(row))
        else:
            axes.barh(
                place, median, height=0.68, facecolor=of.colour if of.filled else "white", edgecolor=of.colour,
                xerr=error, error_kw={"ecolor": ink, "capsize": 2.5, "elinewidth": 1.1},
            )  # fmt: skip
        intervals.draw_arrows(axes, [place], [span], ends, "x", ink)
        axes.annotate(
            _told(row, base), (high, place), xytext=(5, 0), textcoords="offset points", va="center", size=style.SMALL
        )
    axes.set_yticks(range(len(rows)), [key.name(row) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    if logarithmic:
        axes.set_xscale("log")
        low = ends[0] / 1.4
        axes.set_xlim(low, low * (ends[1] / low) ** (1 / _LONGEST_BAR))
    else:
        axes.set_xlim(0, ends[1] / _LONGEST_BAR)
        axes.locator_params(axis="x", nbins=5)
    style.time_ticks(axes.xaxis)


def _told(row: Row, base: Row | None) -> str:
    """The time, and how many times as fast as the baseline that is."""
    time = words.seconds(row.median_s)
    if base is None or row is base:
        return time
    faster = ratios.speedup(row, base).value
    return f"{time}, {faster:.2f} x" if faster >= 0.1 else f"{time}, {faster:.2g} x"
