"""Wilcoxon's signed-rank test and what follows from it: exact for any noise that is symmetric about its centre.

The differences within blocks of a randomised order are symmetric by design, whatever the noise of the machine: had the
coin fallen the other way, each would have come out with the other sign. (Wilcoxon 1945, "Individual comparisons by
ranking methods"; Hollander, Wolfe & Chicken 2014, "Nonparametric statistical methods", sections 3.1 to 3.3.)
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


def p_greater(values: list[float], centre: float) -> float:
    """Probability of values so far above `centre` or farther if they are symmetric about it, or about less."""
    return _p(values, centre, "greater")


def p_less(values: list[float], centre: float) -> float:
    """Probability of values so far below `centre` or farther if they are symmetric about it, or about more."""
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
    """Where the values are centred: the median of their pairwise means (Hodges & Lehmann 1963)."""
    return float(np.median(_pairwise_means(values)))


def lower_bound(values: list[float], alpha: float) -> float:
    """The largest centre up to which `p_greater` rejects every one at `alpha`; minus infinity for too few values."""
    rejected = _rank_sums_rejected(len(values), alpha)
    return float(_pairwise_means(values)[rejected - 1]) if rejected else -inf


def upper_bound(values: list[float], alpha: float) -> float:
    """The largest centre that `p_less` does not reject at `alpha`; infinity where there are too few values."""
    return -lower_bound([-value for value in values], alpha)


def values_needed(alpha: float) -> int:
    """How many values there must be before any could be significant at `alpha`: the smallest p of n values is 2^-n."""
    return ceil(-log2(alpha))


def _pairwise_means(values: list[float]) -> NDArray[np.float64]:
    """The means of all pairs, each value with itself among them, in order (Walsh averages)."""
    array = np.asarray(values, dtype=np.float64)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)


@cache
def _rank_sums_rejected(count: int, alpha: float) -> int:
    """How many of the largest rank sums of `count` values have, all together, a probability of no more than `alpha`."""
    ways = np.ones(1)
    for rank in range(1, count + 1):  # each rank counts or does not
        without = np.append(ways, np.zeros(rank))
        ways = without + np.append(np.zeros(rank), ways)
    return int(np.searchsorted(np.cumsum(ways[::-1]) / 2.0**count, alpha, side="right"))


# The gate's verdicts: whether head is slower than base, by a record in which they were measured in turn.
#
# Every block gives one difference: the mean logarithm of head's two times less that of base's two. Its order was drawn
# by lot, so that the differences are symmetric about the true one, and the signed-rank test is exact. A row is slower
# where a change of only the threshold is rejected from above, not slower where it is rejected from below, else
# inconclusive. Two times stand for a process: what its quickest samples stay within, which the machine's noise hardly
# reaches, and its median, which a slowdown of some calls only does reach. Either can show that a row is slower; for not
# slower, the first must show it and the second must not speak against it.
#
# Errors are bounded for all rows, both times and all looks together (Holm 1979 within a look; the looks share the
# error).

ALPHA_SLOWER = 0.01
"""How often, at most, a gate says "slower" of any row where none is: that stops somebody's work."""

ALPHA_NOT_SLOWER = 0.05
"""How often, at most, it says "not slower" of a row that is."""

SMALLEST_SHARE = 0.5
"""Of the permitted error, what the last look may always spend."""


@dataclass(frozen=True)
class GateVerdicts:
    """What a gate found.

    comparisons: head against base. control: base against itself, by the same rules. blocks: that were used. disturbed:
    those that were not, by what disturbed them. doubt: why no verdict holds; empty where they do.
    """

    comparisons: list[Comparison]
    control: list[Comparison]
    blocks: int
    disturbed: dict[str, int]
    fail_above: float
    doubt: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """What a CI job is to be told."""
        return exit_code(self.comparisons)


@dataclass(frozen=True)
class _Trio:
    """The three rows of one comparison."""

    base: Row
    control: Row
    head: Row

    @property
    def measured(self) -> bool:
        return all(row.status == "ok" and row.processes for row in (self.base, self.control, self.head))

    def processes(self, block: int) -> list[tuple[Row, ProcessResult]]:
        """Return those of a block, each with its row: one of base, one of control, two of head."""
        places = ((self.base, block), (self.control, block), (self.head, 2 * block), (self.head, 2 * block + 1))
        return [(row, row.processes[place]) for row, place in places]


def blocks_needed(rows: int) -> int:
    """With fewer blocks no verdict on so many rows is possible, however slow head is."""
    slower = ALPHA_SLOWER * SMALLEST_SHARE / (2 * rows)
    not_slower = ALPHA_NOT_SLOWER * SMALLEST_SHARE / rows
    return values_needed(min(slower, not_slower))


def judge_gate(rows: list[Row], gate: Gate) -> GateVerdicts:
    """The verdicts that the looks taken so far permit, by the rows of a gate's record."""
    trios = _trios(rows)
    measured = [trio for trio in trios if trio.measured]
    reasons = _disturbances(measured, len(gate.orders))
    quiet = [block for block, reason in enumerate(reasons) if reason is None]
    disturbed = Counter(reason for reason in reasons if reason is not None)

    comparisons = _over_looks(measured, quiet, gate, head_times)
    control = _over_looks(measured, quiet, gate, control_times)
    doubt = _doubt(control, quiet, len(gate.orders))
    if doubt:
        comparisons = [replace(comparison, verdict="inconclusive") for comparison in comparisons]
    for trio in trios:
        if not trio.measured:
            comparisons.append(_not_measured(trio))
    return GateVerdicts(comparisons, control, len(quiet), dict(disturbed), gate.fail_above, doubt)


