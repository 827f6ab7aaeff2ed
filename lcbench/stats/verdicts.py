"""Whether something got slower: two records compared row by row.

Three verdicts, each a statement with a bounded error: slower (by more than the threshold), not slower (by as much),
inconclusive. Two runs differ by more than their blocks show, and how much is not measured in either: an allowance for
it is part of every error. Across rows the tests are corrected after Holm (1979), so that many rows raise no more false
alarms than one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, expm1, inf, isfinite, log, log1p, sqrt
from typing import Literal

import numpy as np

from lcbench.errors import ExitCode, LcbenchError
from lcbench.record import Record, Row, Workload
from lcbench.stats.estimates import Ratio, block_medians, t_quantile

ALPHA = 0.05
POWER = 0.8

RUN_TO_RUN = 0.05
"""How far apart, as a standard deviation of its logarithm, the time of the same code lies from one run to another for
reasons that no number of blocks within a run averages away: temperature, neighbours, where its memory came to lie. Runs
of an ordinary cloud machine, minutes apart, were seen to differ by as much."""

Verdict = Literal["slower", "not slower", "inconclusive", "wrong", "not measured"]


@dataclass(frozen=True)
class Comparison:
    """One row then and now.

    ratio: time now over time then. detectable: smallest slowdown beyond the threshold that is seen 4 times in 5.
    """

    base: Row
    new: Row
    verdict: Verdict
    ratio: Ratio | None = None
    detectable: float | None = None


def exit_code(comparisons: list[Comparison]) -> ExitCode:
    """What a CI job is to be told: the worst of all verdicts."""
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
    """Every row that both records have, and the rows that only one has, or has measured."""

    comparisons: list[Comparison]
    only_base: list[Row]
    only_new: list[Row]
    same_machine: bool
    fail_above: float

    @property
    def exit_code(self) -> ExitCode:
        """What a CI job is to be told. Times from two machines decide nothing."""
        verdicts = {comparison.verdict for comparison in self.comparisons}
        if not self.same_machine and not verdicts & {"wrong", "not measured"}:
            return ExitCode.INCONCLUSIVE
        return exit_code(self.comparisons)


def compare_records(base: Record, new: Record, fail_above: float = 0.20) -> Judgement:
    """Holds `new` against `base`: a row is slower where its time grew by more than `fail_above` (0.2 is 20 %).

    A row that is wrong in `new` is told whatever it was in `base`. Raises LcbenchError where the records have no row in
    common, since measuring nothing is no pass, where they are one and the same, and where one is a gate's.
    """
    if base.id == new.id:
        raise LcbenchError(f"both are the same result, {base.id}: a second run is needed to compare with")
    for record in (base, new):
        if record.gate:
            raise LcbenchError(f"{record.path or record.id} is a gate's result, which has its verdicts already")
    before = {_key(row): row for row in base.rows if row.device != "simulator"}
    after = {_key(row): row for row in new.rows if row.device != "simulator"}
    both = [(row, after[key]) for key, row in before.items() if key in after]
    pairs = [(base_row, new_row) for base_row, new_row in both if base_row.ranked or new_row.status == "wrong"]
    if not pairs:
        raise LcbenchError(
            "the two results have no measured row in common: same implementations, losses, sizes and threads are needed"
        )
    measured = [(base, new) for base, new in pairs if new.ranked]
    slower = holm([_p_slower(base, new, fail_above) for base, new in measured])
    not_slower = holm([_p_not_slower(base, new, fail_above) for base, new in measured])

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
    """P-values corrected for their number (Holm 1979, "A simple sequentially rejective multiple test procedure").

    A value that is not a number counts as 1: no statement.
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
    return [log(seconds) for seconds in block_medians(row)]


def _p_slower(base: Row, new: Row, fail_above: float) -> float:
    return _p(base, new, fail_above, "greater")


def _p_not_slower(base: Row, new: Row, fail_above: float) -> float:
    return _p(base, new, fail_above, "less")


def _p(base: Row, new: Row, fail_above: float, alternative: str) -> float:
    """Welch's test (1947) on the logarithms of the block medians, against a change of exactly `fail_above`."""
    a, b = _logs(base), _logs(new)
    if min(len(a), len(b)) < 2:
        return 1.0
    error, freedom = _standard_error(a, b)
    statistic = (np.mean(b) - np.mean(a) - log1p(fail_above)) / error
    from scipy.special import stdtr

    return float(stdtr(freedom, -statistic if alternative == "greater" else statistic))


def _standard_error(a: list[float], b: list[float]) -> tuple[float, float]:
    """Of the difference of two means from two runs, and its degrees of freedom (Satterthwaite 1946).

    The allowance from run to run counts as known.
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


# The newest result of every implementation on one machine, workload by workload.


@dataclass(frozen=True)
class LatestRow:
    """A row and when it was measured (UTC, ISO 8601)."""

    row: Row
    created: str


@dataclass(frozen=True)
class Latest:
    """Rows of one workload with one number of threads, fastest first."""

    workload: Workload
    threads: int
    entries: list[LatestRow]


def latest(newest_first: Iterable[Record], fingerprint: str) -> list[Latest]:
    """The newest ranked row of every implementation measured on the machine `fingerprint`, by workload and threads.

    Workloads come in the order in which they were last measured.
    """
    groups: dict[tuple[Workload, int], dict[str, LatestRow]] = {}
    for record in newest_first:
        if record.fingerprint != fingerprint or record.sweep:  # a sweep's processes time many sizes each
            continue
        for row in record.rows:
            if row.ranked and not row.side:  # a gate measures what may never be in use
                entries = groups.setdefault((row.workload, row.threads), {})
                entries.setdefault(row.implementation, LatestRow(row, record.created))
    return [
        Latest(workload, threads, sorted(entries.values(), key=lambda entry: entry.row.median_s or 0.0))
        for (workload, threads), entries in groups.items()
    ]
