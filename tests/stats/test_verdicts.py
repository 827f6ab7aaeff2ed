"""Tests of lcbench.stats.verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.errors import ExitCode, LcbenchError
from lcbench.record import Gate, Side, Sweep
from lcbench.stats import verdicts
from lcbench.stats.verdicts import ALPHA, compare_records, holm, latest
from results import MACHINE, record, row

NOISE = 0.04
"""Standard deviation of a block's log time."""

RARE = 1e-6
"""Probability at which a count of verdicts is outside the bounds below though the error rates hold."""


@pytest.fixture
def like_runs(monkeypatch):
    """Runs that differ by nothing but their blocks, as if their differences were none: the plain test is seen."""
    monkeypatch.setattr(verdicts, "RUN_TO_RUN", 0.0)


def simulated(rng, blocks, slowdown=1.0, rows=1, run_to_run=0.0):
    """A record whose rows took one millisecond times `slowdown`, with noise."""
    of_the_run = rng.normal(0, run_to_run, (rows, 1))
    times = 1e-3 * slowdown * np.exp(of_the_run + rng.normal(0, NOISE, (rows, blocks)))
    return record(*(row(f"impl-{k}", list(own)) for k, own in enumerate(times)))


def verdicts_of(judgement):
    return [comparison.verdict for comparison in judgement.comparisons]


def test_holms_procedure_on_the_textbook_example():
    # four hypotheses at 0.05: the first and the last are rejected, the two between are not
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_largest_step_so_far(values):
    ranked = np.sort(values)
    steps = np.minimum(1, ranked * np.arange(len(ranked), 0, -1))
    assert sorted(holm(values)) == pytest.approx(list(np.maximum.accumulate(steps)))
    order = np.argsort(values, kind="stable")
    assert list(np.array(holm(values))[order]) == sorted(holm(values))


def test_nan_counts_as_one():
    assert holm([float("nan"), 0.01]) == [1.0, 0.02]


def test_a_single_p_value_is_welchs(like_runs):
    rng = np.random.default_rng(0)
    base, new = simulated(rng, 8), simulated(rng, 12, 1.05)
    [comparison] = compare_records(base, new, 0.02).comparisons
    a, b = (np.log(np.ravel(r.rows[0].blocks)) for r in (base, new))
    welch = stats.ttest_ind(b, a, equal_var=False)
    low, high = np.exp(welch.confidence_interval(0.95))
    assert comparison.ratio == pytest.approx((np.exp(b.mean() - a.mean()), low, high))
    expected = stats.ttest_ind(b - np.log(1.02), a, equal_var=False, alternative="greater").pvalue
    assert verdicts._p_value(base.rows[0], new.rows[0], 0.02, "greater") == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.0, 0.05])
def test_a_change_of_the_threshold_is_rarely_conclusive(like_runs, threshold):
    """The worst case of both errors: neither statement is true, and each may be made with probability ALPHA."""
    rng, trials = np.random.default_rng(7), 500
    found = [
        verdicts_of(compare_records(simulated(rng, 10), simulated(rng, 10, 1 + threshold), threshold))[0]
        for _ in range(trials)
    ]
    most = stats.binom.isf(RARE, trials, ALPHA)
    assert found.count("slower") <= most
    assert found.count("not slower") <= most


def test_runs_that_differ_by_more_than_their_blocks_raise_no_alarm():
    """Many blocks make each run's mean as good as exact, and what is left is the difference of the runs."""
    rng, trials = np.random.default_rng(12), 300
    pairs = [[simulated(rng, 100, run_to_run=verdicts.RUN_TO_RUN) for _ in range(2)] for _ in range(trials)]
    found = [verdicts_of(compare_records(base, new, 0.0))[0] for base, new in pairs]
    most = stats.binom.isf(RARE, trials, ALPHA)
    assert found.count("slower") <= most
    assert found.count("not slower") <= most


def test_many_rows_raise_no_more_false_alarms_than_one(like_runs):
    rng, trials = np.random.default_rng(8), 150
    alarms = sum(
        "slower" in verdicts_of(compare_records(simulated(rng, 10, rows=12), simulated(rng, 10, rows=12), 0.0))
        for _ in range(trials)
    )
    # without the correction 1 - 0.95 ** 12 = 46 % of them
    assert alarms <= stats.binom.isf(RARE, trials, ALPHA)


