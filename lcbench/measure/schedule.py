"""Schedule of a run or sweep: generations of worker processes, one of each target, which take turns on each workload.

`run_schedule` is the entry point.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from math import ceil, inf, log
from pathlib import Path
from statistics import median
from time import monotonic
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from lcbench import files
from lcbench.control_groups import memory_available
from lcbench.host.counters import usable_cores
from lcbench.losses.implementation import Device, LossName
from lcbench.measure import workload
from lcbench.measure.messages import (
    Cell,
    LimitCell,
    LimitsJob,
    PeakMeasured,
    PeaksJob,
    TurnsJob,
)
from lcbench.measure.turns import MOST_ROUNDS, Generation, Measured, Member, Pace
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, delayed, no_progress
from lcbench.ranges import FLOAT_OF_PIXELS, dtype_of_W
from lcbench.record import CONVERTS, MachinePeak, PixelUse, Row, RowSide
from lcbench.settings import RunSettings, defaults
from lcbench.units import duration
from lcbench.usercode.discovery import code_hash
from lcbench.workers import process

FEWEST_GENERATIONS = 5
"""Generations that are measured even if they exceed the time budget, unless fewer are requested."""

FEWEST_IN_OVERRUN = 3
"""Generations after which a run ends that takes `LONGEST_OVERRUN` of its budget, or of the default if that is more."""

LONGEST_OVERRUN = 4.0

ROUNDS = 4
"""Rounds of a workload in one generation."""

LIMIT = "limit"
"""Name of the rows with the machine's limit."""

CELL_S = 0.3
"""Typical duration of a cell in one generation, in seconds: loading, warm-up and turns."""

PROCESS_BYTES = 350_000_000
"""Memory that a worker process takes without its data."""


@dataclass(frozen=True, eq=False)  # compared by identity, since a hash of hundreds of cells would take long
class Target:
    """Implementation that takes part in a run, with its cells: the losses and sizes on which it is measured.

    alone: whether its processes take no turns, since they compute on a GPU, in a simulator or on a cluster. name:
    what `usercode.discovery.resolve` resolves. row_name: its name in the rows, if that differs. threads: number of
    threads of every library in its worker processes; None means the setting of the plan. pixels: how it uses the
    pixels of its cells, if their X is pixels.
    """

    name: str
    device: Device
    cells: tuple[tuple[LossName, Size], ...]
    row_name: str = ""
    alone: bool = False
    threads: int | None = None
    pixels: PixelUse = ""


@dataclass(frozen=True)
class Plan:
    """Targets and settings of a run. rounds: number of rounds of a workload in one generation."""

    targets: tuple[Target, ...]
    settings: RunSettings
    rounds: int = ROUNDS

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
    """Measurements so far. rounds: number of complete generations. spent_s: seconds that these took.

    limits: rows with the machine's limit on each workload.
    """

    rows: list[Row]
    limits: list[Row] = field(default_factory=list)
    peaks: list[MachinePeak] = field(default_factory=list)
    interrupted: bool = False
    rounds: int = 0
    spent_s: float = 0.0


def begin_schedule(plan: Plan) -> ScheduleState:
    """Return the state of `plan` before anything is measured."""
    rows = [_empty_row(target, *cell, plan) for target in plan.targets for cell in target.cells]
    limits = [
        empty_row(f"{LIMIT}, {FLOAT_OF_PIXELS}" if one.converted else LIMIT, "cpu", *one.cell, plan.most_threads,
                  pixels=one.pixels)
        for one in _limited(plan)
    ]  # fmt: skip
    return ScheduleState(rows, limits)


