"""Tests of lcbench.stats.growth: fits are exact for exact curves, and intervals have the stated coverage."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from lcbench.record import Sweep
from lcbench.stats import growth
from lcbench.stats.growth import growths
from results import record, row
from simulated_sweeps import rows, sweep

ROWS = [round(value) for value in np.geomspace(100, 100_000, 10)]


def test_a_power_beside_a_fixed_cost_is_told_apart_from_it():
    [found] = growths(sweep("rows", ROWS, {"numpy": lambda n: 5e-5 + 4e-7 * n**1.05}))
    assert (found.implementation, found.loss, found.axis, found.points) == ("numpy", "softmax", "rows", len(ROWS))
    assert (found.exponent, found.fixed_s, found.coefficient) == pytest.approx((1.05, 5e-5, 4e-7), rel=1e-3)
    assert found.misfit < 1e-3
    assert found(np.array([1000.0])) == pytest.approx(5e-5 + 4e-7 * 1000**1.05, rel=1e-4)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
def test_growth_of_any_steepness_is_found(exponent):
    [found] = growths(sweep("features", [10, 30, 100, 300, 1000, 3000], {"a": lambda n: 1e-6 * n**exponent}))
    assert found.exponent == pytest.approx(exponent, abs=1e-3)
    assert found.fixed_s == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("points", [2, 3, 4])
def test_few_points_give_the_slope_in_the_logarithm(points):
    [found] = growths(sweep("batch", [10, 100, 1000, 10_000][:points], {"a": lambda n: 3e-6 * n}))
    assert (found.exponent, found.coefficient, found.fixed_s) == (pytest.approx(1.0), pytest.approx(3e-6), 0.0)


def test_a_curve_that_is_no_power_says_how_far_it_is_off():
    [found] = growths(sweep("rows", ROWS, {"a": lambda n: 1e-6 * n * (2 if n > 3000 else 1)}))
    assert found.misfit > 0.1


def test_one_block_has_no_interval():
    [found] = growths(sweep("rows", ROWS, {"a": lambda n: 1e-6 * n}, blocks=1))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_intervals_hold_the_truth_as_often_as_they_promise():
    seeds, exponent, fixed_s = 150, 1.05, 2e-5
    found = [
        growths(sweep("rows", ROWS, {"a": lambda n: fixed_s + 4e-7 * n**exponent}, noise=0.03, blocks=4, seed=seed))[0]
        for seed in range(seeds)
    ]
    # outside of these, 95 % would be a lie that one in a thousand such tests could not tell
    fewest, most = stats.binom.interval(0.999, seeds, 0.95)
    assert fewest <= sum(each.low <= exponent <= each.high for each in found) <= most
    assert fewest <= sum(each.fixed_low <= fixed_s <= each.fixed_high for each in found) <= most


def test_every_implementation_and_place_on_the_other_axis_has_its_own():
    values = [100, 1000, 10_000]
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-9 * n**2}
    one, two = (rows("rows", values, laws, threads=threads) for threads in (1, 2))
    found = growths(record(*one, *two, sweep=Sweep(axes={"rows": values, "threads": [1, 2]})))
    assert [(each.implementation, each.other["threads"], round(each.exponent, 6)) for each in found] == [
        ("a", 1, 1.0),
        ("b", 1, 2.0),
        ("a", 2, 1.0),
        ("b", 2, 2.0),
    ]


def test_there_is_none_without_a_sweep_along_threads_or_where_nothing_was_measured():
    assert growths(record(row("numpy", [1.0]))) == []
    assert growths(sweep("threads", [1, 2], {"a": lambda n: 1 / n})) == []
    only_one = sweep("rows", ROWS, {"a": lambda n: 1e-6 * n})
    for each in only_one.rows[1:]:
        each.status = "unavailable"
    assert growths(only_one) == []


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
