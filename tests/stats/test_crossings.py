"""Where one implementation passes another: found where it is beyond the noise on both sides, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lcbench.stats.crossings import crossings
from results import processes
from simulated_sweeps import sweep

ROWS = [10, 30, 100, 300, 1000, 3000]

LAWS = {"plain": lambda n: 1e-6 * n, "clever": lambda n: 1e-4 + 1e-7 * n}
"""Equal at 111.1 rows."""


def test_a_crossing_is_between_its_neighbours_and_near_the_truth():
    [found] = crossings(sweep("rows", ROWS, LAWS, noise=0.01))
    assert (found.faster, found.slower, found.loss, found.axis) == ("clever", "plain", "softmax", "rows")
    assert 100 < found.low <= found.at <= found.high < 300
    assert found.at == pytest.approx(111, rel=0.1)


def test_the_order_of_the_implementations_does_not_matter():
    [found] = crossings(sweep("rows", ROWS, dict(reversed(LAWS.items())), noise=0.01))
    assert (found.faster, found.slower) == ("clever", "plain")


def test_who_falls_behind_again_is_passed_twice():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * (0.5 if 50 < n < 500 else 2)}
    found = crossings(sweep("rows", ROWS, laws, noise=0.01))
    assert [(each.faster, each.slower) for each in found] == [("b", "a"), ("a", "b")]
    assert found[0].at == pytest.approx((30 * 100) ** 0.5, rel=0.05)


def test_a_point_that_is_undecided_lies_inside():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * {10: 1.5, 30: 1.4, 100: 1.0}.get(n, 0.7)}
    [found] = crossings(sweep("rows", ROWS, laws, noise=0.02))
    assert 30 <= found.low <= found.at <= found.high <= 300


def test_noise_alone_crosses_nothing():
    equal = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n}
    found = [crossings(sweep("rows", ROWS, equal, noise=0.02, seed=seed)) for seed in range(20)]
    # both ends of a false crossing need a one-sided error of 2.5 % each
    assert sum(map(len, found)) <= 2


def test_a_difference_on_one_side_only_is_no_crossing():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * (0.5 if n >= 1000 else 1)}
    assert crossings(sweep("rows", ROWS, laws)) == []


def test_intervals_hold_the_truth_as_often_as_they_promise():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-4 * (n / 100) ** 0.5}  # straight lines in the logarithm
    seeds = 150
    found = [crossings(sweep("rows", [10, 60, 180, 1000], laws, noise=0.03, seed=seed)) for seed in range(seeds)]
    assert all(len(each) == 1 for each in found)
    fewest, most = stats.binom.interval(0.999, seeds, 0.95)
    assert fewest <= sum(each.low <= 100 <= each.high for [each] in found) <= most


BENT = {
    "fixed costs": ({"a": lambda n: 3e-4 + 5e-7 * n, "b": lambda n: 1e-5 + 1e-6 * n}, 580),
    "squares": ({"a": lambda n: 3e-4 + 5e-7 * n, "b": lambda n: 1e-5 + 5e-9 * n**2}, 50 + 60500**0.5),
    "two powers": ({"a": lambda n: 1e-3 + 5e-7 * n, "b": lambda n: 2e-5 + 1e-6 * n + 1e-9 * n**2}, -250 + 1042500**0.5),
}
"""Curves that a fixed cost bends in the logarithm, and where they meet."""


def bent(name, a_decade, noise, seed):
    """The crossing that is found, the points being at other places for every seed."""
    laws, truth = BENT[name]
    start = 30 * 10 ** np.random.default_rng(seed).uniform(0, 1 / a_decade)
    rows = [round(start * 10 ** (k / a_decade)) for k in range(int(2.7 * a_decade) + 1)]
    return crossings(sweep("rows", rows, laws, noise=noise, seed=seed)), truth


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize(("a_decade", "within"), [(3, 0.005), (5, 0.001), (10, 0.0001)])
def test_fixed_costs_do_not_move_a_crossing(name, a_decade, within):
    for seed in range(10):
        [found], truth = bent(name, a_decade, 0.0, seed)
        assert found.low <= truth <= found.high
        assert found.at == pytest.approx(truth, rel=within)


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize("a_decade", [3, 5, 10])
@pytest.mark.parametrize("noise", [0.003, 0.02])
def test_intervals_hold_the_truth_where_curves_are_bent(name, a_decade, noise):
    held = []
    for seed in range(60):
        found, truth = bent(name, a_decade, noise, seed)
        held += [each.low <= truth <= each.high for each in found]
    fewest = stats.binom.ppf(0.001, len(held), 0.95)
    assert len(held) > 50
    assert sum(held) >= fewest


def test_two_points_alone_do_not_claim_to_know_how_curves_run_between_them():
    laws, truth = BENT["fixed costs"]
    [found] = crossings(sweep("rows", [100, 3000], laws))
    assert found.low <= truth * (1 + 1e-9)
    assert found.high / found.low > 1.3


def test_an_axis_without_distances_has_none_and_missing_points_do_not_matter():
    assert crossings(sweep("threads", [1], LAWS)) == []
    measured = sweep("rows", ROWS, LAWS, noise=0.01)
    left_out = next(each for each in measured.rows if (each.implementation, each.rows) == ("plain", 3000))
    left_out.fail("unavailable", "")
    assert len(crossings(measured)) == 1


def test_a_disturbed_block_does_not_decide():
    from lcbench.record import Counters

    measured = sweep("rows", ROWS, LAWS, blocks=6, noise=0.01)
    before = crossings(measured)
    for each in measured.rows:
        blocks = each.blocks
        if each.implementation == "clever":
            blocks[2] = [100 * blocks[2][0]]
        counters = [Counters(seconds=1.0, steal_s=0.5 if block == 2 else 0.0) for block in range(6)]
        each.processes = processes(blocks, counters=counters)
    [found] = crossings(measured)
    assert found.at == pytest.approx(before[0].at, rel=0.05)
    assert np.isfinite(found.low)
