"""Tables of ``lcbench run``: times for each loss and size, then what precedes the steady state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from rich.text import Text

from lcbench import units
from lcbench.ranges import FLOAT_OF_PIXELS, FLOATS, dtype_of_W
from lcbench.record import CONVERTS, CheckResult, MachinePeak, Record, Row, describe_fields
from lcbench.report import formatting
from lcbench.report.formatting import share
from lcbench.report.table import (
    AS_IS,
    BILLIONS,
    INTERVAL,
    LATE,
    NAME,
    NUMBER,
    RATIO,
    SCIENTIFIC,
    SECONDS,
    SHARE,
    SPREAD,
    WORDS,
    Arrangement,
    Cell,
    Column,
    Table,
)
from lcbench.stats import estimates
from lcbench.stats.estimates import cpu_pressure, spread

BUSY = 0.1
"""Share of its time that a process waited for a CPU, above which the machine is called busy."""

TOO_BUSY = 0.5
"""Share above which a run makes no statement about ratios: they are those of the load, and not of the code."""

LOW_SCORE = 75
"""Score of the machine below which it is called noisy, with the reasons."""

SIMULATED = "simulated: no GPU, so there are no times"
"""Note on rows that Numba's CUDA simulator computed."""

UNSTABLE = " (unstable)"
"""Suffix of the name of a function that is right for ordinary scores only; a note gives the reason."""

CLUSTER, ALONE = "dask", "numba-parallel"
"""Implementation that runs the kernel on the workers of a cluster, and the one that runs it in a single process."""

DISTINGUISHING = ("classes", "data", "batch", "streamed", "threads")
"""Fields of a row that are columns of the table of errors if the rows differ in them."""


BEFORE_STEADY = (
    Column("first call", "first_call_s", SECONDS, "first call in a process that has compiled nothing yet"),
    Column("compilation", "compile_s", SECONDS, "part of the first call"),
    Column(
        "prepare + fetch", "prepare_s", SECONDS, "transfer of the data to the device, and of the result back", leaves=1
    ),
)


def _of_samples(statistic: Callable[[list[float]], Any]) -> Callable[[Row], Any]:
    """Return the source of a column: a statistic of all samples of a row, or None if it has no time."""
    return lambda row: statistic([s for samples in row.blocks for s in samples]) if row.timed else None


def _quartiles(samples: list[float]) -> tuple[float, float]:
    low, high = np.quantile(samples, (0.25, 0.75)).tolist()
    return low, high


def _standard_deviation(samples: list[float]) -> float | None:
    return float(np.std(samples, ddof=1)) if len(samples) > 1 else None


SAMPLE_STATISTICS = (
    Column("min", _of_samples(min), SECONDS, "fastest sample, in seconds per call", on_request=True),
    Column("mean", _of_samples(fmean), SECONDS, "mean of all samples", on_request=True),
    Column("std", _of_samples(_standard_deviation), SECONDS, "standard deviation of all samples", on_request=True),
    Column("quartiles", _of_samples(_quartiles), INTERVAL, "first and third quartile of all samples", on_request=True),
)
"""Statistics of the samples of all processes, other load included. The time and its interval are estimated otherwise:
see `lcbench.stats.estimates`."""


def tables(record: Record, baseline: str = "numpy", arrangement: Arrangement = AS_IS) -> Iterator[Table | Text]:
    """Yield the tables and notes of a run, in the order in which they are printed. Speed-ups are over `baseline`.

    arrangement: columns and order of the tables of times.
    """
    noise = [*noisy(record)]
    yield from [*noise, Text()] if noise else ()
    silent = too_busy(record)
    on_device = [row for row in record.rows if row.device != "simulator"]
    for workload in dict.fromkeys(row.workload for row in on_device):
        timed = [row for row in on_device if row.workload == workload and row.timed]
        if timed:
            by_time = sorted(timed, key=lambda row: (not row.ranked, row.median_s or 0.0))  # unstable ones last
            yield times(str(workload), by_time, baseline, silent=silent).arranged(arrangement)
            yield Text()
    yield from _not_measured([row for row in on_device if not row.timed])
    simulated = [row for row in record.rows if row.device == "simulator"]
    if simulated:
        yield _simulated(simulated)
        yield Text()
    if any(row.timed for row in record.rows):
        yield _before_steady(record.rows)
    yield from _footnotes(record, baseline)


