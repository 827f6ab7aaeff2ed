"""Comparison of two records row by row, and the newest result of each implementation.

A row is "slower" (by more than the threshold), "not slower", or "inconclusive"; the first two have a bounded error
probability. Two runs differ by more than the spread of their blocks, by an amount that neither of them measures. The
standard error therefore includes an allowance for it. P-values are corrected for the number of rows (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, expm1, inf, isfinite, log, log1p, sqrt
from typing import Literal

import numpy as np

from lcbench.errors import ExitCode, LcbenchError
from lcbench.record import Record, Row, Workload
from lcbench.stats.estimates import Ratio, process_times, t_quantile

ALPHA = 0.05
POWER = 0.8

RUN_TO_RUN = 0.05
"""Standard deviation of the log time of the same code from run to run, apart from the noise between blocks.

Causes are temperature, other virtual machines and memory layout; more blocks per run do not reduce it. The value was
measured on an ordinary cloud machine, in runs that were minutes apart.
"""

Verdict = Literal["slower", "not slower", "inconclusive", "wrong", "not measured"]


@dataclass(frozen=True)
class Comparison:
    """Comparison of two rows.

    ratio: new time over base time. detectable: smallest slowdown above the threshold that is detected with `POWER`.
    """

    base: Row
    new: Row
    verdict: Verdict
    ratio: Ratio | None = None
    detectable: float | None = None


def exit_code(comparisons: list[Comparison]) -> ExitCode:
    """Return the exit code of the worst verdict."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if "wrong" in verdicts:
        return ExitCode.WRONG
    if "not measured" in verdicts:
        return ExitCode.ERROR
    if "slower" in verdicts:
        return ExitCode.REGRESSION
    return ExitCode.INCONCLUSIVE if "inconclusive" in verdicts else ExitCode.OK


