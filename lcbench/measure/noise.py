"""Noise of this machine: one implementation is compared with itself, measured as in `lcbench run`."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, log
from pathlib import Path
from statistics import median, stdev
from time import monotonic

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.host.conditions import BackgroundLoad, BackgroundObserver
from lcbench.host.counters import usable_cores
from lcbench.losses.implementation import LossName
from lcbench.measure import workload
from lcbench.measure.messages import Cell, Timed, TimeJob
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import ProcessResult
from lcbench.workers import process
from lcbench.workers.messages import Failed

IMPLEMENTATION = "numpy"
LOSS: LossName = "softmax"
SIZE = Size(rows=500, features=3073, classes=10, dtype="float32", data="synthetic")
"""Calls take about a millisecond on every core, so they are sensitive to load on any core and in the caches."""

CELL_S = 0.05
MOST_SAMPLES = 30
TIMEOUT_S = 60.0

FEWEST_BLOCKS = 3
"""Minimum for a standard deviation that is reasonably reliable."""


@dataclass(frozen=True)
class Noise:
    """Times of identical work, measured in blocks of two new processes.

    blocks: median seconds per call of A and of A', which are the same implementation. seconds: length of the whole
    measurement. meanwhile: other load on the machine during it. involuntary_switches_s: involuntary context switches
    per second while calls were timed; None if the system does not count them.
    """

    blocks: tuple[tuple[float, float], ...]
    seconds: float
    meanwhile: BackgroundLoad
    involuntary_switches_s: float | None = None

    @property
    def log_ratios(self) -> list[float]:
        """Log-ratio of the times of A' and A, for each block."""
        return [log(second / first) for first, second in self.blocks]

    @property
    def spread(self) -> float:
        """Standard deviation of the log-ratios: 0.04 is about 4 %."""
        return stdev(self.log_ratios)

    @property
    def worst(self) -> float:
        """Largest relative difference within a block: 0.15 is 15 %."""
        return expm1(max(abs(ratio) for ratio in self.log_ratios))

    @property
    def block_s(self) -> float:
        """Seconds per block, including the start of its processes."""
        return self.seconds / len(self.blocks)


def measure_noise(seconds: float, progress: ProgressCallback = no_progress) -> Noise:
    """Time A and A' alternately for about `seconds` seconds, but for at least `FEWEST_BLOCKS` blocks.

    The order alternates from block to block, so that a drift affects both equally. Raise LcbenchError if the worker
    process fails.
    """
    with files.temporary_folder("noise") as name:
        folder = Path(name)
        workload.save_problem(workload.build_problem(SIZE), [LOSS], folder / SIZE.folder)
        _measure_process(folder, 0)  # the first process reads its files from the disk
        observer, start = BackgroundObserver(), monotonic()
        blocks: list[tuple[float, float]] = []
        processes: list[ProcessResult] = []
        while len(blocks) < FEWEST_BLOCKS or monotonic() - start < seconds:
            total = max(1, round(seconds))
            progress("seconds of identical work", min(int(monotonic() - start), total - 1), total)
            pair = _measure_process(folder, 2 * len(blocks)), _measure_process(folder, 2 * len(blocks) + 1)
            processes += pair
            first, second = (median(each.samples) for each in pair)
            blocks.append((first, second) if len(blocks) % 2 == 0 else (second, first))
        return Noise(tuple(blocks), monotonic() - start, observer.read(), _involuntary_switches_s(processes))


def _measure_process(folder: Path, seed: int) -> ProcessResult:
    job = TimeJob(
        implementation=IMPLEMENTATION,
        cells=[Cell(LOSS, str(folder / SIZE.folder))],
        seconds=CELL_S,
        most_samples=MOST_SAMPLES,
        seed=seed,
    )
    events = process.work(job, process.environment(usable_cores(), folder / "compiled"), TIMEOUT_S)
    for event in events:
        if isinstance(event, Timed) and event.process:
            return event.process
    reasons = [event.reason for event in events if isinstance(event, Timed | Failed)]
    raise LcbenchError(f"the noise cannot be measured: {IMPLEMENTATION}: {'; '.join(reasons) or 'no answer'}")


def _involuntary_switches_s(processes: list[ProcessResult]) -> float | None:
    known = [
        (turn.counters.involuntary_switches, turn.counters.seconds)
        for process in processes
        for turn in process.turns
        if turn.counters and turn.counters.involuntary_switches is not None
    ]
    return sum(count for count, _ in known) / sum(seconds for _, seconds in known) if known else None