def conclusions(record: Record) -> Iterator[Text]:
    """Yield a sentence for each workload: which implementation is the fastest, and by how much before the next one.

    A workload without times of two implementations has no sentence. If the interval of the ratio includes 1, or if
    other load decides the ratios, the sentence says that the noise does not tell.
    """
    if too_busy(record):
        yield Text("the noise does not tell which is faster: other load decides the ratios", style="bold")
        return
    rows = [row for row in record.rows if row.ranked and row.device != "simulator" and not row.side]
    for workload in dict.fromkeys(row.workload for row in rows):
        ranked = sorted((row for row in rows if row.workload == workload), key=lambda row: row.median_s or 0.0)
        first, second = ranked[0], ranked[min(1, len(ranked) - 1)]
        if first.implementation == second.implementation:
            continue
        ratio = estimates.speedup(first, second)
        where = describe_fields(first, "loss", "rows")
        if ratio.low > 1:
            factor = formatting.ratio_with_interval(*ratio).replace("\n", " ")
            sentence = f"{where}: {first.implementation} is {factor} times as fast as {second.implementation}"
        else:
            names = f"{first.implementation} or {second.implementation}"
            sentence = f"{where}: the noise does not tell which is faster, {names}"
        yield Text(sentence, style="bold")


def times(
    title: str,
    rows: Sequence[Row],
    baseline: str,
    axes: Sequence[str] = (),
    label: str | Callable[[Row], str] = "implementation",
    silent: bool = False,
) -> Table:
    """Return the table of times of `rows`, in their order; rows without a time give the reason.

    axes: axes of a sweep, by which the rows differ. label: name of a row within the table. silent: whether the machine
    was too busy for a statement: speed-ups and shares of the limit are left out.
    """
    left_out = {"limit"} if silent else set()
    if silent or not any(speedup(row, rows, baseline) for row in rows):
        left_out.add(_over(baseline))
    return Table(
        title,
        rows,
        *(column for column in columns(rows, baseline, axes, label) if column.heading not in left_out),
        sorted_by=1,
        leading=1 + len(axes),
        instead=_why_no_time,
    )


def _over(baseline: str) -> str:
    """Return the heading of the speed-ups."""
    return f"x {baseline}" if len(baseline) <= 14 else "x baseline"


def columns(
    rows: Sequence[Row] = (),
    baseline: str = "numpy",
    axes: Sequence[str] = (),
    label: str | Callable[[Row], str] = "implementation",
) -> list[Column]:
    """Return all columns that a table of times may have."""

    def per_second(amount: str) -> Callable[[Row], float | None]:
        return lambda row: getattr(row, amount) / row.median_s if row.median_s else None

    def name(row: Row) -> str:
        return (label(row) if callable(label) else getattr(row, label)) + UNSTABLE * (row.status == "unstable")

    meaning = f"time of {baseline} over time of this row, with 95 % interval"
    return [
        Column("implementation", name, NAME),
        *(Column(axis, axis, WORDS if axis == "dtype" else NUMBER) for axis in axes),
        Column("time", "median_s", SECONDS, "seconds per call: geometric mean over the generations"),
        Column(
            "95 % interval",
            "ci95_s",
            INTERVAL,
            "interval of the time, from the spread between generations",
            detail=True,
        ),
        Column("spread", spread, SPREAD, "half the range of the processes' times, relative to their median", leaves=3),
        *SAMPLE_STATISTICS,
        Column(_over(baseline), lambda row: _speedup(row, rows, baseline), RATIO, meaning, "descending"),
        Column(
            "GFLOP/s",
            per_second("flops"),
            BILLIONS,
            "4 N D C floating-point operations per call",
            "descending",
            leaves=2,
        ),
        Column(
            "GB/s",
            per_second("bytes"),
            BILLIONS,
            "X and W read once, the gradient written once",
            "descending",
            leaves=1,
        ),
        Column(
            "limit",
            _limit,
            SHARE,
            "share of the machine's limit, measured in the same run",
            "descending",
            leaves=LATE + 1,
        ),
        *(replace(column, detail=True) for column in BEFORE_STEADY),
        Column("error", _error, SCIENTIFIC, "larger of the relative errors of loss and gradient", leaves=LATE),
    ]


def speedup(row: Row, rows: Iterable[Row], baseline: str) -> estimates.Ratio | None:
    """Return the speed-up of a row over the baseline's row of the same workload and number of threads, or None.

    Rows of a gate have verdicts and no speed-ups.
    """
    same = (other for other in rows if other.workload == row.workload and other.threads == row.threads)
    base = next((other for other in same if other.implementation == baseline and other.ranked and not other.side), None)
    return estimates.speedup(row, base) if base and row.timed and not row.side else None


