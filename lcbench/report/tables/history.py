"""Tables of ``lcbench history``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import log
from statistics import median

from rich.padding import Padding
from rich.text import Text

from lcbench.report import formatting
from lcbench.report.table import AS_IS, HEIGHTS, LATE, NAME, PLAIN, SECONDS, WORD, Arrangement, Column, Table
from lcbench.stats.history import MIN_RECORDS, Change, History, Point, Series, short_revision

LONGEST_LINE = 16
"""Characters of the sparkline of a series; with more results, each character stands for several."""


def tables(history: History, arrangement: Arrangement = AS_IS) -> Iterator[Table | Text | Padding]:
    """Yield a table for each workload, its change points, and notes."""
    for workload in dict.fromkeys(series.workload for series in history.series):
        ours = [series for series in history.series if series.workload == workload]
        table = _table(str(workload), ours)
        arrangement.require_known(table.columns)
        yield table.arranged(arrangement)
        for series in ours:
            for change in series.changes:
                yield from _change_lines(series, change)
        yield Text()
    yield from _footnotes(history)


def _table(title: str, all_series: list[Series]) -> Table:
    return Table(
        title,
        all_series,
        Column("implementation", "implementation", NAME),
        Column("threads", "threads", PLAIN, leaves=LATE + 1),
        Column("results", lambda series: len(series.points), PLAIN, leaves=LATE),
        Column("first", lambda series: series.points[0].median_s, SECONDS, leaves=LATE + 2),
        Column("last", lambda series: series.points[-1].median_s, SECONDS),
        Column("changes", lambda series: formatting.MISSING if series.missing else len(series.changes), PLAIN),
        Column("over time", lambda series: sparkline([point.median_s for point in series.points]), WORD),
    )


def sparkline(times: list[float]) -> str:
    """Return the times as a sparkline on a logarithmic scale; it is flat where they differ by a few percent only."""
    marks = min(len(times), LONGEST_LINE)
    ends = [round(mark * len(times) / marks) for mark in range(marks + 1)]
    heights = [log(median(times[start:end])) for start, end in pairwise(ends)]
    low = min(heights)
    reach = max(max(heights) - low, log(1.05))  # noise alone does not use the whole height
    return "".join(HEIGHTS[round((height - low) / reach * (len(HEIGHTS) - 1))] for height in heights)


def _change_lines(series: Series, change: Change) -> Iterator[Text | Padding]:
    """Yield the lines on one change: its size, the two results around it, and what else changed there."""
    points = series.points
    threads = f", {series.threads} threads" if series.threads > 1 else ""
    text = Text(f"{series.implementation}{threads}: ").append(
        "slower" if change.slower else "faster", style="bold red" if change.slower else "green"
    )
    yield text.append(f", {formatting.ratio_with_interval(*change.ratio)} x the time".replace("\n", " "))
    lines = [f"from {point_label(points[change.before])} to {point_label(points[change.after])}"]
    if change.earliest < change.latest:
        first, last = points[change.earliest], points[change.latest]
        lines.append(
            f"or at any result from {time_label(first)} to {time_label(last)}: the noise is too large to decide"
        )
    lines.append(f"changed with it: {', '.join(change.differences) or 'nothing that the results record'}")
    for line in lines:
        yield Padding(Text(line), (0, 0, 0, 2))


def point_label(point: Point) -> str:
    """Return a point by its time and revision: "2026-01-02 03:04 (git 0123456789+)"."""
    revision = f"git {short_revision(point.revision, point.dirty)}" if point.revision else "no git revision"
    return f"{time_label(point)} ({revision})"


def time_label(point: Point) -> str:
    """Return the time of a measurement to the minute, in UTC."""
    return point.created[:16].replace("T", " ")


def _footnotes(history: History) -> Iterator[Text]:
    results = f"{history.records} result{'s' if history.records > 1 else ''} of this machine"
    others = f"; {history.elsewhere} of other machines left out" if history.elsewhere else ""
    if history.oldest and history.newest:
        yield Text(f"{results} from {history.oldest[:10]} to {history.newest[:10]} (UTC){others}")
    short = [series.missing for series in history.series if series.missing]
    if short:
        yield Text(
            f"- in changes: fewer than {MIN_RECORDS} results; {_times(min(short))} more 'lcbench run' with the same "
            f"options{f' ({_times(max(short))} for some)' if max(short) > min(short) else ''} would be enough",
            style="yellow",
        )
    if any(series.changes for series in history.series):
        yield Text(
            "changes: optimal partitioning of the mean logarithms, with at most 1 % false positives per series; ratio "
            "with 95 % interval over results; + after a revision: with uncommitted changes"
        )


def _times(count: int) -> str:
    return {1: "one"}.get(count, str(count))
