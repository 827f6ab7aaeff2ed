"""Wilcoxon's signed-rank test and what follows from it: exact for any noise that is symmetric about its centre.

The differences within blocks of a randomised order are symmetric by design, whatever the noise of the machine: had the
coin fallen the other way, each would have come out with the other sign. (Wilcoxon 1945, "Individual comparisons by
ranking methods"; Hollander, Wolfe & Chicken 2014, "Nonparametric statistical methods", sections 3.1 to 3.3.)
"""

from __future__ import annotations

from functools import cache
from math import ceil, inf, log2

import numpy as np
from numpy.typing import NDArray


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


def centre(values: list[float]) -> float:
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