def _speedup(row: Row, rows: Iterable[Row], baseline: str) -> Cell | estimates.Ratio | None:
    ratio = speedup(row, rows, baseline)
    return Cell("1", 1.0) if ratio and row.implementation == baseline else ratio


def _limit(row: Row) -> Cell | None:
    fraction = row.roofline_fraction
    return None if fraction is None else Cell(share(fraction), fraction, "bad" if fraction > 1 else "")


def _error(row: Row) -> float:
    return max(row.error_loss or 0.0, row.error_grad or 0.0)


def _measured_right(row: Row) -> bool:
    return row.status in ("ok", "unstable")


def _why_no_time(row: Row) -> Cell | None:
    if row.timed:
        return None
    if row.status == "ok":
        simulated = row.device == "simulator"
        return Cell(f"right; {SIMULATED}" if simulated else "no time")
    return result(row)


def result(row: Row) -> Cell:
    """Return the result of the verification, with the reason if it failed."""
    if row.status == "ok":
        text = "right, simulated" if row.device == "simulator" else "right"
        return Cell(text, text, "good")
    text = f"{row.status}: {row.reason}"
    return Cell(text, text.casefold(), "bad" if row.status == "wrong" else "open")


def errors(rows: Sequence[Row]) -> Table:
    """Return the table of errors against the float64 oracle. Its columns tell any two rows apart."""
    differing = [name for name in DISTINGUISHING if len({getattr(row, name) for row in rows}) > 1]
    convention = Column("convention", "convention", WORDS, "convention of a user's file, if it is not the default")
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
        *(Column(name, name, WORDS if name in ("data", "streamed") else NUMBER) for name in differing),
        Column("loss error", lambda row: row.error_loss if _measured_right(row) else None, SCIENTIFIC, loss),
        Column("gradient error", lambda row: row.error_grad if _measured_right(row) else None, SCIENTIFIC, gradient),
        Column("result", result),
        convention if any(row.convention for row in rows) else None,
    )


def note_on_impossible(rows: Iterable[Row]) -> Iterator[Text]:
    """Yield the meaning of `IMPOSSIBLE`, if the mark is used."""
    if any(row.ranked and (row.roofline_fraction or 0) > 1 for row in rows):
        yield Text(
            f"{formatting.IMPOSSIBLE} above the measured limit of the machine, which is impossible: "
            "the time or the limit is wrong"
        )


def _not_measured(rows: list[Row]) -> Iterator[Text]:
    yield from why_not(rows, lambda row: "" if row.status == "unavailable" else f"{row.loss} {row.rows:,}")
    if rows:
        yield Text()


