"""Verdicts of a gate, by a randomization test on the start slots of base and head.

A generation has four processes that take turns, two of base and two of head. Which of the four start slots is base and
which is head is drawn among all six splits, anew in each generation. If base and head take the same time, the four
values of a generation do not depend on the draw, and the test compares the measured difference with the differences of
all splits in all generations. It is exact for any noise of the machine, any distribution of times, and any effect of
the slots.

For a tolerated slowdown, its logarithm is subtracted from the values of head first. This assumes that a slowdown is a
factor, which is the same for all processes of head.

Sources: Fisher 1935, "The design of experiments", chapters 2 and 3; Pitman 1938, "Significance tests which may be
applied to samples from any populations, III: the analysis of variance test"; Ernst 2004, "Permutation methods: a basis
for exact inference".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, expm1, inf, log, log1p, sqrt
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lcbench.errors import ExitCode
from lcbench.record import CONVERTS, Gate, ProcessResult, Row
from lcbench.stats.estimates import Ratio, Statistic, generations, log_times, t_quantile
from lcbench.stats.verdicts import POWER, Comparison, Verdict, exit_code, holm

# Randomization test
#
# `times` has a line of log times for each generation: base, control, head, head. Two columns, base and control, compare
# base with itself; the generation then has two splits.

SPLITS = 6
"""Number of splits of four start slots into two of base and two of head."""

ENUMERATED = 2_000
"""Maximum number of sums of half of the generations up to which all splits are enumerated."""

GRID_ERROR = 0.005
"""Largest error of a sum by rounding to the grid, in standard deviations of the sum."""

GRID_REACH = 8.0
"""Half the width of the grid, in standard deviations of the sum."""


def p_greater(times: NDArray[np.float64], limit: float) -> float:
    """Return the p-value of the hypothesis that head is slower than base by at most the factor exp(`limit`).

    It is the share of all splits of all generations with a difference at least as large as the measured one. It is
    exact for up to eight generations. With more, the differences are rounded to a grid so that the p-value can only
    increase, by a few percent of itself.

    Parameters
    ----------
    times
        Log times, shape (generations, 4) or (generations, 2), float64.
    limit
        Logarithm of the tolerated slowdown.
    """
    differences = _differences(times, limit)
    possible = 2 * differences.shape[1]
    if possible ** ((len(times) + 1) // 2) <= ENUMERATED:
        return _p_by_enumeration(differences)
    return _p_by_convolution(differences)


def p_less(times: NDArray[np.float64], limit: float) -> float:
    """Return the p-value of the hypothesis that head is slower than base by at least the factor exp(`limit`).

    See `p_greater`.
    """
    return p_greater(-times, -limit)


def _differences(times: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return the differences of each generation for half of its splits, shape (generations, 3) or (generations, 1).

    The measured difference comes first. The other half of the splits has the opposite signs.
    """
    if times.shape[1] == 2:
        differences = times[:, 1:] - times[:, :1] - limit
    else:
        base, control, head, other = times.T
        sides, slots = head + other - base - control - 2 * limit, head - other
        differences = np.column_stack([sides, slots + base - control, slots - base + control]) / 2
    return np.round(differences, 12)  # differences of equal times are 0, in spite of rounding errors


def _p_by_enumeration(differences: NDArray[np.float64]) -> float:
    """Return the share of the splits with a sum of differences at least as large as that of the first column."""
    half = len(differences) // 2
    some, others = _sums(differences[:half]), np.sort(_sums(differences[half:]))
    # Sums that are equal to the measured one count, and may differ from it by rounding errors.
    measured = differences[:, 0].sum() - 1e-10 * np.abs(differences).sum()
    smaller = np.searchsorted(others, measured - some)
    possible = len(some) * len(others)
    return (possible - int(smaller.sum())) / possible


