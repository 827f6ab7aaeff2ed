"""Estimates of times from turns: the time of each process, and the time, interval and share of the limit of each row.

The processes of a generation take turns, one turn in each round. A drift or a burst of load has the same effect on all
turns of a round, or an effect on a few rounds only. Therefore, the time of a process is estimated from its table of
turns by median polish, relative to the processes that took turns in the same rounds. Intervals and tests use
generations as replicates: the rounds of a generation share one memory layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, inf, log
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench import units
from lcbench.record import LARGEST_FOOTPRINT, MachinePeak, ProcessResult, Record, Row

# Time of a process

Statistic = Callable[[list[float]], float]
"""Function of the samples of a turn."""

TURN_QUANTILE = 0.5
"""Quantile of the samples of a turn that represents the turn in runs and sweeps.

Fast implementations have more samples in a turn than slow ones, so the minimum would favour them.
"""


def turn_quantile(samples: list[float]) -> float:
    """Return the quantile `TURN_QUANTILE` of the samples, linearly interpolated (Hyndman & Fan 1996, type 7)."""
    ordered = sorted(samples)  # faster than np.quantile for a few samples
    place = TURN_QUANTILE * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


MOST_SWEEPS = 100
"""Maximum number of sweeps of the median polish. It usually converges after a few."""

CONVERGED = 1e-12
"""Largest change of an effect in a sweep after which the median polish ends."""


def polish(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log time of each process, estimated by median polish: log t = level + round effect + process effect.

    Medians of the residuals are moved from the rounds and from the processes in turn, until nothing changes. For two
    processes, the difference is the median of the log-ratio over the common rounds. The order of the processes has no
    effect on the result.

    Source: Tukey 1977, "Exploratory data analysis", chapter 11.

    Parameters
    ----------
    table
        Log times of the turns, shape (rounds, processes), float64. NaN if a process has no turn in a round; each
        process has at least one turn.

    Returns
    -------
    ndarray
        Level plus process effect, shape (processes,). Processes that have no rounds in common, not even through other
        processes, have separate levels.
    """
    present = ~np.isnan(table)
    shared = table[present.sum(axis=1) > 1]  # a round with one process has no information about differences
    effects = _effects_by_pairs(shared)
    for _ in range(MOST_SWEEPS if len(shared) else 0):
        residuals = shared - effects
        change = _medians(residuals - _medians(residuals.T)[:, None])
        change[np.isnan(change)] = 0.0  # processes without a common round
        effects += change
        if np.abs(change).max() <= CONVERGED:
            break
    logs = effects.copy()
    for members in _components(present):
        rounds = present[:, members].any(axis=1)
        residuals = table[np.ix_(rounds, members)] - effects[members]
        logs[members] += np.median(_medians(residuals.T))
    return logs


