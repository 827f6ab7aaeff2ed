"""Tests of lcbench.stats.estimates, with values computed by hand or by SciPy."""

from __future__ import annotations

from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.record import Counters, MachinePeak
from lcbench.stats import estimates
from lcbench.stats.estimates import by_generation, independent_ratio, polish, process_times, speedup
from results import in_turns, processes, record, row

NO_TURN = np.nan


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=12))
def test_the_quantile_of_a_turn_is_numpys(samples):
    assert estimates.turn_quantile(samples) == pytest.approx(np.quantile(samples, estimates.TURN_QUANTILE))


# Median polish


def test_one_process_has_the_median_of_its_rounds():
    assert polish(np.array([[1.0], [9.0], [2.0]])) == [2.0]


@pytest.mark.parametrize("rounds", [1, 2, 7, 30])
def test_two_processes_differ_by_the_median_of_the_differences_in_rounds(rounds):
    table = np.random.default_rng(rounds).standard_cauchy((rounds, 2))
    first, second = polish(table)
    assert second - first == pytest.approx(np.median(table[:, 1] - table[:, 0]), abs=1e-12)


def test_rounds_and_processes_are_told_apart():
    # Level 10, rounds -1, 0 and 2, processes -3, 0, 1 and 5: the residuals of the true effects are zero.
    table = 10 + np.array([[-1.0], [0.0], [2.0]]) + np.array([-3.0, 0.0, 1.0, 5.0])
    assert polish(table) == pytest.approx([7.0, 10.0, 11.0, 15.0])


def test_wild_turns_and_bursts_do_not_move_the_estimates():
    rng = np.random.default_rng(2)
    effects = np.array([0.0, 0.3, -1.0, 2.0])
    table = effects + np.cumsum(rng.normal(0, 0.5, (21, 1)), axis=0)
    table[[3, 4, 11]] += 5.0  # bursts
    for place in range(4):
        table[5 * place : 5 * place + 4, place] += rng.exponential(3.0, 4)
    found = polish(table)
    assert found - found[0] == pytest.approx(effects, abs=1e-9)


def test_slow_processes_with_few_turns_are_compared_within_common_rounds():
    # Most processes have a turn in three rounds only, after which the machine becomes slower by 5 %.
    effects = np.array([2.3, 2.4, 2.35, 2.2, 0.0, 0.1])
    table = np.repeat([0.0, 0.05], [3, 7])[:, None] + effects
    table[3:, :4] = NO_TURN
    found = polish(table)
    assert found - found[4] == pytest.approx(effects, abs=1e-9)


def test_rounds_of_a_single_process_have_no_effect_on_differences():
    table = np.array([[0.0, 1.0], [0.0, 1.0], [0.5, NO_TURN], [0.5, NO_TURN], [0.5, NO_TURN]])
    first, second = polish(table)
    assert (first, second) == pytest.approx((0.5, 1.5))  # the level is that of all rounds


def test_processes_without_common_rounds_have_their_own_level():
    table = np.full((6, 5), NO_TURN)
    table[0:2, [0, 1]] = [[1.0, 2.0], [1.2, 2.2]]
    table[1:3, 2] = 4.2, 4.0  # connected to the first by the second round
    table[3:5, 3] = 50.0, 52.0
    table[5, 4] = -7.0
    assert polish(table) == pytest.approx([1.0, 2.0, 4.0, 51.0, -7.0])


def test_the_order_of_the_processes_has_no_effect():
    rng = np.random.default_rng(3)
    table = rng.standard_cauchy((9, 5))
    table[rng.random((9, 5)) < 0.3] = NO_TURN
    order = rng.permutation(5)
    assert polish(table[:, order]) == pytest.approx(polish(table)[order])


def test_an_older_process_without_rounds_has_the_statistic_of_all_samples():
    old = processes([[1.0, 9.0, 2.0], [5.0]])
    assert np.exp(estimates.log_times(old, estimates.turn_quantile)) == pytest.approx([2.0, 5.0])
    assert np.exp(estimates.log_times(old, min)) == pytest.approx([1.0, 5.0])


# Times of rows


def run_in_turns(seconds, noise=0.0, generations=4, rounds=7, seed=0):
    """Rows of implementations that take `seconds`, on a machine whose speed differs from round to round."""
    rng = np.random.default_rng(seed)
    rows = [row(name) for name in seconds]
    for generation in range(generations):
        shape = (rounds, len(seconds), 5)
        drift = np.cumsum(rng.normal(0, 0.2, (rounds, 1, 1)), axis=0)
        of_process = rng.normal(0, noise, (1, len(seconds), 1))
        times = np.log(list(seconds.values()))[:, None] + drift + of_process + rng.normal(0, noise, shape)
        for measured, process in zip(rows, in_turns(np.exp(times), generation), strict=True):
            measured.processes.append(process)
    return rows


