"""Which processes were disturbed by something else on the machine: told by their counters, never by their times.

A disturbed block is left out of every statement; its samples stay in the record.
"""

from __future__ import annotations

from math import exp, inf, log
from statistics import median
from typing import NamedTuple

import numpy as np

from lcbench.record import LARGEST_FOOTPRINT, Counters, MachinePeak, ProcessResult, Record, Row

STOLEN = 0.02
"""Share of a core's time that the hypervisor may give to others."""

WAITED = 0.25
"""Share of its length in which something may have waited for a CPU; a process of its own threads alone stays below."""


MOST_DISTURBED = 0.5
"""Share of disturbed blocks above which leaving them out would say nothing of the rest: the machine is simply busy."""


def kept_blocks(*rows: Row) -> list[int]:
    """The blocks that all of `rows` have and in which none was disturbed; all where that would leave too few."""
    common = range(min(len(row.processes) for row in rows))
    quiet = [block for block in common if not any(disturbance(row.processes[block], row.threads) for row in rows)]
    return quiet if len(quiet) >= (1 - MOST_DISTURBED) * len(common) else list(common)


def disturbance(process: ProcessResult, threads: int) -> str | None:
    """What disturbed the process, in a few words; None where nothing is known to have done so."""
    reasons = (_disturbance(turn.counters, threads) for turn in process.turns if turn.counters)
    return next((reason for reason in reasons if reason), None)


def _disturbance(counters: Counters, threads: int) -> str | None:
    seconds = counters.seconds
    if seconds <= 0:
        return None
    if counters.steal_s is not None and counters.steal_s > STOLEN * seconds * threads:
        return "the hypervisor gave the CPU to others"
    if counters.throttled_periods:
        return "the container's processor time was used up"
    if counters.pressure_s is not None and counters.pressure_s > WAITED * seconds:
        return "something waited for a CPU"
    return None


# What one row's samples say about its time. A block (one worker process) is the replicate, not a sample within it.

CONFIDENCE = 0.95

IMPOSSIBLE = 3.0
"""Share of the machine's measured limit above which nothing can have been computed. Above 1 is impossible too, but a
busy machine may have measured its limit too low."""


def block_medians(row: Row) -> list[float]:
    """The median of each block that nothing disturbed, seconds a call."""
    return [median(row.processes[block].samples) for block in kept_blocks(row)]


def tenth_percentile(samples: list[float]) -> float:
    """What the quickest tenth of the samples stay within: the time of a call that nothing disturbed.

    Other programs only ever add to a time, so that low quantiles differ least between like processes (Chen & Revels
    2016, "Robust benchmarking in noisy environments", take the minimum).
    """
    return float(np.quantile(samples, 0.1))


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # no command waits for SciPy before it has something to judge

    return float(stdtrit(freedom, probability))


def interval(logs: list[float]) -> tuple[float, float]:
    """Interval at `CONFIDENCE` for the mean of `logs` (Student 1908), as ratios (low, high). One value says nothing."""
    if len(logs) < 2:
        return 0.0, inf
    half = float(t_quantile((1 + CONFIDENCE) / 2, len(logs) - 1) * np.std(logs, ddof=1) / np.sqrt(len(logs)))
    centre = float(np.mean(logs))
    return exp(centre - half), exp(centre + half)


def complete_record(record: Record) -> None:
    """Fills in what follows from the samples: median, interval and roofline share of every row."""
    for row in record.rows:
        if row.status != "ok" or not row.processes or row.device == "simulator":
            continue
        medians = block_medians(row)
        row.median_s = median(medians)
        low, high = interval([log(seconds) for seconds in medians])
        # A small skewed sample can put its median outside the interval of its mean.
        row.ci95_s = (min(low, row.median_s), max(high, row.median_s)) if len(medians) > 1 else None
        ceiling = peak_for(row, record.ceilings)
        if ceiling:
            row.roofline_fraction = roofline_time_s(row, ceiling) / row.median_s
            if row.roofline_fraction > IMPOSSIBLE:
                row.status = "wrong"
                row.reason = f"{row.roofline_fraction:.0%} of the machine's limit: not computed, but cached or skipped"
                row.median_s = row.ci95_s = None


def peak_for(row: Row, ceilings: list[MachinePeak]) -> MachinePeak | None:
    """The ceiling measured for the row's device, its dtype and the footprint of its X; the simulator has none."""
    footprint = row.rows * row.features * np.dtype(row.dtype).itemsize
    alike = {c.footprint: c for c in ceilings if (c.device, c.dtype) == (row.device, row.dtype)}
    return alike.get(footprint) or alike.get(min(footprint, LARGEST_FOOTPRINT))


def roofline_time_s(row: Row, ceiling: MachinePeak) -> float:
    """Least time in which the machine could do the row's work: reading once, or the arithmetic, whichever is longer."""
    return max(row.bytes / ceiling.read_bytes_s, row.flops / ceiling.flops_s)


def spread(row: Row) -> float:
    """Relative spread between blocks: half the distance from lowest to highest block median, over the median."""
    medians = block_medians(row)
    return (max(medians) - min(medians)) / 2 / median(medians)


def cpu_pressure(record: Record) -> float:
    """Median over all blocks of the share of their time in which some process waited for a CPU; 0 where unknown."""
    shares = [
        turn.counters.pressure_s / turn.counters.seconds
        for row in record.rows
        if row.ranked
        for process in row.processes
        for turn in process.turns
        if turn.counters and turn.counters.pressure_s is not None and turn.counters.seconds > 0
    ]
    return median(shares) if shares else 0.0


# How much faster one row is than another: ratios of times with their intervals.


class Ratio(NamedTuple):
    """A ratio of times, and its 95 % interval."""

    value: float
    low: float
    high: float


def speedup(row: Row, baseline: Row) -> Ratio:
    """Time of `baseline` over time of `row`, from the same run: paired by block, since neighbours in time share noise.

    Geometric mean over blocks, with Student's interval of the paired log-ratios.
    """
    times, base_times = row.blocks, baseline.blocks
    logs = [log(median(base_times[block]) / median(times[block])) for block in kept_blocks(row, baseline)]
    return Ratio(exp(float(np.mean(logs))), *interval(logs))
