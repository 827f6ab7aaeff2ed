"""Timing of one function, with a simulated clock that only the function advances."""

from __future__ import annotations

import gc
import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from lcbench.measure import clock
from lcbench.measure.clock import SAMPLE_S, Timing, calls_per_sample, turn_seconds, with_injected_slowdown
from lcbench.measure.verification import WrongResult


class Machine:
    """Simulated function whose calls last `duration(call)` seconds. `duration` can also be a number.

    It is also the supplier of its inputs and the verifier of its results, which are the numbers of the calls.
    Verification takes `pause_s` seconds per batch.

    calls: number of calls so far. new: whether the inputs of the present batch have new contents. distinct: whether
    each of its calls has contents of its own. slept: whether there was time between the inputs and the call. place:
    place of the present call in its batch. batches: results by batch.
    """

    def __init__(self, monkeypatch, duration, pause_s=0.0):
        self.now, self.calls, self.place, self.new, self.slept = 0.0, 0, 0, True, False
        self.distinct = False
        self.duration = duration if callable(duration) else lambda machine: duration
        self.pause_s, self.batches, self.naps = pause_s, [], 0
        monkeypatch.setattr(clock, "perf_counter", lambda: self.now)
        monkeypatch.setattr(clock, "perf_counter_ns", lambda: round(self.now * 1e9))
        monkeypatch.setattr(clock, "sleep", self.sleep)
        monkeypatch.setattr(clock, "os_times", lambda: SimpleNamespace(elapsed=self.now))
        monkeypatch.setattr(clock, "_waited_for_cores_s", lambda: 0.0)  # not that of the process of the test
        self.timing = Timing(self, self, self.verify, np.random.default_rng(0))

    def sleep(self, seconds):
        self.slept, self.naps = True, self.naps + 1
        self.now += seconds

    def draw(self, calls, distinct=False):
        self.drawn = [("W", "X", "y", float(k)) for k in range(calls)]
        self.new, self.slept, self.place, self.distinct = True, False, 0, distinct
        return self.drawn

    def again(self):
        self.new, self.slept, self.place = False, False, 0
        return self.drawn

    def __call__(self, W, X, y, reg):
        self.now += self.duration(self)
        self.calls += 1
        self.place += 1
        return self.calls, ("gradient of", self.calls)

    def verify(self, losses, dW, batch_s):
        assert dW == ("gradient of", losses[-1])
        self.batches.append(losses)
        self.now += self.pause_s

    def begin(self, thorough=False):
        """Make the first call and warm up. Return the number of calls in a sample."""
        self.timing.first_call()
        self.timing.warm_up(thorough)
        return calls_per_sample(self.timing.one_call_s)

    def measure(self, turns=6, samples=4, thorough=False):
        """Return the samples of each turn, and whether they show no warm-up."""
        calls = self.begin(thorough)
        taken = [self.timing.turn(samples, calls)[0] for _ in range(turns)]
        return taken, self.timing.finish()


def lengths(machine, samples, calls):
    """Return the lengths of the batches of a turn."""
    before = len(machine.batches)
    machine.timing.turn(samples, calls)
    return [len(batch) for batch in machine.batches[before:]]


def test_the_first_call_is_timed_alone(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: 0.001 if machine.calls else 5.0)
    machine.begin()
    assert machine.batches[0] == [1]
    assert machine.timing.first_call_s == 5.0
    assert machine.timing.one_call_s == pytest.approx(0.001)
    assert machine.timing.warm_up_calls == machine.calls - 1


def test_samples_are_seconds_per_call(monkeypatch):
    taken, steady = Machine(monkeypatch, 0.001).measure(turns=3, samples=2)
    assert np.array(taken) == pytest.approx(np.full((3, 2), 0.001))
    assert steady


@pytest.mark.parametrize(("one_call_s", "calls"), [(1e-3, 5), (2.4e-3, 3), (SAMPLE_S, 1), (1.0, 1)])
def test_short_calls_are_batched_to_the_minimum_sample_length(one_call_s, calls):
    assert calls_per_sample(one_call_s) == calls


def test_batches_of_short_calls_follow_an_untimed_call_and_precede_distinct_ones(monkeypatch):
    machine = Machine(monkeypatch, 0.0001)
    machine.begin()
    first, *batches, distinct = lengths(machine, 3, 5)
    assert (first, distinct) == (1, clock.DISTINCT_S / 0.0001)
    assert len(batches) == 3
    assert len(set(batches)) == 1
    assert machine.distinct


