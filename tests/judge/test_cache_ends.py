"""Where an element of X begins to cost more, told beside the caches that X outgrows there."""

from __future__ import annotations

import pytest

from lcbench.judge.cache_ends import cache_ends
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


def test_a_batch_and_other_axes_have_none():
    assert cache_ends(sweep("rows", ROWS, {"a": beyond_l3}, noise=0.01, batch=50)) == []
    assert cache_ends(sweep("classes", [10, 30, 100], {"a": lambda n: 1e-9 * n**3})) == []
