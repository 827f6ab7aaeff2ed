"""Noise of this machine: four processes with identical work take turns, as in a gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.host.conditions import BackgroundLoad, BackgroundObserver
from lcbench.host.counters import usable_cores
from lcbench.losses.implementation import LossName
from lcbench.measure import workload
from lcbench.measure.gate import PACE
from lcbench.measure.messages import Cell, TurnsJob
from lcbench.measure.turns import Generation, Member
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import ProcessResult
from lcbench.workers import process

IMPLEMENTATION = "numpy"
LOSS: LossName = "softmax"
SIZE = Size(rows=5000, features=3073, classes=10, dtype="float32", data="synthetic")
"""Size of a gate by default. Calls use every core, so they are sensitive to load on any core and in the caches."""

PROCESSES = 4
TIMEOUT_S = 60.0

FEWEST_GENERATIONS = 2
"""Minimum for a standard deviation that is reasonably reliable: it has three degrees of freedom per generation."""


@dataclass(frozen=True)
class Noise:
    """Times of identical work.

    processes: results of all processes, four of each generation. generations: their number. seconds: length of the
    whole measurement. meanwhile: other load on the machine during it. involuntary_switches_s: involuntary context
    switches per second while the processes took turns; None if the system does not count them.
    """

    processes: tuple[ProcessResult, ...]
    generations: int
    seconds: float
    meanwhile: BackgroundLoad
    involuntary_switches_s: float | None = None

    @property
    def generation_s(self) -> float:
        """Seconds per generation, including the start of its processes."""
        return self.seconds / self.generations


def measure_noise(seconds: float, progress: ProgressCallback = no_progress) -> Noise:
    """Measure generations of identical work for about `seconds` seconds, but at least `FEWEST_GENERATIONS`.

    Raise LcbenchError if a worker process fails.
    """
    rng = np.random.default_rng()
    with files.temporary_folder("noise") as name:
        folder = Path(name)
        workload.save_problem(workload.build_problem(SIZE), [LOSS], folder / SIZE.folder)
        variables = process.environment(usable_cores(), folder / "compiled")
        observer, start = BackgroundObserver(), monotonic()
        processes: list[ProcessResult] = []
        number, longest_s = 0, 0.0
        while number < FEWEST_GENERATIONS or monotonic() - start + longest_s < seconds:
            generation_start, total = monotonic(), max(1, round(seconds))
            progress("seconds of identical work", min(int(generation_start - start), total - 1), total)
            cells = [Cell(LOSS, str(folder / SIZE.folder))]
            jobs = [TurnsJob(implementation=IMPLEMENTATION, cells=cells, seed=seed) for seed in range(PROCESSES)]
            with Generation(number, [Member(job, variables) for job in jobs], TIMEOUT_S, rng) as generation:
                outcomes = generation.measure(dict.fromkeys(range(PROCESSES), 0), PACE)
            for measured in outcomes.values():
                if measured.result is None:
                    raise LcbenchError(f"the noise cannot be measured: {IMPLEMENTATION}: {measured.reason}")
                processes.append(measured.result)
            number, longest_s = number + 1, max(longest_s, monotonic() - generation_start)
        seconds = monotonic() - start
        return Noise(tuple(processes), number, seconds, observer.read(), _involuntary_switches_s(processes))


def _involuntary_switches_s(processes: list[ProcessResult]) -> float | None:
    known = [
        (result.counters.involuntary_switches, result.counters.seconds)
        for result in processes
        if result.counters and result.counters.involuntary_switches is not None
    ]
    return sum(count for count, _ in known) / sum(seconds for _, seconds in known) if known else None
