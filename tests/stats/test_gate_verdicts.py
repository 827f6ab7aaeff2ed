"""Tests of lcbench.stats.gate: the signed-rank test, and error rates of verdicts on simulated machines."""

from __future__ import annotations

from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.errors import ExitCode
from lcbench.record import Counters, Gate, InterimAnalysis, Side
from lcbench.stats import gate
from lcbench.stats.gate import ALPHA_SLOWER, blocks_needed, detectable_slowdown, judge_gate
from lcbench.stats.verdicts import POWER
from results import processes, row

RARE = 1e-6
"""Probability that a count exceeds the bounds of a test although the error rate is as stated."""


def by_all_flips(values, centre):
    """The test as it is defined: how many of the 2^n signs give a rank sum as large."""
    differences = np.subtract(values, centre)
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [np.dot(flips, ranks) for flips in product((0, 1), repeat=len(values))]
    return np.mean(np.array(sums) >= observed - 1e-9)


distinct = st.lists(st.integers(-1000, 1000), min_size=2, max_size=9, unique_by=abs).filter(lambda v: 0 not in v)


@given(distinct)
def test_p_value_is_the_share_of_sign_flips(values):
    assert gate.p_greater(values, 0.0) == pytest.approx(by_all_flips(values, 0.0))
    assert gate.p_less(values, 0.0) == pytest.approx(by_all_flips([-value for value in values], 0.0))