@dataclass(frozen=True)
class Judgement:
    """Comparison of two records: the rows that both have, and the rows that only one has or has measured."""

    comparisons: list[Comparison]
    only_base: list[Row]
    only_new: list[Row]
    same_machine: bool
    fail_above: float

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of `lcbench compare`. Times of different machines are inconclusive."""
        verdicts = {comparison.verdict for comparison in self.comparisons}
        if not self.same_machine and not verdicts & {"wrong", "not measured"}:
            return ExitCode.INCONCLUSIVE
        return exit_code(self.comparisons)


def compare_records(base: Record, new: Record, fail_above: float = 0.20) -> Judgement:
    """Compare `new` with `base`.

    A row is slower if its time increased by more than `fail_above`. A row that is wrong in `new` is reported even if it
    has no time in `base`.

    Parameters
    ----------
    base, new
        Records of runs.
    fail_above
        Tolerated slowdown: 0.2 is 20 %.

    Raises
    ------
    LcbenchError
        If the records have no measured row in common, if they are the same record, or if one is the record of a gate.
    """
    if base.id == new.id:
        raise LcbenchError(f"cannot compare result {base.id} with itself: a second run is needed")
    for record in (base, new):
        if record.gate:
            raise LcbenchError(f"{record.path or record.id} is the result of a gate, which already has verdicts")
    before = {_key(row): row for row in base.rows if row.device != "simulator"}
    after = {_key(row): row for row in new.rows if row.device != "simulator"}
    both = [(row, after[key]) for key, row in before.items() if key in after]
    pairs = [(base_row, new_row) for base_row, new_row in both if base_row.ranked or new_row.status == "wrong"]
    if not pairs:
        raise LcbenchError(
            "the two results have no measured row in common: use the same implementations, losses, sizes and threads"
        )
    measured = [(base, new) for base, new in pairs if new.ranked]
    slower = holm([_p_value(base, new, fail_above, "greater") for base, new in measured])
    not_slower = holm([_p_value(base, new, fail_above, "less") for base, new in measured])

    comparisons = []
    for (base_row, new_row), p_slower, p_not_slower in zip(measured, slower, not_slower, strict=True):
        verdict: Verdict = "inconclusive"
        if p_slower < ALPHA:
            verdict = "slower"
        elif p_not_slower < ALPHA:
            verdict = "not slower"
        ratio, detectable = _ratio(base_row, new_row)
        comparisons.append(Comparison(base_row, new_row, verdict, ratio, detectable))
    for base_row, new_row in pairs:
        if not new_row.ranked:
            comparisons.append(Comparison(base_row, new_row, "wrong" if new_row.status == "wrong" else "not measured"))
    return Judgement(
        comparisons,
        [row for key, row in before.items() if key not in after],
        [row for key, row in after.items() if key not in before or (row.ranked and not before[key].ranked)],
        base.fingerprint == new.fingerprint,
        fail_above,
    )


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number. NaN and infinite values count as 1.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    values = [p if isfinite(p) else 1.0 for p in p_values]
    corrected = [1.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def _key(row: Row) -> tuple[object, ...]:
    return (row.implementation, row.device, row.threads, *row.workload)


def _logs(row: Row) -> list[float]:
    return [log(seconds) for seconds in process_times(row)]


def _p_value(base: Row, new: Row, fail_above: float, alternative: Literal["greater", "less"]) -> float:
    """Return the p-value of Welch's t test of the log block medians, for a change of exactly `fail_above`.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved".
    """
    a, b = _logs(base), _logs(new)
    if min(len(a), len(b)) < 2:
        return 1.0
    error, freedom = _standard_error(a, b)
    statistic = (np.mean(b) - np.mean(a) - log1p(fail_above)) / error
    from scipy.special import stdtr

    return float(stdtr(freedom, -statistic if alternative == "greater" else statistic))


def _standard_error(a: list[float], b: list[float]) -> tuple[float, float]:
    """Return the standard error of the difference of two means, and its degrees of freedom.

    The variance from run to run is treated as known. Source: Satterthwaite 1946, "An approximate distribution of
    estimates of variance components".
    """
    variances = [float(np.var(logs, ddof=1)) / len(logs) for logs in (a, b)]
    total = sum(variances) + 2 * RUN_TO_RUN**2
    estimated = sum(v**2 / (len(logs) - 1) for v, logs in zip(variances, (a, b), strict=True))
    return sqrt(total), total**2 / estimated if estimated else inf


def _ratio(base: Row, new: Row) -> tuple[Ratio, float | None]:
    a, b = _logs(base), _logs(new)
    difference = float(np.mean(b) - np.mean(a))
    if min(len(a), len(b)) < 2:
        return Ratio(exp(difference), 0.0, inf), None
    error, freedom = _standard_error(a, b)
    half = error * t_quantile(0.975, freedom)
    detectable = expm1(error * (t_quantile(1 - ALPHA, freedom) + t_quantile(POWER, freedom)))
    return Ratio(exp(difference), exp(difference - half), exp(difference + half)), detectable


# Newest results


@dataclass(frozen=True)
class LatestRow:
    """Row with the time of its measurement (UTC, ISO 8601)."""

    row: Row
    created: str


@dataclass(frozen=True)
class Latest:
    """Newest rows of one workload with one number of threads, fastest first."""

    workload: Workload
    threads: int
    entries: list[LatestRow]


def latest(newest_first: Iterable[Record], fingerprint: str) -> list[Latest]:
    """Return the newest ranked row of each implementation on one machine, grouped by workload and threads.

    Groups are in the order of their last measurement.
    """
    groups: dict[tuple[Workload, int], dict[str, LatestRow]] = {}
    for record in newest_first:
        if record.fingerprint != fingerprint or record.sweep:  # each process of a sweep measures many sizes
            continue
        for row in record.rows:
            if row.ranked and not row.side:  # a gate may measure code that is never used
                entries = groups.setdefault((row.workload, row.threads), {})
                entries.setdefault(row.implementation, LatestRow(row, record.created))
    return [
        Latest(workload, threads, sorted(entries.values(), key=lambda entry: entry.row.median_s or 0.0))
        for (workload, threads), entries in groups.items()
    ]