def test_the_number_of_calls_is_drawn_for_each_turn(monkeypatch):
    machine = Machine(monkeypatch, 0.0001)
    machine.begin()
    drawn = [machine.timing.turn(1, 50)[1] for _ in range(200)]
    assert (min(drawn), max(drawn)) == (50, 63)
    assert len(set(drawn)) == 14


@pytest.mark.parametrize(
    ("one_call_s", "batches"), [(0.01, [2, 2, 2, 1]), (0.05, [1, 1, 1, 1]), (0.5, [1, 1, 1])], ids=str
)
def test_untimed_calls_of_longer_functions(monkeypatch, one_call_s, batches):
    machine = Machine(monkeypatch, one_call_s)
    machine.begin()
    assert lengths(machine, 3, 1) == batches


@pytest.mark.parametrize("one_call_s", [0.0001, 0.001, 0.004, 0.01, 0.05, 0.5])
def test_the_length_of_a_turn_is_predicted(monkeypatch, one_call_s):
    machine = Machine(monkeypatch, one_call_s)
    calls = machine.begin()
    start = machine.now
    for _ in range(100):
        machine.timing.turn(4, calls)
    assert turn_seconds(one_call_s, 4) == pytest.approx((machine.now - start) / 100, rel=0.1)


@pytest.mark.parametrize("one_call_s", [0.0005, 0.01])
def test_the_first_call_of_a_batch_is_verified_but_not_timed(monkeypatch, one_call_s):
    """It finds sleeping threads, and caches in the state that verification has left."""
    machine = Machine(monkeypatch, lambda machine: one_call_s if machine.place else 0.019)
    calls = calls_per_sample(one_call_s)
    machine.timing.first_call()
    samples, _ = machine.timing.turn(4, calls)
    assert samples == pytest.approx([one_call_s] * 4)


def test_the_first_call_of_a_turn_is_not_timed(monkeypatch):
    """It fetches the data into caches that other processes have used meanwhile."""
    machine = Machine(monkeypatch, lambda machine: 0.05 if machine.calls != 10 else 0.09)
    machine.timing.first_call()
    machine.calls = 10
    samples, _ = machine.timing.turn(2, 1)
    assert samples == pytest.approx([0.05] * 2)


@pytest.mark.parametrize("one_call_s", [0.0005, 0.01, 0.05, 0.5])
def test_every_loss_is_verified_with_the_last_gradient_of_its_batch(monkeypatch, one_call_s):
    machine = Machine(monkeypatch, one_call_s)
    machine.measure(thorough=True)
    assert [loss for batch in machine.batches for loss in batch] == list(range(1, machine.calls + 1))


def test_a_slow_function_is_called_as_rarely_as_possible(monkeypatch):
    machine = Machine(monkeypatch, 50.0)
    machine.measure(turns=2, samples=1, thorough=True)
    assert machine.timing.warm_up_calls == 1
    assert machine.calls == 1 + 1 + 2  # first call, one warm-up call, a call in each turn


# Warm-up


@pytest.mark.parametrize("slow_calls", [20, 60, 120])
def test_calls_before_a_step_down_are_warm_up(monkeypatch, slow_calls):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (16 if machine.calls < slow_calls else 64))
    taken, steady = machine.measure()
    assert np.median(taken) == pytest.approx(SAMPLE_S / 64)
    assert machine.timing.one_call_s == pytest.approx(SAMPLE_S / 64)
    assert machine.timing.warm_up_calls >= slow_calls
    assert steady


def test_warm_up_ends_if_a_function_keeps_getting_faster_and_turns_are_not_steady(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (4 + machine.calls / 10))
    _, steady = machine.measure()
    assert not steady
    assert machine.timing.warm_up_calls < 1000


def test_turns_of_a_slow_function_that_keeps_getting_faster_are_not_steady(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: 4 * SAMPLE_S * 0.97**machine.calls)
    assert not machine.measure(turns=12)[1]


def test_few_turns_cannot_show_a_warm_up(monkeypatch):
    assert Machine(monkeypatch, lambda machine: 0.5**machine.calls).measure(turns=2)[1]


