"""Schedule of a run or sweep: rounds in which every target is measured once, in random order.

In a round, each target is measured in a worker process of its own. `run_schedule` is the entry point.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations, compress
from math import inf, log
from pathlib import Path
from statistics import median
from time import monotonic

import numpy as np
from msgspec.structs import replace

from lcbench import files
from lcbench.host.counters import usable_cores
from lcbench.losses.implementation import Device, LossName
from lcbench.measure import workload
from lcbench.measure.messages import Cell, GemmJob, GemmMeasured, PeakMeasured, PeaksJob, Timed, TimeJob
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, delayed, no_progress
from lcbench.record import MachinePeak, Row, RowSide
from lcbench.settings import RunSettings
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place

MOST_SAMPLES = 30

FEWEST_ROUNDS = 3
"""Rounds that are measured even if they exceed the time budget, unless fewer are requested."""


@dataclass(frozen=True)
class Target:
    """Implementation that takes part in a run, with its cells: the losses and sizes on which it is measured.

    name: what `usercode.discovery.resolve` resolves. row_name: its name in the rows, if that differs. threads: number
    of threads of every library in its worker processes; None means the setting of the plan.
    """

    name: str
    device: Device
    cells: tuple[tuple[LossName, Size], ...]
    row_name: str = ""
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """Targets and settings of a run. cell_s: sampling time of one cell in one round, in seconds."""

    targets: tuple[Target, ...]
    settings: RunSettings
    cell_s: float = 0.1

    def threads_of(self, target: Target) -> int:
        """Return the number of threads of every library in the worker processes of `target`."""
        return target.threads or self.settings.threads or usable_cores()

    @property
    def most_threads(self) -> int:
        """Number of threads with which the machine's peak rates are measured."""
        most = max((target.threads or 0 for target in self.targets), default=0)
        return most or self.settings.threads or usable_cores()


Rows = dict[tuple[Target, tuple[LossName, Size]], Row]


@dataclass
class ScheduleState:
    """Measurements so far. rounds: number of complete rounds. spent_s: seconds that these took."""

    rows: list[Row]
    peaks: list[MachinePeak] = field(default_factory=list)
    interrupted: bool = False
    rounds: int = 0
    spent_s: float = 0.0


def begin_schedule(plan: Plan) -> ScheduleState:
    """Return the state of `plan` before anything is measured."""
    return ScheduleState([_empty_row(target, *cell, plan) for target in plan.targets for cell in target.cells])


def run_schedule(
    plan: Plan,
    progress: ProgressCallback = no_progress,
    state: ScheduleState | None = None,
    after_round: Callable[[ScheduleState], None] = lambda state: None,
) -> ScheduleState:
    """Measure everything in `plan` and return the final state. Ctrl-C ends it early and keeps all measurements.

    state: of an earlier, unfinished run of the same plan, which is continued. after_round: called with the state after
    every round. Raise LcbenchError if the data of a workload is not available.
    """
    state = state or begin_schedule(plan)
    seed = plan.settings.seed
    rng = np.random.default_rng(seed if seed is None else [seed, state.rounds])
    cells = ((target, cell) for target in plan.targets for cell in target.cells)
    rows = dict(zip(cells, state.rows, strict=True))
    with files.temporary_folder("run") as name:
        folder = Path(name)
        try:
            _build_problems(plan, folder, progress)
            state.peaks = _highest([*state.peaks, *_measure_peaks(plan, folder, progress)])
            _measure_rounds(plan, state, rows, folder, rng, progress, after_round)
            # Noise only lowers the measured rates, so the higher of two measurements is closer to the true peak.
            state.peaks = _highest([*state.peaks, *_measure_peaks(plan, folder, progress)])
        except KeyboardInterrupt:
            state.interrupted = True
    for row in state.rows:
        if row.status == "ok" and not row.processes:
            row.fail("crashed", "stopped before it was measured")
    return state


def refused_rows(target: Target, status: str, reason: str, plan: Plan) -> list[Row]:
    """Return the rows of a target that cannot be measured, with its status and reason."""
    rows = [_empty_row(target, *cell, plan) for cell in target.cells]
    for row in rows:
        row.fail(status, reason)
    return rows


def least_s(plan: Plan) -> float:
    """Return the minimum duration of `plan` in seconds: the sampling time of the rounds that are always measured."""
    rounds = min(FEWEST_ROUNDS, plan.settings.blocks)
    return rounds * plan.cell_s * sum(len(target.cells) for target in plan.targets)


def _build_problems(plan: Plan, folder: Path, progress: ProgressCallback) -> None:
    """Write the problems into `folder`, with the right answers for the losses that are measured on each."""
    losses: dict[Size, list[LossName]] = {}
    for target in plan.targets:
        for loss, size in target.cells:
            if loss not in losses.setdefault(size, []):
                losses[size].append(loss)
    alike: dict[Size, list[Size]] = {}
    for size in losses:
        alike.setdefault(dataclasses.replace(size, rows=0), []).append(size)
    for sizes in alike.values():  # they differ only in rows: the smaller problems are the first rows of the largest
        largest = max(sizes, key=lambda size: size.rows)
        wanted = list(dict.fromkeys(loss for size in sizes for loss in losses[size]))
        data = f"data: {largest.rows:,} x {largest.features:,}"
        progress(data, 0, 1)
        problem = workload.build_problem(largest, progress=delayed(progress))
        folders = {size.rows: folder / size.folder for size in sizes}
        workload.save_first_rows(problem, wanted, folders, delayed(progress))
        progress(data, 1, 1)