def run_schedule(
    plan: Plan,
    progress: ProgressCallback = no_progress,
    state: ScheduleState | None = None,
    after_generation: Callable[[ScheduleState], None] = lambda state: None,
) -> ScheduleState:
    """Measure everything in `plan` and return the final state. Ctrl-C ends it early and keeps all measurements.

    state: of an earlier, unfinished run of the same plan, which is continued. after_generation: called with the state
    after every generation. Raise LcbenchError if the data of a workload is not available.
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
            state.peaks = _highest([*state.peaks, *_gpu_peaks(plan, folder, progress)])
            _Generations(plan, state, rows, folder, rng, progress).measure(after_generation)
            # Noise only lowers the measured rates, so the higher of two measurements is closer to the true peak.
            state.peaks = _highest([*state.peaks, *_gpu_peaks(plan, folder, progress)])
            state.peaks = _with_gemm(state.peaks)
        except KeyboardInterrupt:
            state.interrupted = True
    fail_unmeasured(state.rows)
    return state


def fail_unmeasured(rows: list[Row]) -> None:
    """Set the status of the rows that were not measured before the measurement was stopped."""
    for row in rows:
        if row.status == "ok" and not row.processes:
            row.fail("crashed", "stopped before it was measured")


def refused_rows(target: Target, status: str, reason: str, plan: Plan) -> list[Row]:
    """Return the rows of a target that cannot be measured, with its status and reason."""
    rows = [_empty_row(target, *cell, plan) for cell in target.cells]
    for row in rows:
        row.fail(status, reason)
    return rows


def least_s(plan: Plan) -> float:
    """Return the minimum duration of `plan` in seconds, without compilation and imports."""
    generations = min(FEWEST_GENERATIONS, plan.settings.blocks)
    return generations * CELL_S * sum(len(target.cells) for target in plan.targets)


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


class _Limited(NamedTuple):
    """Workload on which the limit of the CPU is measured. converted: whether X is that of converted pixels."""

    cell: tuple[LossName, Size]
    converted: bool

    @property
    def pixels(self) -> PixelUse:
        """Use of the pixels by the row of the limit, if X is pixels."""
        return ("converted" if self.converted else "read") if self.cell[1].pixels else ""

    @property
    def size(self) -> Size:
        """Size with the X that is read."""
        return self.cell[1].read_by(self.pixels)


def _limited(plan: Plan) -> list[_Limited]:
    """Return the workloads on which the limit of the CPU is measured."""
    targets = [target for target in plan.targets if target.device == "cpu"]
    return list(dict.fromkeys(_Limited(cell, _are_converted(target)) for target in targets for cell in target.cells))


def _are_converted(target: Target) -> bool:
    return target.pixels == "converted"


class _Generations:
    """Measurement of a plan, generation by generation."""

    def __init__(
        self,
        plan: Plan,
        state: ScheduleState,
        rows: Rows,
        folder: Path,
        rng: np.random.Generator,
        progress: ProgressCallback,
    ) -> None:
        self._plan, self._state, self._rows, self._folder = plan, state, rows, folder
        self._rng, self._progress = rng, progress
        self._limits = dict(zip(_limited(plan), state.limits, strict=True))
        self._workloads = list(dict.fromkeys(cell for target in plan.targets for cell in target.cells))
        self._mapped, fits_together = _memory_for(plan)
        self._together = fits_together
        self._start, self._expected_s, self._generation = monotonic(), 1, 0

    def measure(self, after_generation: Callable[[ScheduleState], None]) -> None:
        """Measure generations until the budget is spent."""
        settings, state = self._plan.settings, self._state
        first, start = state.rounds, monotonic() - state.spent_s
        self._start = start
        longest_s, fewest = 0.0, min(settings.blocks, FEWEST_GENERATIONS)
        most_s = LONGEST_OVERRUN * max(settings.budget_s, defaults(RunSettings)["budget_s"])
        for number in range(first, settings.blocks):
            generation_start = monotonic()
            spent_s = generation_start - start
            if number >= FEWEST_GENERATIONS and spent_s + longest_s > settings.budget_s:
                break
            if number >= FEWEST_IN_OVERRUN and spent_s + longest_s > most_s:
                self._progress(
                    f"stopped after {number} generations and {duration(spent_s)}: {fewest} would take much longer than "
                    f"the budget of {duration(settings.budget_s)}; choose fewer rows or implementations, or a longer "
                    "--budget, or stop other programs"
                )
                break
            end_s = spent_s + (settings.blocks - number) * longest_s if longest_s else inf
            planned_s = min(settings.budget_s, end_s)
            self._generation, self._expected_s = (
                number + 1,
                ceil(max(planned_s, spent_s + max(1, fewest - number) * longest_s, 1.0)),
            )
            groups = self._groups(number)
            for index, group in enumerate(groups):
                self._measure_group(group, number, index * MOST_ROUNDS)
            if number > first:  # the first one includes compilation, so it does not predict the others
                longest_s = max(longest_s, monotonic() - generation_start)
            state.rounds, state.spent_s = number + 1, monotonic() - start
            after_generation(state)

    def _groups(self, number: int) -> list[list[Target]]:
        """Return the targets whose processes are alive together. Targets that take no turns are groups of their own."""
        open_targets = [
            target
            for target in self._plan.targets
            if any(self._rows[target, cell].status == "ok" for cell in target.cells)
            and (number == 0 or target.device != "simulator")  # times in the simulator mean nothing: once is enough
        ]
        alone = [[target] for target in open_targets if target.alone or not self._together]
        together = [target for target in open_targets if not target.alone and self._together]
        groups = [*([together] if together else []), *alone]
        return [groups[index] for index in self._rng.permutation(len(groups)).tolist()]

    def _measure_group(self, targets: list[Target], number: int, first_round: int) -> None:
        """Measure all cells of the targets in one generation."""
        members = [self._member(target) for target in targets]
        # A process that measures the limit has one X in a round, as those that compute.
        limits = sorted({_are_converted(target) for target in targets if target.device == "cpu"})
        members += [self._limit_member(converted, gemm=number == 0) for converted in limits]
        timeout_s = self._plan.settings.timeout_s
        self._show("starting processes")
        with Generation(number, members, timeout_s, self._rng, number > 0, first_round, self._show) as generation:
            for cell in self._ordered(number):
                self._refuse_too_long(targets, cell)
                cells = {
                    index: target.cells.index(cell)
                    for index, target in enumerate(targets)
                    if cell in target.cells and self._rows[target, cell].status == "ok"
                }
                if cells:
                    detail = f"{cell[0]} {cell[1].rows:,}"
                    self._show(detail)
                    limited: dict[int, _Limited] = {}
                    for converted in dict.fromkeys(_are_converted(targets[index]) for index in cells):
                        if converted in limits:
                            one, place = _Limited(cell, converted), len(targets) + limits.index(converted)
                            limited[place] = one
                            cells[place] = self._limits_of(converted).index(one)
                    simulated = targets[0].device == "simulator"
                    pace = Pace(rounds=self._plan.rounds, thorough=number == 0, simulated=simulated)
                    outcomes = generation.measure(cells, pace, partial(self._show, detail))
                    for index, measured in outcomes.items():
                        if index in limited:
                            self._add_limit(self._limits[limited[index]], measured)
                        else:
                            add(self._rows[targets[index], cell], measured)

    def _add_limit(self, row: Row, measured: Measured) -> None:
        add(row, measured)
        if measured.timed.peak:
            self._state.peaks = _highest([*self._state.peaks, measured.timed.peak])

    def _ordered(self, number: int) -> list[tuple[LossName, Size]]:
        """Return the workloads in random order, those on the same data one after the other.

        In the first generation, small ones come first: they decide whether larger ones would take too long.
        """
        sizes = list(dict.fromkeys(size for _, size in self._workloads))
        order = self._rng.permutation(len(sizes)).tolist()
        position = {sizes[index]: place for place, index in enumerate(order)}
        shuffled = [self._workloads[index] for index in self._rng.permutation(len(self._workloads)).tolist()]
        if number == 0:
            return sorted(shuffled, key=lambda cell: (cell[1].flops, position[cell[1]]))
        return sorted(shuffled, key=lambda cell: position[cell[1]])

    def _refuse_too_long(self, targets: list[Target], cell: tuple[LossName, Size]) -> None:
        if self._plan.settings.most_call_s is not None:
            for target in targets:
                if cell in target.cells and not self._rows[target, cell].processes:
                    rows = [self._rows[target, other] for other in target.cells]
                    refuse_too_long(self._rows[target, cell], rows, self._plan.settings.most_call_s)

    def _member(self, target: Target) -> Member:
        job = TurnsJob(
            implementation=target.name,
            cells=[Cell(loss, str(self._folder / size.folder), target.pixels) for loss, size in target.cells],
            seed=int(self._rng.integers(2**31)),
            mapped=self._mapped,
        )
        simulated = target.device == "simulator"
        variables = process.environment(self._plan.threads_of(target), self._folder / "compiled", simulated)
        return Member(job, variables, stopped=not target.alone)

    def _limits_of(self, converted: bool) -> list[_Limited]:
        return [one for one in self._limits if one.converted == converted]

    def _limit_member(self, converted: bool, gemm: bool) -> Member:
        sizes = [one.size for one in self._limits_of(converted)]
        cells = [LimitCell(size.dtype, size.footprint, size.bytes, size.flops) for size in sizes]
        job = LimitsJob(cells=cells, gemm=gemm)
        return Member(job, process.environment(self._plan.most_threads, self._folder / "compiled"))

    def _show(self, detail: str) -> None:
        """Show the seconds since the start: numbers of generations are estimates, which would make the bar jump."""
        done = min(int(monotonic() - self._start), self._expected_s - 1)
        self._progress("seconds of measuring", done, self._expected_s, f"generation {self._generation}, {detail}")


def _memory_for(plan: Plan) -> tuple[bool, bool]:
    """Return whether X is mapped instead of copied into each process, and whether all processes fit into memory."""
    free = memory_available()
    largest = max((one.size.footprint for one in _limited(plan)), default=0)  # a streamed X stays in its file
    processes = sum(not target.alone for target in plan.targets) + len({one.converted for one in _limited(plan)})
    if processes * (largest + PROCESS_BYTES) <= free:
        return False, True
    return True, processes * PROCESS_BYTES + 3 * largest <= free


# Peak rates of the machine, besides its limits on the workloads.


def _gpu_peaks(plan: Plan, folder: Path, progress: ProgressCallback) -> list[MachinePeak]:
    """Return the peaks of the GPU, if it takes part."""
    on_gpu = [target for target in plan.targets if target.device == "cuda"]
    sizes = {size.read_by(target.pixels) for target in on_gpu for _, size in target.cells}
    if not sizes:
        return []
    progress("peak rates of the machine", 0, 1)
    job = PeaksJob(wanted=sorted({(size.dtype, size.footprint) for size in sizes}))
    events = process.work(job, process.environment(plan.most_threads, folder / "compiled"), plan.settings.timeout_s)
    progress("peak rates of the machine", 1, 1)
    return [event.peak for event in events if isinstance(event, PeakMeasured)]


def _with_gemm(peaks: list[MachinePeak]) -> list[MachinePeak]:
    """Return the peaks, those of the CPU with the highest rate of NumPy's matrix product in the dtype of W."""
    rates: dict[str, float] = {}
    for peak in peaks:
        if peak.gemm_flops_s:
            dtype = dtype_of_W(peak.dtype)
            rates[dtype] = max(peak.gemm_flops_s, rates.get(dtype, 0.0))
    return [
        replace(peak, gemm_flops_s=rates.get(dtype_of_W(peak.dtype))) if peak.device == "cpu" else peak
        for peak in peaks
    ]


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

