"""Tests of lcbench.stats.crossings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lcbench.record import Sweep
from lcbench.stats.crossings import cache_ends, crossings, efficiencies
from results import record
from simulated_sweeps import rows, sweep

ROWS = [10, 30, 100, 300, 1000, 3000]

LAWS = {"plain": lambda n: 1e-6 * n, "clever": lambda n: 1e-4 + 1e-7 * n}
"""Times that are equal at 111.1 rows."""


def test_a_crossing_is_near_the_true_one():
    [found] = crossings(sweep("rows", ROWS, LAWS, noise=0.01))
    assert (found.faster, found.slower, found.loss, found.axis) == ("clever", "plain", "softmax", "rows")
    assert 100 < found.low <= found.at <= found.high < 300
    assert found.at == pytest.approx(111, rel=0.1)


def test_the_order_of_the_implementations_does_not_matter():
    [found] = crossings(sweep("rows", ROWS, dict(reversed(LAWS.items())), noise=0.01))
    assert (found.faster, found.slower) == ("clever", "plain")


def test_two_crossings_of_one_pair():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * (0.5 if 50 < n < 500 else 2)}
    found = crossings(sweep("rows", ROWS, laws, noise=0.01))
    assert [(each.faster, each.slower) for each in found] == [("b", "a"), ("a", "b")]
    assert found[0].at == pytest.approx((30 * 100) ** 0.5, rel=0.05)


def test_an_insignificant_point_is_inside_the_interval():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * {10: 1.5, 30: 1.4, 100: 1.0}.get(n, 0.7)}
    [found] = crossings(sweep("rows", ROWS, laws, noise=0.02))
    assert 30 <= found.low <= found.at <= found.high <= 300


def test_noise_alone_gives_no_crossing():
    equal = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n}
    found = [crossings(sweep("rows", ROWS, equal, noise=0.02, seed=seed)) for seed in range(20)]
    # A false crossing needs a one-sided error of 2.5 % at both ends.
    assert sum(map(len, found)) <= 2


def test_a_difference_on_one_side_only_is_no_crossing():
    laws = {"a": lambda n: 1e-6 * n, "b": lambda n: 1e-6 * n * (0.5 if n >= 1000 else 1)}
    assert crossings(sweep("rows", ROWS, laws)) == []


def test_coverage_of_intervals():
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
"""Curves that are not straight in the logarithm because of a fixed cost, and where they cross."""


def bent(name, a_decade, noise, seed):
    """Return the crossings of a sweep and the true one. The points depend on the seed."""
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
def test_coverage_of_intervals_with_fixed_costs(name, a_decade, noise):
    held = []
    for seed in range(60):
        found, truth = bent(name, a_decade, noise, seed)
        held += [each.low <= truth <= each.high for each in found]
    fewest = stats.binom.ppf(0.001, len(held), 0.95)
    assert len(held) > 50
    assert sum(held) >= fewest


def test_two_points_have_a_wide_interval():
    laws, truth = BENT["fixed costs"]
    [found] = crossings(sweep("rows", [100, 3000], laws))
    assert found.low <= truth * (1 + 1e-9)
    assert found.high / found.low > 1.3


def test_single_points_and_missing_points():
    assert crossings(sweep("threads", [1], LAWS)) == []
    measured = sweep("rows", ROWS, LAWS, noise=0.01)
    left_out = next(each for each in measured.rows if (each.implementation, each.rows) == ("plain", 3000))
    left_out.fail("unavailable", "")
    assert len(crossings(measured)) == 1


MACHINE = {"cpu": {"caches": {"l1d": 48 * 1024, "l2": 1 << 20, "l3": 32 << 20}}}
CACHE_ROWS = [100, 300, 1000, 3000, 10_000, 30_000]
"""Rows of 3073 float32: 32 MiB are 2,730 rows, 1 MiB are 85."""


def beyond_l3(n):
    return 1e-6 * n * (1.5 if n > 2730 else 1.0)


def test_a_step_is_reported_with_its_cache():
    measured = sweep("rows", CACHE_ROWS, {"numpy": beyond_l3}, noise=0.01)
    [found] = cache_ends(measured)
    assert (found.start, found.end, found.caches) == (1000, 3000, {})
    measured.machine = MACHINE
    [found] = cache_ends(measured)
    assert found.caches == {"l3": pytest.approx(32 * (1 << 20) / (3073 * 4))}
    assert found.low < 1.5 < found.high
    assert found.slower == pytest.approx(1.5, rel=0.05)
    assert found.start_bytes == 1000 * 3073 * 4


def test_private_caches_count_per_thread():
    def beyond_two_l2(n):
        return 1e-6 * n * (1.5 if n > 170 else 1.0)

    measured = sweep("rows", CACHE_ROWS, {"a": beyond_two_l2, "b": beyond_l3}, noise=0.01, threads=2)
    measured.machine = MACHINE
    found = {each.implementation: each for each in cache_ends(measured)}
    assert found["a"].caches == {"l2": pytest.approx(2 * (1 << 20) / (3073 * 4))}
    assert found["b"].caches == {"l3": pytest.approx(32 * (1 << 20) / (3073 * 4))}


def test_consecutive_increases_are_merged():
    def climbing(n):
        return 1e-6 * n * {100: 1, 300: 1, 1000: 1.3, 3000: 1.6}.get(n, 2)

    [found] = cache_ends(sweep("rows", CACHE_ROWS, {"a": climbing}, noise=0.01))
    assert (found.start, found.end) == (300, 10_000)
    assert found.slower == pytest.approx(2, rel=0.05)


def test_neither_a_fixed_cost_nor_noise_is_a_step():
    assert cache_ends(sweep("rows", CACHE_ROWS, {"a": lambda n: 1e-3 + 1e-6 * n}, noise=0.01)) == []
    found = [
        cache_ends(sweep("rows", CACHE_ROWS, {"a": lambda n: 1e-6 * n}, noise=0.03, seed=seed)) for seed in range(20)
    ]
    assert sum(map(len, found)) <= 2


STEEP = {
    "n^2": lambda n: 3e-4 + 5e-9 * n**2,
    "n^1.5": lambda n: 1e-8 * n**1.5,
    "n log n": lambda n: 1e-7 * n * math.log2(n),
}


@pytest.mark.parametrize("law", STEEP)
@pytest.mark.parametrize(
    "places", [CACHE_ROWS, [200, 317, 502, 795, 1258, 1993, 3157, 5000], [100, 1000, 10_000], [1000, 3000]]
)
def test_growth_faster_than_x_is_no_cache_end(law, places):
    for seed in range(10):
        measured = sweep("rows", places, {"a": STEEP[law]}, noise=0.01, seed=seed)
        measured.machine = MACHINE
        assert cache_ends(measured) == []


def test_growth_is_subtracted_from_a_step():
    measured = sweep("rows", CACHE_ROWS, {"a": lambda n: 5e-9 * n**2 * (1.5 if n > 2730 else 1)}, noise=0.005)
    measured.machine = MACHINE
    [found] = cache_ends(measured)
    assert (found.start, found.end, list(found.caches)) == (1000, 3000, ["l3"])
    assert 1.1 < found.slower < 1.6
    assert found.growth == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize("place", [150, 500, 2000, 5000])
@pytest.mark.parametrize("fixed_s", [0.0, 3e-5])
def test_a_step_is_not_mistaken_for_growth(place, fixed_s):
    law = {"a": lambda n: fixed_s + 1e-6 * n * (1.5 if n > place else 1)}
    [found] = cache_ends(sweep("rows", CACHE_ROWS[:5], law, noise=0.005))
    assert found.start < place < found.end
    assert found.growth == 1


def test_no_cache_ends_with_a_batch_or_along_other_axes():
    assert cache_ends(sweep("rows", CACHE_ROWS, {"a": beyond_l3}, noise=0.01, batch=50)) == []
    assert cache_ends(sweep("classes", [10, 30, 100], {"a": lambda n: 1e-9 * n**3})) == []


def test_speed_up_and_efficiency_are_over_one_thread():
    two, four = efficiencies(sweep("threads", [1, 2, 4], {"a": lambda n: 1e-3 * (0.1 + 0.9 / n)}))
    assert (two.threads, two.base, two.other) == (2, 1, {})
    assert two.speedup == pytest.approx(1 / 0.55)
    assert two.efficiency == pytest.approx(1 / 0.55 / 2)
    assert (four.speedup, four.efficiency) == (pytest.approx(1 / 0.325), pytest.approx(1 / 0.325 / 4))


def test_the_base_is_the_smallest_number_of_threads():
    [found] = efficiencies(sweep("threads", [2, 6], {"a": lambda n: 1e-3 / n}))
    assert (found.base, found.ideal, found.speedup, found.efficiency) == (2, 3, pytest.approx(3), pytest.approx(1))


def test_the_interval_grows_with_the_noise():
    [quiet] = efficiencies(sweep("threads", [1, 2], {"a": lambda n: 1e-3 / n}, noise=0.001))
    [loud] = efficiencies(sweep("threads", [1, 2], {"a": lambda n: 1e-3 / n}, noise=0.1))
    assert quiet.low < 2 < quiet.high
    assert loud.high - loud.low > 10 * (quiet.high - quiet.low)


def test_speed_up_for_each_value_of_the_other_axis():
    measured = [
        each
        for size in (100, 1000)
        for each in rows("threads", [1, 2], {"a": lambda n, size=size: 1e-6 * size / n ** (size / 1000)}, rows=size)
    ]
    found = efficiencies(record(*measured, sweep=Sweep(axes={"rows": [100, 1000], "threads": [1, 2]})))
    assert [(each.other, each.speedup) for each in found] == [
        ({"rows": 100}, pytest.approx(2**0.1)),
        ({"rows": 1000}, pytest.approx(2)),
    ]


def test_no_speed_up_along_other_axes():
    assert efficiencies(sweep("rows", [1, 2], {"a": lambda n: 1e-3 * n})) == []