def _effects_by_pairs(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return first estimates of the process effects: the least-squares fit to the median differences of all pairs.

    Each pair has the number of its common rounds as its weight. Medians of rounds and processes alone would remain at a
    wrong solution if most processes have a turn in a few rounds only.
    """
    rounds, processes = table.shape
    if not rounds:
        return np.zeros(processes)
    differences = (table[:, :, None] - table[:, None, :]).reshape(rounds, -1)
    weights = np.sum(~np.isnan(differences), axis=0).reshape(processes, processes)
    medians = np.nan_to_num(_medians(differences).reshape(processes, processes))
    laplacian = np.diag(weights.sum(axis=1)) - weights
    effects: NDArray[np.float64] = np.linalg.pinv(laplacian, hermitian=True) @ np.sum(weights * medians, axis=1)
    return effects


def _medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column of a table with at least one row, without NaN; NaN if nothing else is in it."""
    ordered = np.sort(table, axis=0)  # NaN comes last; np.nanmedian is slow
    counts = np.sum(~np.isnan(table), axis=0)
    columns = np.arange(table.shape[1])
    middle: NDArray[np.float64] = (ordered[np.maximum(counts - 1, 0) // 2, columns] + ordered[counts // 2, columns]) / 2
    return middle


def _components(present: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Yield the processes that are connected by common rounds. present: shape (rounds, processes)."""
    waiting = set(range(present.shape[1]))
    while waiting:
        members: NDArray[np.bool_] = np.arange(present.shape[1]) == min(waiting)
        while True:
            reached = np.any(present[np.any(present[:, members], axis=1)], axis=0)
            if np.array_equal(reached, members):
                break
            members = reached
        found = np.flatnonzero(members)
        waiting -= set(found.tolist())
        yield found


def log_times(processes: Sequence[ProcessResult], statistic: Statistic) -> NDArray[np.float64]:
    """Return the log time of processes of one workload and generation, shape (processes,).

    Parameters
    ----------
    processes
        Processes that took turns. In older records, they ran one after the other and have no rounds; their time is the
        statistic of all samples.
    statistic
        Function of the samples of a turn, such as `turn_quantile`.
    """
    if any(turn.round is None for process in processes for turn in process.turns):
        return np.log([statistic(process.samples) for process in processes])
    rounds = sorted({turn.round for process in processes for turn in process.turns if turn.round is not None})
    places = {number: place for place, number in enumerate(rounds)}
    table = np.full((len(rounds), len(processes)), np.nan)
    for column, process in enumerate(processes):
        for turn in process.turns:
            if turn.round is not None:
                table[places[turn.round], column] = log(statistic(turn.samples))
    return polish(table)


def generations(row: Row) -> dict[int, list[ProcessResult]]:
    """Return the processes of a row by the number of their generation, in ascending order.

    Older records do not have the number. Their processes ran one after the other, in a gate with two of head for one of
    base.
    """
    found: dict[int, list[ProcessResult]] = {}
    for index, process in enumerate(row.processes):
        number = process.generation
        if number is None:
            number = index // 2 if row.side == "head" else index
        found.setdefault(number, []).append(process)
    return dict(sorted(found.items()))


# Time of a row

CONFIDENCE = 0.95

IMPOSSIBLE = 3.0
"""Share of the machine's limit above which the result cannot have been computed.

Shares above 1 are impossible, too, but the limit may have been measured on a busy machine.
"""


def process_times(row: Row) -> list[float]:
    """Return the time of each process in seconds per call, in the order of the generations."""
    return [_seconds(process) for processes in generations(row).values() for process in processes]


def by_generation(row: Row) -> dict[int, float]:
    """Return the mean log time of the processes of each generation, by its number."""
    return {
        number: float(np.mean([log(_seconds(process)) for process in processes]))
        for number, processes in generations(row).items()
    }


def _seconds(process: ProcessResult) -> float:
    """Return the time of a process, which older records do not have, in seconds per call."""
    return process.seconds or turn_quantile(process.samples)


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
    """Compute the time of each process, and time, interval and share of the limit of each row, in place.

    Rows of impossible speed become wrong.
    """
    rows, limits = (
        [row for row in some if row.status == "ok" and row.processes and row.device != "simulator"]
        for some in (record.rows, record.limits)
    )
    _estimate_processes([*rows, *limits])
    for row in [*rows, *limits]:
        logs = list(by_generation(row).values())
        row.median_s = exp(float(np.mean(logs)))
        row.ci95_s = interval(logs) if len(logs) > 1 else None
    for row in rows:
        assert row.median_s is not None
        peak = peak_for(row, record.ceilings)
        of_peak = roofline_time_s(row, peak) / row.median_s if peak else None
        limit = _limit_of(row, limits)
        row.roofline_fraction = _share_of(row, limit) if limit else of_peak
        # The best limit of the whole run is used here, since a single one may have been measured on a busy machine.
        if of_peak and of_peak > IMPOSSIBLE:
            row.status = "wrong"
            row.reason = f"{units.percent(of_peak)} of the machine's limit: not computed, but cached or skipped"
            row.median_s = row.ci95_s = None


def _estimate_processes(rows: list[Row]) -> None:
    """Set the time of each process, from its turns and those of all processes that took turns with it."""
    together: dict[tuple[object, ...], list[ProcessResult]] = {}
    for row in rows:
        for number, processes in generations(row).items():
            together.setdefault((row.workload, number), []).extend(processes)
    for processes in together.values():
        for process, seconds in zip(processes, np.exp(log_times(processes, turn_quantile)).tolist(), strict=True):
            process.seconds = seconds


def _limit_of(row: Row, limits: list[Row]) -> Row | None:
    """Return the limit that was measured in turn with the row, of the same number of threads if there is one."""
    same = [
        limit
        for limit in limits
        if (limit.workload, limit.device, limit.dtype_of_X) == (row.workload, row.device, row.dtype_of_X)
        and generations(row).keys() & generations(limit)
    ]
    return min(same, key=lambda limit: limit.threads != row.threads, default=None)


def _share_of(row: Row, limit: Row) -> float:
    """Return the time of the limit over that of the row, within the generations that both have."""
    own, its = by_generation(row), by_generation(limit)
    return exp(float(np.mean([its[number] - own[number] for number in own if number in its])))


def peak_for(row: Row, peaks: list[MachinePeak]) -> MachinePeak | None:
    """Return the limit measured for the device, and for dtype and footprint of the row's X, or None."""
    by_footprint = {p.footprint: p for p in peaks if (p.device, p.dtype) == (row.device, row.dtype_of_X)}
    return by_footprint.get(row.footprint) or by_footprint.get(min(row.footprint, LARGEST_FOOTPRINT))


def roofline_time_s(row: Row, peak: MachinePeak) -> float:
    """Return the shortest possible time of a call, in seconds: reading the data once, or the arithmetic if longer.

    Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for
    multicore architectures".
    """
    return max(row.bytes / peak.read_bytes_s, row.flops / peak.flops_s)


def spread(row: Row) -> float:
    """Return half the range of the times of the processes, divided by their median."""
    times = process_times(row)
    return (max(times) - min(times)) / 2 / median(times)


def cpu_pressure(record: Record) -> float:
    """Return the median share of time in which some process waited for a CPU, over all processes; 0 if unknown."""
    shares = [
        process.counters.pressure_s / process.counters.seconds
        for row in record.rows
        if row.ranked
        for process in row.processes
        if process.counters and process.counters.pressure_s is not None and process.counters.seconds > 0
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

    The value is the ratio of the times of the two rows, so that a table cannot contradict itself. If both have the same
    generations, it is the geometric mean of the ratios within them, and the interval is Student's of the log-ratios,
    from which drift cancels. Otherwise the interval is Welch's, of two independent means.
    """
    own, its = by_generation(row), by_generation(baseline)
    if own.keys() == its.keys():
        logs = [its[number] - own[number] for number in own]
        return Ratio(exp(float(np.mean(logs))), *interval(logs))
    return Ratio(*independent_ratio(list(own.values()), list(its.values())))


def independent_ratio(logs: list[float], baseline: list[float], allowance: float = 0.0) -> tuple[float, float, float]:
    """Return the exponentiated difference of the means of `baseline` and of `logs`, with Welch's interval.

    With fewer than two values on a side, the interval is (0, inf). allowance: known variance of the difference, apart
    from that within the two sides. Sources: as for the verdicts, Welch 1947 and Satterthwaite 1946.
    """
    difference = float(np.mean(baseline) - np.mean(logs))
    if min(len(logs), len(baseline)) < 2:
        return exp(difference), 0.0, inf
    parts = [(float(np.var(side, ddof=1)) / len(side), len(side) - 1) for side in (logs, baseline)]
    total = sum(variance for variance, _ in parts) + allowance
    estimated = sum(variance**2 / freedom for variance, freedom in parts)
    freedom = total**2 / estimated if estimated else inf
    half = t_quantile((1 + CONFIDENCE) / 2, freedom) * total**0.5 if total else 0.0
    return exp(difference), exp(difference - half), exp(difference + half)