Times = Callable[[_Trio, int, Callable[[list[float]], float]], float]
"""A comparison's difference of log times in one block, by what stands for a process's samples."""


def head_times(trio: _Trio, block: int, of: Callable[[list[float]], float]) -> float:
    """Head against base: two processes each."""
    base, control, *head = (log(of(process.samples)) for _, process in trio.processes(block))
    return (sum(head) - base - control) / 2


def control_times(trio: _Trio, block: int, of: Callable[[list[float]], float]) -> float:
    """Base against itself: one process each."""
    return log(of(trio.control.processes[block].samples)) - log(of(trio.base.processes[block].samples))


def _trios(all_rows: list[Row]) -> list[_Trio]:
    sides: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in all_rows:
        sides.setdefault((row.implementation, *row.workload), {})[row.side] = row
    return [_Trio(**rows) for rows in sides.values()]


def _disturbances(trios: list[_Trio], blocks: int) -> list[str | None]:
    """Of each block, what disturbed one of its processes, in whichever row; or None."""
    reasons: list[str | None] = []
    for block in range(blocks):
        found = (disturbance(process, row.threads) for trio in trios for row, process in trio.processes(block))
        reasons.append(next((reason for reason in found if reason), None))
    return reasons


def _over_looks(trios: list[_Trio], quiet: list[int], gate: Gate, times: Times) -> list[Comparison]:
    """One comparison a trio: the verdict of the first look that had one."""
    found: list[Comparison] = []
    for analysis in gate.interim_analyses:
        blocks = [block for block in quiet if block < analysis.blocks]
        latest = _at_look(trios, blocks, analysis.share, gate.fail_above, times)
        found = [_keep(before, now) for before, now in zip(found or latest, latest, strict=True)]
    return found or _at_look(trios, quiet, 0.0, gate.fail_above, times)


def _keep(before: Comparison, now: Comparison) -> Comparison:
    if before.verdict == "inconclusive":
        return now
    return replace(now, verdict=before.verdict)


def _at_look(trios: list[_Trio], blocks: list[int], share: float, fail_above: float, times: Times) -> list[Comparison]:
    limit = log1p(fail_above)
    quickest = [[times(trio, block, tenth_percentile) for block in blocks] for trio in trios]
    typical = [[times(trio, block, median) for block in blocks] for trio in trios]
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
    """Head over base with its 95 % interval, and the smallest slowdown beyond the threshold that is likely seen."""
    if not differences:
        return Ratio(1.0, 0.0, inf), None
    centre = pseudomedian(differences)
    low, high = lower_bound(differences, 0.025), upper_bound(differences, 0.025)
    certain = centre - lower_bound(differences, ALPHA_SLOWER)
    if certain == inf:
        return Ratio(exp(centre), exp(low), exp(high)), None
    from scipy.special import ndtri

    # The way from the estimate to its bound is z standard errors; to be seen in `POWER` of all cases takes some more.
    of_bound, of_power = (float(ndtri(p)) for p in (1 - ALPHA_SLOWER, POWER))
    return Ratio(exp(centre), exp(low), exp(high)), expm1(certain * (1 + of_power / of_bound))


def _doubt(control: list[Comparison], quiet: list[int], blocks: int) -> str:
    """Why nothing that was measured can be believed, or nothing."""
    if blocks and len(quiet) < (1 - MOST_DISTURBED) * blocks:
        return f"the machine was too busy: {blocks - len(quiet)} of {blocks} blocks were disturbed"
    tripped = next((comparison for comparison in control if comparison.verdict == "slower"), None)
    if tripped:
        return f"base came out slower than itself ({tripped.base.implementation}, {tripped.base.loss})"
    return ""


def _not_measured(trio: _Trio) -> Comparison:
    """Wrong where head is, whatever base was."""
    broken_base = trio.base if trio.base.status != "ok" else trio.control
    return Comparison(broken_base, trio.head, "wrong" if trio.head.status == "wrong" else "not measured")


# What the noise of identical work leaves visible.


def detectable_slowdown(log_ratios: list[float], block_s: float, budget_s: float = 60.0) -> float | None:
    """Smallest slowdown (0.05 is 5 %) that a gate of `budget_s` seconds sees with probability `POWER`.

    log_ratios: of identical work, one a block, at least two. block_s: seconds that a block takes. None where fewer
    than two blocks fit. By Student's test (1908) of the paired log-ratios at the gate's own error, one-sided. It is the
    best to hope for: the budget also pays for the first calls, and the gate's implementations may take longer to start.
    """
    blocks = int(budget_s / block_s)
    if blocks < 2:
        return None
    quantiles = t_quantile(1 - ALPHA_SLOWER, blocks - 1) + t_quantile(POWER, blocks - 1)
    return expm1(stdev(log_ratios) / sqrt(blocks) * quantiles)
