"""Verdicts of a gate, by Wilcoxon's signed-rank test on the differences between head and base.

The test is exact for any distribution that is symmetric about its center. The differences within blocks are symmetric
by design, whatever the noise of the machine, since the order of the processes in a block is random: the opposite order
has the same probability and changes the sign of the difference.

Sources: Wilcoxon 1945, "Individual comparisons by ranking methods"; Hollander, Wolfe & Chicken 2014, "Nonparametric
statistical methods", sections 3.1 to 3.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, exp, expm1, inf, log, log1p, log2, sqrt
from statistics import median, stdev

import numpy as np
from numpy.typing import NDArray

from lcbench.errors import ExitCode
from lcbench.record import Gate, ProcessResult, Row
from lcbench.stats.estimates import MOST_DISTURBED, Ratio, disturbance, t_quantile, tenth_percentile
from lcbench.stats.verdicts import POWER, Comparison, Verdict, exit_code, holm

# Signed-rank test


def p_greater(values: list[float], centre: float) -> float:
    """Return the p-value of the hypothesis that `values` are symmetric about `centre` or a smaller number.

    Source: Hollander, Wolfe & Chicken 2014, section 3.1.
    """
    return _p(values, centre, "greater")


def p_less(values: list[float], centre: float) -> float:
    """Return the p-value of the hypothesis that `values` are symmetric about `centre` or a larger number.

    Source: Hollander, Wolfe & Chicken 2014, section 3.1.
    """
    return _p(values, centre, "less")


def _p(values: list[float], centre: float, alternative: str) -> float:
    if not values:
        return 1.0
    differences = np.subtract(values, centre)
    if not differences.any():
        return 1.0
    from scipy import stats

    return float(stats.wilcoxon(differences, alternative=alternative, method="exact").pvalue)


def pseudomedian(values: list[float]) -> float:
    """Return the median of the pairwise means, an estimate of the center.

    Source: Hodges & Lehmann 1963; Hollander, Wolfe & Chicken 2014, section 3.2.
    """
    return float(np.median(_pairwise_means(values)))


def lower_bound(values: list[float], alpha: float) -> float:
    """Return the lower confidence bound of the center: the supremum of all centers that `p_greater` rejects at `alpha`.

    With too few values, the bound is -inf. Source: Hollander, Wolfe & Chicken 2014, section 3.3.
    """
    rejected = _rank_sums_rejected(len(values), alpha)
    return float(_pairwise_means(values)[rejected - 1]) if rejected else -inf


def upper_bound(values: list[float], alpha: float) -> float:
    """Return the upper confidence bound of the center: the largest one that `p_less` does not reject at `alpha`.

    With too few values, the bound is inf. Source: Hollander, Wolfe & Chicken 2014, section 3.3.
    """
    return -lower_bound([-value for value in values], alpha)


def values_needed(alpha: float) -> int:
    """Return the smallest number of values that can be significant at `alpha`. The smallest p of n values is 2^-n."""
    return ceil(-log2(alpha))


def _pairwise_means(values: list[float]) -> NDArray[np.float64]:
    """Return the Walsh averages: the sorted means of all pairs, including the pairs of a value with itself."""
    array = np.asarray(values, dtype=np.float64)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)


@cache
def _rank_sums_rejected(count: int, alpha: float) -> int:
    """Return how many of the largest rank sums of `count` values have a total probability of at most `alpha`."""
    ways = np.ones(1)
    for rank in range(1, count + 1):  # the sign of each rank is positive or negative
        without = np.append(ways, np.zeros(rank))
        ways = without + np.append(np.zeros(rank), ways)
    return int(np.searchsorted(np.cumsum(ways[::-1]) / 2.0**count, alpha, side="right"))


# Verdicts of a gate
#
# Each block gives one difference: the mean log time of the two processes of head minus that of the two processes of
# base. A row is "slower" if the test rejects that the slowdown is at most the threshold, "not slower" if it rejects
# that the slowdown is at least the threshold, and "inconclusive" otherwise.
#
# Two statistics represent a process: the 10th percentile of its samples, on which other programs have little effect,
# and the median, which also changes if only some calls become slower. Either can show that a row is slower. "Not
# slower" requires that the test of the 10th percentile rejects, and that the estimate by the median is below the
# threshold.
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

    comparisons: head compared with base. control: base compared with itself, by the same rules. blocks: number of used
    blocks. disturbed: number of excluded blocks by reason. doubt: reason why no verdict is reliable, or empty.
    """

    comparisons: list[Comparison]
    control: list[Comparison]
    blocks: int
    disturbed: dict[str, int]
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

    def processes(self, block: int) -> list[tuple[Row, ProcessResult]]:
        """Return the processes of a block with their rows: one of base, one of control, two of head."""
        indices = ((self.base, block), (self.control, block), (self.head, 2 * block), (self.head, 2 * block + 1))
        return [(row, row.processes[index]) for row, index in indices]


