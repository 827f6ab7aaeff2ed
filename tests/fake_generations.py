"""Substitutes for the worker processes of a schedule, in which every cell has the same times."""

from __future__ import annotations

from lcbench.measure import schedule
from lcbench.measure.messages import Timed
from lcbench.measure.turns import Measured
from lcbench.record import ProcessResult, Turn
from lcbench.workers import process


def measured_ok(generation=0, seconds=(1e-3, 2e-3, 3e-3), first_call_s=0.5, **timed):
    """Return the outcome of a cell in a process with one turn. `timed` are fields of `messages.Timed`."""
    result = ProcessResult(generation=generation, turns=[Turn(round=0, place=0, samples=list(seconds), calls=4)])
    return Measured(
        result=result, import_s=0.1, first_call_s=first_call_s, timed=Timed(error_loss=1e-7, error_grad=2e-7, **timed)
    )


class FakeGeneration:
    """Substitute for `turns.Generation`, which measures nothing.

    cells: list of cells by name of the member, for each workload in order.
    """

    def __init__(self, fake, number, members, timeout_s, rng, together=True, first_round=0, begins=lambda what: None):
        self.fake, self.number, self.members, self.together, self.first_round = (
            fake,
            number,
            members,
            together,
            first_round,
        )
        self.names = [getattr(member.job, "implementation", "limit") for member in members]
        self.cells, self.paces = [], []

    def __enter__(self):
        self.fake.generations.append(self)
        return self

    def __exit__(self, *raised):
        pass

    def measure(self, cells, pace, taken=lambda: None):
        jobs = {index: self.members[index].job for index in cells}
        self.cells.append({self.names[index]: jobs[index].cells[cell] for index, cell in cells.items()})
        self.paces.append(pace)
        taken()
        self.fake.now += self.fake.cell_s
        return {
            index: self.fake.answer(self.names[index], jobs[index].cells[cell], self) for index, cell in cells.items()
        }


class FakeSchedule:
    """Substitute for worker processes: all generations, and a clock that advances by `cell_s` with each workload.

    answer: function (name of the member, cell, generation) -> outcome.
    """

    def __init__(self, monkeypatch):
        self.generations, self.jobs, self.now, self.cell_s = [], [], 0.0, 1.0
        self.answer = lambda name, cell, generation: measured_ok(generation.number)
        monkeypatch.setattr(schedule, "Generation", lambda *given, **options: FakeGeneration(self, *given, **options))
        monkeypatch.setattr(schedule, "monotonic", lambda: self.now)
        monkeypatch.setattr(process, "work", self.work)
        monkeypatch.setattr(schedule, "_build_problems", lambda *arguments: None)

    def work(self, job, variables, timeout_s, place=None):
        self.jobs.append(job)
        return []

    def members(self, name):
        """Return the members with this name."""
        return [
            member
            for generation in self.generations
            for own, member in zip(generation.names, generation.members, strict=True)
            if own == name
        ]
