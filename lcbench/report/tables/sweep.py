"""Tables of ``lcbench sweep``: the time at every point, then growth, threads, crossings and caches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import isfinite

from rich.text import Text

from lcbench import units
from lcbench.record import Record, Row, describe_field, describe_fields
from lcbench.report import formatting
from lcbench.report.table import (
    INTERVAL,
    NUMBER,
    PLAIN,
    RATIO,
    SECONDS,
    SHARE,
    Cell,
    Column,
    Kind,
    Table,
    without_common_file,
)
from lcbench.report.tables import run as run_tables
from lcbench.stats.crossings import CacheEnd, Crossing, Efficiency, cache_ends, crossings, efficiencies
from lcbench.stats.estimates import Ratio, speedup
from lcbench.stats.growth import Growth, growths

WIDTH = 80
AXIS_WIDTH = 10
X_WIDTH = 17
SHORTEST_NAME, LONGEST_NAME = 8, 20
"""Widths in characters: of the terminal, of the columns of a table, and of the shortest and longest names."""

POOR_FIT = 0.15
"""Misfit from which a fit is marked with `NO_FIT`."""

NO_FIT = "~"

_NAME = Kind(str, breaks="anywhere", least=SHORTEST_NAME, functions=True)
_TIME = Kind(formatting.seconds, number=True, breaks="anywhere", least=SHORTEST_NAME)

LEAST_GROWTH = 1.01
"""Growth of the time per element, from fixed costs and exponent, from which a sentence mentions it."""


def tables(record: Record, baseline: str = "numpy") -> Iterator[Table | Text]:
    """Yield the tables and notes of a sweep, in the order in which they are printed. Speed-ups are over `baseline`."""
    assert record.sweep
    noise = [*run_tables.noisy(record)]
    yield from [*noise, Text()] if noise else ()
    rows = [row for row in record.rows if row.device != "simulator"]
    first, *others = record.sweep.axes
    for loss, *place in product(dict.fromkeys(row.loss for row in rows), *(record.sweep.axes[name] for name in others)):
        selected = [
            row
            for row in rows
            if row.loss == loss and all(getattr(row, name) == value for name, value in zip(others, place, strict=True))
        ]
        if any(row.timed for row in selected):
            yield from _times(f"{loss}: {common_fields(selected[0], [first])}", record, selected, first, baseline)
            yield Text()
    yield from _missing(record)
    growth = growths(record)
    if growth:
        yield from (growth_table(growth), Text())
    efficiency = efficiencies(record)
    if efficiency:
        yield from (threads_table(efficiency), Text())
    yield from map(Text, sentences(record))
    yield from _footnotes(record, growth)


def common_fields(row: Row, axes: Sequence[str]) -> str:
    """Return what all points have in common, except the loss."""
    fields = ("rows", "batch", "features", "classes", "dtype", "threads", "data", "streamed")
    return describe_fields(row, *(field for field in fields if field not in axes))


def _times(title: str, record: Record, rows: list[Row], axis: str, baseline: str) -> Iterator[Table | Text]:
    """Yield tables with a line for each point and columns for each implementation, as many as their width requires."""
    assert record.sweep
    names = [name for name in dict.fromkeys(row.implementation for row in rows) if _ranked_rows(rows, name)]
    base = {getattr(row, axis): row for row in _ranked_rows(rows, baseline)} if not run_tables.too_busy(record) else {}
    names.sort(key=lambda name: name != baseline)  # the baseline first
    functions, file = without_common_file(names)
    short = dict(zip(names, functions, strict=True))

    def columns(name: str) -> Iterator[Column]:
        points = {getattr(row, axis): row for row in reversed(_ranked_rows(rows, name))}
        yield Column(short[name], lambda value: points[value].median_s if value in points else None, _TIME)
        if base and name != baseline:
            yield Column("x", lambda value: _speedup(points.get(value), base.get(value)), RATIO)

    if file:
        title = f"{title}; functions of {file}"
    for number, group in enumerate(_name_groups(names, short, baseline if base else None)):
        if number:
            yield Text()
        of_group = [column for name in group for column in columns(name)]
        yield Table("" if number else title, record.sweep.axes[axis], Column(axis, _value, PLAIN), *of_group)
    if base and len(names) > 1:
        yield Text(f"x: speed-up over {baseline}, with 95 % interval")


def _ranked_rows(rows: list[Row], implementation: str) -> list[Row]:
    return [row for row in rows if row.implementation == implementation and row.timed]


def _name_groups(names: list[str], short: dict[str, str], baseline: str | None) -> Iterator[list[str]]:
    """Yield the names in groups that fit into one table. short: names in the headings."""
    group: list[str] = []
    left = WIDTH - AXIS_WIDTH
    for name in names:
        width = 1 + max(SHORTEST_NAME, min(len(short[name]), LONGEST_NAME)) + (X_WIDTH if name != baseline else 0)
        if group and width > left:
            yield group
            group, left = [], WIDTH - AXIS_WIDTH
        group.append(name)
        left -= width
    if group:
        yield group


def _value(value: int | str | None) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _speedup(row: Row | None, base: Row | None) -> Ratio | None:
    return speedup(row, base) if row and base else None


def _missing(record: Record) -> Iterator[Text]:
    """Yield a line for each implementation, reason and first point without a time."""
    assert record.sweep
    where: dict[tuple[str, str, str], list[Row]] = {}
    for row in record.rows:
        if not row.ranked and row.device != "simulator":
            too_long = row.status == "unavailable" and "--most-seconds-a-call" in row.reason
            kind = "takes too long" if too_long else row.reason  # such reasons differ in the expected time
            where.setdefault((row.implementation, row.status, kind), []).append(row)
    for (implementation, status, _), rows in where.items():
        losses = " and ".join(dict.fromkeys(row.loss for row in rows))
        axes = list(record.sweep.axes)
        places = dict.fromkeys(", ".join(f"{name} {_value(getattr(row, name))}" for name in axes) for row in rows)
        first = next(iter(places))
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        text = Text(f"{implementation} ").append(status, style="bold red" if status == "wrong" else "bold yellow")
        yield text.append(f" ({losses}: {first}{more}): {rows[0].reason}")
    if where:
        yield Text()
    simulated = list(dict.fromkeys(row.implementation for row in record.rows if row.device == "simulator"))
    if simulated:
        yield Text(f"{', '.join(simulated)}: {run_tables.SIMULATED}")


def growth_table(growth: list[Growth]) -> Table:
    """Return the table of the fitted growth of every curve."""
    axes = list(dict.fromkeys(curve.axis for curve in growth))
    return Table(
        f"Growth: a call takes fixed + c x {' or '.join(axes)} ^ p seconds",
        growth,
        Column("implementation", "implementation", _NAME),
        Column("loss", "loss"),
        Column("along", "axis", detail=len(axes) == 1),
        Column("at", lambda curve: describe_place(curve.other), meaning="place on the other axis")
        if any(curve.other for curve in growth)
        else None,
        Column(
            "p",
            lambda curve: Cell(exponent(curve), curve.exponent),
            NUMBER,
            "exponent with its 95 % interval over processes",
        ),
        Column("fixed", _fixed, SECONDS, "time of a call that does not depend on the size, if it is significant"),
        Column(
            "interval of fixed",
            _interval_of_fixed,
            INTERVAL,
            "95 %; an interval that includes zero: no significant fixed cost",
            detail=True,
        ),
        Column(
            "off by",
            "misfit",
            Kind(_off_by, number=True),
            "largest deviation of a point from the fitted curve",
        ),
        Column("points", "points", NUMBER, detail=True),
    )


def exponent(growth: Growth) -> str:
    """Return the exponent, with its interval if there is one."""
    if not isfinite(growth.low + growth.high):
        return f"{growth.exponent:.2f}"
    return f"{growth.exponent:.2f} [{growth.low:.2f},{growth.high:.2f}]"


def _fixed(growth: Growth) -> float | None:
    """Return the fixed cost if its interval excludes zero."""
    return growth.fixed_s if growth.fixed_low > 0 and isfinite(growth.fixed_low) else None


def _interval_of_fixed(growth: Growth) -> tuple[float, float] | None:
    ends = growth.fixed_low, growth.fixed_high
    # with few points the fit cannot tell a fixed cost from growth
    return ends if growth.fixed_s and isfinite(sum(ends)) else None


def _off_by(misfit: float) -> str:
    return units.percent(misfit) + (NO_FIT if misfit > POOR_FIT else "")


def describe_place(other: dict[str, int | str]) -> str:
    """Return the place on the other axis in words: "threads 2"."""
    return ", ".join(f"{name} {_value(value)}" for name, value in other.items())


def threads_table(found: list[Efficiency]) -> Table:
    """Return the table of speed-up and efficiency by number of threads."""
    base = found[0].base if found else 1
    return Table(
        f"Threads: speed-up over {describe_field('threads', base)}, and efficiency",
        found,
        Column("implementation", "implementation", _NAME),
        Column("loss", "loss"),
        Column("at", lambda gain: describe_place(gain.other), meaning="place on the other axis")
        if any(gain.other for gain in found)
        else None,
        Column("threads", "threads", NUMBER),
        Column(
            "x",
            lambda gain: (gain.speedup, gain.low, gain.high),
            RATIO,
            "speed-up with its 95 % interval",
            "descending",
        ),
        Column("efficiency", "efficiency", SHARE, "speed-up relative to the ideal speed-up", "descending"),
    )


def describe_crossing(crossing: Crossing) -> str:
    """Return a sentence on a crossing."""
    where = f" at {describe_place(crossing.other)}" if crossing.other else ""
    interval = f"[{formatting.significant(crossing.low)}, {formatting.significant(crossing.high)}]"
    place = f"{crossing.axis} = {formatting.significant(crossing.at)} {interval}"
    return f"{crossing.faster} passes {crossing.slower} at {place}, {crossing.loss}{where}"


def describe_cache_end(rise: CacheEnd) -> str:
    """Return a sentence on a rise of the time per element."""
    where = f" at {describe_place(rise.other)}" if rise.other else ""
    beyond = " beyond the fitted growth" if rise.growth > LEAST_GROWTH else ""
    caches = [
        f"{name.upper()} ends at {rise.axis} = {formatting.significant(place)}" for name, place in rise.caches.items()
    ]
    slower = formatting.ratio_with_interval(rise.slower, rise.low, rise.high).replace("\n", " ")
    return (
        f"{rise.implementation}, {rise.loss}{where}: from {rise.axis} = {rise.start:,.0f} "
        f"({formatting.size(rise.start_bytes)}) to {rise.end:,.0f} ({formatting.size(rise.end_bytes)}) "
        f"the time per element grows by a factor of {slower}{beyond}; {', '.join(caches) or 'no cache ends there'}"
    )


def sentences(record: Record) -> Iterator[str]:
    """Yield sentences on crossings and on the ends of caches."""
    yield from map(describe_crossing, crossings(record))
    yield from map(describe_cache_end, cache_ends(record))


def note_on_misfit(growth: list[Growth]) -> Iterator[str]:
    """Yield the meaning of `NO_FIT`, if the mark is used."""
    if any(each.misfit > POOR_FIT for each in growth):
        yield (
            f"{NO_FIT} the fit misses a point by more than {units.percent(POOR_FIT)}: the times do not follow a power "
            "law, and p is the growth between the ends"
        )


def _footnotes(record: Record, growth: list[Growth]) -> Iterator[Text]:
    yield from map(Text, note_on_misfit(growth))
    yield from run_tables.notes(record)
    if run_tables.process_note(record):
        yield Text(f"{run_tables.process_note(record)}; 95 % intervals, from the spread between generations")
