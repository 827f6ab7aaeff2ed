"""The tables that a sweep ends with: times point by point, a table a loss, and what the points say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import isfinite

from rich.text import Text

from lcbench.record import Record, Row, describe_fields
from lcbench.report import style
from lcbench.report.table import INTERVAL, NUMBER, PLAIN, RATIO, SECONDS, SHARE, Cell, Column, Kind, Table
from lcbench.report.tables import run as run_tables
from lcbench.stats.crossings import CacheEnd, Crossing, Efficiency, cache_ends, crossings, efficiencies
from lcbench.stats.growth import Growth, growths

WIDTH = 80
AXIS_WIDTH = 10
X_WIDTH = 7
SHORTEST_NAME, LONGEST_NAME = 8, 20
"""Columns of the page, and those that the parts of a table take."""

POOR_FIT = 0.15
"""A fit that misses a point by more is marked."""

NO_FIT = "~"

_NAME = Kind(str, breaks="anywhere", least=SHORTEST_NAME)
_TIME = Kind(style.seconds, number=True, breaks="anywhere", least=SHORTEST_NAME)
_AT = "the place on the other axis"

LEAST_GROWTH = 1.01
"""Of the time an element, by the call's own growth: less goes without saying."""


def tables(record: Record, baseline: str = "numpy") -> Iterator[Table | Text]:
    """Everything that a sweep has to show, in the order of reading. Speed-ups are over `baseline`."""
    assert record.sweep
    rows = [row for row in record.rows if row.device != "simulator"]
    first, *others = record.sweep.axes
    for loss, *place in product(dict.fromkeys(row.loss for row in rows), *(record.sweep.axes[name] for name in others)):
        here = [
            row
            for row in rows
            if row.loss == loss and all(getattr(row, name) == value for name, value in zip(others, place, strict=True))
        ]
        if any(row.ranked for row in here):
            yield from _times(f"{loss}: {common(here[0], [first])}", record, here, first, baseline)
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


def common(row: Row, axes: Sequence[str]) -> str:
    """What all points have in common, but for the loss."""
    fields = ("rows", "batch", "features", "classes", "dtype", "threads", "data", "streamed")
    return describe_fields(row, *(field for field in fields if field not in axes))


def _times(title: str, record: Record, rows: list[Row], axis: str, baseline: str) -> Iterator[Table | Text]:
    """Points down, implementations across, in as many tables as it takes for each to fit the page."""
    assert record.sweep
    names = [name for name in dict.fromkeys(row.implementation for row in rows) if _of(rows, name)]
    base = {getattr(row, axis): row for row in _of(rows, baseline)}
    names.sort(key=lambda name: name != baseline)  # the others stay in their order

    def columns(name: str) -> Iterator[Column]:
        here = {getattr(row, axis): row for row in reversed(_of(rows, name))}
        yield Column(name, lambda value: here[value].median_s if value in here else None, _TIME)
        if base and name != baseline:
            yield Column("x", lambda value: _times_faster(here.get(value), base.get(value)), PLAIN)

    for number, part in enumerate(_parts(names, baseline if base else None)):
        if number:
            yield Text()
        across = [column for name in part for column in columns(name)]
        yield Table("" if number else title, record.sweep.axes[axis], Column(axis, _value, PLAIN), *across)
    if base and len(names) > 1:
        yield Text(f"x: how many times as fast as {baseline}")


def _of(rows: list[Row], implementation: str) -> list[Row]:
    return [row for row in rows if row.implementation == implementation and row.ranked]


def _parts(names: list[str], baseline: str | None) -> Iterator[list[str]]:
    """As many names at a time as fit a table."""
    part: list[str] = []
    left = WIDTH - AXIS_WIDTH
    for name in names:
        width = 1 + max(SHORTEST_NAME, min(len(name), LONGEST_NAME)) + (X_WIDTH if name != baseline else 0)
        if part and width > left:
            yield part
            part, left = [], WIDTH - AXIS_WIDTH
        part.append(name)
        left -= width
    if part:
        yield part


def _value(value: int | str | None) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _times_faster(row: Row | None, base: Row | None) -> str:
    if row is None or base is None or not row.median_s or not base.median_s:
        return style.MISSING
    return style.ratio(base.median_s / row.median_s).removesuffix(" x")


def _missing(record: Record) -> Iterator[Text]:
    """A line for every implementation, loss and reason, with the first of the points that it held for."""
    assert record.sweep
    where: dict[tuple[str, str, str], list[Row]] = {}
    for row in record.rows:
        if not row.ranked and row.device != "simulator":
            kind = "takes too long" if row.status == "unavailable" and "a call" in row.reason else row.reason
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
        yield Text(f"{', '.join(simulated)}: in the simulator, whose times mean nothing")


