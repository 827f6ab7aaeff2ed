"""Tests of lcbench.stats.gate: the randomization test, and error rates of verdicts on simulated machines."""

from __future__ import annotations

from itertools import combinations, product
from math import inf, log, log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcbench.errors import ExitCode
from lcbench.record import Gate, InterimAnalysis, Side
from lcbench.stats import gate
from lcbench.stats.gate import (
    ALPHA_SLOWER,
    detectable_slowdown,
    generations_for_verdict,
    generations_needed,
    judge_gate,
)
from lcbench.stats.verdicts import POWER
from results import in_turns, row

RARE = 1e-6
"""Probability that a count exceeds the bounds of a test although the error rate is as stated."""


# Randomization test


def by_all_splits(times, limit):
    """The test as it is defined: the share of all splits with a difference of the means at least as large."""
    shifted = times - np.array([0, 0, limit, limit])[: times.shape[1]]
    half = times.shape[1] // 2
    heads = [list(head) for head in combinations(range(2 * half), half)]
    choices = [[(2 * line[head].sum() - line.sum()) / half for head in heads] for line in shifted]
    measured = shifted[:, half:].mean() - shifted[:, :half].mean()
    return np.mean([sum(chosen) / len(times) >= measured - 1e-9 for chosen in product(*choices)])


small = st.integers(-20, 20)


@given(st.lists(st.tuples(small, small, small, small), min_size=1, max_size=3), st.integers(-12, 12))
def test_p_value_is_the_share_of_splits(lines, quarters):
    times, limit = np.array(lines, float), quarters / 4
    assert gate.p_greater(times, limit) == pytest.approx(by_all_splits(times, limit))
    assert gate.p_less(times, limit) == pytest.approx(by_all_splits(-times, -limit))


def test_p_value_of_the_control_is_the_share_of_sign_flips():
    times = np.random.default_rng(0).normal(size=(7, 2))
    flips = np.array(list(product((-1, 1), repeat=7)))
    differences = times[:, 1] - times[:, 0]
    assert gate.p_greater(times, 0.0) == np.mean(flips @ differences >= differences.sum() - 1e-9)


