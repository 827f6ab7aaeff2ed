"""Plot of times over dates: every result of one machine with its interval, and the change points."""

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
"""Minimum width of the axis of dates."""
_MARGIN = 0.16
"""Margin above and below the data, as a share of its height on the logarithmic axis."""
_NARROWEST = 1.05
"""Minimum ratio of the ends of the axis of times; smaller differences are noise."""
_FEW = 60
"""Maximum number of points of a series at which each point has a marker."""


def why_no_history(record: Record) -> str:
    """Return why the record cannot be in a history, or an empty string."""
    if record.gate:
        return "it is a gate"
    return selection.why_no_run(record)


def draw_history(history: History) -> Figure:
    """Draw a panel for each workload, with a curve for each implementation, and a ring at each change point."""
    workloads = list(dict.fromkeys(series.workload for series in history.series))
    titles = selection.titles(workloads)
    columns = min(2, len(workloads))
    rows = -(-len(workloads) // columns)
    key = selection.key(series.implementation for series in history.series)
    figure = style.figure(0.9 + rows * _PANEL_INCHES, "")  # the legend has the title, so that they do not overlap
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
    title = "Time of a call over time, with its 95 % interval"
    style.legend_with_title(figure, names, title, columns=4, handlelength=1.8)
    style.caption(figure, _caption(history, style.arrow_note(figure)))
    return figure


def _ends(shown: Sequence[Series]) -> selection.Interval:
    """Return the limits of the axis of times; see `selection.axis_limits`."""
    points = [point for series in shown for point in series.points]
    low, high = selection.axis_limits([point.median_s for point in points], [_interval(point) for point in points])
    margin = max(high / low, _NARROWEST) ** _MARGIN
    middle, half = (low * high) ** 0.5, max(high / low, _NARROWEST) ** 0.5
    return middle / half / margin, middle * half * margin


def _interval(point: Point) -> selection.Interval:
    return point.ci95_s or (point.median_s, point.median_s)


def _draw_series(axes: Axes, series: Series, key: Key, ends: selection.Interval) -> Any:
    line_style = key.styles[series.implementation]
    marks = style.marker_style(line_style)
    dates: list[Any] = [_date(point) for point in series.points]
    times = [point.median_s for point in series.points]
    spans = [_interval(point) for point in series.points]
    shown = [selection.clip_interval(span, ends) for span in spans]
    # rounding can put an end of an interval on the wrong side of the median
    below = [max(0.0, time - low) for time, (low, _) in zip(times, shown, strict=True)]
    above = [max(0.0, high - time) for time, (_, high) in zip(times, shown, strict=True)]
    if len(times) > _FEW:
        marks |= {"marker": ""}
    drawn = axes.errorbar(
        dates, times, yerr=(below, above), elinewidth=0.7, linewidth=1.0, linestyle=line_style.line, **marks
    )
    style.draw_arrows(axes, dates, spans, ends, "y", line_style.colour)
    for change in series.changes:
        at = dates[change.after]
        axes.axvline(at, color=style.FAINT, linewidth=0.8, linestyle=":")
        axes.plot(at, times[change.after], marker="o", markersize=9, markerfacecolor="none", color=style.INK)
        axes.annotate(
            _change_label(series.points[change.after], change.ratio.value), (at, times[change.after]), xytext=(0, 9),
            textcoords="offset points", ha="right" if change.after > 0.6 * len(dates) else "left", size=style.TINY,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
        )  # fmt: skip
    return drawn


def _change_label(after: Point, ratio: float) -> str:
    return f"{ratio:.2f} x" + (f" at {short_revision(after.revision, after.dirty)}" if after.revision else "")


def _name(series: Series, beside: Sequence[Series], key: Key) -> str:
    """Return the name of the implementation, with its threads if they distinguish series."""
    name = key.names[series.implementation]
    same = {other.threads for other in beside if other.implementation == series.implementation}
    return f"{name}, {series.threads} thread{'s' * (series.threads > 1)}" if len(same) > 1 else name


def _date(point: Point) -> datetime:
    return datetime.fromisoformat(point.created).astimezone(UTC).replace(tzinfo=None)


def _dates(axes: Axes, shown: Sequence[Series]) -> None:
    dates: Any = [_date(point) for series in shown for point in series.points]
    first, last = min(dates), max(dates)
    # without limits, matplotlib would show several years around a single point
    half = max(0.54 * (last - first), _SHORTEST / 2)
    middle = first + (last - first) / 2
    axes.set_xlim(middle - half, middle + half)
    locator = AutoDateLocator(minticks=2, maxticks=6)  # with more, it has no interval for some spans, and warns
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _caption(history: History, *more: str) -> str:
    shared = selection.shared_fields(series.workload for series in history.series)
    names = selection.short_names_note(series.implementation for series in history.series)
    counted = f"{history.records} result{'s' * (history.records != 1)}"
    rings = "; rings: change points" if any(series.changes for series in history.series) else ""
    return "; ".join(filter(None, [f"{counted} of one machine{rings}", *more, names, shared, "dates in UTC"]))