def test_textbook_example():
    """Hollander, Wolfe & Chicken, example 3.1 (Hamilton depression scale): T+ = 5, P = .020, estimate -.46, bounds."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    change = list(np.subtract(after, before))
    assert gate.p_less(change, 0.0) == pytest.approx(0.0195, abs=5e-4)
    assert gate.pseudomedian(change) == pytest.approx(-0.46, abs=0.005)
    # the interval at 96.1 %: -.786 to -.010
    assert gate.lower_bound(change, 0.0196) == pytest.approx(-0.786, abs=5e-4)
    assert gate.upper_bound(change, 0.0196) == pytest.approx(-0.010, abs=5e-4)


@given(st.integers(5, 14), st.floats(0.004, 0.2), st.integers(0, 10_000))
def test_bounds_are_consistent_with_the_test(count, alpha, seed):
    values = list(np.random.default_rng(seed).normal(size=count))
    low = gate.lower_bound(values, alpha)
    if low == -inf:
        assert gate.p_greater(values, min(values) - 1) > alpha
        return
    step = 1e-9
    assert gate.p_greater(values, low - step) <= alpha < gate.p_greater(values, low + step)


def test_too_few_values_have_infinite_bounds():
    assert gate.values_needed(0.05) == 5
    assert gate.lower_bound([1.0, 2.0, 3.0, 4.0], 0.05) == -inf
    assert gate.upper_bound([1.0, 2.0, 3.0, 4.0], 0.05) == inf
    assert gate.lower_bound([1.0, 2.0, 3.0, 4.0, 5.5], 0.05) == 1.0


def test_p_value_of_no_values_and_no_differences():
    assert gate.p_greater([], 0.0) == 1.0
    assert gate.p_greater([0.5, 0.5], 0.5) == 1.0


@pytest.mark.parametrize("noise", ["normal", "standard_cauchy"])
def test_rate_of_false_alarms(noise):
    rng, trials, alpha = np.random.default_rng(1), 2000, 0.05
    alarms = sum(gate.p_greater(list(getattr(rng, noise)(size=10)), 0.0) <= alpha for _ in range(trials))
    assert alarms <= stats.binom.isf(RARE, trials, alpha)
    assert alarms >= stats.binom.isf(1 - RARE, trials, 0.8 * alpha)  # the test is not too conservative


ORDERS = ("bhhc", "chhb", "hbch", "hcbh")
SIDE = Side(given=".", kind="folder", python="CPython", versions={})
ANALYSES = [
    InterimAnalysis(blocks=12, share=0.2),
    InterimAnalysis(blocks=16, share=0.3),
    InterimAnalysis(blocks=20, share=0.5),
]


def gate_of(orders, analyses=None, fail_above=0.03):
    analyses = analyses or [InterimAnalysis(blocks=len(orders), share=1.0)]
    return Gate(base=SIDE, head=SIDE, fail_above=fail_above, budget_s=60, orders=orders, interim_analyses=analyses)


def measured(rng, machine, slowdown=0.0, blocks=20, rows=1, analyses=None, fail_above=0.03):
    """Rows and gate of a measurement on a simulated machine: ``machine(rng, count)`` is the log of what it adds to
    `count` processes one after the other, whichever side they belong to."""
    orders = [str(rng.choice(ORDERS)) for _ in range(blocks)]
    found = []
    for k in range(rows):
        noise = machine(rng, 4 * blocks)
        times = {"b": [], "c": [], "h": []}
        for place, letter in enumerate("".join(orders)):
            seconds = 1e-3 * np.exp(noise[place]) * (1 + slowdown * (letter == "h"))
            times[letter].append(list(seconds * np.exp(0.01 * np.abs(rng.normal(size=9)))))
        for letter, side in (("b", "base"), ("c", "control"), ("h", "head")):
            found.append(row(f"impl-{k}", side=side, blocks=times[letter]))
    return found, gate_of(orders, analyses, fail_above)


def quiet(rng, count):
    return rng.normal(0, 0.02, count)


def drifting(rng, count):
    return np.cumsum(rng.normal(0, 0.03, count))


def in_bursts(rng, count):
    """Random bursts in which some processes take much longer."""
    busy = np.convolve(rng.random(count) < 0.08, np.ones(5))[:count] > 0
    return rng.normal(0, 0.02, count) + busy * rng.exponential(0.5, count)


def alternating(rng, count):
    """Every second process is slower by a fifth, as with two cores of different speed."""
    return 0.2 * (np.arange(count) % 2) + rng.normal(0, 0.01, count)


def codes(trials, *arguments, **options):
    rng = np.random.default_rng(3)
    return [judge_gate(*measured(rng, *arguments, **options)).exit_code for _ in range(trials)]


@pytest.mark.parametrize("machine", [quiet, drifting, in_bursts, alternating])
def test_identical_sides_raise_no_alarm(machine):
    """Threshold 0 is the worst case: the null hypothesis is true at its boundary."""
    trials = 150
    alarms = codes(trials, machine, analyses=ANALYSES, rows=2, fail_above=0.0).count(ExitCode.REGRESSION)
    assert alarms <= stats.binom.isf(RARE, trials, ALPHA_SLOWER)


@pytest.mark.parametrize("machine", [quiet, drifting, in_bursts])
def test_a_slowdown_of_the_threshold_rarely_passes(machine):
    trials = 200
    passed = codes(trials, machine, slowdown=0.03, analyses=ANALYSES).count(ExitCode.OK)
    assert passed <= stats.binom.isf(RARE, trials, gate.ALPHA_NOT_SLOWER)


def test_verdicts_on_a_quiet_machine():
    assert codes(40, quiet, analyses=ANALYSES).count(ExitCode.OK) >= 36
    assert codes(40, quiet, slowdown=0.10, analyses=ANALYSES).count(ExitCode.REGRESSION) == 40


def test_a_slowdown_of_some_calls_is_detected_by_the_median():
    rng = np.random.default_rng(5)
    rows, gate = measured(rng, quiet)
    for one in rows:
        if one.side == "head":
            slowed = [[s * 1.3 if k >= 3 else s for k, s in enumerate(samples)] for samples in one.blocks]
            one.processes = processes(slowed)
    [comparison] = judge_gate(rows, gate).comparisons
    assert comparison.verdict == "slower"
    assert comparison.ratio.value == pytest.approx(1.3, rel=0.05)


def test_the_ratio_is_head_over_base():
    rng = np.random.default_rng(6)
    [comparison] = judge_gate(*measured(rng, quiet, slowdown=0.5)).comparisons
    assert comparison.ratio.low < 1.5 < comparison.ratio.high
    assert comparison.ratio.value == pytest.approx(1.5, rel=0.03)
    assert (comparison.base.side, comparison.new.side) == ("base", "head")


def test_faster_head_is_not_slower():
    assert set(codes(10, quiet, slowdown=-0.2)) == {ExitCode.OK}


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_blocks_needed(rows):
    needed = blocks_needed(rows)

    def silent(rng, count):
        return rng.normal(0, 1e-4, count)

    def codes_of(blocks):
        analyses = [InterimAnalysis(blocks=blocks, share=gate.SMALLEST_SHARE)]
        return codes(3, silent, slowdown=1.0, blocks=blocks, rows=rows, analyses=analyses)

    assert set(codes_of(needed - 1)) == {ExitCode.INCONCLUSIVE}
    assert set(codes_of(needed)) == {ExitCode.REGRESSION}


def test_verdicts_of_an_early_analysis_are_kept():
    rng = np.random.default_rng(7)
    rows, gate = measured(rng, quiet, slowdown=0.5, analyses=ANALYSES)
    for one in rows:
        if one.side == "head":  # after the first look it is fast
            one.processes[24:] = processes([[s / 3 for s in samples] for samples in one.blocks[24:]])
    [comparison] = judge_gate(rows, gate).comparisons
    assert comparison.verdict == "slower"


def test_base_slower_than_itself_is_inconclusive():
    rng = np.random.default_rng(8)
    rows, gate = measured(rng, quiet, slowdown=1.0)
    control = next(one for one in rows if one.side == "control")
    control.processes = processes([[1.5 * s for s in samples] for samples in control.blocks])
    found = judge_gate(rows, gate)
    assert found.exit_code == ExitCode.INCONCLUSIVE
    assert "base came out slower than itself" in found.doubt


def disturb(rows, blocks, times=None, **counters):
    """Gives every process counters, and those of base in the first `blocks` blocks the given ones, and `times`."""
    calm = Counters(seconds=0.2, steal_s=0.0, pressure_s=0.01)
    for one in rows:
        samples, seen = one.blocks, [calm] * len(one.processes)
        if one.side == "base":
            seen[:blocks] = [Counters(seconds=0.2, **counters)] * blocks
            samples[:blocks] = [times] * blocks if times else samples[:blocks]
        one.processes = processes(samples, counters=seen)


@pytest.mark.parametrize("counters", [{"steal_s": 0.05}, {"pressure_s": 0.1}])
def test_disturbed_blocks_are_excluded_independently_of_their_times(counters):
    rng = np.random.default_rng(9)
    rows, gate = measured(rng, quiet)
    disturb(rows, 4, **counters)
    found = judge_gate(rows, gate)
    assert (found.blocks, sum(found.disturbed.values()), found.doubt) == (16, 4, "")
    before = found.comparisons[0].ratio
    disturb(rows, 4, times=[9.9], **counters)
    assert judge_gate(rows, gate).comparisons[0].ratio == before


def test_a_mostly_busy_machine_is_inconclusive():
    rng = np.random.default_rng(10)
    rows, gate = measured(rng, quiet, slowdown=1.0)
    disturb(rows, 11, pressure_s=0.15)
    found = judge_gate(rows, gate)
    assert found.exit_code == ExitCode.INCONCLUSIVE
    assert "11 of 20 blocks" in found.doubt


@pytest.mark.parametrize(
    ("side", "status", "code"),
    [
        ("head", "wrong", ExitCode.WRONG),
        ("head", "crashed", ExitCode.ERROR),
        ("base", "wrong", ExitCode.ERROR),
        ("control", "timeout", ExitCode.ERROR),
    ],
)
def test_rows_that_could_not_be_measured_do_not_pass(side, status, code):
    rng = np.random.default_rng(11)
    rows, gate = measured(rng, quiet, rows=2)
    broken = next(one for one in rows if one.side == side)
    broken.fail(status, "so it is")
    found = judge_gate(rows, gate)
    assert found.exit_code == code
    assert sorted(c.verdict for c in found.comparisons)[0] in ("not measured", "not slower")
    assert len(found.comparisons) == 2


def test_power_of_the_detectable_slowdown():
    rng = np.random.default_rng(0)
    logs = rng.normal(0, 0.04, 400)
    logs *= 0.04 / np.std(logs, ddof=1)
    shift = np.log1p(detectable_slowdown(logs.tolist(), block_s=2.0, budget_s=60.0))
    experiments = rng.normal(shift, 0.04, (20_000, 30))
    seen = stats.ttest_1samp(experiments, 0, axis=1, alternative="greater").pvalue < ALPHA_SLOWER
    assert np.mean(seen) == pytest.approx(POWER, abs=0.02)


def test_more_time_and_less_noise_detect_more():
    logs = [-0.04, 0.0, 0.04]
    assert detectable_slowdown(logs, 1.0, 60.0) < detectable_slowdown(logs, 1.0, 10.0)
    assert detectable_slowdown([log / 2 for log in logs], 1.0) < detectable_slowdown(logs, 1.0)
    assert detectable_slowdown([0.0, 0.0], 1.0) == 0.0


def test_no_detectable_slowdown_if_no_block_fits():
    assert detectable_slowdown([0.1, 0.2], block_s=31.0, budget_s=60.0) is None
