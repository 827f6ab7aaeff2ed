"""What a sweep found: how times grow, where one implementation passes another, what threads gain; and the curves."""

from __future__ import annotations

from math import isfinite

from lcbench.judge.cache_ends import cache_ends
from lcbench.judge.crossings import crossings
from lcbench.judge.growth import Growth, growths
from lcbench.judge.thread_efficiency import Efficiency, efficiencies
from lcbench.record import Record
from lcbench.report import style, sweep_tables
from lcbench.report.page.sheets import Column, Line, Sheet, between, number, seconds, text


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
            number(exponent(growth), growth.exponent),
            seconds(fixed),
            number(ends, growth.fixed_low if known else None),
            number(style.percent(growth.misfit), growth.misfit),
            number(str(growth.points), growth.points),
        ]
    )


def exponent(growth: Growth) -> str:
    """Return the exponent and its interval, where there is one."""
    exponent = f"{growth.exponent:.2f}"
    return f"{exponent} [{growth.low:.2f},{growth.high:.2f}]" if isfinite(growth.low + growth.high) else exponent


def gain(value: float, low: float, high: float) -> str:
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
            number(gain(one.speedup, one.low, one.high), one.speedup),
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
