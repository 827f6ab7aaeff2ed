"""The tables that a run ends with: one a loss and size, then what came before the steady state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Column, Table
from rich.text import Text

from lcbench.judge import ratios
from lcbench.judge.estimates import spread, waited_for_a_cpu
from lcbench.judge.quiet import kept_blocks
from lcbench.record import Ceiling, Record, Row, Workload
from lcbench.report import style

BUSY = 0.1
"""Share of its time in which something waited for a CPU, above which the machine is said to have been busy."""

LOW_SCORE = 75
"""Below this a run says why: something was found that makes times vary, beside others of its kind or worse."""

CLUSTER, ALONE = "dask", "numba-parallel"
"""The same kernel on the workers of a cluster, and in one process."""

IMPOSSIBLE = "!"
"""Stands behind a share of more than the whole."""


def tables(record: Record, baseline: str = "numpy") -> Iterator[Table | Text]:
    """Everything that a run has to show, in the order of reading. Speed-ups are over `baseline`."""
    on_device = [row for row in record.rows if row.device != "simulator"]
    for workload in dict.fromkeys(row.workload for row in on_device):
        rows = [row for row in on_device if row.workload == workload]
        ranked = sorted((row for row in rows if row.ranked), key=lambda row: row.median_s or 0.0)
        if ranked:
            yield _ranking(workload, ranked, baseline)
            yield Text()
    yield from _not_measured([row for row in on_device if not row.ranked])
    simulated = [row for row in record.rows if row.device == "simulator"]
    if simulated:
        yield _simulated(simulated)
        yield Text()
    if any(row.ranked for row in record.rows):
        yield _before_steady(record.rows)
    yield from _footnotes(record, baseline)


def _ranking(workload: Workload, rows: list[Row], baseline: str) -> Table:
    base = next((row for row in rows if row.implementation == baseline and row.ranked), None)
    table = style.table(
        str(workload),
        Column("implementation", overflow="fold", min_width=14),
        style.number("median"),
        style.number("spread"),
        *([style.number(f"x {baseline}" if len(baseline) <= 14 else "x baseline")] if base else []),
        style.number("GFLOP/s"),
        style.number("GB/s"),
        style.number("limit"),
        style.number("error"),
    )
    for row in rows:
        assert row.median_s is not None
        table.add_row(
            row.implementation,
            style.seconds(row.median_s),
            f"{spread(row):.1%}",
            *([_speedup(row, base)] if base else []),
            _billions(row.flops / row.median_s),
            _billions(row.bytes / row.median_s),
            share(row.roofline_fraction),
            style.scientific(max(row.error_loss or 0.0, row.error_grad or 0.0)),
        )
    return table


def _speedup(row: Row, base: Row) -> str:
    if row is base:
        return "1"
    return style.within(*ratios.speedup(row, base))


def _billions(a_second: float) -> str:
    return f"{a_second / 1e9:.1f}" if a_second < 1e12 else f"{a_second / 1e9:.0f}"


def share(fraction: float | None) -> str:
    """Share of the machine's limit in percent, marked with `IMPOSSIBLE` above it."""
    if fraction is None:
        return style.MISSING
    return f"{fraction:.0%}" + (IMPOSSIBLE if fraction > 1 else "")


def footnote_on_impossible(rows: Iterable[Row]) -> Iterator[Text]:
    """What the mark means, where it stands."""
    if any(row.ranked and (row.roofline_fraction or 0) > 1 for row in rows):
        yield Text(f"{IMPOSSIBLE} above the machine's measured limit, which cannot be: mistrust time or limit")


def _not_measured(rows: list[Row]) -> Iterator[Text]:
    """One line for every implementation and reason, however many losses and sizes it held for."""
    where: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        where.setdefault((row.implementation, row.status, row.reason), []).append(row)
    for (implementation, status, reason), affected in where.items():
        text = Text(f"{implementation} ").append(status, style="bold red" if status == "wrong" else "bold yellow")
        if status != "unavailable":
            text.append(f" ({', '.join(f'{row.loss} {row.rows:,}' for row in affected)})")
        yield text.append(f": {reason}")
    if rows:
        yield Text()


