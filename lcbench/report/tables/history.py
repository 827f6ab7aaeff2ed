"""The tables of ``lcbench history``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import log
from statistics import median

from rich.padding import Padding
from rich.text import Text

from lcbench.report import style
from lcbench.report.table import NAME, PLAIN, SECONDS, WORD, Column, Table
from lcbench.stats.history import MIN_RECORDS, Change, History, Point, Series, short_revision

LONGEST_LINE = 16
"""Marks of the small curve beside a series; one stands for several records where there are more."""

_HEIGHTS = "▁▂▃▄▅▆▇█"


def tables(history: History) -> Iterator[Table | Text | Padding]:
    """A table a workload, its change points below it, and what they rest on."""
    for workload in dict.fromkeys(series.workload for series in history.series):
        ours = [series for series in history.series if series.workload == workload]
        yield _table(str(workload), ours)
        for series in ours:
            for change in series.changes:
                yield from _told(series, change)
        yield Text()
    yield from _footnotes(history)


def _table(title: str, all_series: list[Series]) -> Table:
    return Table(
        title,
        all_series,
        Column("implementation", "implementation", NAME),
        Column("threads", "threads", PLAIN),
        Column("results", lambda series: len(series.points), PLAIN),
        Column("first", lambda series: series.points[0].median_s, SECONDS),
        Column("last", lambda series: series.points[-1].median_s, SECONDS),
        Column("changes", lambda series: style.MISSING if series.missing else len(series.changes), PLAIN),
        Column("over time", lambda series: curve([point.median_s for point in series.points]), WORD),
    )


def curve(times: list[float]) -> str:
    """Times as a line of blocks, lowest to highest in the logarithm; flat where they hardly differ."""
    marks = min(len(times), LONGEST_LINE)
    ends = [round(mark * len(times) / marks) for mark in range(marks + 1)]
    heights = [log(median(times[start:end])) for start, end in pairwise(ends)]
    low = min(heights)
    reach = max(max(heights) - low, log(1.05))  # noise alone does not fill the line
    return "".join(_HEIGHTS[round((height - low) / reach * (len(_HEIGHTS) - 1))] for height in heights)


def _told(series: Series, change: Change) -> Iterator[Text | Padding]:
    """One change: how large, between which two results, what else changed there."""
    points = series.points
    threads = f", {series.threads} threads" if series.threads > 1 else ""
    text = Text(f"{series.implementation}{threads}: ").append(
        "slower" if change.slower else "faster", style="bold red" if change.slower else "green"
    )
    yield text.append(f", {style.within(*change.ratio)} x the time".replace("\n", " "))
    lines = [f"from {told(points[change.before])} to {told(points[change.after])}"]
    if change.earliest < change.latest:
        first, last = points[change.earliest], points[change.latest]
        lines.append(f"or any result from {when(first)} to {when(last)}: the noise leaves that open")
    lines.append(f"changed with it: {', '.join(change.differences) or 'nothing that the results tell'}")
    for line in lines:
        yield Padding(Text(line), (0, 0, 0, 2))


def told(point: Point) -> str:
    """A point by its time and revision: "2026-01-02 03:04 (git 0123456789+)"."""
    revision = f"git {short_revision(point.revision, point.dirty)}" if point.revision else "no git revision"
    return f"{when(point)} ({revision})"


def when(point: Point) -> str:
    """When it was measured, to the minute, UTC."""
    return point.created[:16].replace("T", " ")


def _footnotes(history: History) -> Iterator[Text]:
    results = f"{history.records} result{'s' if history.records > 1 else ''} of this machine"
    others = f"; {history.elsewhere} of other machines left out" if history.elsewhere else ""
    if history.oldest and history.newest:
        yield Text(f"{results} from {history.oldest[:10]} to {history.newest[:10]} (UTC){others}")
    short = [series.missing for series in history.series if series.missing]
    if short:
        yield Text(
            f"- in changes: fewer than {MIN_RECORDS} results; {_times(min(short))} more 'lcbench run' "
            f"with the same options{f' ({_times(max(short))} for some)' if max(short) > min(short) else ''} would do",
            style="yellow",
        )
    if any(series.changes for series in history.series):
        yield Text(
            "changes: PELT on the results' mean logarithms; of series without one, at most 1 in 100 shows one; ratio "
            "with 95 % interval, results as replicates; + behind a revision: files had changed since"
        )


def _times(count: int) -> str:
    return {1: "one"}.get(count, str(count))