def _sums(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the differences for each combination of splits."""
    sums = np.zeros(1)
    for values in differences:
        sums = np.add.outer(sums, np.concatenate([values, -values])).ravel()
    return sums


def _p_by_convolution(differences: NDArray[np.float64]) -> float:
    """Return an upper bound of the same share: the distribution of the sum is computed on a grid.

    Each difference is rounded to the nearest cell. The sum of a combination is therefore wrong by at most half a cell
    for each generation, and the measured sum is reduced by as much. Sums above the grid count as larger than the
    measured one. Sums below the grid are put into its first cell.
    """
    deviation = sqrt(float(np.sum(np.mean(differences**2, axis=1))))
    if deviation == 0:
        return 1.0
    cell = 2 * GRID_ERROR * deviation / len(differences)
    half = ceil(GRID_REACH * deviation / cell)
    shares, above = np.zeros(2 * half + 1), 0.0
    shares[half] = 1.0
    count = len(shares)
    for moves in np.rint(np.abs(differences) / cell).astype(int).tolist():
        moved = np.zeros(count)
        leaving = 0.0
        for cells in moves:
            moved[cells:] += shares[: count - cells]
            moved[: count - cells] += shares[cells:]
            leaving += float(shares[count - cells :].sum())
            moved[0] += shares[:cells].sum()
        shares = moved / (2 * len(moves))
        above += leaving / (2 * len(moves))
    first = half + ceil(float(differences[:, 0].sum()) / cell - len(differences) / 2 - 1e-6)
    return min(1.0, above + float(shares[max(0, first) :].sum()))


def estimate(times: NDArray[np.float64]) -> float:
    """Return the logarithm of the slowdown: the mean difference of the generations."""
    return float(np.mean(_differences(times, 0.0)[:, 0]))


def lower_bound(times: NDArray[np.float64], alpha: float) -> float:
    """Return the lower confidence bound of the slowdown: the largest limit that `p_greater` rejects at `alpha`.

    With too few generations, the bound is -inf. Source: Ernst 2004, section 3.
    """
    differences = _differences(times, 0.0)
    if float(2 * differences.shape[1]) ** -len(times) > alpha:
        return -inf
    # Below `rejected`, no split has larger differences than the measured one; at the estimate, half of them have.
    rejected = float(differences[:, 0].min() - np.abs(differences[:, 1:]).max(initial=0.0))
    accepted = estimate(times)
    while accepted - rejected > BOUND_ERROR:
        middle = (rejected + accepted) / 2
        if p_greater(times, middle) <= alpha:
            rejected = middle
        else:
            accepted = middle
    return rejected


BOUND_ERROR = 1e-5
"""Largest error of confidence bounds, in the logarithm of the slowdown."""


def upper_bound(times: NDArray[np.float64], alpha: float) -> float:
    """Return the upper confidence bound of the slowdown: the smallest limit that `p_less` rejects at `alpha`.

    With too few generations, the bound is inf. Source: Ernst 2004, section 3.
    """
    return -lower_bound(-times, alpha)


# Verdicts of a gate
#
# A row is "slower" if the test rejects that the slowdown is at most the threshold, "not slower" if it rejects that the
# slowdown is at least the threshold, and "inconclusive" otherwise.
#
# Two statistics represent a turn: its fastest sample, on which other programs have little effect, and the mean of its
# samples, which also changes if only some calls become slower. Either can show that a row is slower.
#
# The error probabilities hold for all rows, both statistics and all interim analyses together: tests within an analysis
# are corrected by Holm's method, and the analyses share the permitted error.

ALPHA_SLOWER = 0.01
"""Maximum probability of the verdict "slower" for any row of a gate in which no row is slower."""

ALPHA_NOT_SLOWER = 0.05
"""Maximum probability of the verdict "not slower" for a row that is slower."""

SMALLEST_SHARE = 0.5
"""Share of the permitted error that is reserved for the last interim analysis."""


@dataclass(frozen=True)
class GateVerdicts:
    """Verdicts of a gate.

    comparisons: head compared with base. control: base compared with itself, by the same rules. generations: number of
    generations. doubt: reason why no verdict is reliable, or empty.
    """

    comparisons: list[Comparison]
    control: list[Comparison]
    generations: int
    fail_above: float
    doubt: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of `lcbench gate`."""
        return exit_code(self.comparisons)


@dataclass(frozen=True)
class _Trio:
    """Rows of one comparison."""

    base: Row
    control: Row
    head: Row

    @property
    def measured(self) -> bool:
        return all(row.status == "ok" and row.processes for row in (self.base, self.control, self.head))


@dataclass(frozen=True)
class _Times:
    """Log times of one comparison by both statistics: a line for each generation; see `p_greater`."""

    trio: _Trio
    fastest: NDArray[np.float64]
    mean: NDArray[np.float64]

    def of_base(self) -> _Times:
        """Return the times of the comparison of base with itself."""
        return replace(self, fastest=self.fastest[:, :2], mean=self.mean[:, :2])

    def until(self, generation: int) -> _Times:
        """Return the times of the first generations."""
        return replace(self, fastest=self.fastest[:generation], mean=self.mean[:generation])


def judge_gate(rows: list[Row], gate: Gate) -> GateVerdicts:
    """Return the verdicts of the interim analyses so far, from the rows of a gate's record."""
    trios = _trios(rows)
    count = len(gate.orders)
    usable = [trio for trio in trios if count and trio.measured]
    measured = [_Times(trio, _times(trio, count, min), _times(trio, count, fmean)) for trio in usable]
    comparisons = _all_analyses(measured, gate)
    control = _all_analyses([times.of_base() for times in measured], gate)
    doubt = _doubt(control)
    if doubt:
        comparisons = [replace(comparison, verdict="inconclusive") for comparison in comparisons]
    comparisons += [_not_measured(trio, gate.new) for trio in trios if trio not in usable]
    return GateVerdicts(comparisons, control, count, gate.fail_above, doubt)


def _trios(all_rows: list[Row]) -> list[_Trio]:
    sides: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in all_rows:
        sides.setdefault((row.implementation, *row.workload), {})[row.side] = row
    return [_Trio(**rows) for rows in sides.values()]


def _times(trio: _Trio, count: int, statistic: Statistic) -> NDArray[np.float64]:
    """Return the log times of the first `count` generations, shape (count, 4)."""
    base, control, head = (generations(row) for row in (trio.base, trio.control, trio.head))
    found = [log_times([*base[number], *control[number], *head[number]], statistic) for number in range(count)]
    return np.array(found).reshape(count, 4)


def _all_analyses(measured: list[_Times], gate: Gate) -> list[Comparison]:
    """Return a comparison for each row, with the first conclusive verdict of all interim analyses."""
    found = [_Finding("inconclusive", by_mean=False)] * len(measured)
    latest = len(gate.orders)
    for analysis in gate.interim_analyses:
        latest = analysis.blocks
        now = _analysis([times.until(latest) for times in measured], analysis.share, log1p(gate.fail_above))
        found = [new if old.verdict == "inconclusive" else old for old, new in zip(found, now, strict=True)]
    return [_comparison(times.until(latest), finding) for times, finding in zip(measured, found, strict=True)]


@dataclass(frozen=True)
class _Finding:
    """Verdict on a row, and whether only the mean of the samples shows it."""

    verdict: Verdict
    by_mean: bool


def _analysis(measured: list[_Times], share: float, limit: float) -> list[_Finding]:
    """Return the findings of one interim analysis with its share of the permitted error."""
    count = len(measured)
    slower = holm([p_greater(values, limit) for times in measured for values in (times.fastest, times.mean)])
    not_slower = holm([p_less(times.fastest, limit) for times in measured])
    findings = []
    for index in range(count):
        by_fastest, by_mean = (p <= ALPHA_SLOWER * share for p in slower[2 * index : 2 * index + 2])
        verdict: Verdict = "inconclusive"
        if by_fastest or by_mean:
            verdict = "slower"
        elif _is_not_slower(not_slower[index], ALPHA_NOT_SLOWER * share, measured[index].mean, limit):
            verdict = "not slower"
        findings.append(_Finding(verdict, by_mean and not by_fastest))
    return findings


def _is_not_slower(p_fastest: float, alpha: float, means: NDArray[np.float64], limit: float) -> bool:
    """Return whether a row is not slower: the test of the fastest samples shows it, and the means do not contradict."""
    return p_fastest <= alpha and estimate(means) <= limit


def _comparison(times: _Times, finding: _Finding) -> Comparison:
    """Return the comparison with its ratio, and the smallest slowdown above the threshold detected with `POWER`."""
    shown = times.mean if finding.by_mean else times.fastest
    base, head = times.trio.base, times.trio.head
    centre = estimate(shown)
    ratio = Ratio(exp(centre), exp(lower_bound(shown, 0.025)), exp(upper_bound(shown, 0.025)))
    half_width = centre - lower_bound(shown, ALPHA_SLOWER)
    if half_width == inf:
        return Comparison(base, head, finding.verdict, ratio)
    from scipy.special import ndtri

    # The distance between the estimate and its bound is z(1 - alpha) standard errors; the power adds z(power) of them.
    z_alpha, z_power = (float(ndtri(p)) for p in (1 - ALPHA_SLOWER, POWER))
    return Comparison(base, head, finding.verdict, ratio, expm1(half_width * (1 + z_power / z_alpha)))


def _doubt(control: list[Comparison]) -> str:
    """Return the reason why no verdict is reliable, or an empty string."""
    tripped = next((comparison for comparison in control if comparison.verdict == "slower"), None)
    if tripped:
        return f"base came out slower than itself ({tripped.base.implementation}, {tripped.base.loss})"
    return ""


def _not_measured(trio: _Trio, new: Sequence[str]) -> Comparison:
    """Return the comparison of rows that were not all measured. A wrong head takes precedence over other failures."""
    broken_base = trio.base if trio.base.status != "ok" else trio.control
    verdict: Verdict = "not measured"
    if trio.head.status in ("wrong", "unstable"):
        verdict = "wrong"
    elif trio.head.status == "ok" and trio.head.implementation.removesuffix(CONVERTS) in new:
        verdict = "new"
    return Comparison(broken_base, trio.head, verdict)


# Plan of a gate
#
# The difference of a generation has the same standard deviation as the log time of a process, since it is the
# difference of two means of two. The t test of all processes, with an effect for each generation, has almost the same
# power as the randomization test (Pitman 1938). It has 3 n - 1 degrees of freedom.


def generations_needed(rows: int) -> int:
    """Return the smallest number of generations with which a verdict on `rows` rows is possible.

    The smallest p-value of n generations is 6^-n.
    """
    return ceil(-log(min(_alpha_slower(rows), _alpha_not_slower(rows))) / log(SPLITS))


def detectable_slowdown(
    spread: float, generation_s: float, budget_s: float = 60.0, fail_above: float = 0.0
) -> float | None:
    """Return the smallest slowdown (0.05 is 5 %) that a gate of one row would detect with probability `POWER`.

    This is an optimistic estimate: the budget of a gate also includes first calls, and its implementations may take
    longer to start.

    Parameters
    ----------
    spread
        Standard deviation of the log times of processes of the same code in a generation.
    generation_s
        Duration of a generation in seconds.
    budget_s
        Time budget of the gate in seconds.
    fail_above
        Tolerated slowdown.

    Returns
    -------
    float or None
        None if too few generations fit into the budget for a verdict.
    """
    count = int(budget_s / generation_s)
    if count < generations_needed(1):
        return None
    return expm1(log1p(fail_above) + _distance(spread, count, _alpha_slower(1)))


def generations_for_verdict(spread: float, fail_above: float, rows: int) -> int | None:
    """Return the number of generations after which a row without a slowdown is "not slower" with probability `POWER`.

    Parameters
    ----------
    spread
        Standard deviation of the log times of processes of the same code in a generation.
    fail_above
        Tolerated slowdown: 0.03 is 3 %.
    rows
        Number of rows of the gate.

    Returns
    -------
    int or None
        At least `generations_needed`. None if `MOST_CONSIDERED` would not be sufficient, as with a threshold of 0.
    """
    alpha, limit = _alpha_not_slower(rows), log1p(fail_above)
    fewest = generations_needed(rows)
    possible = range(fewest, MOST_CONSIDERED + 1)
    index = bisect_left(possible, True, key=lambda count: _distance(spread, count, alpha) <= limit)
    return possible[index] if index < len(possible) else None


def process_spread(processes: Sequence[ProcessResult]) -> float:
    """Return the standard deviation of the log times of processes of the same code within a generation.

    processes: any number of generations of one workload, with at least two processes in one of them.
    """
    members: dict[int | None, list[ProcessResult]] = {}
    for process in processes:
        members.setdefault(process.generation, []).append(process)
    times = [log_times(each, min) for each in members.values()]
    squares = sum(float(np.sum((logs - logs.mean()) ** 2)) for logs in times)
    return sqrt(squares / sum(len(logs) - 1 for logs in times))


def detectable_in_a_gate(processes: Sequence[ProcessResult], generation_s: float) -> float | None:
    """Return the smallest slowdown that a gate of 60 s detects, from processes of the same code; see both above."""
    return detectable_slowdown(process_spread(processes), generation_s)


LEAST_SPREAD = 0.003
"""Smallest spread that is assumed after a single generation, from which it is estimated with few values."""

MEAN_OF_LEAST = 0.45
"""Mean of the smallest of the three variances in `_blind_variance`, relative to the variance of a process.

It was computed for normally distributed log times, by simulation."""


def generations_for(rows: list[Row], fail_above: float, precision: float | None) -> int | None:
    """Return the number of generations that a gate is expected to need, from the rows of its first one.

    The result does not depend on which processes are head, so that it has no effect on the error probabilities.

    Parameters
    ----------
    rows
        Rows of the gate after one generation.
    fail_above
        Tolerated slowdown.
    precision
        Half width of the 95 % interval to reach; None means a verdict on code that is not slower.

    Returns
    -------
    int or None
        None if no row was measured, or if `MOST_CONSIDERED` would not be sufficient.
    """
    trios = [trio for trio in _trios(rows) if trio.measured]
    if not trios:
        return None
    variance = fmean(_blind_variance(_times(trio, 1, min)[0]) for trio in trios)
    spread = max(LEAST_SPREAD, sqrt(variance))
    if precision is None:
        return generations_for_verdict(spread, fail_above, len(trios))
    possible = range(2, MOST_CONSIDERED + 1)
    index = bisect_left(possible, True, key=lambda count: _half_width(spread, count) <= log1p(precision))
    return possible[index] if index < len(possible) else None


def _blind_variance(times: NDArray[np.float64]) -> float:
    """Return an estimate of the variance of the log times of a generation's processes, without knowing their sides.

    It is the variance within pairs, for the pairing in which it is smallest. If head is much slower, these pairs are
    the two sides.
    """
    a, b, c, d = times.tolist()
    pairings = ((a - b, c - d), (a - c, b - d), (a - d, b - c))
    return min(first**2 + second**2 for first, second in pairings) / 4 / MEAN_OF_LEAST


def _half_width(spread: float, count: int) -> float:
    return spread / sqrt(count) * t_quantile(0.975, 3 * count - 1)


MOST_CONSIDERED = 10_000
"""Largest number of generations that is returned as the number that is needed."""


def _alpha_slower(rows: int) -> float:
    """Return the permitted error of the smallest of all p-values for "slower", in the final analysis."""
    return ALPHA_SLOWER * SMALLEST_SHARE / (2 * rows)


def _alpha_not_slower(rows: int) -> float:
    """Return the permitted error of the smallest of all p-values for "not slower", in the final analysis."""
    return ALPHA_NOT_SLOWER * SMALLEST_SHARE / rows


def _distance(spread: float, count: int, alpha: float) -> float:
    """Return the distance from the limit, in the logarithm, that `count` generations detect with `POWER` at `alpha`."""
    freedom = 3 * count - 1
    return spread / sqrt(count) * (t_quantile(1 - alpha, freedom) + t_quantile(POWER, freedom))