def blocks_needed(rows: int) -> int:
    """Return the smallest number of blocks with which a verdict on `rows` rows is possible."""
    slower = ALPHA_SLOWER * SMALLEST_SHARE / (2 * rows)
    not_slower = ALPHA_NOT_SLOWER * SMALLEST_SHARE / rows
    return values_needed(min(slower, not_slower))


def judge_gate(rows: list[Row], gate: Gate) -> GateVerdicts:
    """Return the verdicts of the interim analyses so far, from the rows of a gate's record."""
    trios = _trios(rows)
    measured = [trio for trio in trios if trio.measured]
    reasons = _disturbances(measured, len(gate.orders))
    quiet = [block for block, reason in enumerate(reasons) if reason is None]
    disturbed = Counter(reason for reason in reasons if reason is not None)

    comparisons = _all_analyses(measured, quiet, gate, head_difference)
    control = _all_analyses(measured, quiet, gate, control_difference)
    doubt = _doubt(control, quiet, len(gate.orders))
    if doubt:
        comparisons = [replace(comparison, verdict="inconclusive") for comparison in comparisons]
    for trio in trios:
        if not trio.measured:
            comparisons.append(_not_measured(trio))
    return GateVerdicts(comparisons, control, len(quiet), dict(disturbed), gate.fail_above, doubt)


Statistic = Callable[[list[float]], float]
"""Function of the samples of a process."""

Difference = Callable[[_Trio, int, Statistic], float]
"""Difference of log times in one block."""


def head_difference(trio: _Trio, block: int, statistic: Statistic) -> float:
    """Return the difference between head and base, with two processes each."""
    base, control, *head = (log(statistic(process.samples)) for _, process in trio.processes(block))
    return (sum(head) - base - control) / 2


def control_difference(trio: _Trio, block: int, statistic: Statistic) -> float:
    """Return the difference between the two processes of base."""
    control, base = (log(statistic(row.processes[block].samples)) for row in (trio.control, trio.base))
    return control - base


def _trios(all_rows: list[Row]) -> list[_Trio]:
    sides: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in all_rows:
        sides.setdefault((row.implementation, *row.workload), {})[row.side] = row
    return [_Trio(**rows) for rows in sides.values()]


def _disturbances(trios: list[_Trio], blocks: int) -> list[str | None]:
    """Return for each block what disturbed one of its processes in any row, or None."""
    reasons: list[str | None] = []
    for block in range(blocks):
        found = (disturbance(process, row.threads) for trio in trios for row, process in trio.processes(block))
        reasons.append(next((reason for reason in found if reason), None))
    return reasons


def _all_analyses(trios: list[_Trio], quiet: list[int], gate: Gate, difference: Difference) -> list[Comparison]:
    """Return a comparison for each trio, with the first conclusive verdict of all interim analyses."""
    found: list[Comparison] = []
    for analysis in gate.interim_analyses:
        blocks = [block for block in quiet if block < analysis.blocks]
        latest = _analysis(trios, blocks, analysis.share, gate.fail_above, difference)
        found = [_keep(before, now) for before, now in zip(found or latest, latest, strict=True)]
    return found or _analysis(trios, quiet, 0.0, gate.fail_above, difference)


