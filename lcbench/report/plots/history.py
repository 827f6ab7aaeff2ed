"""Times over dates: every result of one machine with its interval, and where a time changed for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from lcbench.record import Record
from lcbench.report.plots import selection, style
from lcbench.report.plots.selection import Key
from lcbench.stats.history import History, Point, Series, short_revision

_PANEL_INCHES = 2.9
_SHORTEST = timedelta(minutes=1)
"""From the left to the right of a panel, however close its results are."""
_MARGIN = 0.16
"""Above and below what is shown, as a share of its height in the logarithm."""
_NARROWEST = 1.05
"""Highest over lowest time of a panel, at least: less is noise."""
_FEW = 60
"""Points of a series up to which each has a marker."""


def why_no_history(record: Record) -> str:
    """Why the record has no place in a history, or nothing."""
    if record.gate:
        return "it is of a gate"
    return selection.why_no_run(record)


def draw_history(history: History) -> Figure:
    """A panel a workload, a curve an implementation; a ring where a time changed for good, with its size."""
    workloads = list(dict.fromkeys(series.workload for series in history.series))
    titles = selection.titles(workloads)
    columns = min(2, len(workloads))
    rows = -(-len(workloads) // columns)
    key = selection.key(series.implementation for series in history.series)
    figure = style.figure(0.9 + rows * _PANEL_INCHES, "")  # its title is the legend's: else one would hide the other
    names: dict[str, Any] = {}
    for axes, workload in zip(style.grid(figure, len(workloads), columns), workloads, strict=True):
        shown = [series for series in history.series if series.workload == workload]
        axes.set_yscale("log")
        ends = _ends(shown)
        axes.set_ylim(*ends)
        style.time_ticks(axes.yaxis)
        for series in shown:
            names.setdefault(_name(series, history.series, key), _draw_series(axes, series, key, ends))
        _dates(axes, shown)
        axes.grid(True)
        axes.set_title(titles[workload], loc="left")
    title = "Time of a call over time: median and 95 % interval"
    style.legend_with_title(figure, names, title, columns=4, handlelength=1.8)
    style.caption(figure, _caption(history, style.arrows_told(figure)))
    return figure


def _ends(shown: Sequence[Series]) -> selection.Interval:
    """From where to where a panel goes, of its medians and of intervals as far as they are of their size."""
    points = [point for series in shown for point in series.points]
    low, high = selection.reach([point.median_s for point in points], [_interval(point) for point in points])
    margin = max(high / low, _NARROWEST) ** _MARGIN
    middle, half = (low * high) ** 0.5, max(high / low, _NARROWEST) ** 0.5
    return middle / half / margin, middle * half * margin


def _interval(point: Point) -> selection.Interval:
    return point.ci95_s or (point.median_s, point.median_s)


def _draw_series(axes: Axes, series: Series, key: Key, ends: selection.Interval) -> Any:
    of = key.looks[series.implementation]
    marks = style.marker_of(of)
    dates: list[Any] = [_date(point) for point in series.points]
    times = [point.median_s for point in series.points]
    spans = [_interval(point) for point in series.points]
    shown = [selection.within(span, ends) for span in spans]
    # an interval reaches below its median and above it, but for rounding
    below = [max(0.0, time - low) for time, (low, _) in zip(times, shown, strict=True)]
    above = [max(0.0, high - time) for time, (_, high) in zip(times, shown, strict=True)]
    if len(times) > _FEW:
        marks |= {"marker": ""}
    drawn = axes.errorbar(dates, times, yerr=(below, above), elinewidth=0.7, linewidth=1.0, linestyle=of.line, **marks)
    style.draw_arrows(axes, dates, spans, ends, "y", of.colour)
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
    return f"{ratio:.2f} x" + (f" at {short_revision(after.revision, after.dirty)}" if after.revision else "")


def _name(series: Series, beside: Sequence[Series], key: Key) -> str:
    """The implementation, with its threads where they tell series apart."""
    name = key.names[series.implementation]
    same = {one.threads for one in beside if one.implementation == series.implementation}
    return f"{name}, {series.threads} thread{'s' * (series.threads > 1)}" if len(same) > 1 else name


def _date(point: Point) -> datetime:
    return datetime.fromisoformat(point.created).astimezone(UTC).replace(tzinfo=None)


def _dates(axes: Axes, shown: Sequence[Series]) -> None:
    dates: Any = [_date(point) for series in shown for point in series.points]
    first, last = min(dates), max(dates)
    # else matplotlib would show years around a single moment
    half = max(0.54 * (last - first), _SHORTEST / 2)
    middle = first + (last - first) / 2
    axes.set_xlim(middle - half, middle + half)
    locator = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _caption(history: History, *more: str) -> str:
    shared = selection.shared(series.workload for series in history.series)
    names = selection.short_names(series.implementation for series in history.series)
    counted = f"{history.records} result{'s' * (history.records != 1)}"
    rings = "; rings: changes that last" if any(series.changes for series in history.series) else ""
    return "; ".join(filter(None, [f"{counted} of one machine{rings}", *more, names, shared, "dates in UTC"]))
