"""The gate's verdicts: error rates on simulated machines, quiet and busy, and what a CI job is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lcbench.errors import ExitCode
from lcbench.record import Counters, Gate, InterimAnalysis, Side
from lcbench.stats import gate as judgement
from lcbench.stats.gate import ALPHA_SLOWER, blocks_needed, judge_gate
from results import processes, row

RARE = 1e-6
"""Probability at which a count is outside the bounds below though the error rates hold."""

ORDERS = ("bhhc", "chhb", "hbch", "hcbh")
SIDE = Side(given=".", kind="folder", python="CPython", versions={})
LOOKS = [
    InterimAnalysis(blocks=12, share=0.2),
    InterimAnalysis(blocks=16, share=0.3),
    InterimAnalysis(blocks=20, share=0.5),
]


def gate_of(orders, looks=None, fail_above=0.03):
    looks = looks or [InterimAnalysis(blocks=len(orders), share=1.0)]
    return Gate(base=SIDE, head=SIDE, fail_above=fail_above, budget_s=60, orders=orders, interim_analyses=looks)


def measured(rng, machine, slowdown=0.0, blocks=20, rows=1, looks=None, fail_above=0.03):
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
    return found, gate_of(orders, looks, fail_above)


def quiet(rng, count):
    return rng.normal(0, 0.02, count)


def drifting(rng, count):
    return np.cumsum(rng.normal(0, 0.03, count))


def in_bursts(rng, count):
    """Now and then everything takes up to twice as long for some processes."""
    busy = np.convolve(rng.random(count) < 0.08, np.ones(5))[:count] > 0
    return rng.normal(0, 0.02, count) + busy * rng.exponential(0.5, count)


def alternating(rng, count):
    """Every second process is a fifth slower, as by two cores of different speed."""
    return 0.2 * (np.arange(count) % 2) + rng.normal(0, 0.01, count)


def codes(trials, *arguments, **options):
    rng = np.random.default_rng(3)
    return [judge_gate(*measured(rng, *arguments, **options)).exit_code for _ in range(trials)]


@pytest.mark.parametrize("machine", [quiet, drifting, in_bursts, alternating])
def test_a_tree_against_itself_raises_no_alarm(machine):
    """With threshold 0 the null hypothesis is just true: the worst case."""
    trials = 150
    alarms = codes(trials, machine, looks=LOOKS, rows=2, fail_above=0.0).count(ExitCode.REGRESSION)
    assert alarms <= stats.binom.isf(RARE, trials, ALPHA_SLOWER)


@pytest.mark.parametrize("machine", [quiet, drifting, in_bursts])
def test_a_slowdown_of_just_the_threshold_is_rarely_passed(machine):
    trials = 200
    passed = codes(trials, machine, slowdown=0.03, looks=LOOKS).count(ExitCode.OK)
    assert passed <= stats.binom.isf(RARE, trials, judgement.ALPHA_NOT_SLOWER)


def test_on_a_quiet_machine_the_verdicts_are_clear():
    assert codes(40, quiet, looks=LOOKS).count(ExitCode.OK) >= 36
    assert codes(40, quiet, slowdown=0.10, looks=LOOKS).count(ExitCode.REGRESSION) == 40


def test_a_slowdown_of_some_calls_only_is_seen_though_the_quickest_are_spared():
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


def test_head_that_is_faster_is_not_slower():
    assert set(codes(10, quiet, slowdown=-0.2)) == {ExitCode.OK}


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_with_fewer_blocks_than_needed_nothing_is_slower_and_with_as_many_it_can_be(rows):
    needed = blocks_needed(rows)

    def silent(rng, count):
        return rng.normal(0, 1e-4, count)

    def codes_of(blocks):
        looks = [InterimAnalysis(blocks=blocks, share=judgement.SMALLEST_SHARE)]
        return codes(3, silent, slowdown=1.0, blocks=blocks, rows=rows, looks=looks)

    assert set(codes_of(needed - 1)) == {ExitCode.INCONCLUSIVE}
    assert set(codes_of(needed)) == {ExitCode.REGRESSION}


def test_what_an_early_look_has_decided_stays():
    rng = np.random.default_rng(7)
    rows, gate = measured(rng, quiet, slowdown=0.5, looks=LOOKS)
    for one in rows:
        if one.side == "head":  # after the first look it is fast
            one.processes[24:] = processes([[s / 3 for s in samples] for samples in one.blocks[24:]])
    [comparison] = judge_gate(rows, gate).comparisons
    assert comparison.verdict == "slower"


def test_base_that_is_slower_than_itself_leaves_everything_in_doubt():
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
def test_disturbed_blocks_are_left_out_whatever_their_times(counters):
    rng = np.random.default_rng(9)
    rows, gate = measured(rng, quiet)
    disturb(rows, 4, **counters)
    found = judge_gate(rows, gate)
    assert (found.blocks, sum(found.disturbed.values()), found.doubt) == (16, 4, "")
    before = found.comparisons[0].ratio
    disturb(rows, 4, times=[9.9], **counters)
    assert judge_gate(rows, gate).comparisons[0].ratio == before


def test_a_machine_that_is_busy_most_of_the_time_gives_no_verdict():
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
def test_what_could_not_be_measured_is_no_pass(side, status, code):
    rng = np.random.default_rng(11)
    rows, gate = measured(rng, quiet, rows=2)
    broken = next(one for one in rows if one.side == side)
    broken.fail(status, "so it is")
    found = judge_gate(rows, gate)
    assert found.exit_code == code
    assert sorted(c.verdict for c in found.comparisons)[0] in ("not measured", "not slower")
    assert len(found.comparisons) == 2
