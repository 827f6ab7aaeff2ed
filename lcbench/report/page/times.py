"""The tables of times: one a workload, or in a sweep one a loss with its axes as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lcbench.judge import ratios
from lcbench.judge.estimates import spread
from lcbench.judge.ratios import Ratio
from lcbench.record import Record, Row, Workload
from lcbench.report import style
from lcbench.report.page.samples import interval
from lcbench.report.page.sheets import Cell, Column, Line, Sheet, count, number, scientific, seconds, text
from lcbench.report.plots.looks import Look, looks
from lcbench.report.run_tables import share


@dataclass(frozen=True)
class Group:
    """The rows of one table, by their names on the page, the axes along which they differ, and how they look."""

    title: str
    rows: dict[str, Row]
    axes: list[str]
    looks: dict[str, Look]

    @property
    def ranked(self) -> dict[str, Row]:
        """Those with a time that means something, fastest first."""
        ranked = [(name, row) for name, row in self.rows.items() if row.ranked]
        return dict(sorted(ranked, key=lambda one: one[1].median_s or 0.0))

    def label(self, row: Row) -> str:
        """The row's name among the others of the group."""
        side = f" ({row.side})" if row.side else ""
        several = "threads" not in self.axes and len({one.threads for one in self.rows.values()}) > 1
        return row.implementation + side + (f" ({row.threads} threads)" if several else "")


def groups(record: Record, rows: dict[str, Row]) -> list[Group]:
    """The rows of a record as its tables show them."""
    axes = list(record.sweep.axes) if record.sweep else []
    found: dict[tuple[Any, ...], dict[str, Row]] = {}
    for name, row in rows.items():
        fixed = [value for field, value in row.workload._asdict().items() if field not in axes]
        found.setdefault(tuple(fixed), {})[name] = row
    of = looks(row.implementation for row in record.rows if row.ranked)
    return [Group(_title(next(iter(group.values())).workload, axes), group, axes, of) for group in found.values()]


def baseline_of(row: Row, rows: list[Row], baseline: str) -> Row | None:
    """The row that a speed-up is over: the baseline's on the same workload with the same threads, of a run or sweep."""
    same = (other for other in rows if other.workload == row.workload and other.threads == row.threads)
    return next((one for one in same if one.implementation == baseline and one.ranked and not one.side), None)


def speedup(row: Row, group: Group, baseline: str) -> Ratio | None:
    """How much faster than the baseline; None where it was not measured beside it."""
    base = baseline_of(row, list(group.rows.values()), baseline)
    return ratios.speedup(row, base) if base and row.ranked and not row.side else None


def sheet(group: Group, baseline: str) -> Sheet:
    """Fastest first, or along the axes of a sweep; what has no time says why, last."""
    over = any(speedup(row, group, baseline) for row in group.rows.values())
    columns = [
        Column("implementation"),
        *(Column(axis, number=axis != "dtype") for axis in group.axes),
        Column("median", "seconds a call: median over the processes' medians", number=True),
        Column("95 % interval", "of the median, from the spread between processes", number=True),
        Column("spread", "half the range of the processes' medians, over their median", number=True),
        *([_speedup_column(baseline)] if over else []),
        Column("GFLOP/s", "4 N D C floating-point operations a call", number=True, first="descending"),
        Column("GB/s", "X and W read once, the gradient written once", number=True, first="descending"),
        Column("limit", "share of what the machine can do, measured in the same run", number=True, first="descending"),
        Column("first call", "the very first in a process with nothing compiled", number=True),
        Column("compiling", "of the first call", number=True),
        Column("prepare", "bringing the data to where it is wanted, and the result back", number=True),
        Column("error", "larger of the loss's and the gradient's relative error", number=True),
    ]
    names = [*_in_order(group), *(name for name, row in group.rows.items() if not row.ranked)]
    return Sheet(group.title, columns, [_line(name, group, baseline, over) for name in names], sorted_by=1)


