"""Sampling, on a clock that only the measured function moves."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from lcbench.measure import clock

SAMPLE_S = 2**-6
"""A power of two, so that the clock below counts without rounding."""


class Machine:
    """A function whose calls last `seconds` on the clock, the first one `first`; it returns (number of the call, k)."""

    def __init__(self, monkeypatch, seconds, first=None):
        self.now, self.calls, self.seconds, self.first = 0.0, 0, seconds, first or seconds
        self.verified = []
        monkeypatch.setattr(clock, "perf_counter", lambda: self.now)
        monkeypatch.setattr(clock, "SAMPLE_S", SAMPLE_S)

    def __call__(self, k):
        self.now += self.seconds if self.calls else self.first
        self.calls += 1
        return self.calls, ("gradient of", self.calls, k)

    def verify(self, k, loss, dW=None):
        self.verified.append((k, loss, dW))
        self.now += 128.0  # verification is off the clock, however long it takes

    def sample(self, seconds=0.1, most=30, sets=3):
        return clock.sample(self, sets, self.verify, seconds, most, np.random.default_rng(0))


def test_samples_are_seconds_a_call_and_the_first_call_is_apart(monkeypatch):
    samples = Machine(monkeypatch, SAMPLE_S / 4, first=5.0).sample(seconds=10 * SAMPLE_S)
    assert samples.first_call_s == 5.0
    assert samples.seconds == [SAMPLE_S / 4] * 10


def test_a_short_call_is_batched_to_the_least_length_of_a_sample(monkeypatch):
    assert Machine(monkeypatch, SAMPLE_S / 8).sample().calls == 8
    assert Machine(monkeypatch, SAMPLE_S * 3).sample().calls == 1


def test_the_number_of_samples_fills_the_time_within_its_limits(monkeypatch):
    assert len(Machine(monkeypatch, SAMPLE_S).sample(seconds=20 * SAMPLE_S).seconds) == 20
    assert len(Machine(monkeypatch, SAMPLE_S).sample(seconds=20 * SAMPLE_S, most=7).seconds) == 7
    assert len(Machine(monkeypatch, 50.0).sample().seconds) == 3
    assert len(Machine(monkeypatch, 50.0).sample(most=1).seconds) == 1


def test_without_samples_the_first_call_is_all(monkeypatch):
    machine = Machine(monkeypatch, 2.0, first=5.0)
    assert machine.sample(most=0) == clock.Samples([5.0], 1, 5.0)
    assert [k for k, _, dW in machine.verified if dW] == [0]


def test_a_slow_function_is_called_no_more_than_needed(monkeypatch):
    machine = Machine(monkeypatch, 50.0)
    machine.sample()
    assert machine.calls == 1 + 1 + 3  # the first, a warm one, three samples


def test_every_loss_is_seen_and_of_each_sample_the_last_gradient(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 4)
    samples = machine.sample()
    assert [loss for _, loss, _ in machine.verified] == list(range(1, machine.calls + 1))
    timed = machine.verified[-4 * len(samples.seconds) :]
    assert [dW is not None for _, _, dW in timed] == [False, False, False, True] * len(samples.seconds)
    assert all(dW is None or dW == ("gradient of", loss, k) for k, loss, dW in machine.verified)


def test_inputs_rotate(monkeypatch):
    machine = Machine(monkeypatch, SAMPLE_S / 32)
    machine.sample(sets=3)
    assert {k for k, _, _ in machine.verified[-32:]} == {0, 1, 2}


def test_the_collector_sleeps_while_samples_are_taken_and_only_then(monkeypatch):
    awake = []
    machine = Machine(monkeypatch, 50.0)

    def watched(k):
        awake.append(gc.isenabled())
        return machine(k)

    clock.sample(watched, 3, machine.verify, 0.1, 30, np.random.default_rng(0))
    assert awake == [True, True, False, False, False]
    assert gc.isenabled()


def test_the_collector_wakes_when_a_sample_is_wrong(monkeypatch):
    machine = Machine(monkeypatch, 50.0)

    def verify(k, loss, dW=None):
        if loss == 4:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        clock.sample(machine, 3, verify, 0.1, 30, np.random.default_rng(0))
    assert gc.isenabled()