def test_milliseconds_and_speedups_agree():
    run = record(*run_in_turns({"a": 1e-3, "b": 2.5e-3, "c": 9e-3}, noise=0.05))
    a, b, c = run.rows
    for one, other in ((a, b), (b, c), (c, a)):
        assert speedup(one, other).value == pytest.approx(other.median_s / one.median_s, rel=1e-12)


def test_drift_has_no_effect_on_speedups():
    run = record(*run_in_turns({"a": 1e-3, "b": 2.5e-3}))
    assert speedup(*run.rows) == pytest.approx((2.5, 2.5, 2.5))
    assert run.rows[0].processes[0].seconds != pytest.approx(1e-3)  # the drift was there


def test_rows_of_other_workloads_and_generations_have_no_effect():
    first = record(*run_in_turns({"a": 1e-3}, noise=0.1))
    second = record(*run_in_turns({"a": 1e-3}, noise=0.1), *run_in_turns({"b": 1.0}, noise=0.1, seed=1))
    second.rows[1].loss = "svm"
    alone = process_times(first.rows[0])
    for process in second.rows[1].processes[2:]:
        process.generation += 10
    estimates.complete_record(second)
    assert process_times(second.rows[0]) == alone


def test_the_rows_of_a_workload_and_their_limits_are_polished_together():
    a, b, limit = run_in_turns({"a": 1e-3, "b": 2e-3, "limit": 5e-4}, noise=0.02)
    for measured in (a, b):
        measured.processes = measured.processes[:2]
    run = record(a, b, limits=[limit], ceilings=[CEILING_OF_A_FAST_MACHINE])
    table = np.log([[np.median(turn.samples) for turn in part.processes[0].turns] for part in (a, b, limit)])
    assert [part.processes[0].seconds for part in (a, b, limit)] == pytest.approx(np.exp(polish(table.T)))
    pairs = [limit.processes[number].seconds / a.processes[number].seconds for number in (0, 1)]
    assert run.rows[0].roofline_fraction == pytest.approx(stats.gmean(pairs))


def test_the_limit_has_the_same_device_and_if_possible_the_same_threads():
    def share(*limits):
        measured = record(row("a", [1e-2] * 2, threads=2), limits=list(limits))
        return measured.rows[0].roofline_fraction

    one, two = row("limit", [1e-3] * 2, threads=1), row("limit", [2e-3] * 2, threads=2)
    assert share(one) == pytest.approx(0.1)
    assert share(one, two) == share(two, one) == pytest.approx(0.2)
    assert share(row("limit", [1e-3] * 2, threads=2, device="cuda")) is None
    assert share(row("limit", [1e-3] * 2, threads=2, rows=501)) is None


def test_the_time_of_a_row_is_the_geometric_mean_of_its_generations():
    measured = record(row(medians=[0.001, 0.002, 0.004])).rows[0]
    assert measured.median_s == pytest.approx(0.002)
    assert measured.ci95_s == pytest.approx(estimates.interval([log(0.001), log(0.002), log(0.004)]))


def test_a_process_counts_once_however_many_samples_it_has():
    assert process_times(row(blocks=[[1.0, 9.0, 2.0], [5.0]])) == [2.0, 5.0]


def test_processes_of_head_have_generations_of_two():
    assert by_generation(row(medians=[1.0, 4.0, 9.0, 1.0], side="head")) == pytest.approx({0: log(2), 1: log(3)})
    assert by_generation(row(medians=[1.0, 4.0], side="base")) == pytest.approx({0: 0.0, 1: log(4)})
    judged = record(row(medians=[1.0, 4.0, 9.0, 1.0], side="head")).rows[0]
    assert judged.median_s == pytest.approx(exp(log(36) / 4))
    assert judged.ci95_s == pytest.approx(estimates.interval([log(2), log(3)]))


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


def test_one_generation_has_a_time_and_no_interval():
    measured = record(row(medians=[0.004])).rows[0]
    assert (measured.median_s, measured.ci95_s) == (pytest.approx(0.004), None)


@pytest.mark.parametrize(
    "fields",
    [{"status": "wrong"}, {"status": "crashed"}, {"device": "simulator"}, {"blocks": []}],
)
def test_no_time_for(fields):
    measured = record(row(**({"medians": [0.1, 0.1]} | fields))).rows[0]
    assert (measured.median_s, measured.ci95_s, measured.roofline_fraction) == (None, None, None)


CEILING = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=1e9, flops_s=1e9)
CEILING_OF_A_FAST_MACHINE = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=1e12, flops_s=1e12)


def test_the_share_is_of_the_longer_of_reading_and_arithmetic():
    # 61.46 MFLOP at 1 GFLOP/s take 61.46 ms; 6.146 MB at 1 GB/s a tenth of it
    assert record(row(medians=[0.1, 0.1]), ceilings=[CEILING]).rows[0].roofline_fraction == pytest.approx(0.6146)
    slow_memory = MachinePeak(dtype="float32", footprint=CEILING.footprint, read_bytes_s=1e8, flops_s=1e12)
    share = record(row(medians=[0.1, 0.1]), ceilings=[slow_memory]).rows[0].roofline_fraction
    assert share == pytest.approx(0.6146)


