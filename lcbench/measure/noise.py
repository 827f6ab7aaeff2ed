"""How far apart times of the very same work lie here: one implementation against itself, as `run` would measure it."""

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
"""A call takes about a millisecond on every core: what disturbs one core, or the caches, disturbs it."""

CELL_S = 0.05
MOST_SAMPLES = 30
TIMEOUT_S = 60.0

FEWEST_BLOCKS = 3
"""Two would be a spread, but hardly one to rely on."""


@dataclass(frozen=True)
class Noise:
    """Identical work, timed in fresh processes, two a block.

    blocks: median seconds a call of A and of A', which are the same. seconds: length of the whole measurement.
    involuntary_switches_s: times a second, while a call was timed, that its process was made to leave a core.
    """

    blocks: tuple[tuple[float, float], ...]
    seconds: float
    meanwhile: BackgroundLoad
    involuntary_switches_s: float | None = None

    @property
    def log_ratios(self) -> list[float]:
        """Logarithm of the time of A' over that of A, a number a block."""
        return [log(other / one) for one, other in self.blocks]

    @property
    def spread(self) -> float:
        """Standard deviation of the log-ratios: 0.04 is 4 %."""
        return stdev(self.log_ratios)

    @property
    def worst(self) -> float:
        """By how much the slower of the two took longer in the worst block: 0.15 is 15 %."""
        return expm1(max(abs(ratio) for ratio in self.log_ratios))

    @property
    def block_s(self) -> float:
        """Seconds that a block takes, its processes' start included."""
        return self.seconds / len(self.blocks)


def measure_noise(seconds: float, progress: ProgressCallback = no_progress) -> Noise:
    """Times A and A' in turn for about `seconds`, and for no fewer than `FEWEST_BLOCKS` blocks.

    Which of the two comes first changes from block to block, so that a drift hits both alike. Raises LcbenchError where
    the work cannot be done.
    """
    with files.temporary_folder("noise") as name:
        folder = Path(name)
        workload.save_problem(workload.build_problem(SIZE), [LOSS], folder / SIZE.folder)
        _once(folder, 0)  # what is read for the first time comes from the disk
        observer, began = BackgroundObserver(), monotonic()
        blocks: list[tuple[float, float]] = []
        processes: list[ProcessResult] = []
        while len(blocks) < FEWEST_BLOCKS or monotonic() - began < seconds:
            total = max(1, round(seconds))
            progress("seconds of identical work, in turn", min(int(monotonic() - began), total - 1), total)
            pair = _once(folder, 2 * len(blocks)), _once(folder, 2 * len(blocks) + 1)
            processes += pair
            one, other = (median(each.samples) for each in pair)
            blocks.append((one, other) if len(blocks) % 2 == 0 else (other, one))
        return Noise(tuple(blocks), monotonic() - began, observer.read(), _involuntary_switches_s(processes))


def _once(folder: Path, seed: int) -> ProcessResult:
    """One process."""
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