def test_a_planted_ten_percent_is_found(like_runs):
    rng, trials = np.random.default_rng(9), 100
    found = [verdicts_of(compare_records(simulated(rng, 30), simulated(rng, 30, 1.1), 0.05))[0] for _ in range(trials)]
    # log(1.1 / 1.05) is 4.5 standard errors of the difference: power above 0.995
    assert found.count("slower") >= stats.binom.ppf(RARE, trials, 0.995)


def test_the_same_code_twice_is_not_slower(like_runs):
    rng, trials = np.random.default_rng(10), 100
    found = [verdicts_of(compare_records(simulated(rng, 30), simulated(rng, 30), 0.05))[0] for _ in range(trials)]
    # log(1.05) is 4.7 standard errors
    assert found.count("not slower") >= stats.binom.ppf(RARE, trials, 0.995)


def test_power_of_the_detectable_slowdown(like_runs):
    rng, trials, threshold = np.random.default_rng(11), 400, 0.05
    [comparison] = compare_records(simulated(rng, 1000), simulated(rng, 1000), threshold).comparisons
    visible = np.expm1(np.log1p(comparison.detectable) * np.sqrt(1000 / 20))  # of 20 blocks instead of 1000
    slowdown = (1 + threshold) * (1 + visible)
    seen = [
        verdicts_of(compare_records(simulated(rng, 20), simulated(rng, 20, slowdown), threshold))[0]
        for _ in range(trials)
    ].count("slower")
    assert stats.binom.ppf(RARE, trials, 0.76) <= seen <= stats.binom.isf(RARE, trials, 0.84)


def test_one_block_is_inconclusive():
    judgement = compare_records(record(row(medians=[1e-3])), record(row(medians=[9e-3])))
    assert verdicts_of(judgement) == ["inconclusive"]
    assert judgement.comparisons[0].detectable is None
    assert judgement.exit_code == ExitCode.INCONCLUSIVE


FAST, SLOW = [1e-3, 1.01e-3, 0.99e-3], [2e-3, 2.02e-3, 1.98e-3]


def test_exit_codes():
    assert compare_records(record(row(medians=FAST)), record(row(medians=FAST))).exit_code == ExitCode.OK
    assert compare_records(record(row(medians=SLOW)), record(row(medians=FAST))).exit_code == ExitCode.OK
    assert compare_records(record(row(medians=FAST)), record(row(medians=SLOW))).exit_code == ExitCode.REGRESSION
    assert compare_records(record(row(medians=FAST)), record(row(status="crashed"))).exit_code == ExitCode.ERROR
    assert compare_records(record(row(medians=FAST)), record(row(status="wrong"))).exit_code == ExitCode.WRONG


def test_times_of_different_machines_are_inconclusive():
    elsewhere = {"fingerprint": "bbbb"}
    judgement = compare_records(record(row(medians=FAST)), record(row(medians=SLOW), **elsewhere))
    assert not judgement.same_machine
    assert judgement.exit_code == ExitCode.INCONCLUSIVE
    assert (
        compare_records(record(row(medians=FAST)), record(row(status="wrong"), **elsewhere)).exit_code == ExitCode.WRONG
    )


def test_the_worst_row_decides():
    base = record(row("a", FAST), row("b", FAST), row("c", FAST))
    assert (
        compare_records(base, record(row("a", FAST), row("b", [1e-3]), row("c", SLOW))).exit_code == ExitCode.REGRESSION
    )
    assert (
        compare_records(base, record(row("a", FAST), row("b", status="wrong"), row("c", SLOW))).exit_code
        == ExitCode.WRONG
    )
    assert compare_records(base, record(row("a", FAST), row("b", [1e-3]))).exit_code == ExitCode.INCONCLUSIVE


def test_a_row_that_is_wrong_now_is_reported():
    base = record(row("a", FAST), row("b", status="wrong"))
    judgement = compare_records(base, record(row("a", FAST), row("b", status="wrong")))
    assert verdicts_of(judgement) == ["not slower", "wrong"]
    assert judgement.exit_code == ExitCode.WRONG