def _in_order(group: Group) -> list[str]:
    """Along the axes of a sweep; fastest first where there are none, and at each of their points."""
    return sorted(group.ranked, key=lambda name: [coordinate(group.rows[name], axis) for axis in group.axes])


def _speedup_column(baseline: str) -> Column:
    meaning = f"time of {baseline} over this one's: geometric mean of the ratios of paired processes, 95 % interval"
    return Column(f"x {baseline}", meaning, number=True, first="descending")


def _line(name: str, group: Group, baseline: str, over: bool) -> Line:
    row = group.rows[name]
    words = f"{row.loss} {row.rows} {row.dtype} {row.data} {row.device} {row.status} {row.convention}"
    first = [text(group.label(row)), *(_coordinate(row, axis) for axis in group.axes)]
    if not row.ranked:
        return Line(first, words, name, _why_not(row))
    assert row.median_s is not None
    cells = [
        *first,
        seconds(row.median_s),
        number(interval(row) or style.MISSING, row.ci95_s[0] if row.ci95_s else None),
        number(style.percent(spread(row)), spread(row)),
        *([_speedup(speedup(row, group, baseline), row.implementation == baseline)] if over else []),
        number(f"{row.flops / row.median_s / 1e9:,.1f}", row.flops / row.median_s),
        number(f"{row.bytes / row.median_s / 1e9:,.1f}", row.bytes / row.median_s),
        _share(row.roofline_fraction),
        seconds(row.first_call_s),
        seconds(row.compile_s),
        seconds(row.prepare_s),
        scientific(max(row.error_loss or 0.0, row.error_grad or 0.0)),
    ]
    return Line(cells, words, name)


def _coordinate(row: Row, axis: str) -> Cell:
    value = coordinate(row, axis)
    return text(value) if isinstance(value, str) else count(value)


def coordinate(row: Row, axis: str) -> int | str:
    """Where a row lies along an axis of its sweep."""
    value: int | str = getattr(row, axis)
    return value


def _speedup(ratio: Ratio | None, is_baseline: bool) -> Cell:
    if ratio is None:
        return number(style.MISSING, None)
    return number("1", 1.0) if is_baseline else number(style.within(*ratio), ratio.value)


def _share(fraction: float | None) -> Cell:
    above = fraction is not None and fraction > 1
    return Cell(share(fraction), fraction, "bad" if above else "")


def _why_not(row: Row) -> Cell:
    if row.status == "ok":
        what = "right, in the simulator, whose times mean nothing" if row.device == "simulator" else "no time"
        return Cell(what)
    return Cell(f"{row.status}: {row.reason}", row.status, "bad" if row.status == "wrong" else "open")


def short_titles(groups: list[Group]) -> list[str]:
    """A title for each among the others: its loss and rows, and whatever else tells them apart."""
    workloads = [next(iter(group.rows.values())).workload for group in groups]
    differing = [name for name in Workload._fields if len({getattr(one, name) for one in workloads}) > 1]
    return [", ".join(_parts(one, ("loss", "rows", *differing))) for one in workloads]


def _title(workload: Workload, axes: list[str]) -> str:
    """As the terminal's tables are called; of a sweep without what it varies."""
    if not axes:
        return str(workload)
    fixed = ", ".join(_parts(workload, [name for name in Workload._fields if name not in ("loss", *axes)]))
    return f"{workload.loss} by {' and '.join(axes)}: {fixed}"


def _parts(workload: Workload, names: Iterable[str]) -> list[str]:
    """What a workload is, a few words each, in the order of its fields; what it has not is left out."""
    words = {
        "loss": workload.loss,
        "dtype": workload.dtype,
        "rows": f"{workload.rows:,} rows",
        "features": f"{workload.features:,} features",
        "classes": f"{workload.classes:,} classes",
        "data": workload.data,
        "batch": "" if workload.batch is None else f"batches of {workload.batch:,}",
        "streamed": "streamed" if workload.streamed else "",
    }
    return [words[name] for name in dict.fromkeys(names) if words[name]]