def _measure_rounds(
    plan: Plan,
    state: ScheduleState,
    rows: Rows,
    folder: Path,
    rng: np.random.Generator,
    progress: ProgressCallback,
    after_round: Callable[[ScheduleState], None],
) -> None:
    settings, start = plan.settings, monotonic() - state.spent_s
    first, targets = state.rounds, len(plan.targets)
    done, total = first * targets, targets * min(settings.blocks, max(first, FEWEST_ROUNDS) + 1)
    longest_s = 0.0
    for number in range(first, settings.blocks):
        round_start = monotonic()
        if number >= FEWEST_ROUNDS and round_start - start + longest_s > settings.budget_s:
            break
        if number >= first + 2:  # the first round includes compilation, so it does not predict the others
            fitting = int((settings.budget_s - (round_start - start)) / max(longest_s, 1e-3))
            total = targets * min(settings.blocks, max(FEWEST_ROUNDS, number + fitting))
        for index in rng.permutation(targets).tolist():
            target = plan.targets[index]
            progress("blocks", done, total, target.name)
            if number == 0 or target.device != "simulator":  # times in the simulator mean nothing: once is enough
                _measure_target(target, plan, rows, folder, int(rng.integers(2**31)))
            done += 1
        if number > first:
            longest_s = max(longest_s, monotonic() - round_start)
        state.rounds, state.spent_s = number + 1, monotonic() - start
        after_round(state)


def _measure_target(target: Target, plan: Plan, rows: Rows, folder: Path, seed: int) -> None:
    """Measure the cells of a target that have not failed, in one worker process if possible.

    If a cell ends the process, the cells that were not measured yet get another process. In the first round, larger
    cells are also measured in later processes if the smaller ones decide whether they would take too long.
    """
    most_call_s = plan.settings.most_call_s
    all_rows = [rows[target, cell] for cell in target.cells]
    waiting = list(target.cells)
    while True:
        if most_call_s is not None:
            refuse_too_long(all_rows, most_call_s)
        waiting = [cell for cell in waiting if rows[target, cell].status == "ok"]
        if not waiting:
            return
        now = waiting
        if most_call_s is not None:
            now = list(compress(waiting, measure_first([rows[target, cell] for cell in waiting])))
        later = [cell for cell in waiting if cell not in now]
        waiting = _measure_cells(target, now, plan, rows, folder, seed) + later


def _measure_cells(
    target: Target, cells: list[tuple[LossName, Size]], plan: Plan, rows: Rows, folder: Path, seed: int
) -> list[tuple[LossName, Size]]:
    """Measure `cells` in one worker process; return those that it did not reach because another one ended it."""
    simulated = target.device == "simulator"
    job = TimeJob(
        implementation=target.name,
        cells=[Cell(loss, str(folder / size.folder)) for loss, size in cells],
        seconds=0.0 if simulated else plan.cell_s,
        most_samples=0 if simulated else MOST_SAMPLES,
        seed=seed,
    )
    variables = process.environment(plan.threads_of(target), folder / "compiled", simulated)
    own_rows = [rows[target, cell] for cell in cells]
    return [cells[index] for index in measure_in_worker(job, own_rows, variables, plan.settings.timeout_s)]


# Peak rates of the machine.


def _measure_peaks(plan: Plan, folder: Path, progress: ProgressCallback) -> list[MachinePeak]:
    """Return the peaks of each device that takes part; those of the CPU include the rate of NumPy's matrix product."""
    peaks = []
    variables = process.environment(plan.most_threads, folder / "compiled")
    for device in ("cpu", "cuda"):
        sizes = {size for target in plan.targets if target.device == device for _, size in target.cells}
        wanted = sorted({(size.dtype, size.footprint) for size in sizes})
        if not wanted:
            continue
        progress("peak rates of the machine", 0, 1)
        events = process.work(PeaksJob(wanted=wanted, device=device), variables, plan.settings.timeout_s)
        found = [event.peak for event in events if isinstance(event, PeakMeasured)]
        if device == "cpu":
            job = GemmJob(dtypes=sorted({dtype for dtype, _ in wanted}))
            events = process.work(job, variables, plan.settings.timeout_s)
            rates = {event.dtype: event.flops_s for event in events if isinstance(event, GemmMeasured)}
            found = [replace(peak, gemm_flops_s=rates.get(peak.dtype)) for peak in found]
        peaks += found
        progress("peak rates of the machine", 1, 1)
    return peaks


