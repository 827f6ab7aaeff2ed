"""What threads gain, over the fewest that were measured."""

from __future__ import annotations

import pytest

from lcbench.record import Sweep
from lcbench.stats.crossings import efficiencies
from results import record
from simulated_sweeps import rows, sweep


def test_speed_up_and_efficiency_are_over_one_thread():
    two, four = efficiencies(sweep("threads", [1, 2, 4], {"a": lambda n: 1e-3 * (0.1 + 0.9 / n)}))
    assert (two.threads, two.base, two.other) == (2, 1, {})
    assert two.speedup == pytest.approx(1 / 0.55)
    assert two.efficiency == pytest.approx(1 / 0.55 / 2)
    assert (four.speedup, four.efficiency) == (pytest.approx(1 / 0.325), pytest.approx(1 / 0.325 / 4))


def test_without_one_thread_the_fewest_are_the_base():
    [found] = efficiencies(sweep("threads", [2, 6], {"a": lambda n: 1e-3 / n}))
    assert (found.base, found.ideal, found.speedup, found.efficiency) == (2, 3, pytest.approx(3), pytest.approx(1))


def test_the_interval_grows_with_the_noise():
    [quiet] = efficiencies(sweep("threads", [1, 2], {"a": lambda n: 1e-3 / n}, noise=0.001))
    [loud] = efficiencies(sweep("threads", [1, 2], {"a": lambda n: 1e-3 / n}, noise=0.1))
    assert quiet.low < 2 < quiet.high
    assert loud.high - loud.low > 10 * (quiet.high - quiet.low)


def test_each_place_on_the_other_axis_has_its_own():
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


def test_there_is_none_along_other_axes():
    assert efficiencies(sweep("rows", [1, 2], {"a": lambda n: 1e-3 * n})) == []
