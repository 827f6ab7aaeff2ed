"""Intervals for whatever is computed from several blocks: leave one out, see how much it moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.judge.estimates import CONFIDENCE, t_quantile


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


def estimate(statistic: Callable[[list[int]], float], blocks: Sequence[int]) -> Estimate:
    """`statistic` of all blocks, with the jackknife's interval (Tukey 1958; Miller 1974, "The jackknife: a review").

    For a mean over blocks it is Student's interval. One block says nothing: the interval is then all numbers.
    """
    value = statistic(list(blocks))
    count = len(blocks)
    if count < 2:
        return Estimate(value, -inf, inf)
    without_one = [statistic([*blocks[:left_out], *blocks[left_out + 1 :]]) for left_out in range(count)]
    error = sqrt((count - 1) * float(np.var(without_one)))
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * error
    return Estimate(value, value - half, value + half)


def mean(numbers: NDArray[np.float64]) -> Estimate:
    """The mean of one number a block (blocks,); NaN is left out."""
    present = numbers[~np.isnan(numbers)]
    return estimate(lambda kept: float(np.mean(present[kept])), range(len(present)))