def _keep(before: Comparison, now: Comparison) -> Comparison:
    if before.verdict == "inconclusive":
        return now
    return replace(now, verdict=before.verdict)


def _analysis(
    trios: list[_Trio], blocks: list[int], share: float, fail_above: float, difference: Difference
) -> list[Comparison]:
    """Return the comparisons of one interim analysis with its share of the permitted error."""
    limit = log1p(fail_above)
    quickest = [[difference(trio, block, tenth_percentile) for block in blocks] for trio in trios]
    typical = [[difference(trio, block, median) for block in blocks] for trio in trios]
    slower = holm([p_greater(values, limit) for values in quickest + typical])
    not_slower = holm([p_less(values, limit) for values in quickest])
    comparisons = []
    for index, trio in enumerate(trios):
        verdict: Verdict = "inconclusive"
        by_median = slower[len(trios) + index] <= ALPHA_SLOWER * share
        if by_median or slower[index] <= ALPHA_SLOWER * share:
            verdict = "slower"
        elif not_slower[index] <= ALPHA_NOT_SLOWER * share and pseudomedian(typical[index]) <= limit:
            verdict = "not slower"
        shown = typical[index] if by_median and slower[index] > ALPHA_SLOWER * share else quickest[index]
        ratio, detectable = _ratio(shown)
        comparisons.append(Comparison(trio.base, trio.head, verdict, ratio, detectable))
    return comparisons


def _ratio(differences: list[float]) -> tuple[Ratio, float | None]:
    """Return the ratio of head and base, and the smallest slowdown above the threshold detected with `POWER`."""
    if not differences:
        return Ratio(1.0, 0.0, inf), None
    centre = pseudomedian(differences)
    low, high = lower_bound(differences, 0.025), upper_bound(differences, 0.025)
    half_width = centre - lower_bound(differences, ALPHA_SLOWER)
    if half_width == inf:
        return Ratio(exp(centre), exp(low), exp(high)), None
    from scipy.special import ndtri

    # The distance between the estimate and its bound is z(1 - alpha) standard errors; the power adds z(power) of them.
    z_alpha, z_power = (float(ndtri(p)) for p in (1 - ALPHA_SLOWER, POWER))
    return Ratio(exp(centre), exp(low), exp(high)), expm1(half_width * (1 + z_power / z_alpha))


def _doubt(control: list[Comparison], quiet: list[int], blocks: int) -> str:
    """Return the reason why no verdict is reliable, or an empty string."""
    if blocks and len(quiet) < (1 - MOST_DISTURBED) * blocks:
        return f"the machine was too busy: {blocks - len(quiet)} of {blocks} blocks were disturbed"
    tripped = next((comparison for comparison in control if comparison.verdict == "slower"), None)
    if tripped:
        return f"base came out slower than itself ({tripped.base.implementation}, {tripped.base.loss})"
    return ""


def _not_measured(trio: _Trio) -> Comparison:
    """Return the comparison of rows that were not all measured. A wrong head takes precedence over other failures."""
    broken_base = trio.base if trio.base.status != "ok" else trio.control
    return Comparison(broken_base, trio.head, "wrong" if trio.head.status == "wrong" else "not measured")


def detectable_slowdown(log_ratios: list[float], block_s: float, budget_s: float = 60.0) -> float | None:
    """Return the smallest slowdown (0.05 is 5 %) that a gate would detect with probability `POWER`.

    This is an optimistic estimate by the one-sided Student's t test (Student 1908) of the log-ratios at `ALPHA_SLOWER`:
    the budget of a gate also includes first calls, and its implementations may take longer to start.

    Parameters
    ----------
    log_ratios
        Log-ratios of identical work, one per block; at least two.
    block_s
        Duration of a block in seconds.
    budget_s
        Time budget of the gate in seconds.

    Returns
    -------
    float or None
        None if fewer than two blocks fit into the budget.
    """
    blocks = int(budget_s / block_s)
    if blocks < 2:
        return None
    quantiles = t_quantile(1 - ALPHA_SLOWER, blocks - 1) + t_quantile(POWER, blocks - 1)
    return expm1(stdev(log_ratios) / sqrt(blocks) * quantiles)
