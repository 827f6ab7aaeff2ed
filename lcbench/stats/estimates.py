"""Statistics of the samples of a row, and the detection of disturbed blocks.

A block is one worker process. Blocks are the replicates, not the samples within them. Disturbed blocks are detected by
their system counters, never by their times. They are excluded from all statistics but stay in the record.
"""

from __future__ import annotations

from math import exp, inf, log
from statistics import median
from typing import NamedTuple

import numpy as np

from lcbench.record import LARGEST_FOOTPRINT, Counters, MachinePeak, ProcessResult, Record, Row

STOLEN = 0.02
"""Tolerated share of a core's time that the hypervisor gives to other virtual machines."""

WAITED = 0.25
"""Tolerated share of the time in which some process waits for a CPU. A worker process alone stays below it."""

MOST_DISTURBED = 0.5
"""Share of disturbed blocks above which none is excluded: the machine is busy all the time."""


def kept_blocks(*rows: Row) -> list[int]:
    """Return the common blocks of `rows` in which no process was disturbed, or all if more than half were disturbed."""
    common = range(min(len(row.processes) for row in rows))
    quiet = [block for block in common if not any(disturbance(row.processes[block], row.threads) for row in rows)]
    return quiet if len(quiet) >= (1 - MOST_DISTURBED) * len(common) else list(common)


def disturbance(process: ProcessResult, threads: int) -> str | None:
    """Return a short description of what disturbed the process, or None if no disturbance is known."""
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


# Time of a row

CONFIDENCE = 0.95

IMPOSSIBLE = 3.0
"""Roofline fraction above which the result cannot have been computed.

Fractions above 1 are impossible, too, but the limit may have been measured on a busy machine.
"""


def block_medians(row: Row) -> list[float]:
    """Return the median of each block that was not disturbed, in seconds per call."""
    return [median(row.processes[block].samples) for block in kept_blocks(row)]


def tenth_percentile(samples: list[float]) -> float:
    """Return the 10th percentile of the samples, an estimate of the time of an undisturbed call.

    Other programs only increase times, so low quantiles vary least between processes. Chen & Revels (2016, "Robust
    benchmarking in noisy environments") use the minimum for the same reason.
    """
    return float(np.quantile(samples, 0.1))


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # a slow import, deferred until it is needed

    return float(stdtrit(freedom, probability))


def interval(logs: list[float]) -> tuple[float, float]:
    """Return the confidence interval (low, high) of the mean of `logs`, exponentiated, by Student's t distribution.

    With fewer than two values, the interval is (0, inf). Source: Student 1908, "The probable error of a mean".
    """
    if len(logs) < 2:
        return 0.0, inf
    half = float(t_quantile((1 + CONFIDENCE) / 2, len(logs) - 1) * np.std(logs, ddof=1) / np.sqrt(len(logs)))
    centre = float(np.mean(logs))
    return exp(centre - half), exp(centre + half)


def complete_record(record: Record) -> None:
    """Compute median, interval and roofline fraction of each row, in place. Rows of impossible speed become wrong."""
    for row in record.rows:
        if row.status != "ok" or not row.processes or row.device == "simulator":
            continue
        medians = block_medians(row)
        row.median_s = median(medians)
        low, high = interval([log(seconds) for seconds in medians])
        # In a small skewed sample, the median can lie outside the interval of the mean.
        row.ci95_s = (min(low, row.median_s), max(high, row.median_s)) if len(medians) > 1 else None
        peak = peak_for(row, record.ceilings)
        if peak:
            row.roofline_fraction = roofline_time_s(row, peak) / row.median_s
            if row.roofline_fraction > IMPOSSIBLE:
                row.status = "wrong"
                row.reason = f"{row.roofline_fraction:.0%} of the machine's limit: not computed, but cached or skipped"
                row.median_s = row.ci95_s = None


def peak_for(row: Row, peaks: list[MachinePeak]) -> MachinePeak | None:
    """Return the limit measured for the device, the dtype and the footprint of the row, or None."""
    footprint = row.rows * row.features * np.dtype(row.dtype).itemsize
    by_footprint = {p.footprint: p for p in peaks if (p.device, p.dtype) == (row.device, row.dtype)}
    return by_footprint.get(footprint) or by_footprint.get(min(footprint, LARGEST_FOOTPRINT))


def roofline_time_s(row: Row, peak: MachinePeak) -> float:
    """Return the shortest possible time of a call, in seconds: reading the data once, or the arithmetic if longer.

    Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for
    multicore architectures".
    """
    return max(row.bytes / peak.read_bytes_s, row.flops / peak.flops_s)


def spread(row: Row) -> float:
    """Return half the range of the block medians, divided by their median."""
    medians = block_medians(row)
    return (max(medians) - min(medians)) / 2 / median(medians)


def cpu_pressure(record: Record) -> float:
    """Return the median share of time in which some process waited for a CPU, over all turns; 0 if unknown."""
    shares = [
        turn.counters.pressure_s / turn.counters.seconds
        for row in record.rows
        if row.ranked
        for process in row.processes
        for turn in process.turns
        if turn.counters and turn.counters.pressure_s is not None and turn.counters.seconds > 0
    ]
    return median(shares) if shares else 0.0


# Ratio of two rows


class Ratio(NamedTuple):
    """Ratio of times, and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def speedup(row: Row, baseline: Row) -> Ratio:
    """Return the time of `baseline` divided by the time of `row`, for two rows of the same run.

    The ratio is the geometric mean over blocks, with Student's interval of the log-ratios. Rows are paired by block,
    since processes that run one after the other share most of the machine's noise.
    """
    times, base_times = row.blocks, baseline.blocks
    logs = [log(median(base_times[block]) / median(times[block])) for block in kept_blocks(row, baseline)]
    return Ratio(exp(float(np.mean(logs))), *interval(logs))