@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy"])
@pytest.mark.parametrize("count", [4, 6, 8])
def test_convolution_agrees_with_enumeration(noise, count):
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.5, 1.5):
        differences = gate._differences(getattr(rng, noise)((count, 4)), -shift)
        exact = gate._p_by_enumeration(differences)
        bound = gate._p_by_convolution(differences)
        assert exact <= bound * (1 + 1e-12)
        # The bound is the p-value of a sum that is lower by less than two grid errors.
        deviation = np.sqrt(np.sum(np.mean(differences**2, axis=1)))
        lower = differences.copy()
        lower[0, 0] -= 2 * gate.GRID_ERROR * deviation
        some = np.add.outer(gate._sums(differences[: count // 2]), gate._sums(differences[count // 2 :]))
        assert bound <= np.mean(some >= lower[:, 0].sum()) * (1 + 1e-12)


def test_smallest_p_values():
    for count in (1, 3, 8, 14):
        times = np.tile([0.0, 0.1, 5.0, 5.1], (count, 1))
        assert gate.p_greater(times, 0.0) == pytest.approx(6.0**-count, rel=0.05)
        assert gate.p_less(times, 0.0) == 1.0
        assert gate.p_greater(times[:, [0, 2]], 0.0) == pytest.approx(2.0**-count)


def test_p_value_of_no_generations_and_no_differences():
    assert gate.p_greater(np.empty((0, 4)), 0.0) == 1.0
    for count in (3, 30):
        equal = np.full((count, 4), log(1e-3)) + np.array([0.0, 1e-15, 2e-15, 0.0])  # apart from rounding errors
        assert gate.p_greater(equal, 0.0) == gate.p_less(equal, 0.0) == 1.0


@pytest.mark.parametrize("count", [5, 12])
@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy"])
def test_rate_of_false_alarms(noise, count):
    """Times by slot do not depend on the draw. They differ from slot to slot and from generation to generation."""
    rng, trials, alpha, limit = np.random.default_rng(1), 1500, 0.05, log1p(0.03)
    alarms = 0
    for _ in range(trials):
        slots = getattr(rng, noise)((count, 4)) + np.array([0.0, 0.0, 1.0, 3.0]) + rng.exponential(5.0, (count, 1))
        times = rng.permuted(slots, axis=1) + np.array([0.0, 0.0, limit, limit])
        alarms += gate.p_greater(times, limit) <= alpha
    assert alarms <= stats.binom.isf(RARE, trials, alpha)
    assert alarms >= stats.binom.isf(1 - RARE, trials, 0.8 * alpha)  # the test is not too conservative


@given(st.integers(4, 9), st.floats(0.004, 0.2), st.integers(0, 10_000), st.sampled_from([2, 4]))
def test_bounds_are_consistent_with_the_test(count, alpha, seed, columns):
    times = np.random.default_rng(seed).normal(size=(count, columns))
    low, high = gate.lower_bound(times, alpha), gate.upper_bound(times, alpha)
    if low == -inf:
        assert high == inf
        assert gate.p_greater(times, -100.0) > alpha
        return
    step = 2 * gate.BOUND_ERROR
    assert gate.p_greater(times, low - step) <= alpha < gate.p_greater(times, low + step)
    assert gate.p_less(times, high + step) <= alpha < gate.p_less(times, high - step)
    assert low < gate.estimate(times) < high


def test_the_estimate_is_the_mean_difference():
    assert gate.estimate(np.array([[1.0, 2.0, 4.0, 6.0], [0.0, 0.0, 1.0, 0.0]])) == (3.5 + 0.5) / 2
    assert gate.estimate(np.array([[1.0, 2.0], [3.0, 6.0]])) == 2.0


# Verdicts

SPLITS = ("bchh", "bhch", "bhhc", "hbch", "hbhc", "hhbc")
SIDE = Side(given=".", kind="folder", python="CPython", versions={})
ANALYSES = [
    InterimAnalysis(blocks=5, share=0.2),
    InterimAnalysis(blocks=8, share=0.3),
    InterimAnalysis(blocks=11, share=0.5),
]


def gate_of(orders, analyses=None, fail_above=0.03):
    analyses = analyses or [InterimAnalysis(blocks=len(orders), share=1.0)]
    return Gate(base=SIDE, head=SIDE, fail_above=fail_above, budget_s=60, orders=orders, interim_analyses=analyses)


ROUNDS, SAMPLES = 5, 3


def measured(rng, machine, slowdown=0.0, count=11, rows=1, analyses=None, fail_above=0.03):
    """Rows and gate of a measurement on a simulated machine: ``machine(rng)`` is the log of what it adds to each turn
    of a generation, of shape (rounds, slots), whichever side the slots belong to."""
    orders = []
    found = [row(f"impl-{k}", side=side) for k in range(rows) for side in ("base", "control", "head")]
    for generation in range(count):
        order = str(rng.choice(SPLITS))
        order = order if rng.random() < 0.5 else order.replace("b", "x").replace("c", "b").replace("x", "c")
        orders.append(order)
        slow = np.array([1 + slowdown * (letter == "h") for letter in order])[:, None]
        for k in range(rows):
            seconds = 1e-3 * np.exp(machine(rng))[:, :, None] * slow
            seconds = seconds * np.exp(0.01 * np.abs(rng.normal(size=(ROUNDS, 4, SAMPLES))))
            for letter, process in zip(order, in_turns(seconds, generation), strict=True):
                found[3 * k + "bch".index(letter)].processes.append(process)
    return found, gate_of(orders, analyses, fail_above)


def processes_and(rng, of_rounds):
    """Noise of processes and turns, and noise of rounds."""
    return rng.normal(0, 0.01, 4) + rng.normal(0, 0.01, (ROUNDS, 4)) + of_rounds[:, None]


def quiet(rng):
    return processes_and(rng, np.zeros(ROUNDS))


def drifting(rng):
    return processes_and(rng, np.cumsum(rng.normal(0, 0.3, ROUNDS)) + rng.standard_cauchy())


def in_bursts(rng):
    """Rounds that take much longer, and processes in them that take longer still."""
    busy = rng.random(ROUNDS) < 0.3
    return processes_and(rng, 2.0 * busy) + busy[:, None] * rng.exponential(0.5, (ROUNDS, 4))


def heavy_tailed(rng):
    """Processes that differ very much, and slots of different speed, as with slower cores."""
    return 0.02 * rng.standard_cauchy(4) + [0.0, 0.2, 0.0, 0.1] + 0.01 * rng.standard_cauchy((ROUNDS, 4))


def test_without_a_complete_generation_there_is_no_ratio():
    rows, of_gate = measured(np.random.default_rng(3), quiet, count=1)
    of_gate.orders, of_gate.interim_analyses = [], []
    judged = judge_gate(rows, of_gate)
    assert [(one.ratio, one.verdict) for one in judged.comparisons] == [(None, "not measured")]
    assert (judged.control, judged.exit_code) == ([], ExitCode.ERROR)


def codes(trials, *arguments, **options):
    rng = np.random.default_rng(3)
    return [judge_gate(*measured(rng, *arguments, **options)).exit_code for _ in range(trials)]


@pytest.mark.parametrize("machine", [drifting, in_bursts, heavy_tailed])
def test_identical_sides_raise_no_alarm(machine):
    """Threshold 0 is the worst case: the null hypothesis is true at its boundary."""
    trials = 30
    alarms = codes(trials, machine, analyses=ANALYSES, rows=2, fail_above=0.0).count(ExitCode.REGRESSION)
    assert alarms <= stats.binom.isf(RARE, trials, ALPHA_SLOWER)


@pytest.mark.parametrize("machine", [drifting, heavy_tailed])
def test_a_slowdown_of_the_threshold_rarely_passes(machine):
    trials = 40
    passed = codes(trials, machine, slowdown=0.03, analyses=ANALYSES).count(ExitCode.OK)
    assert passed <= stats.binom.isf(RARE, trials, gate.ALPHA_NOT_SLOWER)


@pytest.mark.parametrize("machine", [quiet, drifting])
def test_verdicts_on_a_machine_with_the_same_noise_in_every_round(machine):
    assert codes(10, machine, analyses=ANALYSES).count(ExitCode.OK) >= 9
    assert codes(10, machine, slowdown=0.10, analyses=ANALYSES).count(ExitCode.REGRESSION) == 10


def test_bursts_that_hit_rounds_do_not_move_the_estimate():
    rng = np.random.default_rng(6)
    rows, gate = measured(rng, quiet, slowdown=0.5)
    before = judge_gate(rows, gate).comparisons[0].ratio
    for one in rows:
        for process in one.processes:
            process.turns = [
                type(turn)(round=turn.round, samples=[s * (1, 1, 30, 1, 7)[turn.round] for s in turn.samples])
                for turn in process.turns
            ]
    assert judge_gate(rows, gate).comparisons[0].ratio == pytest.approx(before, rel=1e-5)


def test_a_slowdown_of_some_calls_is_detected_by_the_mean():
    rng = np.random.default_rng(5)
    rows, gate = measured(rng, quiet)
    for process in rows[2].processes:
        process.turns = [
            type(turn)(round=turn.round, samples=[turn.samples[0], *(1.3 * s for s in turn.samples[1:])])
            for turn in process.turns
        ]
    [comparison] = judge_gate(rows, gate).comparisons
    assert comparison.verdict == "slower"
    assert comparison.ratio.value == pytest.approx(1.2, rel=0.05)


def test_a_larger_mean_prevents_the_verdict_not_slower():
    times = np.zeros((9, 4))
    larger = times + np.array([0.0, 0.0, 0.1, 0.1])
    assert gate._is_not_slower(0.01, 0.02, times, limit=0.05)
    assert not gate._is_not_slower(0.01, 0.02, larger, limit=0.05)
    assert not gate._is_not_slower(0.03, 0.02, times, limit=0.05)


def test_the_ratio_is_head_over_base():
    rng = np.random.default_rng(6)
    [comparison] = judge_gate(*measured(rng, drifting, slowdown=0.5)).comparisons
    assert comparison.ratio.low < 1.5 < comparison.ratio.high
    assert comparison.ratio.value == pytest.approx(1.5, rel=0.03)
    assert (comparison.base.side, comparison.new.side) == ("base", "head")


def test_faster_head_is_not_slower():
    assert set(codes(5, quiet, slowdown=-0.2)) == {ExitCode.OK}


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_generations_needed(rows):
    needed = generations_needed(rows)

    def codes_of(count):
        analyses = [InterimAnalysis(blocks=count, share=gate.SMALLEST_SHARE)]
        return codes(2, quiet, slowdown=1.0, count=count, rows=rows, analyses=analyses)

    assert set(codes_of(needed - 1)) == {ExitCode.INCONCLUSIVE}
    assert set(codes_of(needed)) == {ExitCode.REGRESSION}


def test_four_generations_are_enough_for_one_row():
    assert generations_needed(1) == 4


def test_verdicts_of_an_early_analysis_are_kept():
    rng = np.random.default_rng(7)
    rows, gate = measured(rng, quiet, slowdown=0.5, analyses=ANALYSES)
    for process in rows[2].processes[10:]:  # after the first analysis it is fast
        process.turns = [type(turn)(round=turn.round, samples=[s / 3 for s in turn.samples]) for turn in process.turns]
    [comparison] = judge_gate(rows, gate).comparisons
    assert comparison.verdict == "slower"
    assert comparison.ratio.value < 1


def test_base_slower_than_itself_is_inconclusive():
    rng = np.random.default_rng(8)
    rows, gate = measured(rng, quiet, slowdown=1.0)
    for process in rows[1].processes:
        process.turns = [
            type(turn)(round=turn.round, samples=[1.5 * s for s in turn.samples]) for turn in process.turns
        ]
    found = judge_gate(rows, gate)
    assert found.exit_code == ExitCode.INCONCLUSIVE
    assert "base came out slower than itself" in found.doubt
    assert found.control[0].ratio.value == pytest.approx(1.5, rel=0.02)


def test_older_records_have_processes_one_after_the_other():
    rng = np.random.default_rng(9)
    orders = [str(rng.choice(("bhhc", "chhb", "hbch", "hcbh"))) for _ in range(9)]
    blocks = {letter: [] for letter in "bch"}
    for letter in "".join(orders):
        blocks[letter].append(list((1.2 if letter == "h" else 1.0) * rng.lognormal(0, 0.01, 7)))
    rows = [row(side=side, blocks=blocks[side[0]]) for side in ("base", "control", "head")]
    found = judge_gate(rows, gate_of(orders))
    assert (found.generations, found.exit_code) == (9, ExitCode.REGRESSION)
    fastest = {letter: np.log([min(samples) for samples in blocks[letter]]).mean() for letter in "bch"}
    expected = fastest["h"] - (fastest["b"] + fastest["c"]) / 2
    assert log(found.comparisons[0].ratio.value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("side", "status", "code"),
    [
        ("head", "wrong", ExitCode.WRONG),
        ("head", "unstable", ExitCode.WRONG),
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


# Plan


SPREAD = 0.04


def power(shift, count, rejects):
    """Share of gates with `count` generations, in which head differs by `shift`, that `rejects` judges."""
    rng = np.random.default_rng(0)
    trials = 400
    return np.mean([rejects(rng.normal(0, SPREAD, (count, 4)) + np.array([0, 0, shift, shift])) for _ in range(trials)])


@pytest.mark.parametrize("count", [6, 15])
def test_power_of_the_detectable_slowdown(count):
    slowdown = detectable_slowdown(SPREAD, generation_s=60 / count, fail_above=0.02)
    alpha = ALPHA_SLOWER * gate.SMALLEST_SHARE / 2
    detected = power(log1p(slowdown), count, lambda times: gate.p_greater(times, log1p(0.02)) <= alpha)
    assert detected == pytest.approx(POWER, abs=0.08)


@pytest.mark.parametrize("rows", [1, 4])
def test_power_of_the_generations_for_a_verdict(rows):
    count = generations_for_verdict(SPREAD, fail_above=0.04, rows=rows)
    alpha = gate.ALPHA_NOT_SLOWER * gate.SMALLEST_SHARE / rows
    assert count > generations_needed(rows)
    assert power(0.0, count, lambda times: gate.p_less(times, log1p(0.04)) <= alpha) == pytest.approx(POWER, abs=0.08)


def test_more_time_and_less_noise_detect_more():
    assert detectable_slowdown(0.04, 1.0, 60.0) < detectable_slowdown(0.04, 1.0, 10.0)
    assert detectable_slowdown(0.02, 1.0) < detectable_slowdown(0.04, 1.0)
    assert detectable_slowdown(0.0, 1.0) == 0.0
    assert detectable_slowdown(0.0, 1.0, fail_above=0.03) == pytest.approx(0.03)


def test_no_detectable_slowdown_with_too_few_generations():
    assert detectable_slowdown(0.1, generation_s=15.0, budget_s=60.0) is not None
    assert detectable_slowdown(0.1, generation_s=15.1, budget_s=60.0) is None


def test_generations_for_a_verdict():
    assert generations_for_verdict(0.0, 0.03, rows=3) == generations_needed(3)
    assert generations_for_verdict(0.02, 0.03, rows=1) < generations_for_verdict(0.02, 0.03, rows=20)
    assert generations_for_verdict(0.02, 0.02, rows=1) > generations_for_verdict(0.02, 0.03, rows=1)
    assert generations_for_verdict(0.02, 0.0, rows=1) is None
