"""The signed-rank test and its bounds: against all sign flips, against the textbook, and their error rates."""

from __future__ import annotations

from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.stats import gate

RARE = 1e-6
"""Probability at which a count lies outside the bounds below though the error rate holds."""


def by_all_flips(values, centre):
    """The test as it is defined: how many of the 2^n signs give a rank sum as large."""
    differences = np.subtract(values, centre)
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [np.dot(flips, ranks) for flips in product((0, 1), repeat=len(values))]
    return np.mean(np.array(sums) >= observed - 1e-9)


distinct = st.lists(st.integers(-1000, 1000), min_size=2, max_size=9, unique_by=abs).filter(lambda v: 0 not in v)


@given(distinct)
def test_p_is_the_share_of_sign_flips(values):
    assert gate.p_greater(values, 0.0) == pytest.approx(by_all_flips(values, 0.0))
    assert gate.p_less(values, 0.0) == pytest.approx(by_all_flips([-value for value in values], 0.0))


def test_the_textbooks_example():
    """Hollander, Wolfe & Chicken, example 3.1 (Hamilton depression scale): T+ = 5, P = .020, estimate -.46, bounds."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    change = list(np.subtract(after, before))
    assert gate.p_less(change, 0.0) == pytest.approx(0.0195, abs=5e-4)
    assert gate.pseudomedian(change) == pytest.approx(-0.46, abs=0.005)
    # the interval at 96.1 %: -.786 to -.010
    assert gate.lower_bound(change, 0.0196) == pytest.approx(-0.786, abs=5e-4)
    assert gate.upper_bound(change, 0.0196) == pytest.approx(-0.010, abs=5e-4)


@given(st.integers(5, 14), st.floats(0.004, 0.2), st.integers(0, 10_000))
def test_a_bound_is_where_the_test_begins_to_keep(count, alpha, seed):
    values = list(np.random.default_rng(seed).normal(size=count))
    low = gate.lower_bound(values, alpha)
    if low == -inf:
        assert gate.p_greater(values, min(values) - 1) > alpha
        return
    step = 1e-9
    assert gate.p_greater(values, low - step) <= alpha < gate.p_greater(values, low + step)


def test_too_few_values_bound_nothing():
    assert gate.values_needed(0.05) == 5
    assert gate.lower_bound([1.0, 2.0, 3.0, 4.0], 0.05) == -inf
    assert gate.upper_bound([1.0, 2.0, 3.0, 4.0], 0.05) == inf
    assert gate.lower_bound([1.0, 2.0, 3.0, 4.0, 5.5], 0.05) == 1.0


def test_nothing_and_no_difference_are_no_evidence():
    assert gate.p_greater([], 0.0) == 1.0
    assert gate.p_greater([0.5, 0.5], 0.5) == 1.0


@pytest.mark.parametrize("noise", ["normal", "standard_cauchy"])
def test_false_alarms_are_as_rare_as_promised_whatever_the_noise(noise):
    rng, trials, alpha = np.random.default_rng(1), 2000, 0.05
    alarms = sum(gate.p_greater(list(getattr(rng, noise)(size=10)), 0.0) <= alpha for _ in range(trials))
    assert alarms <= stats.binom.isf(RARE, trials, alpha)
    assert alarms >= stats.binom.isf(1 - RARE, trials, 0.8 * alpha)  # nor does it sleep
