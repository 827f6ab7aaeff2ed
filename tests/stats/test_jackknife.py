"""Intervals by leaving blocks out: Student's for a mean, and right for what is not one."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from lcbench.stats import growth


def test_the_interval_of_a_mean_is_students():
    numbers = np.array([3.0, 4.0, 8.0, 1.0, 5.0])
    found = growth.jackknife(lambda kept: float(np.mean(numbers[kept])), range(5))
    low, high = stats.t.interval(0.95, 4, numbers.mean(), numbers.std(ddof=1) / sqrt(5))
    assert found == pytest.approx((4.2, low, high))


def test_blocks_are_those_named_and_no_others():
    numbers = np.array([1.0, 100.0, 1.0, 1.0])
    assert growth.jackknife(lambda kept: float(np.mean(numbers[kept])), [0, 2, 3]) == (1.0, 1.0, 1.0)


def test_one_block_says_nothing():
    assert growth.jackknife(lambda kept: 2.0, [7]) == (2.0, -inf, inf)