def why_not(rows: Iterable[Row | CheckResult], place: Callable[[Any], str]) -> Iterator[Text]:
    """Yield a line for each implementation and reason, with the places that it applies to."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        where.setdefault((row.implementation, row.status, row.reason), []).append(place(row))
    for (implementation, status, reason), places in where.items():
        text = Text(f"{implementation} ").append(status, style="bold red" if status == "wrong" else "bold yellow")
        listed = ", ".join(dict.fromkeys(filter(None, places)))
        yield text.append(f" ({listed}): {reason}" if listed else f": {reason}")


def _simulated(rows: list[Row]) -> Table:
    return Table(
        SIMULATED,
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
    for name in dict.fromkeys(row.implementation for row in rows if row.timed):
        own = [row for row in rows if row.implementation == name and row.timed]
        line: dict[str, str | float | None] = {"implementation": name}
        for field in ("import_s", "first_call_s", "compile_s", "prepare_s"):
            line[field] = max((value for row in own if (value := getattr(row, field)) is not None), default=None)
        slowest.append(line)
    return Table(
        "Before the steady state: slowest over losses and sizes",
        slowest,
        Column("implementation", "implementation", NAME),
        Column("import", "import_s", SECONDS, leaves=2),
        *BEFORE_STEADY,
    )


def too_busy(record: Record) -> bool:
    """Return whether other load forbids statements about ratios."""
    return cpu_pressure(record) > TOO_BUSY


def noisy(record: Record) -> Iterator[Text]:
    """Yield whether the machine was busy or noisy, why, and what that means for the times; nothing if it was quiet."""
    waited = cpu_pressure(record)
    if waited > BUSY:
        meaning = (
            "the load decides the ratios, so speed-ups and shares of the limit are left out"
            if waited > TOO_BUSY
            else "times and ratios hold under that load only"
        )
        yield Text(
            f"BUSY MACHINE: processes waited for a CPU {units.percent(waited)} of the time, beside half of those "
            f"measured; {meaning}. 'lcbench doctor' suggests remedies",
            style="bold yellow",
        )
    if record.score is not None and record.score < LOW_SCORE:
        reasons = "; ".join(finding.partition(": ")[2] or finding for finding in record.findings)
        yield Text(f"NOISY MACHINE, score {record.score} where a quiet one has 100: {reasons}", style="yellow")


def notes(record: Record) -> Iterator[Text]:
    """Yield notes on the files and the machine that are needed to read the times."""
    yield from _efficiencies([row for row in record.rows if row.ranked])
    yield from why_not([row for row in record.rows if row.status == "unstable"], lambda row: row.loss)
    conventions = {row.implementation.removesuffix(CONVERTS): row.convention for row in record.rows if row.convention}
    for name, convention in conventions.items():
        yield Text(f"{name} follows the {convention}")
    yield from _on_pixels(record.rows)
    yield from note_on_impossible(record.rows)
    yield from _limits(record.ceilings)


def _on_pixels(rows: list[Row]) -> Iterator[Text]:
    """Yield how the rows use the pixels, if X is pixels."""
    names = {
        use: ", ".join(dict.fromkeys(row.implementation for row in rows if row.pixels == use and row.timed))
        for use in ("read", "converted")
    }
    reads = [f"{names['read']}: X is the uint8 pixels, read in place"] if names["read"] else []
    converted = [f"{names['converted']}: X was converted to {FLOAT_OF_PIXELS} before the calls"]
    parts = reads + converted * bool(names["converted"])
    if any(row.pixels == "converts" and row.timed for row in rows):
        parts.append(f"rows with{CONVERTS}: each call converts the pixels")
    if parts:
        yield Text("; ".join(parts))


def _efficiencies(ranked: list[Row]) -> Iterator[Text]:
    """Yield the efficiency of a cluster, if one process with the same number of threads was measured too."""
    alone = {(row.workload, row.threads): row for row in ranked if row.implementation == ALONE}
    for row in ranked:
        single = alone.get((row.workload, row.threads))
        if row.implementation == CLUSTER and single:
            low, value, high = (f"{100 * share:.0f}" for share in sorted(estimates.speedup(row, single)))
            yield Text(
                f"{CLUSTER}, {describe_fields(row, 'loss', 'rows')}: efficiency {value} % [{low},{high}] of one "
                f"process with {describe_fields(row, 'threads')}"
            )


def _footnotes(record: Record, baseline: str) -> Iterator[Text]:
    yield from notes(record)
    line = f"{process_note(record)}; spread: half the range of their times"
    if any(row.implementation == baseline and not row.side for row in record.rows if row.ranked):
        line += (
            f"; x: time of {baseline} over time of the row, with 95 % interval "
            f"({formatting.NO_INTERVAL}: too few generations, or too noisy)"
        )
    if process_note(record):
        yield Text(line)


def process_note(record: Record) -> str:
    """Return how many processes each time is estimated from, or an empty string if there are no times."""
    counts = {len(row.processes) for row in record.rows if row.timed}
    processes = " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""
    return processes and f"times of {processes} processes each"


def _limits(peaks: list[MachinePeak]) -> Iterator[Text]:
    """Yield the measured limits of the machine, and the rate of NumPy's matrix product, for each device and dtype."""
    for device, dtype in dict.fromkeys((peak.device, peak.dtype) for peak in peaks):
        same = [peak for peak in peaks if (peak.device, peak.dtype) == (device, dtype)]
        largest = max(same, key=lambda peak: peak.footprint)
        where = " of the GPU" * (device == "cuda") + f" on {dtype} pixels" * (dtype not in FLOATS)
        line = (
            f"limits{where}, measured in this run: reads {largest.read_bytes_s / 1e9:.0f} GB/s "
            f"(largest X), {largest.unit} {largest.flops_s / 1e9:.0f} GFLOP/s {dtype_of_W(dtype)}"
        )
        if largest.copy_bytes_s:
            line += f"; reference: a copy {largest.copy_bytes_s / 1e9:.0f} GB/s"
        if largest.gemm_flops_s:
            line += f"; reference: NumPy's GEMM {largest.gemm_flops_s / 1e9:.0f} GFLOP/s"
        yield Text(line)
