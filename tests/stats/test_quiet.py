"""Disturbed blocks are told by their counters, and left out where enough remain."""

from __future__ import annotations

import pytest

from lcbench.record import Counters, ProcessResult
from lcbench.stats import estimates
from lcbench.stats.estimates import STOLEN, WAITED, disturbance, kept_blocks
from results import processes, record, row

CALM = Counters(seconds=2.0, steal_s=0.0, pressure_s=0.1, throttled_periods=0)
BUSY = Counters(seconds=2.0, pressure_s=1.5)


@pytest.mark.parametrize(
    ("counters", "disturbed"),
    [
        (CALM, False),
        (BUSY, True),
        (Counters(seconds=2.0), False),  # nothing is known
        (Counters(seconds=0.0, pressure_s=1.0), False),  # nor here
        (Counters(seconds=2.0, pressure_s=2.0 * WAITED), False),
        (Counters(seconds=2.0, steal_s=2.0 * 4 * STOLEN), False),  # of four threads' time
        (Counters(seconds=2.0, steal_s=2.0 * 4 * STOLEN + 0.01), True),
        (Counters(seconds=2.0, throttled_periods=1), True),
    ],
)
def test_what_disturbs_a_process(counters, disturbed):
    [alone] = processes([[1.0]], counters=[counters])
    assert bool(disturbance(alone, threads=4)) == disturbed
    [calm] = processes([[1.0]], counters=[CALM])
    in_its_second_turn = ProcessResult(turns=calm.turns + alone.turns)
    assert disturbance(in_its_second_turn, threads=4) == disturbance(alone, threads=4)


def test_disturbed_blocks_are_left_out_of_the_median_whatever_their_times():
    quick_but_disturbed = row(medians=[1.0, 1.1, 0.1, 1.2], counters=[CALM, CALM, BUSY, CALM])
    assert kept_blocks(quick_but_disturbed) == [0, 1, 3]
    [found] = record(quick_but_disturbed).rows
    assert found.median_s == 1.1
    assert len(found.blocks) == 4  # every sample is kept


def test_where_most_are_disturbed_all_count():
    assert kept_blocks(row(medians=[1.0, 1.1, 1.2], counters=[BUSY, BUSY, CALM])) == [0, 1, 2]


def test_without_counters_all_count():
    assert kept_blocks(row(medians=[1.0, 1.1])) == [0, 1]


def test_a_pair_is_left_out_where_either_was_disturbed():
    one = row("a", [1.0, 9.0, 1.0, 1.0, 1.0], counters=[CALM, BUSY, CALM, CALM, CALM])
    other = row("b", [2.0, 2.0, 0.1, 2.0], counters=[CALM, CALM, BUSY, CALM])
    assert kept_blocks(one, other) == [0, 3]
    assert estimates.speedup(one, other).value == pytest.approx(2.0)
