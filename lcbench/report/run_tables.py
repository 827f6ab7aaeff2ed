"""The tables that a run ends with: one a loss and size, then what came before the steady state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.table import Column, Table
from rich.text import Text

from lcbench.judge import ratios
from lcbench.judge.estimates import spread
from lcbench.record import Record, Row
from lcbench.report import style


def tables(record: Record, baseline: str = "numpy") -> Iterator[Table | Text]:
    """Everything that a run has to show, in the order of reading. Speed-ups are over `baseline`."""
    on_device = [row for row in record.rows if row.device != "simulator"]
    for workload, group in groupby(
        sorted(on_device, key=lambda row: _order(record, row)), key=lambda row: row.workload
    ):
        rows = list(group)
        if any(row.ranked for row in rows):
            yield _ranking(workload, rows, baseline)
        yield from (_not_measured(row) for row in rows if not row.ranked)
        yield Text()
    simulated = [row for row in record.rows if row.device == "simulator"]
    if simulated:
        yield _simulated(simulated)
        yield Text()
    if any(row.ranked for row in record.rows):
        yield _before_steady(record.rows)
    yield from _footnotes(record)


def _order(record: Record, row: Row) -> tuple[int, int]:
    """By workload in the order of the record, then by time."""
    workloads = list(dict.fromkeys(other.workload for other in record.rows))
    by_time = sorted(record.rows, key=lambda other: other.median_s or float("inf"))
    return workloads.index(row.workload), by_time.index(row)


def title(workload: tuple[str, str, int, int, int, str]) -> str:
    """A workload in words."""
    loss, dtype, rows, features, classes, data = workload
    return f"{loss}: {rows:,} rows x {features:,} features, {classes:,} classes, {dtype}, {data}"


def _ranking(workload: tuple[str, str, int, int, int, str], rows: list[Row], baseline: str) -> Table:
    base = next((row for row in rows if row.implementation == baseline and row.ranked), None)
    table = style.table(
        title(workload),
        Column("implementation", overflow="fold", min_width=14),
        style.number("median"),
        style.number("spread"),
        *([style.number(f"x {baseline}")] if base else []),
        style.number("GFLOP/s"),
        style.number("GB/s"),
        style.number("limit"),
        style.number("error"),
    )
    for row in rows:
        if not row.ranked:
            continue
        assert row.median_s is not None
        table.add_row(
            row.implementation,
            style.seconds(row.median_s),
            f"{spread(row):.1%}",
            *([_speedup(row, base)] if base else []),
            f"{row.flops / row.median_s / 1e9:.1f}",
            f"{row.bytes / row.median_s / 1e9:.1f}",
            _limit(row.roofline_fraction),
            style.scientific(max(row.error_loss or 0.0, row.error_grad or 0.0)),
        )
    return table


def _speedup(row: Row, base: Row) -> str:
    if row is base:
        return "1"
    ratio = ratios.speedup(row, base)
    return f"{ratio.value:.2f} [{ratio.low:.2f},{ratio.high:.2f}]"


def _limit(fraction: float | None) -> str:
    if fraction is None:
        return style.MISSING
    return f"{fraction:.0%}" + ("!" if fraction > 1 else "")


def _not_measured(row: Row) -> Text:
    text = Text(f"{row.implementation}: ")
    text.append(row.status, style="bold red" if row.status == "wrong" else "bold")
    return text.append(f": {row.reason}" if row.reason else "")


def _simulated(rows: list[Row]) -> Table:
    table = style.table("simulated: no GPU here, so these times rank nowhere", "implementation", "loss", style.number("rows"),
                        style.number("features"), "result", style.number("error"))  # fmt: skip
    for row in rows:
        right = "right, simulated" if row.status == "ok" else f"{row.status}: {row.reason}"
        error = (
            style.scientific(max(row.error_loss or 0.0, row.error_grad or 0.0)) if row.status == "ok" else style.MISSING
        )
        table.add_row(row.implementation, row.loss, style.count(row.rows), style.count(row.features), right, error)
    return table


def _before_steady(rows: list[Row]) -> Table:
    table = style.table(
        "Before the steady state: slowest over losses and sizes",
        Column("implementation", overflow="fold", min_width=14),
        style.number("import"),
        style.number("first call"),
        style.number("of it compiling"),
        style.number("prepare + fetch"),
    )
    for name in dict.fromkeys(row.implementation for row in rows if row.ranked):
        own = [row for row in rows if row.implementation == name and row.ranked]
        table.add_row(
            name,
            style.seconds(_largest(row.import_s for row in own)),
            style.seconds(_largest(row.first_call_s for row in own)),
            style.seconds(_largest(row.compile_s for row in own)),
            style.seconds(_largest(row.prepare_s for row in own)),
        )
    return table


def _largest(values: Iterator[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _footnotes(record: Record) -> Iterator[Text]:
    conventions = {row.implementation: row.convention for row in record.rows if row.convention}
    for name, convention in conventions.items():
        yield Text(f"{name} follows the {convention}")
    if any((row.roofline_fraction or 0) > 1 for row in record.rows):
        yield Text("! above the machine's measured limit, which cannot be: mistrust that time or that limit")
    if record.ceilings:
        widest = max(record.ceilings, key=lambda ceiling: ceiling.footprint)
        yield Text(
            f"limit: share of what the machine could do, reading at {widest.read_bytes_s / 1e9:.0f} GB/s (largest X) and "
            f"{widest.flops_s / 1e9:.0f} GFLOP/s ({widest.dtype}), measured in this run"
        )
    blocks = [len(row.blocks) for row in record.rows if row.ranked]
    if blocks:
        processes = f"{min(blocks)}" if min(blocks) == max(blocks) else f"{min(blocks)} to {max(blocks)}"
        yield Text(
            f"median of {processes} processes each; spread: half the range of their medians; "
            "x: ratio with 95 % interval, paired"
        )
