"""Tests of lcbench.stats.estimates, with values computed by hand or by SciPy."""

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from scipy import stats

from lcbench.record import Counters, MachinePeak, ProcessResult
from lcbench.stats import estimates
from lcbench.stats.estimates import STOLEN, WAITED, disturbance, kept_blocks, speedup
from results import processes, record, row


def test_a_block_counts_once_however_many_samples_it_has():
    assert estimates.block_medians(row(blocks=[[1.0, 9.0, 2.0], [5.0]])) == [2.0, 5.0]


def test_the_interval_of_one_two_and_four():
    # mean log 2, deviation log 2; Student's t at 0.975 with 2 degrees of freedom is 4.30265: half width 1.72190
    low, high = estimates.interval([log(1), log(2), log(4)])
    assert low == pytest.approx(0.35745, rel=1e-4)
    assert high == pytest.approx(11.1903, rel=1e-4)


def test_the_interval_is_scipys():
    logs = np.random.default_rng(1).normal(-7, 0.1, 12)
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert estimates.interval(list(logs)) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))


def test_the_interval_of_one_value_is_infinite():
    assert estimates.interval([log(2)]) == (0.0, inf)


def test_a_row_gets_the_median_of_its_blocks_and_an_interval_around_it():
    measured = record(row(medians=[0.001, 0.003, 0.002])).rows[0]
    assert measured.median_s == 0.002
    low, high = measured.ci95_s
    assert low < 0.002 < high


def test_an_interval_always_holds_its_median():
    skewed = record(row(medians=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.001])).rows[0]
    assert skewed.ci95_s[0] <= skewed.median_s <= skewed.ci95_s[1]


def test_one_block_has_a_median_and_no_interval():
    measured = record(row(medians=[0.004])).rows[0]
    assert (measured.median_s, measured.ci95_s) == (0.004, None)


@pytest.mark.parametrize(
    "fields",
    [{"status": "wrong"}, {"status": "crashed"}, {"device": "simulator"}, {"blocks": []}],
)
def test_no_time_for(fields):
    measured = record(row(**({"medians": [0.1, 0.1]} | fields))).rows[0]
    assert (measured.median_s, measured.ci95_s, measured.roofline_fraction) == (None, None, None)


CEILING = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=1e9, flops_s=1e9)


def test_the_share_is_of_the_longer_of_reading_and_arithmetic():
    # 61.46 MFLOP at 1 GFLOP/s take 61.46 ms; 6.146 MB at 1 GB/s a tenth of it
    assert record(row(medians=[0.1, 0.1]), ceilings=[CEILING]).rows[0].roofline_fraction == pytest.approx(0.6146)
    slow_memory = MachinePeak(dtype="float32", footprint=CEILING.footprint, read_bytes_s=1e8, flops_s=1e12)
    share = record(row(medians=[0.1, 0.1]), ceilings=[slow_memory]).rows[0].roofline_fraction
    assert share == pytest.approx(0.6146)


@pytest.mark.parametrize("fields", [{"dtype": "float64"}, {"rows": 501}, {"device": "cuda"}])
def test_no_share_where_no_limit_was_measured_for_it(fields):
    assert record(row(medians=[0.1, 0.1], **fields), ceilings=[CEILING]).rows[0].roofline_fraction is None


def test_the_spread_is_half_the_range_over_the_median():
    assert estimates.spread(row(medians=[9.0, 10.0, 13.0])) == pytest.approx(0.2)


def test_a_row_far_above_the_limit_gets_no_time():
    # 0.06146 s is the least that the machine needs: a fiftieth of it was not spent computing
    cached = record(row(medians=[0.06146 / 50] * 2), ceilings=[CEILING]).rows[0]
    assert (cached.status, cached.median_s, cached.ci95_s) == ("wrong", None, None)
    assert cached.reason == "5000% of the machine's limit: not computed, but cached or skipped"