def growth_table(growth: list[Growth]) -> Table:
    """The growth of every curve along every axis on which there is more and more to compute."""
    axes = list(dict.fromkeys(each.axis for each in growth))
    return Table(
        f"Growth: a call takes fixed + c x {' or '.join(axes)} ^ p seconds",
        growth,
        Column("implementation", "implementation", _NAME),
        Column("loss", "loss"),
        Column("along", "axis", detail=len(axes) == 1),
        Column("at", lambda each: at(each.other), meaning=_AT) if any(each.other for each in growth) else None,
        Column("p", lambda each: Cell(exponent(each), each.exponent), NUMBER, "with its 95 % interval over processes"),
        Column("fixed", _fixed, SECONDS, "what a call takes however little there is to compute, beyond the noise"),
        Column("interval of fixed", _interval_of_fixed, INTERVAL, "95 %; from below zero on: maybe none", detail=True),
        Column(
            "off by",
            "misfit",
            Kind(_off_by, number=True),
            "how far the point farthest from the fitted curve lies from it",
        ),
        Column("points", "points", NUMBER, detail=True),
    )


def exponent(growth: Growth) -> str:
    """With its interval where there is one."""
    if not isfinite(growth.low + growth.high):
        return f"{growth.exponent:.2f}"
    return f"{growth.exponent:.2f} [{growth.low:.2f},{growth.high:.2f}]"


def _fixed(growth: Growth) -> float | None:
    """The fixed cost where it is beyond the noise."""
    return growth.fixed_s if growth.fixed_low > 0 and isfinite(growth.fixed_low) else None


def _interval_of_fixed(growth: Growth) -> tuple[float, float] | None:
    ends = growth.fixed_low, growth.fixed_high
    # with few points none is told from the growth
    return ends if growth.fixed_s and isfinite(sum(ends)) else None


def _off_by(misfit: float) -> str:
    return f"{misfit:.0%}" + (NO_FIT if misfit > POOR_FIT else "")


def at(other: dict[str, int | str]) -> str:
    """The place on the other axis, in words: "threads 2"."""
    return ", ".join(f"{name} {_value(value)}" for name, value in other.items())


def threads_table(found: list[Efficiency]) -> Table:
    """What more threads gain."""
    base = found[0].base if found else 1
    return Table(
        f"Threads: times as fast as with {base}, and its share of the ideal",
        found,
        Column("implementation", "implementation", _NAME),
        Column("loss", "loss"),
        Column("at", lambda each: at(each.other), meaning=_AT) if any(each.other for each in found) else None,
        Column("threads", "threads", NUMBER),
        Column("x", lambda each: (each.speedup, each.low, each.high), RATIO, "with its 95 % interval", "descending"),
        Column("efficiency", "efficiency", SHARE, "speed-up over the ideal one", "descending"),
    )


def crossing(each: Crossing) -> str:
    """One line."""
    where = f" at {at(each.other)}" if each.other else ""
    between = f"[{style.significant(each.low)}, {style.significant(each.high)}]"
    place = f"{each.axis} = {style.significant(each.at)} {between}"
    return f"{each.faster} passes {each.slower} at {place}, {each.loss}{where}"


def cache_end(each: CacheEnd) -> str:
    """One line."""
    where = f" at {at(each.other)}" if each.other else ""
    beyond = " as its growth explains" if each.growth > LEAST_GROWTH else ""
    caches = [f"{name.upper()} ends at {each.axis} = {style.significant(place)}" for name, place in each.caches.items()]
    return (
        f"{each.implementation}, {each.loss}{where}: from {each.axis} = {each.start:,.0f} "
        f"({style.size(each.start_bytes)}) to {each.end:,.0f} ({style.size(each.end_bytes)}) an element takes "
        f"{style.within(each.slower, each.low, each.high)} times as long{beyond}; "
        f"{', '.join(caches) or 'no cache ends there'}"
    ).replace("\n", " ")


def sentences(record: Record) -> Iterator[str]:
    """Who passes whom, and where caches end."""
    yield from map(crossing, crossings(record))
    yield from map(cache_end, cache_ends(record))


def misfit(growth: list[Growth]) -> Iterator[str]:
    """What the mark of a poor fit means, where it stands."""
    if any(each.misfit > POOR_FIT for each in growth):
        yield (
            f"{NO_FIT} the fit misses a point by more than {POOR_FIT:.0%}: p says how times grew between the ends, not "
            "that they follow a power"
        )


def _footnotes(record: Record, growth: list[Growth]) -> Iterator[Text]:
    yield from map(Text, misfit(growth))
    yield from run_tables.circumstances(record)
    if run_tables.medians_of(record):
        yield Text(f"{run_tables.medians_of(record)}; intervals are at 95 %, from what differs between processes")