def test_noise_is_not_mistaken_for_warm_up(monkeypatch):
    rng = np.random.default_rng(3)
    steady = [
        Machine(monkeypatch, lambda machine: SAMPLE_S / 8 * rng.lognormal(0, 0.1)).measure(turns=8)[1]
        for _ in range(200)
    ]
    assert sum(steady) >= 198


def test_a_steady_function_has_the_minimum_warm_up(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 16)
    machine.begin()
    assert machine.timing.warm_up_calls * SAMPLE_S / 16 < clock.WARM_UP_S + SAMPLE_S


# Functions that cache results or work in the background


def caching(machine):
    return SAMPLE_S / (8 if machine.new else 64)


def test_a_function_that_caches_results_by_contents_is_refused(monkeypatch):
    machine = Machine(monkeypatch, caching)
    with pytest.raises(WrongResult, match=r"^caches its results: 0.625 ms on new W and y, 0.0781 ms when called again"):
        machine.begin()


@pytest.mark.parametrize("is_cached", [
    lambda machine: True,
    lambda machine: machine.place > 0,  # only if it follows another call at once
], ids=["always", "within_a_batch"])  # fmt: skip
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_function_that_caches_results_only_after_some_turns_is_refused(monkeypatch, turns, is_cached):
    machine = Machine(monkeypatch, SAMPLE_S / 8)
    calls = machine.begin()
    for turn in range(6):
        if turn == turns:
            machine.duration = lambda machine: SAMPLE_S / (64 if not machine.distinct and is_cached(machine) else 8)
        machine.timing.turn(2, calls)
    with pytest.raises(WrongResult, match=r"^caches its results, or works ahead: 0.625 ms or more .*, 0.0781 ms in sa"):
        machine.timing.finish()


def test_a_function_that_works_during_the_untimed_call_is_refused(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: 0.01 if machine.place == 0 else 0.001)
    with pytest.raises(WrongResult, match=r"^caches its results, or works ahead: 10 ms or more .*, 1 ms in samples$"):
        machine.measure()


@pytest.mark.parametrize("honest_turns", [0, 1])
def test_a_function_that_knows_which_turns_have_distinct_calls_is_refused(monkeypatch, honest_turns):
    machine = Machine(monkeypatch, 0.01)
    calls = machine.begin()
    for turn in range(6):
        honest = turn % 2 == honest_turns
        machine.duration = lambda machine, honest=honest: 0.01 if honest or machine.place == 0 else 0.001
        machine.timing.turn(2, calls)
    with pytest.raises(WrongResult, match=r"^caches its results, or works ahead: "):
        machine.timing.finish()


def test_a_few_slow_calls_on_new_contents_are_not_mistaken_for_caching(monkeypatch):
    """The machine happens to be busy during every other call at first."""
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.new and machine.calls < 12 else 64))
    assert machine.measure()[1]


def test_calls_in_step_with_the_time_slices_are_not_mistaken_for_caching(monkeypatch):
    """All calls on new contents are interrupted, until random pauses break the pattern."""
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.new and not machine.slept else 64))
    machine.begin()
    assert machine.naps >= clock.CONFIRMING_PAIRS


@pytest.mark.parametrize("uninterrupted", [0, 5])
def test_interrupted_calls_on_distinct_contents_are_not_mistaken_for_caching(monkeypatch, uninterrupted):
    machine = Machine(monkeypatch, SAMPLE_S / 16)
    calls = machine.begin()
    for turn in range(6):
        slow = SAMPLE_S / (16 if turn == uninterrupted else 4)
        machine.duration = lambda machine, slow=slow: slow if machine.distinct else SAMPLE_S / 16
        machine.timing.turn(2, calls)
    machine.timing.finish()


def test_threads_that_wake_late_are_not_mistaken_for_caching(monkeypatch):
    """The first calls on distinct contents are slow."""
    Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.place < 8 and machine.distinct else 64)).measure()


def test_a_function_that_is_sometimes_slower_on_new_contents_is_accepted(monkeypatch):
    Machine(monkeypatch, lambda machine: SAMPLE_S / (16 if machine.new and machine.calls % 3 else 64)).measure()


def works_between_its_calls(machine):
    return SAMPLE_S / (64 if machine.slept else 8)


