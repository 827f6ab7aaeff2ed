"""Times over dates: every result of one machine with its interval, and where a time changed for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from lcbench.judge.history import History, Point, Series, named
from lcbench.record import Record
from lcbench.report.pictures import records, style
from lcbench.report.pictures.looks import look

_PANEL_INCHES = 2.9
_SHORTEST_DAYS = 1e-3
_FEW = 60
"""Points of a series up to which each has a marker."""


def unfit(record: Record) -> str:
    """Why the record has no place in a history, or nothing."""
    if record.gate:
        return "it is of a gate"
    return records.why_no_run(record)


def draw(history: History) -> Figure:
    """A panel a workload, a curve an implementation; a ring where a time changed for good, with its size."""
    workloads = list(dict.fromkeys(series.workload for series in history.series))
    titles = records.titles(workloads)
    columns = min(2, len(workloads))
    rows = -(-len(workloads) // columns)
    figure = style.figure(0.9 + rows * _PANEL_INCHES, "")  # its title is the legend's: else one would hide the other
    names: dict[str, Any] = {}
    for axes, workload in zip(records.grid(figure, len(workloads), columns), workloads, strict=True):
        shown = [series for series in history.series if series.workload == workload]
        for series in shown:
            names.setdefault(_name(series, history.series), _draw_series(axes, series))
        _dates(axes)
        axes.set_yscale("log")
        style.time_ticks(axes.yaxis)
        axes.margins(x=0.04, y=0.16)
        axes.grid(True)
        axes.set_title(titles[workload], loc="left")
    figure.legend(
        list(names.values()), list(names), title="Time of a call over time: median and 95 % interval",
        title_fontproperties={"weight": "bold", "size": style.LARGE}, alignment="left",
        loc="outside upper left", ncols=4, borderaxespad=0.2, handlelength=1.8, columnspacing=1.4,
    )  # fmt: skip
    figure.supxlabel(_caption(history), x=0.01, ha="left", size=style.SMALL, color=style.NOTE)
    return figure


def _draw_series(axes: Axes, series: Series) -> Any:
    of = look(series.implementation)
    marks = records.marker(of)
    dates: list[Any] = [_date(point) for point in series.points]
    times = [point.median_s for point in series.points]
    intervals = [point.ci95_s or (point.median_s, point.median_s) for point in series.points]
    # an interval reaches below its median and above it, but for rounding
    below = [max(0.0, time - low) for time, (low, _) in zip(times, intervals, strict=True)]
    above = [max(0.0, high - time) for time, (_, high) in zip(times, intervals, strict=True)]
    if len(times) > _FEW:
        marks |= {"marker": ""}
    drawn = axes.errorbar(dates, times, yerr=(below, above), elinewidth=0.7, linewidth=1.0, linestyle=of.line, **marks)
    for change in series.changes:
        at = dates[change.after]
        axes.axvline(at, color=style.FAINT, linewidth=0.8, linestyle=":")
        axes.plot(at, times[change.after], marker="o", markersize=9, markerfacecolor="none", color=style.INK)
        axes.annotate(
            _told(series.points[change.after], change.ratio.value), (at, times[change.after]), xytext=(0, 9),
            textcoords="offset points", ha="right" if change.after > 0.6 * len(dates) else "left", size=style.TINY,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
        )  # fmt: skip
    return drawn


def _told(after: Point, ratio: float) -> str:
    return f"{ratio:.2f} x" + (f" at {named(after.revision, after.dirty)}" if after.revision else "")


def _name(series: Series, beside: Sequence[Series]) -> str:
    """The implementation, with its threads where they tell series apart."""
    name = style.shortened(series.implementation, records.LONGEST_NAME)
    same = {one.threads for one in beside if one.implementation == series.implementation}
    return f"{name}, {series.threads} thread{'s' * (series.threads > 1)}" if len(same) > 1 else name


def _date(point: Point) -> datetime:
    return datetime.fromisoformat(point.created).astimezone(UTC).replace(tzinfo=None)


def _dates(axes: Axes) -> None:
    first, last = axes.dataLim.intervalx
    if last - first < _SHORTEST_DAYS:
        axes.set_xlim(first - 1, last + 1)  # else matplotlib would show years around a single moment
    locator = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _caption(history: History) -> str:
    shared = records.shared(series.workload for series in history.series)
    counted = f"{history.records} result{'s' * (history.records != 1)}"
    rings = "; rings: changes that last" if any(series.changes for series in history.series) else ""
    return "; ".join(filter(None, [f"{counted} of one machine{rings}", shared, "dates in UTC"]))