def test_rows_of_one_result_only_are_named():
    judgement = compare_records(
        record(row("both", FAST), row("gone", FAST), row("mended", status="crashed")),
        record(row("both", FAST), row("added", FAST), row("mended", FAST)),
    )
    assert [r.implementation for r in judgement.only_base] == ["gone"]
    assert [r.implementation for r in judgement.only_new] == ["added", "mended"]


@pytest.mark.parametrize(
    "other",
    [
        {"implementation": "other"},
        {"loss": "svm"},
        {"dtype": "float64"},
        {"rows": 20},
        {"threads": 7},
        {"device": "cuda"},
    ],
)
def test_nothing_in_common_is_an_error(other):
    with pytest.raises(LcbenchError, match="no measured row in common"):
        compare_records(record(row(medians=FAST)), record(row(medians=FAST, **other)))


def test_simulated_rows_are_not_compared():
    simulated_row = row("numba-cuda", FAST, device="simulator")
    with pytest.raises(LcbenchError, match="no measured row in common"):
        compare_records(record(simulated_row), record(simulated_row))


def test_a_result_is_not_compared_with_itself():
    same = record(row(medians=FAST))
    with pytest.raises(LcbenchError, match="a second run is needed"):
        compare_records(same, same)


def test_a_gates_result_is_not_compared():
    side = Side(given=".", kind="folder", python="CPython", versions={})
    of_a_gate = record(row(medians=FAST), gate=Gate(base=side, head=side, fail_above=0.03, budget_s=60))
    for pair in ((of_a_gate, record(row(medians=FAST))), (record(row(medians=FAST)), of_a_gate)):
        with pytest.raises(LcbenchError, match="is the result of a gate"):
            compare_records(*pair)


def names(group):
    return [entry.row.implementation for entry in group.entries]


def test_the_newest_row_counts_fastest_first():
    newest = record(row("numpy", [3.0, 3.0]), created="2026-02-02T00:00:00+00:00")
    older = record(row("numpy", [1.0, 1.0]), row("naive", [2.0, 2.0]), created="2026-01-01T00:00:00+00:00")
    [group] = latest([newest, older], MACHINE)
    assert names(group) == ["naive", "numpy"]
    assert [entry.row.median_s for entry in group.entries] == [2.0, 3.0]
    assert [entry.created[:10] for entry in group.entries] == ["2026-01-01", "2026-02-02"]


def test_times_with_other_threads_are_not_ranked_together():
    one = record(row(medians=[2.0, 2.0]))
    two = record(row("naive", [1.0, 1.0], threads=2), row(medians=[1.5], threads=2))
    assert [(group.threads, names(group)) for group in latest([one, two], MACHINE)] == [
        (1, ["numpy"]),
        (2, ["naive", "numpy"]),
    ]


def test_a_failed_run_does_not_hide_the_last_good_one():
    [group] = latest([record(row(status="crashed")), record(row(medians=[1.0, 1.0]))], MACHINE)
    assert group.entries[0].row.median_s == 1.0


def test_other_machines_wrong_rows_and_simulated_rows_are_excluded():
    assert latest([record(row(medians=[1.0]), fingerprint="bbbb")], MACHINE) == []
    assert latest([record(row(status="wrong"), row("numba-cuda", [1.0], device="simulator"))], MACHINE) == []


def test_rows_of_a_gate_are_not_the_latest():
    assert latest([record(row(medians=[1.0], side="head"))], MACHINE) == []


def test_rows_of_a_sweep_are_not_the_latest():
    swept = record(row(medians=[1.0]), sweep=Sweep(axes={"rows": [500]}))
    [group] = latest([swept, record(row(medians=[2.0]))], MACHINE)
    assert group.entries[0].row.median_s == 2.0


def test_every_workload_has_its_group_in_the_order_last_measured():
    newest = record(row(medians=[1.0], rows=20))
    older = record(row(medians=[1.0], loss="svm"), row(medians=[1.0], rows=20))
    assert [group.workload[0:3:2] for group in latest([newest, older], MACHINE)] == [("softmax", 20), ("svm", 500)]
