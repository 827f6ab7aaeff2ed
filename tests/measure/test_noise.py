"""Noise of this machine: four processes with identical work take turns, as in a gate."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.host.conditions import BackgroundLoad
from lcbench.measure import gate, noise, workload
from lcbench.measure.noise import Noise
from lcbench.measure.turns import Measured
from lcbench.record import Counters, ProcessResult, Turn


class Fake:
    """Substitute for worker processes and the clock: a generation takes two seconds.

    answer: function (number of the generation, number of the process) -> outcome.
    """

    def __init__(self, monkeypatch):
        fake = self
        self.now, self.generations = 0.0, []
        self.answer = measured_ok

        class Generation:
            def __init__(self, number, members, timeout_s, rng):
                self.number, self.members = number, members

            def __enter__(self):
                fake.generations.append(self)
                return self

            def __exit__(self, *raised):
                fake.now += 0.5

            def measure(self, cells, pace):
                fake.now += 1.5
                self.cells, self.pace = cells, pace
                return {index: fake.answer(self.number, index) for index in cells}

        monkeypatch.setattr(noise, "Generation", Generation)
        monkeypatch.setattr(noise, "monotonic", lambda: self.now)
        monkeypatch.setattr(workload, "build_problem", lambda size: None)
        monkeypatch.setattr(workload, "save_problem", lambda problem, losses, folder: None)


def measured_ok(number, index, switches=3):
    counters = Counters(seconds=0.5, involuntary_switches=switches)
    return Measured(
        result=ProcessResult(
            generation=number, counters=counters, turns=[Turn(round=0, place=index, samples=[1e-3 * (index + 1)])]
        )
    )


@pytest.fixture
def fake(monkeypatch):
    return Fake(monkeypatch)


def test_generations_of_four_processes_with_identical_work_are_measured_as_in_a_gate(fake):
    told = []
    measured = noise.measure_noise(9.0, lambda *given: told.append(given))
    assert [generation.number for generation in fake.generations] == [0, 1, 2, 3]
    for generation in fake.generations:
        jobs = [member.job for member in generation.members]
        assert {(job.implementation, job.cells[0].loss, job.cells[0].folder) for job in jobs} == {
            ("numpy", "softmax", jobs[0].cells[0].folder)
        }
        assert all(member.stopped for member in generation.members)
        assert (generation.cells, generation.pace) == ({0: 0, 1: 0, 2: 0, 3: 0}, gate.PACE)
    assert [(process.generation, process.turns[0].place) for process in measured.processes] == [
        (number, place) for number in range(4) for place in range(4)
    ]
    assert (measured.generations, measured.seconds, measured.generation_s) == (4, 8.0, 2.0)
    assert told == [("seconds of identical work", done, 9) for done in (0, 2, 4, 6)]


@pytest.mark.parametrize(("seconds", "generations"), [(1e-9, noise.FEWEST_GENERATIONS), (5.9, 2), (6.1, 3)])
def test_no_generation_is_started_that_would_end_too_late(fake, seconds, generations):
    assert noise.measure_noise(seconds).generations == generations


def test_involuntary_switches_are_per_second_of_the_turns(fake):
    assert noise.measure_noise(1.0).involuntary_switches_s == 6.0


def test_switches_are_unknown_if_the_system_does_not_count_them(fake):
    fake.answer = lambda number, index: measured_ok(number, index, switches=None)
    assert noise.measure_noise(1.0).involuntary_switches_s is None


def test_a_failed_worker_is_an_error_with_one_line(fake):
    fake.answer = lambda number, index: (
        Measured(status="crashed", reason="killed by SIGKILL") if index == 2 else measured_ok(number, index)
    )
    with pytest.raises(LcbenchError, match=r"^the noise cannot be measured: numpy: killed by SIGKILL$"):
        noise.measure_noise(1.0)


def test_the_length_of_a_generation():
    assert Noise((), 4, 6.0, BackgroundLoad(seconds=6.0)).generation_s == 1.5