def test_a_row_a_little_above_the_limit_keeps_its_time():
    # the limit itself may have been measured on a busy machine
    quick = record(row(medians=[0.03, 0.03]), ceilings=[CEILING]).rows[0]
    assert (quick.status, quick.median_s) == ("ok", 0.03)
    assert quick.roofline_fraction == pytest.approx(2.049, rel=1e-3)


def test_cpu_pressure():
    blocks = [Counters(seconds=2.0, pressure_s=waited) for waited in (0.1, 0.4, 1.0)]
    unknown, simulated = Counters(seconds=1.0), Counters(seconds=1.0, pressure_s=1.0)
    rows = [
        row(medians=[1.0] * 4, counters=[*blocks, unknown]),
        row(medians=[1.0] * 9, device="simulator", counters=[simulated] * 9),
    ]
    assert estimates.cpu_pressure(record(*rows)) == 0.2
    assert estimates.cpu_pressure(record(row(medians=[1.0], counters=[unknown]))) == 0.0


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
def test_disturbance(counters, disturbed):
    [alone] = processes([[1.0]], counters=[counters])
    assert bool(disturbance(alone, threads=4)) == disturbed
    [calm] = processes([[1.0]], counters=[CALM])
    in_its_second_turn = ProcessResult(turns=calm.turns + alone.turns)
    assert disturbance(in_its_second_turn, threads=4) == disturbance(alone, threads=4)


def test_disturbed_blocks_are_excluded_from_the_median():
    quick_but_disturbed = row(medians=[1.0, 1.1, 0.1, 1.2], counters=[CALM, CALM, BUSY, CALM])
    assert kept_blocks(quick_but_disturbed) == [0, 1, 3]
    [found] = record(quick_but_disturbed).rows
    assert found.median_s == 1.1
    assert len(found.blocks) == 4  # every sample is kept


def test_all_blocks_are_kept_if_most_are_disturbed():
    assert kept_blocks(row(medians=[1.0, 1.1, 1.2], counters=[BUSY, BUSY, CALM])) == [0, 1, 2]


def test_all_blocks_are_kept_without_counters():
    assert kept_blocks(row(medians=[1.0, 1.1])) == [0, 1]


def test_pairs_with_a_disturbed_block_are_excluded():
    one = row("a", [1.0, 9.0, 1.0, 1.0, 1.0], counters=[CALM, BUSY, CALM, CALM, CALM])
    other = row("b", [2.0, 2.0, 0.1, 2.0], counters=[CALM, CALM, BUSY, CALM])
    assert kept_blocks(one, other) == [0, 3]
    assert estimates.speedup(one, other).value == pytest.approx(2.0)


def test_common_drift_cancels():
    drift = [1.0, 1.7, 0.8, 2.5]
    ratio = speedup(row(medians=[0.2 * d for d in drift]), row(medians=[0.6 * d for d in drift]))
    assert ratio == pytest.approx((3.0, 3.0, 3.0))


def test_the_value_is_the_geometric_mean():
    ratio = speedup(row(medians=[1.0, 1.0]), row(medians=[2.0, 8.0]))
    assert ratio.value == pytest.approx(4.0)
    assert ratio.low < 4.0 < ratio.high


def test_a_speedup_and_its_reverse_are_reciprocal():
    rng = np.random.default_rng(3)
    one, other = row(medians=list(rng.uniform(1, 2, 8))), row(medians=list(rng.uniform(3, 4, 8)))
    there, back = speedup(one, other), speedup(other, one)
    assert (there.value * back.value, there.low * back.high) == pytest.approx((1.0, 1.0))


def test_the_speedup_of_one_block_has_no_interval():
    assert speedup(row(medians=[1.0]), row(medians=[2.0])) == (pytest.approx(2.0), 0.0, inf)


def test_unpaired_blocks_are_excluded():
    assert speedup(row(medians=[1.0, 1.0, 50.0]), row(medians=[2.0, 2.0])).value == pytest.approx(2.0)
