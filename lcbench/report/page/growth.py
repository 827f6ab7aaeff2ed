"""What a sweep found: how times grow, where one implementation passes another, what threads gain; and the curves."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import numpy as np

from lcbench.judge.cache_ends import ALONG, cache_ends, places
from lcbench.judge.crossings import Crossing, crossings
from lcbench.judge.growth import Growth, growths
from lcbench.judge.points import Other
from lcbench.judge.thread_efficiency import Efficiency, efficiencies
from lcbench.record import Record, Row
from lcbench.report import style, sweep_tables
from lcbench.report.page.drawings import Drawing, curves, legend
from lcbench.report.page.samples import rounded
from lcbench.report.page.sheets import Column, Line, Sheet, between, number, seconds, text
from lcbench.report.page.times import Group, coordinate

POINTS_OF_A_FIT = 40


def growth_sheet(record: Record) -> Sheet:
    """The growth of every curve along every axis on which there is more and more to compute."""
    found = growths(record)
    columns = [
        Column("implementation"),
        Column("loss"),
        Column("along"),
        *_where(found),
        Column("exponent", "p in t = a + c n^p, with its 95 % interval over processes", number=True),
        Column("fixed cost", "a: what a call takes however little there is to compute", number=True),
        Column("interval of the fixed cost", "95 %; where it reaches below zero, there may be none", number=True),
        Column("off by", "how far the point farthest from the fitted curve lies from it", number=True),
        Column("points", number=True),
    ]
    several = len(_where(found)) > 0
    return Sheet("How times grow: a + c n^p", columns, [_growth_line(growth, several) for growth in found])


def _growth_line(growth: Growth, several: bool) -> Line:
    fixed = growth.fixed_s if growth.fixed_s else None  # with few points none is told from the growth
    known = fixed is not None and isfinite(growth.fixed_low) and isfinite(growth.fixed_high)
    ends = between(style.seconds(growth.fixed_low), style.seconds(growth.fixed_high)) if known else style.MISSING
    return Line(
        [
            text(growth.implementation),
            text(growth.loss),
            text(growth.axis),
            *([text(sweep_tables.at(growth.other))] if several else []),
            number(_exponent(growth), growth.exponent),
            seconds(fixed),
            number(ends, growth.fixed_low if known else None),
            number(style.percent(growth.misfit), growth.misfit),
            number(str(growth.points), growth.points),
        ]
    )


def _exponent(growth: Growth) -> str:
    exponent = f"{growth.exponent:.2f}"
    return f"{exponent} [{growth.low:.2f},{growth.high:.2f}]" if isfinite(growth.low + growth.high) else exponent


def _within(value: float, low: float, high: float) -> str:
    """As the tables write it, on one line; without an interval where a single process tells none."""
    if not (isfinite(low) and isfinite(high)):
        return f"{value:.2f}"
    return " ".join(style.within(value, low, high).split())


def threads_sheet(record: Record) -> Sheet:
    """What more threads gain."""
    found = efficiencies(record)
    base = found[0].base if found else 1
    several = len(_where(found)) > 0
    columns = [
        Column("implementation"),
        Column("loss"),
        *_where(found),
        Column("threads", number=True),
        Column("speed-up", f"times as fast as with {base}, with its 95 % interval", number=True, first="descending"),
        Column("efficiency", "speed-up over the ideal one", number=True, first="descending"),
    ]
    return Sheet(f"Threads: times as fast as with {base}", columns, [_threads_line(one, several) for one in found])


def _threads_line(one: Efficiency, several: bool) -> Line:
    return Line(
        [
            text(one.implementation),
            text(one.loss),
            *([text(sweep_tables.at(one.other))] if several else []),
            number(style.count(one.threads), one.threads),
            number(_within(one.speedup, one.low, one.high), one.speedup),
            number(style.percent(one.efficiency), one.efficiency),
        ]
    )


def _where(found: list[Growth] | list[Efficiency]) -> list[Column]:
    """A column for the place on the other axis, where there is one."""
    return [Column("at", "the place on the other axis")] if any(one.other for one in found) else []


def sentences(record: Record) -> list[str]:
    """Who passes whom, and where caches end."""
    crossed = [sweep_tables.crossing(one) for one in crossings(record)]
    return crossed + [sweep_tables.cache_end(one) for one in cache_ends(record)]


def scaling(record: Record, group: Group) -> Iterator[tuple[str, Drawing]]:
    """The curves of one table along each axis but threads, a drawing for each place on the other, with its title."""
    grown, crossed = growths(record), crossings(record)
    for axis in group.axes:
        for other, here in _by_place(group, axis):
            drawing = curves(here, axis)
            if axis == "threads" or len({mark["at"] for mark in drawing["marks"]}) < 2:
                continue
            loss = _loss(group)
            _annotate(
                drawing,
                [one for one in grown if (one.loss, one.axis, one.other) == (loss, axis, other)],
                [one for one in crossed if (one.loss, one.axis, one.other) == (loss, axis, other)],
            )
            drawing["caches"] = _caches(record, list(here.ranked.values()), axis)
            fitted = "; dashed: fitted growth" if drawing["fits"] else ""
            yield _titled(f"{loss}: time by {axis}", other) + fitted, drawing


def _annotate(drawing: Drawing, grown: list[Growth], crossed: list[Crossing]) -> None:
    exponents = {growth.implementation: f"exponent {_exponent(growth)}" for growth in grown}
    for entry in drawing["legend"]:
        entry["text"] = exponents.get(entry["curve"], "")
    drawing["fits"] = [{"curve": growth.implementation, "points": _fitted(growth, drawing)} for growth in grown]
    drawing["crossings"] = [{"at": rounded(one.at), "text": sweep_tables.crossing(one)} for one in crossed]


def _fitted(growth: Growth, drawing: Drawing) -> list[list[float]]:
    """Places and seconds along the fit, as far as the curve goes; none where it falls to zero."""
    measured = [mark["at"] for mark in drawing["marks"] if mark["curve"] == growth.implementation]
    places = np.geomspace(min(measured), max(measured), POINTS_OF_A_FIT)
    along = zip(places.tolist(), growth(places).tolist(), strict=True)
    return [[rounded(place), rounded(seconds)] for place, seconds in along if seconds > 0]


def _caches(record: Record, rows: list[Row], axis: str) -> list[dict[str, object]]:
    """Where X is as large as a cache, along an axis on which it grows."""
    cpu = record.machine.get("cpu")
    sizes = (cpu.get("caches") or {}) if isinstance(cpu, dict) else {}
    if axis not in ALONG or rows[0].batch is not None:
        return []
    found = places(rows[0], axis, {name: size for name, size in sizes.items() if size})
    return [{"at": rounded(at), "text": f"X fills {name.removesuffix('d').upper()}"} for name, at in found.items()]


def threads(record: Record, group: Group) -> Iterator[tuple[str, Drawing]]:
    """Speed-ups by threads of one table, a drawing for each place on the other axis, with its title."""
    found = efficiencies(record)
    for other, here in _by_place(group, "threads") if found else ():
        names = {(row.implementation, row.threads): name for name, row in here.ranked.items()}
        marks = [
            {
                "row": names[one.implementation, one.threads],
                "curve": one.implementation,
                "at": one.threads,
                "value": rounded(one.speedup),
                "low": rounded(one.low) if one.low > 0 else None,
                "high": rounded(one.high) if isfinite(one.high) else None,
                "text": f"{_within(one.speedup, one.low, one.high)} times as fast as with {one.base}; "
                f"{style.percent(one.efficiency)} of the ideal",
            }
            for one in found
            if (one.loss, one.other) == (_loss(group), other)
        ]
        if marks:
            curves_there = legend((one.implementation for one in found), group)
            drawing = {"kind": "threads", "base": found[0].base, "marks": marks, "legend": curves_there}
            yield _titled(f"{_loss(group)}: speed-up by threads", other), drawing


def _by_place(group: Group, axis: str) -> Iterator[tuple[Other, Group]]:
    """The rows of a group apart by their place on the other axis; only places at which there are times."""
    others = [name for name in group.axes if name != axis]
    apart: dict[tuple[int | str, ...], dict[str, Row]] = {}
    for name, row in group.rows.items():
        apart.setdefault(tuple(coordinate(row, other) for other in others), {})[name] = row
    for place, rows in apart.items():
        here = Group(group.title, rows, group.axes, group.looks)
        if here.ranked:
            yield dict(zip(others, place, strict=True)), here


def _loss(group: Group) -> str:
    return next(iter(group.rows.values())).loss


def _titled(what: str, other: Other) -> str:
    return f"{what}, {sweep_tables.at(other)}" if other else what