def test_a_function_that_works_between_its_calls_is_refused(monkeypatch):
    machine = Machine(monkeypatch, works_between_its_calls)
    with pytest.raises(WrongResult, match=r"^works between its calls: 0.625 ms when called at once, 0.0781 ms when ca"):
        machine.begin(thorough=True)
    Machine(monkeypatch, works_between_its_calls).begin(thorough=False)


def test_an_honest_function_is_given_time_between_two_calls_only(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S)
    machine.begin(thorough=True)
    assert machine.naps == 2


def test_a_busy_machine_is_not_mistaken_for_work_between_calls(monkeypatch):
    """The first calls that are made at once happen to be interrupted."""
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (64 if machine.slept or machine.naps >= 2 else 8))
    machine.begin(thorough=True)
    assert machine.naps == 3


# Clocks, garbage, and the self-test of a gate


def test_a_slowed_down_clock_is_refused(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 4, pause_s=0.1)
    monkeypatch.setattr(clock, "perf_counter", lambda: machine.now / 2)
    with pytest.raises(WrongResult, match=r"^tampers with the clock: one shows \S+ s, "):
        machine.measure()


@pytest.mark.parametrize("name", ["perf_counter", "perf_counter_ns", "monotonic", "time"])
def test_a_replaced_clock_is_refused(monkeypatch, name):
    machine = Machine(monkeypatch, 0.01)
    machine.begin()
    own = getattr(time, name)
    with monkeypatch.context() as patch:
        patch.setattr(time, name, lambda: own())
        with pytest.raises(WrongResult, match=f"^tampers with the clock: replaces time.{name}$"):
            machine.timing.finish()
    machine.timing.finish()


def test_garbage_is_not_collected_during_a_turn(monkeypatch):
    enabled = []

    def watched(machine):
        enabled.append(gc.isenabled())
        return 50.0

    Machine(monkeypatch, watched).measure(turns=3, samples=1)
    assert enabled == [True, True, False, False, False]
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_wrong_result(monkeypatch):
    machine = Machine(monkeypatch, 50.0)
    machine.begin()

    def refuse(losses, dW, batch_s):
        raise WrongResult("loss is nan")

    machine.timing._verify = refuse
    with pytest.raises(WrongResult):
        machine.timing.turn(1, 1)
    assert gc.isenabled()


def test_garbage_stays_uncollected_if_it_was_before(monkeypatch):
    gc.disable()
    try:
        Machine(monkeypatch, 50.0).measure()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_injected_slowdown_is_a_share_of_the_own_time(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(clock, "perf_counter", lambda: next(ticks))

    def twenty_ticks(text):
        for _ in range(18):
            next(ticks)
        return text

    assert with_injected_slowdown(twenty_ticks, 0.0) is twenty_ticks
    before = next(ticks)
    assert with_injected_slowdown(twenty_ticks, 0.5)("result") == "result"
    assert 28 <= next(ticks) - before <= 32


def test_calls_that_wait_for_a_core_are_no_evidence_of_a_cache(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.distinct else 64))
    waiting = iter(range(1000))
    monkeypatch.setattr(clock, "_waited_for_cores_s", lambda: float(next(waiting)))
    machine.measure()


def test_waiting_that_cannot_explain_the_slow_calls_does_not_excuse_a_cache(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.distinct else 64))
    # The function's own threads wait at all times, also while it is not called.
    monkeypatch.setattr(clock, "_waited_for_cores_s", lambda: 0.15 * machine.now)
    with pytest.raises(WrongResult, match=r"^caches its results, or works ahead"):
        machine.measure()


def test_waiting_does_not_excuse_work_between_calls_if_it_cannot_explain_the_slow_ones(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.slept else 1))
    monkeypatch.setattr(clock, "_waited_for_cores_s", lambda: 0.15 * machine.now)
    with pytest.raises(WrongResult, match=r"^works between its calls"):
        machine.begin(thorough=True)


def test_inputs_that_are_used_late_are_no_evidence_of_work_between_calls_if_threads_wait_for_a_core(monkeypatch):
    machine = Machine(monkeypatch, lambda machine: SAMPLE_S / (8 if machine.slept else 2))
    with pytest.raises(WrongResult, match=r"^works between its calls"):
        machine.begin(thorough=True)
    waiting = iter(range(1000))
    monkeypatch.setattr(clock, "_waited_for_cores_s", lambda: float(next(waiting)))
    machine.begin(thorough=True)