def test_each_row_on_pixels_has_the_limit_of_the_x_that_it_reads():
    medians, pixels = [0.1, 0.1], {"dtype": "uint8", "bytes": 500 * 3072}
    read = MachinePeak(dtype="uint8", footprint=500 * 3072, read_bytes_s=1e7, flops_s=1e12)
    floats = MachinePeak(dtype="float32", footprint=CEILING.footprint, read_bytes_s=1e8, flops_s=1e12)
    run = record(
        row("a", medians, pixels="read", **pixels),
        row("b (converts)", medians, pixels="converts", **pixels),
        row("b", medians, pixels="converted", dtype="uint8", bytes=CEILING.footprint),
        ceilings=[read, floats],
    )
    assert [each.roofline_fraction for each in run.rows] == pytest.approx([1.536, 1.536, 0.6146])
    limits = [row("limit", [0.04] * 2, pixels="read", **pixels), row("other", [0.05] * 2, pixels="converted", **pixels)]
    run = record(*run.rows, limits=limits, ceilings=[read, floats])
    assert [each.roofline_fraction for each in run.rows] == pytest.approx([0.4, 0.4, 0.5])


@pytest.mark.parametrize("fields", [{"dtype": "float64"}, {"rows": 501}, {"device": "cuda"}])
def test_no_share_where_no_limit_was_measured_for_it(fields):
    assert record(row(medians=[0.1, 0.1], **fields), ceilings=[CEILING]).rows[0].roofline_fraction is None


def test_the_spread_is_half_the_range_over_the_median():
    assert estimates.spread(row(medians=[9.0, 10.0, 13.0])) == pytest.approx(0.2)


@pytest.mark.parametrize("limits", [[], [row("limit", [1e-9] * 2)]])
def test_a_row_far_above_the_best_limit_gets_no_time(limits):
    # 0.06146 s is the least that the machine needs: a fiftieth of it was not spent computing
    cached = record(row(medians=[0.06146 / 50] * 2), ceilings=[CEILING], limits=limits).rows[0]
    assert (cached.status, cached.median_s, cached.ci95_s) == ("wrong", None, None)
    assert cached.reason == "5000 % of the machine's limit: not computed, but cached or skipped"


def test_a_row_a_little_above_the_limit_keeps_its_time():
    # the limit itself may have been measured on a busy machine
    quick = record(row(medians=[0.03, 0.03]), ceilings=[CEILING]).rows[0]
    assert (quick.status, quick.median_s) == ("ok", pytest.approx(0.03))
    assert quick.roofline_fraction == pytest.approx(2.049, rel=1e-3)


def test_cpu_pressure():
    counters = [Counters(seconds=2.0, pressure_s=waited) for waited in (0.1, 0.4, 1.0)]
    unknown, simulated = Counters(seconds=1.0), Counters(seconds=1.0, pressure_s=1.0)
    rows = [
        row(medians=[1.0] * 4, counters=[*counters, unknown]),
        row(medians=[1.0] * 9, device="simulator", counters=[simulated] * 9),
    ]
    assert estimates.cpu_pressure(record(*rows)) == 0.2
    assert estimates.cpu_pressure(record(row(medians=[1.0], counters=[unknown]))) == 0.0


# Speed-ups


def test_drift_from_generation_to_generation_cancels():
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


def test_the_speedup_of_one_generation_has_no_interval():
    assert speedup(row(medians=[1.0]), row(medians=[2.0])) == (pytest.approx(2.0), 0.0, inf)


@pytest.mark.parametrize(
    ("own", "its"),
    [([1.0, 1.1, 50.0], [2.0, 2.1]), ([2.0, 2.1], [1.0, 1.1, 50.0]), ([1.0, 4.0], [6.0]), ([1.3], [1.2, 2.0, 0.9])],
)
def test_a_ratio_is_that_of_the_times_also_with_other_generations(own, its):
    found = record(row("one", own), row("other", its))
    one, other = found.rows
    ratio = speedup(one, other)
    assert ratio.value == pytest.approx(other.median_s / one.median_s)
    assert ratio.low < ratio.value < ratio.high
    assert (ratio.high == inf) == (min(len(own), len(its)) < 2)


def test_the_interval_of_independent_means_is_welch_s():
    from scipy import stats

    one, other = np.log([1.0, 1.1, 1.3, 0.9]), np.log([2.0, 2.5, 1.9])
    low, high = stats.ttest_ind(other, one, equal_var=False).confidence_interval(0.95)
    found = independent_ratio(list(one), list(other))
    assert found == pytest.approx((np.exp(other.mean() - one.mean()), np.exp(low), np.exp(high)))
