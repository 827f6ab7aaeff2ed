"""Where an element of X begins to cost more, told beside the caches that X outgrows there."""

from __future__ import annotations

import math

import pytest

from lcbench.record import Counters
from lcbench.stats.crossings import cache_ends
from results import processes
from simulated_sweeps import sweep

MACHINE = {"cpu": {"caches": {"l1d": 48 * 1024, "l2": 1 << 20, "l3": 32 << 20}}}
ROWS = [100, 300, 1000, 3000, 10_000, 30_000]
"""Of 3073 float32: 32 MiB are 2,730 rows, 1 MiB 85."""


def beyond_l3(n):
    return 1e-6 * n * (1.5 if n > 2730 else 1.0)


def test_a_step_is_told_with_the_cache_that_ends_there():
    measured = sweep("rows", ROWS, {"numpy": beyond_l3}, noise=0.01)
    [found] = cache_ends(measured)
    assert (found.start, found.end, found.caches) == (1000, 3000, {})
    measured.machine = MACHINE
    [found] = cache_ends(measured)
    assert found.caches == {"l3": pytest.approx(32 * (1 << 20) / (3073 * 4))}
    assert found.low < 1.5 < found.high
    assert found.slower == pytest.approx(1.5, rel=0.05)
    assert found.start_bytes == 1000 * 3073 * 4


def test_private_caches_count_once_a_thread():
    def beyond_two_l2(n):
        return 1e-6 * n * (1.5 if n > 170 else 1.0)

    measured = sweep("rows", ROWS, {"a": beyond_two_l2, "b": beyond_l3}, noise=0.01, threads=2)
    measured.machine = MACHINE
    found = {each.implementation: each for each in cache_ends(measured)}
    assert found["a"].caches == {"l2": pytest.approx(2 * (1 << 20) / (3073 * 4))}
    assert found["b"].caches == {"l3": pytest.approx(32 * (1 << 20) / (3073 * 4))}


def test_a_climb_over_several_points_is_one():
    def climbing(n):
        return 1e-6 * n * {100: 1, 300: 1, 1000: 1.3, 3000: 1.6}.get(n, 2)

    [found] = cache_ends(sweep("rows", ROWS, {"a": climbing}, noise=0.01))
    assert (found.start, found.end) == (300, 10_000)
    assert found.slower == pytest.approx(2, rel=0.05)


def test_neither_a_fixed_cost_nor_noise_is_a_step():
    assert cache_ends(sweep("rows", ROWS, {"a": lambda n: 1e-3 + 1e-6 * n}, noise=0.01)) == []
    found = [cache_ends(sweep("rows", ROWS, {"a": lambda n: 1e-6 * n}, noise=0.03, seed=seed)) for seed in range(20)]
    assert sum(map(len, found)) <= 2


STEEP = {
    "n^2": lambda n: 3e-4 + 5e-9 * n**2,
    "n^1.5": lambda n: 1e-8 * n**1.5,
    "n log n": lambda n: 1e-7 * n * math.log2(n),
}


@pytest.mark.parametrize("law", STEEP)
@pytest.mark.parametrize(
    "places", [ROWS, [200, 317, 502, 795, 1258, 1993, 3157, 5000], [100, 1000, 10_000], [1000, 3000]]
)
def test_what_grows_faster_than_x_needs_no_cache_for_it(law, places):
    for seed in range(10):
        measured = sweep("rows", places, {"a": STEEP[law]}, noise=0.01, seed=seed)
        measured.machine = MACHINE
        assert cache_ends(measured) == []


def test_a_step_on_top_of_growth_is_told_without_it():
    measured = sweep("rows", ROWS, {"a": lambda n: 5e-9 * n**2 * (1.5 if n > 2730 else 1)}, noise=0.005)
    measured.machine = MACHINE
    [found] = cache_ends(measured)
    assert (found.start, found.end, list(found.caches)) == (1000, 3000, ["l3"])
    assert 1.1 < found.slower < 1.6
    assert found.growth == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize("place", [150, 500, 2000, 5000])
@pytest.mark.parametrize("fixed_s", [0.0, 3e-5])
def test_a_step_anywhere_is_not_taken_for_growth(place, fixed_s):
    law = {"a": lambda n: fixed_s + 1e-6 * n * (1.5 if n > place else 1)}
    [found] = cache_ends(sweep("rows", ROWS[:5], law, noise=0.005))
    assert found.start < place < found.end
    assert found.growth == 1


def test_a_process_that_was_disturbed_everywhere_does_not_matter(recwarn):
    measured = sweep("rows", ROWS, {"a": beyond_l3}, noise=0.01, blocks=6)
    for each in measured.rows:
        counters = [Counters(seconds=1.0, steal_s=0.5 if block == 2 else 0.0) for block in range(6)]
        each.processes = processes(each.blocks, counters=counters)
    assert len(cache_ends(measured)) == 1
    assert not recwarn.list


def test_a_batch_and_other_axes_have_none():
    assert cache_ends(sweep("rows", ROWS, {"a": beyond_l3}, noise=0.01, batch=50)) == []
    assert cache_ends(sweep("classes", [10, 30, 100], {"a": lambda n: 1e-9 * n**3})) == []
