"""What one row's samples say about its time. A block (one worker process) is the replicate, not a sample within it."""

from __future__ import annotations

from math import exp, inf, log
from statistics import median

import numpy as np

from lcbench.judge.quiet import kept_blocks
from lcbench.record import LARGEST_FOOTPRINT, Ceiling, Record, Row

CONFIDENCE = 0.95

IMPOSSIBLE = 3.0
"""Share of the machine's measured limit above which nothing can have been computed. Above 1 is impossible too, but a
busy machine may have measured its limit too low."""


def block_medians(row: Row) -> list[float]:
    """The median of each block that nothing disturbed, seconds a call."""
    return [median(row.processes[block].samples) for block in kept_blocks(row)]


def quick(samples: list[float]) -> float:
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


def complete(record: Record) -> None:
    """Fills in what follows from the samples: median, interval and roofline share of every row."""
    for row in record.rows:
        if row.status != "ok" or not row.processes or row.device == "simulator":
            continue
        medians = block_medians(row)
        row.median_s = median(medians)
        low, high = interval([log(seconds) for seconds in medians])
        # A small skewed sample can put its median outside the interval of its mean.
        row.ci95_s = (min(low, row.median_s), max(high, row.median_s)) if len(medians) > 1 else None
        ceiling = ceiling_for(row, record.ceilings)
        if ceiling:
            row.roofline_fraction = shortest_s(row, ceiling) / row.median_s
            if row.roofline_fraction > IMPOSSIBLE:
                row.status = "wrong"
                row.reason = f"{row.roofline_fraction:.0%} of the machine's limit: not computed, but cached or skipped"
                row.median_s = row.ci95_s = None


def ceiling_for(row: Row, ceilings: list[Ceiling]) -> Ceiling | None:
    """The ceiling measured for the row's device, its dtype and the footprint of its X; the simulator has none."""
    footprint = row.rows * row.features * np.dtype(row.dtype).itemsize
    alike = {c.footprint: c for c in ceilings if (c.device, c.dtype) == (row.device, row.dtype)}
    return alike.get(footprint) or alike.get(min(footprint, LARGEST_FOOTPRINT))


def shortest_s(row: Row, ceiling: Ceiling) -> float:
    """Least time in which the machine could do the row's work: reading once, or the arithmetic, whichever is longer."""
    return max(row.bytes / ceiling.read_bytes_s, row.flops / ceiling.flops_s)


def spread(row: Row) -> float:
    """Relative spread between blocks: half the distance from lowest to highest block median, over the median."""
    medians = block_medians(row)
    return (max(medians) - min(medians)) / 2 / median(medians)


def waited_for_a_cpu(record: Record) -> float:
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