STEEPEST_GROWTH = 3.0
"""Largest exponent of time as a power of work. Between two close points, noise can produce any exponent."""


MOST_POINTS = 20
"""Maximum number of measured rows between which slopes are computed, since their number grows with its square."""


def refuse_too_long(row: Row, rows: list[Row], most_call_s: float) -> None:
    """Mark a row as unavailable if it has no time yet and would take longer per call. rows: of its implementation."""
    expected_s = extrapolated_s(row, rows) if row.status == "ok" and not row.processes else None
    if expected_s is not None and expected_s > most_call_s:
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
    largest_first = sorted(times.items(), reverse=True)
    pairs = combinations(largest_first[:: ceil(len(times) / MOST_POINTS)], 2)
    slopes = [log(seconds / other_s) / log(work / other) for (work, seconds), (other, other_s) in pairs]
    exponent = min(STEEPEST_GROWTH, max(1.0, median(slopes or [1.0])))
    return min(seconds * (row.flops / work) ** exponent for work, seconds in times.items())


# Rows; gates use these functions as well.


def empty_row(
    implementation: str,
    device: Device,
    loss: LossName,
    size: Size,
    threads: int,
    side: RowSide = "",
    pixels: PixelUse = "",
) -> Row:
    """Return a row without measurements. pixels: how the implementation uses the pixels, if X is pixels."""
    return Row(
        implementation=implementation + CONVERTS * (pixels == "converts"),
        loss=loss,
        dtype=size.dtype,
        rows=size.rows,
        features=size.features,
        classes=size.classes,
        data=size.data,
        batch=size.batch,
        streamed=size.streamed,
        pixels=pixels,
        device=device,
        status="ok",
        side=side,
        threads=threads,
        flops=size.flops,
        bytes=size.read_by(pixels).bytes,
    )


def _empty_row(target: Target, loss: LossName, size: Size, plan: Plan) -> Row:
    name, threads = target.row_name or target.name, plan.threads_of(target)
    row = empty_row(name, target.device, loss, size, threads, pixels=target.pixels)
    row.code = code_hash(target.name)
    return row


def add(row: Row, measured: Measured) -> None:
    """Add what one process measured to a row. A failure discards all of its processes."""
    if row.status != "ok":
        return
    timed = measured.timed
    row.convention = timed.convention or row.convention
    row.threads = timed.threads or row.threads
    if measured.result is None:
        row.fail(measured.status, measured.reason)
        return
    if not row.processes:  # later processes load what the first one compiled
        row.first_call_s, row.prepare_s, row.import_s = measured.first_call_s, timed.prepare_s, measured.import_s
        if timed.compiles and measured.first_call_s is not None:
            row.compile_s = max(0.0, measured.first_call_s - median(measured.result.samples))
    row.processes.append(measured.result)
    row.error_loss = max(row.error_loss or 0.0, timed.error_loss or 0.0)
    row.error_grad = max(row.error_grad or 0.0, timed.error_grad or 0.0)
