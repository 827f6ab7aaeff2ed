"""The tables that a run ends with: one a loss and size, then what came before the steady state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from lcbench.record import CheckResult, MachinePeak, Record, Row, describe_fields
from lcbench.report import style
from lcbench.report.style import share
from lcbench.report.table import (
    BILLIONS,
    INTERVAL,
    NAME,
    NUMBER,
    RATIO,
    SCIENTIFIC,
    SECONDS,
    SHARE,
    SPREAD,
    WORDS,
    Cell,
    Column,
    Table,
)
from lcbench.stats import estimates
from lcbench.stats.estimates import cpu_pressure, kept_blocks, spread

BUSY = 0.1
"""Share of its time in which something waited for a CPU, above which the machine is said to have been busy."""

LOW_SCORE = 75
"""Below this a run says why: something was found that makes times vary, beside others of its kind or worse."""

CLUSTER, ALONE = "dask", "numba-parallel"
"""The same kernel on the workers of a cluster, and in one process."""

SAID_WHERE_THEY_DIFFER = ("classes", "data", "batch", "streamed", "threads")
"""Fields of a row that have a column in the table of errors where not all rows have the same."""

_BEFORE_STEADY = ("import_s", "first_call_s", "compile_s", "prepare_s")

BEFORE_STEADY = (
    Column("first call", "first_call_s", SECONDS, "the very first in a process with nothing compiled"),
    Column("of it compiling", "compile_s", SECONDS),
    Column("prepare + fetch", "prepare_s", SECONDS, "bringing the data to where it is wanted, and the result back"),
)


def tables(record: Record, baseline: str = "numpy") -> Iterator[Table | Text]:
    """Everything that a run has to show, in the order of reading. Speed-ups are over `baseline`."""
    on_device = [row for row in record.rows if row.device != "simulator"]
    for workload in dict.fromkeys(row.workload for row in on_device):
        ranked = [row for row in on_device if row.workload == workload and row.ranked]
        if ranked:
            yield times(str(workload), sorted(ranked, key=lambda row: row.median_s or 0.0), baseline)
            yield Text()
    yield from _not_measured([row for row in on_device if not row.ranked])
    simulated = [row for row in record.rows if row.device == "simulator"]
    if simulated:
        yield _simulated(simulated)
        yield Text()
    if any(row.ranked for row in record.rows):
        yield _before_steady(record.rows)
    yield from _footnotes(record, baseline)


def times(
    title: str,
    rows: Sequence[Row],
    baseline: str,
    axes: Sequence[str] = (),
    label: str | Callable[[Row], str] = "implementation",
) -> Table:
    """The times of `rows` in their order, and why one has none. axes: by which the rows of a sweep differ.

    label: how a row is called among the others.
    """

    def a_second(amount: str) -> Callable[[Row], float | None]:
        return lambda row: getattr(row, amount) / row.median_s if row.median_s else None

    over = f"x {baseline}" if len(baseline) <= 14 else "x baseline"
    over_told = f"time of {baseline} over this one's: geometric mean of the ratios of paired processes, 95 % interval"
    return Table(
        title,
        rows,
        Column("implementation", label, NAME),
        *(Column(axis, axis, WORDS if axis == "dtype" else NUMBER) for axis in axes),
        Column("median", "median_s", SECONDS, "seconds a call: median over the processes' medians"),
        Column("95 % interval", "ci95_s", INTERVAL, "of the median, from the spread between processes", detail=True),
        Column("spread", spread, SPREAD, "half the range of the processes' medians, over their median"),
        Column(over, lambda row: _speedup(row, rows, baseline), RATIO, over_told, "descending")
        if any(speedup(row, rows, baseline) for row in rows)
        else None,
        Column("GFLOP/s", a_second("flops"), BILLIONS, "4 N D C floating-point operations a call", "descending"),
        Column("GB/s", a_second("bytes"), BILLIONS, "X and W read once, the gradient written once", "descending"),
        Column("limit", _limit, SHARE, "share of what the machine can do, measured in the same run", "descending"),
        *(replace(column, detail=True) for column in BEFORE_STEADY),
        Column("error", _error, SCIENTIFIC, "larger of the loss's and the gradient's relative error"),
        sorted_by=1,
        leading=1 + len(axes),
        instead=_why_no_time,
    )


def speedup(row: Row, rows: Iterable[Row], baseline: str) -> estimates.Ratio | None:
    """How much faster than the baseline's row on the same workload with the same threads; None where there is none.

    Nor is there one of a gate's rows, which have verdicts.
    """
    same = (other for other in rows if other.workload == row.workload and other.threads == row.threads)
    base = next((one for one in same if one.implementation == baseline and one.ranked and not one.side), None)
    return estimates.speedup(row, base) if base and row.ranked and not row.side else None


def _speedup(row: Row, rows: Iterable[Row], baseline: str) -> Cell | estimates.Ratio | None:
    ratio = speedup(row, rows, baseline)
    return Cell("1", 1.0) if ratio and row.implementation == baseline else ratio


def _limit(row: Row) -> Cell | None:
    fraction = row.roofline_fraction
    return None if fraction is None else Cell(share(fraction), fraction, "bad" if fraction > 1 else "")


def _error(row: Row) -> float:
    return max(row.error_loss or 0.0, row.error_grad or 0.0)


def _why_no_time(row: Row) -> Cell | None:
    if row.ranked:
        return None
    if row.status == "ok":
        simulated = row.device == "simulator"
        return Cell("right, in the simulator, whose times mean nothing" if simulated else "no time")
    return result(row)


def result(row: Row) -> Cell:
    """Whether it was right, and if not, why."""
    if row.status == "ok":
        text = "right, simulated" if row.device == "simulator" else "right"
        return Cell(text, text, "good")
    text = f"{row.status}: {row.reason}"
    return Cell(text, text.casefold(), "bad" if row.status == "wrong" else "open")


def errors(rows: Sequence[Row]) -> Table:
    """How far each row was from the float64 oracle; no two lines look alike."""
    told = [name for name in SAID_WHERE_THEY_DIFFER if len({getattr(row, name) for row in rows}) > 1]
    convention = Column("convention", "convention", WORDS, "how a user's file counts, where not as the signature does")
    loss = "largest relative error of the loss against the float64 oracle"
    gradient = "largest relative error of the gradient, in the Frobenius norm"
    return Table(
        "Errors against the float64 oracle",
        rows,
        Column("implementation", lambda row: row.implementation + (f" ({row.side})" if row.side else ""), NAME),
        Column("loss", "loss"),
        Column("rows", "rows", NUMBER),
        Column("features", "features", NUMBER),
        Column("dtype", "dtype"),
        Column("device", "device"),
        *(Column(name, name, WORDS if name in ("data", "streamed") else NUMBER) for name in told),
        Column("loss error", lambda row: row.error_loss if row.status == "ok" else None, SCIENTIFIC, loss),
        Column("gradient error", lambda row: row.error_grad if row.status == "ok" else None, SCIENTIFIC, gradient),
        Column("result", result),
        convention if any(row.convention for row in rows) else None,
    )


def footnote_on_impossible(rows: Iterable[Row]) -> Iterator[Text]:
    """What the mark means, where it stands."""
    if any(row.ranked and (row.roofline_fraction or 0) > 1 for row in rows):
        yield Text(f"{style.IMPOSSIBLE} above the machine's measured limit, which cannot be: mistrust time or limit")


def _not_measured(rows: list[Row]) -> Iterator[Text]:
    yield from why_not(rows, lambda row: "" if row.status == "unavailable" else f"{row.loss} {row.rows:,}")
    if rows:
        yield Text()


def why_not(rows: Iterable[Row | CheckResult], place: Callable[[Any], str]) -> Iterator[Text]:
    """One line for every implementation and reason, with the places, if they are told, that it holds for."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        where.setdefault((row.implementation, row.status, row.reason), []).append(place(row))
    for (implementation, status, reason), places in where.items():
        text = Text(f"{implementation} ").append(status, style="bold red" if status == "wrong" else "bold yellow")
        told = ", ".join(filter(None, places))
        yield text.append(f" ({told}): {reason}" if told else f": {reason}")