def _highest(peaks: list[MachinePeak]) -> list[MachinePeak]:
    """Return one peak for each device, dtype and footprint, with the highest of the measured rates."""
    groups: dict[tuple[str, str, int], list[MachinePeak]] = {}
    for peak in peaks:
        groups.setdefault((peak.device, peak.dtype, peak.footprint), []).append(peak)

    def highest(group: list[MachinePeak], rate: str) -> float | None:
        return max((getattr(peak, rate) for peak in group), key=lambda measured: measured or 0.0)

    rates = ("read_bytes_s", "flops_s", "copy_bytes_s", "gemm_flops_s")
    return [replace(group[0], **{rate: highest(group, rate) for rate in rates}) for group in groups.values()]


# Extrapolation: a cell is not measured if the times of smaller ones show that a call would take too long.

LONGEST_STEP = 10.0
"""Cells with up to this multiple of the smallest cell's work are measured before larger ones are extrapolated."""

STEEPEST_GROWTH = 3.0
"""Largest exponent of time as a power of work. Between two close points, noise can produce any exponent."""


def measure_first(waiting: list[Row]) -> list[bool]:
    """Return which rows to measure now: those measured in earlier rounds and, of the others, the smallest ones."""
    new = [row for row in waiting if not row.processes]
    least = {loss: min(row.flops for row in new if row.loss == loss) for loss in {row.loss for row in new}}
    return [bool(row.processes) or row.flops <= LONGEST_STEP * least[row.loss] for row in waiting]


def refuse_too_long(rows: list[Row], most_call_s: float) -> None:
    """Mark those of an implementation's rows as unavailable that have no time yet and would take longer per call."""
    for row in rows:
        expected_s = extrapolated_s(row, rows) if row.status == "ok" and not row.processes else None
        if expected_s is None or expected_s <= most_call_s:
            continue
        row.fail(
            "unavailable",
            "a smaller problem has timed out"
            if expected_s == inf
            else f"would take about {expected_s:.2g} s a call; --most-seconds-a-call is {most_call_s:g}",
        )


def extrapolated_s(row: Row, rows: list[Row]) -> float | None:
    """Return the seconds per call that `row` would take, extrapolated from the smaller ones among `rows`.

    Each smaller row is extrapolated with an exponent between 1 and `STEEPEST_GROWTH`, the median slope between the
    measured rows in log-log space. The smallest of these estimates is returned, since disturbances and fixed costs only
    lengthen a time. None if nothing smaller was measured; infinity if a smaller row timed out.
    """
    smaller = [other for other in rows if other.loss == row.loss and other.flops <= row.flops and other is not row]
    if any(other.status == "timeout" for other in smaller):
        return inf
    times = {other.flops: min(other.processes[0].samples) for other in smaller if other.processes}
    if not times:
        return None
    pairs = combinations(times.items(), 2)
    slopes = [log(seconds / other_s) / log(work / other) for (work, seconds), (other, other_s) in pairs]
    exponent = min(STEEPEST_GROWTH, max(1.0, median(slopes or [1.0])))
    return min(seconds * (row.flops / work) ** exponent for work, seconds in times.items())


# Rows, and one worker process that measures some of them; gates use these as well.


def empty_row(implementation: str, device: Device, loss: LossName, size: Size, threads: int, side: RowSide = "") -> Row:
    """Return a row without measurements."""
    return Row(
        implementation=implementation,
        loss=loss,
        dtype=size.dtype,
        rows=size.rows,
        features=size.features,
        classes=size.classes,
        data=size.data,
        batch=size.batch,
        streamed=size.streamed,
        device=device,
        status="ok",
        side=side,
        threads=threads,
        flops=size.flops,
        bytes=size.bytes,
    )


def _empty_row(target: Target, loss: LossName, size: Size, plan: Plan) -> Row:
    return empty_row(target.row_name or target.name, target.device, loss, size, plan.threads_of(target))


def measure_in_worker(
    job: TimeJob, rows: list[Row], variables: dict[str, str], timeout_s: float, place: Place = HERE
) -> list[int]:
    """Do `job` in a worker process and add its results to `rows`, which correspond to the job's cells.

    Return the indices of the cells that were not measured because another one ended the process.
    """
    events = process.work(job, variables, timeout_s, place)
    left = dict(enumerate(rows))
    for event in events:
        if isinstance(event, Timed):
            _add(left.pop(event.index), event)
        elif isinstance(event, Failed):
            at = process.unanswered(events)
            for index in list(left) if at is None else [at]:
                left.pop(index).fail(event.status, event.reason)
    return list(left)


def _add(row: Row, timed: Timed) -> None:
    if row.status != "ok":  # a gate still measures both losses if only one has failed
        return
    row.convention = timed.convention
    row.threads = timed.threads or row.threads
    if timed.process is None:
        row.fail(timed.status, timed.reason)
        return
    if not row.processes:  # later processes load what the first one compiled
        row.first_call_s, row.prepare_s, row.import_s = timed.first_call_s, timed.prepare_s, timed.import_s
        if timed.compiles and timed.first_call_s is not None:
            row.compile_s = max(0.0, timed.first_call_s - median(timed.process.samples))
    row.processes.append(timed.process)
    row.error_loss = max(row.error_loss or 0.0, timed.error_loss or 0.0)
    row.error_grad = max(row.error_grad or 0.0, timed.error_grad or 0.0)