def _simulated(rows: list[Row]) -> Table:
    table = style.table(
        "simulated: no GPU here, so these times rank nowhere",
        Column("implementation", overflow="fold", min_width=14),
        "loss",
        style.number("rows"),
        style.number("features"),
        "result",
        style.number("error"),
    )
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


def circumstances(record: Record) -> Iterator[Text]:
    """What one must know of the files and of the machine to read the times."""
    yield from _efficiencies([row for row in record.rows if row.ranked])
    conventions = {row.implementation: row.convention for row in record.rows if row.convention}
    for name, convention in conventions.items():
        yield Text(f"{name} follows the {convention}")
    yield from footnote_on_impossible(record.rows)
    waited = waited_for_a_cpu(record)
    if waited > BUSY:
        yield Text(
            f"the machine was busy: in half of the blocks, something waited for a CPU {waited:.0%} of the time "
            "or more; 'lcbench doctor' says what to do",
            style="yellow",
        )
    yield from _limits(record.ceilings)
    if record.score is not None and record.score < LOW_SCORE:
        yield Text(f"the machine's score is {record.score} of 100: {'; '.join(record.findings)}", style="yellow")
    ranked = [row for row in record.rows if row.ranked]
    left_out = sum(len(row.blocks) - len(kept_blocks(row)) for row in ranked)
    if left_out:
        yield Text(f"processes left out, since something else on the machine disturbed them: {left_out}")


def _efficiencies(ranked: list[Row]) -> Iterator[Text]:
    """What a cluster makes of its threads, where one process with as many was measured beside it: a line a workload."""
    alone = {(row.workload, row.threads): row for row in ranked if row.implementation == ALONE}
    for row in ranked:
        one = alone.get((row.workload, row.threads))
        if row.implementation == CLUSTER and one:
            low, value, high = (f"{100 * share:.0f}" for share in sorted(ratios.speedup(row, one)))
            yield Text(
                f"{CLUSTER}, {row.loss}, {row.rows:,} rows: efficiency {value} % [{low},{high}] of one "
                f"process with {row.threads} thread{'s' if row.threads > 1 else ''}"
            )


def _footnotes(record: Record, baseline: str) -> Iterator[Text]:
    yield from circumstances(record)
    ranked = [row for row in record.rows if row.ranked]
    counts = {len(row.blocks) for row in ranked}
    if ranked:
        processes = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        line = f"median of {processes} processes each; spread: half the range of their medians"
        if any(row.implementation == baseline for row in ranked):
            line += (
                "; x: geometric mean of the ratios of paired processes, with 95 % interval "
                f"({style.NO_INTERVAL}: too few of them, or too noisy)"
            )
        yield Text(line)


def _limits(ceilings: list[Ceiling]) -> Iterator[Text]:
    """What the shares are shares of, and what NumPy's matrix product reaches of it: a line a device and dtype."""
    for device, dtype in dict.fromkeys((ceiling.device, ceiling.dtype) for ceiling in ceilings):
        same = [ceiling for ceiling in ceilings if (ceiling.device, ceiling.dtype) == (device, dtype)]
        widest = max(same, key=lambda ceiling: ceiling.footprint)
        where = " of the GPU" if device == "cuda" else ""
        line = (
            f"limits{where}, measured in this run: reads {widest.read_bytes_s / 1e9:.0f} GB/s (largest X), "
            f"FMA {widest.flops_s / 1e9:.0f} GFLOP/s {dtype}"
        )
        if widest.copy_bytes_s:
            line += f"; reference: a copy {widest.copy_bytes_s / 1e9:.0f} GB/s"
        if widest.gemm_flops_s:
            line += f"; reference: NumPy's GEMM {widest.gemm_flops_s / 1e9:.0f} GFLOP/s"
        yield Text(line)