def _simulated(rows: list[Row]) -> Table:
    return Table(
        "simulated: no GPU here, so these times rank nowhere",
        rows,
        Column("implementation", "implementation", NAME),
        Column("loss", "loss"),
        Column("rows", "rows", NUMBER),
        Column("features", "features", NUMBER),
        Column("result", result),
        Column("error", lambda row: _error(row) if row.status == "ok" else None, SCIENTIFIC),
    )


def _before_steady(rows: list[Row]) -> Table:
    slowest = []
    for name in dict.fromkeys(row.implementation for row in rows if row.ranked):
        own = [row for row in rows if row.implementation == name and row.ranked]
        found = {of: [value for row in own if (value := getattr(row, of)) is not None] for of in _BEFORE_STEADY}
        slowest.append({"implementation": name} | {of: max(values, default=None) for of, values in found.items()})
    return Table(
        "Before the steady state: slowest over losses and sizes",
        slowest,
        Column("implementation", "implementation", NAME),
        Column("import", "import_s", SECONDS),
        *BEFORE_STEADY,
    )


def circumstances(record: Record) -> Iterator[Text]:
    """What one must know of the files and of the machine to read the times."""
    yield from _efficiencies([row for row in record.rows if row.ranked])
    conventions = {row.implementation: row.convention for row in record.rows if row.convention}
    for name, convention in conventions.items():
        yield Text(f"{name} follows the {convention}")
    yield from footnote_on_impossible(record.rows)
    waited = cpu_pressure(record)
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
    left_out = sum(len(row.processes) - len(kept_blocks(row)) for row in ranked)
    if left_out:
        yield Text(f"processes left out, since something else on the machine disturbed them: {left_out}")


def _efficiencies(ranked: list[Row]) -> Iterator[Text]:
    """What a cluster makes of its threads, where one process with as many was measured beside it: a line a workload."""
    alone = {(row.workload, row.threads): row for row in ranked if row.implementation == ALONE}
    for row in ranked:
        one = alone.get((row.workload, row.threads))
        if row.implementation == CLUSTER and one:
            low, value, high = (f"{100 * share:.0f}" for share in sorted(estimates.speedup(row, one)))
            yield Text(
                f"{CLUSTER}, {describe_fields(row, 'loss', 'rows')}: efficiency {value} % [{low},{high}] of one "
                f"process with {describe_fields(row, 'threads')}"
            )


def _footnotes(record: Record, baseline: str) -> Iterator[Text]:
    yield from circumstances(record)
    line = f"{medians_of(record)}; spread: half the range of their medians"
    if any(row.implementation == baseline and not row.side for row in record.rows if row.ranked):
        line += (
            "; x: geometric mean of the ratios of paired processes, with 95 % interval "
            f"({style.NO_INTERVAL}: too few of them, or too noisy)"
        )
    if medians_of(record):
        yield Text(line)


def medians_of(record: Record) -> str:
    """Of how many processes a time is the median; empty where there is no time."""
    counts = {len(row.processes) for row in record.rows if row.ranked}
    processes = " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""
    return processes and f"median of {processes} processes each"


def _limits(ceilings: list[MachinePeak]) -> Iterator[Text]:
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
