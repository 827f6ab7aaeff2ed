"""Sampling, with a simulated clock that only the measured function advances."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pytest

from lcbench.measure import clock
from lcbench.measure.clock import Sampling
from lcbench.measure.verification import WrongResult

SAMPLE_S = 2**-6
"""Power of two, so that the simulated clock has no rounding errors."""


class Machine:
    """Simulated function whose calls last `duration(number of the call, whether its inputs are new)` seconds.

    It is also the supplier of its inputs and the verifier of its results, which are the numbers of the calls.
    Verification takes `pause` seconds per batch.
    """

    def __init__(self, monkeypatch, duration, pause=128.0):
        self.now, self.calls, self.pause, self.new = 0.0, 0, pause, True
        self.duration = duration if callable(duration) else lambda call, new: duration
        self.batches, self.paused = [], False
        monkeypatch.setattr(clock, "perf_counter", lambda: self.now)
        monkeypatch.setattr(clock, "perf_counter_ns", lambda: round(self.now * 1e9))
        monkeypatch.setattr(clock, "sleep", self.sleep)
        monkeypatch.setattr(clock, "os_times", lambda: SimpleNamespace(elapsed=self.now))

    def sleep(self, seconds):
        self.paused = True
        self.now += seconds

    def draw(self, calls):
        self.new, self.drawn = True, [("W", "X", "y", float(k)) for k in range(calls)]
        return self.drawn

    def again(self):
        self.new = False
        return self.drawn

    def __call__(self, W, X, y, reg):
        self.now += self.duration(self.calls, self.new)
        self.calls += 1
        return self.calls, ("gradient of", self.calls)

    def verify(self, losses, dW, batch_s):
        assert dW == ("gradient of", losses[-1])
        self.batches.append(losses)
        self.now += self.pause

    def sample(self, seconds=0.1, most=30):
        return clock.take_samples(self, self, self.verify, Sampling(seconds, most, SAMPLE_S), np.random.default_rng(0))


def first_then(first, later):
    return lambda call, new: later if call else first


def test_samples_are_seconds_per_call_without_the_first_call(monkeypatch):
    samples = Machine(monkeypatch, first_then(5.0, SAMPLE_S / 4)).sample(seconds=12.5 * SAMPLE_S)
    assert samples.first_call_s == 5.0
    # each sample has four timed calls, and one untimed call before them
    assert samples.seconds == pytest.approx([SAMPLE_S / 4] * 10, abs=1e-9)
    assert samples.steady


def test_short_calls_are_batched_to_the_minimum_sample_length(monkeypatch):
    assert Machine(monkeypatch, SAMPLE_S / 8).sample().calls == 8
    assert Machine(monkeypatch, SAMPLE_S * 3).sample().calls == 1


def test_the_number_of_samples_fits_the_time_budget(monkeypatch):
    short, long = SAMPLE_S, 2 * SAMPLE_S  # a short call follows an untimed one
    assert len(Machine(monkeypatch, short).sample(seconds=40 * short).seconds) == 20
    assert len(Machine(monkeypatch, long).sample(seconds=20 * long).seconds) == 20
    assert len(Machine(monkeypatch, long).sample(seconds=20 * long, most=7).seconds) == 7
    assert len(Machine(monkeypatch, 50.0).sample().seconds) == 3
    assert len(Machine(monkeypatch, 50.0).sample(most=1).seconds) == 1


def test_without_samples_only_the_first_call_is_made(monkeypatch):
    machine = Machine(monkeypatch, first_then(5.0, 2.0))
    assert machine.sample(most=0) == clock.Samples([5.0], 1, 5.0)
    assert machine.batches == [[1]]


def test_a_slow_function_is_called_as_rarely_as_possible(monkeypatch):
    machine = Machine(monkeypatch, 50.0)
    assert machine.sample().warm_up_calls == 1
    assert machine.calls == 1 + 1 + 3  # first call, one warm-up call, three samples


def test_every_loss_is_verified_with_the_last_gradient_of_its_batch(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 4)
    machine.sample()
    assert [loss for batch in machine.batches for loss in batch] == list(range(1, machine.calls + 1))


def test_the_first_call_of_a_batch_is_verified_but_not_timed(monkeypatch):
    """The first call finds sleeping threads, and caches in the state that verification has left."""
    machine = Machine(monkeypatch, lambda call, new: SAMPLE_S / (4 if machine.starts else 64))
    machine.starts = False
    draw = machine.draw

    def drawn(calls):
        machine.starts = calls > 1
        return draw(calls)

    def function(*arguments):
        result = machine(*arguments)
        machine.starts = False
        return result

    machine.draw = drawn
    samples = clock.take_samples(
        function, machine, machine.verify, Sampling(0.1, 30, SAMPLE_S), np.random.default_rng(0)
    )
    assert samples.seconds == pytest.approx([SAMPLE_S / 64] * len(samples.seconds), rel=1e-5)


def test_one_untimed_batch_has_a_random_length(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 64)
    samples = machine.sample()
    lengths = [len(batch) for batch in machine.batches if len(batch) > 1]
    assert len(lengths) == len(samples.seconds) + 1
    [unexpected] = [length for length in lengths if length != samples.calls + 1]  # including the untimed call
    assert 1 < unexpected < 64


def warm_up(monkeypatch, duration, pause=0.0, **options):
    machine = Machine(monkeypatch, duration, pause)
    samples = machine.sample(**options)
    return samples, machine.calls


@pytest.mark.parametrize("slow_calls", [20, 60, 200])
def test_calls_before_a_step_down_are_warm_up(monkeypatch, slow_calls):
    samples, _ = warm_up(monkeypatch, lambda call, new: SAMPLE_S / (32 if call < slow_calls else 128), seconds=0.2)
    assert np.median(samples.seconds) == pytest.approx(SAMPLE_S / 128, rel=1e-5)
    assert samples.calls > 100
    assert samples.steady
    assert samples.warm_up_calls >= slow_calls - 20


def test_warm_up_ends_if_a_function_keeps_getting_faster_and_samples_are_not_steady(monkeypatch):
    samples, calls = warm_up(monkeypatch, lambda call, new: SAMPLE_S / (4 + call / 10), seconds=0.2)
    assert not samples.steady
    assert calls < 2000


def test_samples_of_a_slow_function_that_keeps_getting_faster_are_not_steady(monkeypatch):
    samples, _ = warm_up(monkeypatch, lambda call, new: 4 * SAMPLE_S * 0.985**call, seconds=0.6)
    assert not samples.steady


def test_noise_is_not_mistaken_for_warm_up(monkeypatch):
    rng = np.random.default_rng(3)
    steady = [
        warm_up(monkeypatch, lambda call, new: SAMPLE_S / 8 * rng.lognormal(0, 0.1), seconds=0.2)[0].steady
        for _ in range(200)
    ]
    assert sum(steady) >= 198


def test_a_steady_function_has_the_minimum_warm_up(monkeypatch):
    samples, _ = warm_up(monkeypatch, SAMPLE_S / 16)
    assert samples.warm_up_calls * SAMPLE_S / 16 < clock.WARM_UP_S + SAMPLE_S


def test_a_function_that_caches_results_by_contents_is_refused(monkeypatch):
    with pytest.raises(WrongResult, match=r"^caches its results: 1.95 ms on new W and y, 0.244 ms when"):
        warm_up(monkeypatch, lambda call, new: SAMPLE_S / (8 if new else 64))


def test_a_few_slow_calls_on_new_contents_are_not_mistaken_for_caching(monkeypatch):
    """The machine happens to be busy during every other call at first."""
    machine = Machine(monkeypatch, lambda call, new: SAMPLE_S / (8 if new and call < 12 else 64), pause=0.0)
    assert machine.sample().steady


def test_calls_in_step_with_the_time_slices_are_not_mistaken_for_caching(monkeypatch):
    """All calls on new contents are interrupted, until random pauses break the pattern."""
    machine = Machine(monkeypatch, lambda call, new: SAMPLE_S / (8 if new and not machine.paused else 64), pause=0.0)
    machine.sample()
    assert machine.paused


def test_a_function_that_is_sometimes_slower_on_new_contents_is_accepted(monkeypatch):
    warm_up(monkeypatch, lambda call, new: SAMPLE_S / (16 if new and call % 3 else 64))


def test_a_slowed_down_clock_is_refused(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 4, pause=0.1)
    monkeypatch.setattr(clock, "perf_counter", lambda: machine.now / 2)
    with pytest.raises(WrongResult, match=r"^tampers with the clock: one shows \S+ s, "):
        machine.sample()


def test_garbage_collection_is_disabled_only_during_sampling(monkeypatch):
    enabled = []
    machine = Machine(monkeypatch, 50.0)

    def watched(*arguments):
        enabled.append(gc.isenabled())
        return machine(*arguments)

    clock.take_samples(watched, machine, machine.verify, Sampling(0.1, 30, SAMPLE_S), np.random.default_rng(0))
    assert enabled == [True, True, False, False, False]
    assert gc.isenabled()


def test_garbage_collection_is_enabled_again_after_a_wrong_result(monkeypatch):
    machine = Machine(monkeypatch, 50.0)

    def verify(losses, dW, batch_s):
        if losses == [4]:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        clock.take_samples(machine, machine, verify, Sampling(0.1, 30, SAMPLE_S), np.random.default_rng(0))
    assert gc.isenabled()
