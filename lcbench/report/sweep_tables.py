"""The tables that a sweep ends with: times point by point, a table a loss, and what the points say together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import isfinite

from rich.table import Column, Table
from rich.text import Text

from lcbench.judge.cache_ends import CacheEnd, cache_ends
from lcbench.judge.crossings import Crossing, crossings
from lcbench.judge.growth import Growth, growths
from lcbench.judge.thread_efficiency import Efficiency, efficiencies
from lcbench.record import Record, Row
from lcbench.report import run_tables, style

WIDTH = 80
AXIS_WIDTH = 10
X_WIDTH = 7
SHORTEST_NAME, LONGEST_NAME = 8, 20
"""Columns of the page, and those that the parts of a table take."""

POOR_FIT = 0.15
"""A fit that misses a point by more is marked."""

NO_FIT = "~"

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
            yield _heading(_title(here[0], first))
            yield from _times(record, here, first, baseline)
            yield Text()
    yield from _missing(record)
    growth = growths(record)
    if growth:
        yield from (*_growth(growth), Text())
    efficiency = efficiencies(record)
    if efficiency:
        yield from (*_threads(efficiency), Text())
    yield from (Text(crossing(each)) for each in crossings(record))
    yield from (Text(cache_end(each)) for each in cache_ends(record))
    yield from _footnotes(record, growth)


def _heading(text: str) -> Text:
    """Above a table, and not its own title, which would break where the table is narrower."""
    return Text(text, style="bold")


def _times(record: Record, rows: list[Row], axis: str, baseline: str) -> Iterator[Table | Text]:
    """Points down, implementations across, in as many tables as it takes for each to fit the page."""
    assert record.sweep
    names = [name for name in dict.fromkeys(row.implementation for row in rows) if _of(rows, name)]
    base = {getattr(row, axis): row for row in _of(rows, baseline)}
    names.sort(key=lambda name: name != baseline)  # the others stay in their order
    for number, part in enumerate(_parts(names, baseline if base else None)):
        if number:
            yield Text()
        table = style.table("", style.number(axis))
        for name in part:
            table.add_column(name, justify="right", overflow="fold", min_width=SHORTEST_NAME, max_width=LONGEST_NAME)
            if base and name != baseline:
                table.add_column("x", justify="right", no_wrap=True)
        for value in record.sweep.axes[axis]:
            cells = []
            for name in part:
                row = next((row for row in _of(rows, name) if getattr(row, axis) == value), None)
                cells.append(style.seconds(row.median_s if row else None))
                if base and name != baseline:
                    cells.append(_times_faster(row, base.get(value)))
            table.add_row(_value(value), *cells)
        yield table
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


def _title(row: Row, axis: str) -> str:
    """What all points have in common."""
    fixed = {
        "rows": f"{row.rows:,} rows",
        "batch": f"batch {row.batch:,}" if row.batch is not None else "",
        "features": f"{row.features:,} features",
        "classes": f"{row.classes:,} classes",
        "dtype": row.dtype,
        "threads": f"{row.threads} thread" + "s" * (row.threads != 1),
    }
    parts = [text for name, text in fixed.items() if name != axis and text]
    return f"{row.loss}: {', '.join(parts)}, {row.data}{', streamed' if row.streamed else ''}"


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


def _growth(growth: list[Growth]) -> Iterator[Table | Text]:
    axes = list(dict.fromkeys(each.axis for each in growth))
    yield _heading(f"Growth: a call takes fixed + c x {' or '.join(axes)} ^ p seconds")
    table = style.table(
        "",
        Column("implementation", overflow="fold", min_width=SHORTEST_NAME),
        "loss",
        *(["along"] if len(axes) > 1 else []),
        *(["at"] if any(each.other for each in growth) else []),
        style.number("p"),
        style.number("fixed"),
        style.number("off by"),
    )
    for each in growth:
        table.add_row(
            each.implementation,
            each.loss,
            *([each.axis] if len(axes) > 1 else []),
            *([at(each.other)] if any(other.other for other in growth) else []),
            _exponent(each),
            _fixed(each),
            f"{each.misfit:.0%}" + (NO_FIT if each.misfit > POOR_FIT else ""),
        )
    yield table


def _exponent(growth: Growth) -> str:
    if not isfinite(growth.low):
        return f"{growth.exponent:.2f}"
    return f"{growth.exponent:.2f} [{growth.low:.2f},{growth.high:.2f}]"


def _fixed(growth: Growth) -> str:
    """The fixed cost where it is beyond the noise."""
    return style.seconds(growth.fixed_s) if growth.fixed_low > 0 and isfinite(growth.fixed_low) else style.MISSING


def at(other: dict[str, int | str]) -> str:
    """The place on the other axis, in words: "threads 2"."""
    return ", ".join(f"{name} {_value(value)}" for name, value in other.items())


def _threads(found: list[Efficiency]) -> Iterator[Table | Text]:
    base = found[0].base
    yield _heading(f"Threads: times as fast as with {base}, and its share of the ideal")
    table = style.table(
        "",
        Column("implementation", overflow="fold", min_width=SHORTEST_NAME),
        "loss",
        *(["at"] if any(each.other for each in found) else []),
        style.number("threads"),
        style.number("x"),
        style.number("efficiency"),
    )
    for each in found:
        table.add_row(
            each.implementation,
            each.loss,
            *([at(each.other)] if any(other.other for other in found) else []),
            style.count(each.threads),
            style.within(each.speedup, each.low, each.high),
            f"{each.efficiency:.0%}",
        )
    yield table


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


def _footnotes(record: Record, growth: list[Growth]) -> Iterator[Text]:
    if any(each.misfit > POOR_FIT for each in growth):
        yield Text(
            f"{NO_FIT} the fit misses a point by more than {POOR_FIT:.0%}: p says how times grew between the ends, not "
            "that they follow a power"
        )
    yield from run_tables.circumstances(record)
    blocks = [len(row.blocks) for row in record.rows if row.ranked]
    if blocks:
        processes = f"{min(blocks)}" if min(blocks) == max(blocks) else f"{min(blocks)} to {max(blocks)}"
        yield Text(f"median of {processes} processes each; intervals are at 95 %, from what differs between processes")
