"""What a call would take on a larger problem, going by smaller ones, and which problems that puts out of reach."""

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
from lcbench.measure.messages import Cell, GemmJob, GemmMeasured, PeaksJob, PeaksMeasured, Timed, TimeJob
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, delayed, no_progress
from lcbench.record import MachinePeak, Row, RowSide
from lcbench.settings import RunSettings
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place

LONGEST_STEP = 10.0
"""Problems of up to so many times the work of the smallest are measured before anything is said about larger ones."""

STEEPEST_GROWTH = 3.0
"""Exponent of the time in the work that is believed at most: between two close points, noise shows any."""


def measure_first(waiting: list[Row]) -> list[bool]:
    """Which rows to measure now: those measured before and, of the others, the smallest; larger may take too long."""
    new = [row for row in waiting if not row.processes]
    least = {loss: min(row.flops for row in new if row.loss == loss) for loss in {row.loss for row in new}}
    return [bool(row.processes) or row.flops <= LONGEST_STEP * least[row.loss] for row in waiting]


def refuse_too_long(rows: list[Row], most_call_s: float) -> None:
    """Of all rows of an implementation, makes those unavailable that have no time yet and would take longer a call."""
    for row in rows:
        expected_s = extrapolated_s(row, rows) if row.status == "ok" and not row.processes else None
        if expected_s is None or expected_s <= most_call_s:
            continue
        row.fail(
            "unavailable",
            "a smaller one was given up already"
            if expected_s == inf
            else f"would take about {expected_s:.2g} s a call; --most-seconds-a-call is {most_call_s:g}",
        )


def extrapolated_s(row: Row, rows: list[Row]) -> float | None:
    """Seconds a call that `row` would take, by the smaller ones among `rows`.

    Going on from each with their common slope in the logarithm of the work, and never less than in proportion to it,
    the least counts: what disturbs a time only lengthens it, and so does a fixed cost for the smallest. None where
    nothing smaller was measured; infinite where one of them did not answer in time.
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


# One block: a worker process that times an implementation on some cells, and the rows that it adds to.


def empty_row(implementation: str, device: Device, loss: LossName, size: Size, threads: int, side: RowSide = "") -> Row:
    """A row of which nothing is measured yet."""
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


def measure_in_worker(
    job: TimeJob, rows: list[Row], variables: dict[str, str], timeout_s: float, place: Place = HERE
) -> list[int]:
    """Does `job`, whose cells belong to `rows` one to one, in a process of its own, and adds what it measured to them.

    Returns the indices of the cells that had no turn because another one ended the process.
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
    if row.status != "ok":  # a gate goes on with both losses where only one has failed
        return
    row.convention = timed.convention
    row.threads = timed.threads or row.threads
    if timed.process is None:
        row.fail(timed.status, timed.reason)
        return
    if not row.processes:  # later blocks read the code that the first compiled
        row.first_call_s, row.prepare_s, row.import_s = timed.first_call_s, timed.prepare_s, timed.import_s
        if timed.compiles and timed.first_call_s is not None:
            row.compile_s = max(0.0, timed.first_call_s - median(timed.process.samples))
    row.processes.append(timed.process)
    row.error_loss = max(row.error_loss or 0.0, timed.error_loss or 0.0)
    row.error_grad = max(row.error_grad or 0.0, timed.error_grad or 0.0)


# A whole run: blocks of all implementations interleaved in random order, and what they add up to.

MOST_SAMPLES = 30
FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class Target:
    """An implementation that takes part, with the losses and sizes on which it does.

    name: what resolves to it. row_name: what its rows are called, where that is something else. threads: for every
    library in its processes; None is as the plan's settings say.
    """

    name: str
    device: Device
    cells: tuple[tuple[LossName, Size], ...]
    row_name: str = ""
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """contenders: who takes part on what. cell_s: sampling time of a cell in one block."""

    contenders: tuple[Target, ...]
    settings: RunSettings
    cell_s: float = 0.1

    def threads_of(self, contender: Target) -> int:
        """Return the number of threads for every library in the processes of `contender`."""
        return contender.threads or self.settings.threads or usable_cores()

    @property
    def most_threads(self) -> int:
        """With which the machine's own limits are measured."""
        most = max((contender.threads or 0 for contender in self.contenders), default=0)
        return most or self.settings.threads or usable_cores()


Rows = dict[tuple[Target, tuple[LossName, Size]], Row]


@dataclass
class ScheduleState:
    """What a run has measured so far. rounds: that are complete. spent_s: time that those took."""

    rows: list[Row]
    ceilings: list[MachinePeak] = field(default_factory=list)
    interrupted: bool = False
    rounds: int = 0
    spent_s: float = 0.0


def begin_schedule(plan: Plan) -> ScheduleState:
    """A run of `plan` of which nothing is measured yet."""
    return ScheduleState([_row(contender, *cell, plan) for contender in plan.contenders for cell in contender.cells])


def run_schedule(
    plan: Plan,
    progress: ProgressCallback = no_progress,
    result: ScheduleState | None = None,
    after_round: Callable[[ScheduleState], None] = lambda result: None,
) -> ScheduleState:
    """Measures all that `plan` names. Ctrl-C ends it early and keeps what was measured.

    result: an earlier run of the same plan, to go on with. after_round: is told what there is after every round.
    Raises LcbenchError where a workload's data cannot be had.
    """
    result = result or begin_schedule(plan)
    seed = plan.settings.seed
    rng = np.random.default_rng(seed if seed is None else [seed, result.rounds])
    cells = ((contender, cell) for contender in plan.contenders for cell in contender.cells)
    rows = dict(zip(cells, result.rows, strict=True))
    with files.temporary_folder("run") as name:
        folder = Path(name)
        try:
            _build(plan, folder, progress)
            result.ceilings = _best([*result.ceilings, *_ceilings(plan, folder, progress)])
            _rounds(plan, result, rows, folder, rng, progress, after_round)
            # Noise only ever lowers a limit: the better of two, at both ends of the run, is nearer to it.
            result.ceilings = _best([*result.ceilings, *_ceilings(plan, folder, progress)])
        except KeyboardInterrupt:
            result.interrupted = True
    for row in result.rows:
        if row.status == "ok" and not row.processes:
            row.fail("crashed", "stopped before it was measured")
    return result


def refused_rows(contender: Target, status: str, reason: str, plan: Plan) -> list[Row]:
    """The rows of a contender that cannot take part: they say why."""
    rows = [_row(contender, *cell, plan) for cell in contender.cells]
    for row in rows:
        row.fail(status, reason)
    return rows


def _row(contender: Target, loss: LossName, size: Size, plan: Plan) -> Row:
    name = contender.row_name or contender.name
    return empty_row(name, contender.device, loss, size, plan.threads_of(contender))


def least_s(plan: Plan) -> float:
    """Return the seconds that sampling alone takes, in as many rounds as there are at least."""
    rounds = min(FEWEST_BLOCKS, plan.settings.blocks)
    return rounds * plan.cell_s * sum(len(contender.cells) for contender in plan.contenders)


def _build(plan: Plan, folder: Path, progress: ProgressCallback) -> None:
    losses: dict[Size, list[LossName]] = {}
    for contender in plan.contenders:
        for loss, size in contender.cells:
            if loss not in losses.setdefault(size, []):
                losses[size].append(loss)
    alike: dict[Size, list[Size]] = {}
    for size in losses:
        alike.setdefault(dataclasses.replace(size, rows=0), []).append(size)
    for sizes in alike.values():  # the larger begin with the smaller: their rows are drawn and answered once
        largest = max(sizes, key=lambda size: size.rows)
        wanted = list(dict.fromkeys(loss for size in sizes for loss in losses[size]))
        data = f"data: {largest.rows:,} x {largest.features:,}"
        progress(data, 0, 1)
        problem = workload.build_problem(largest, progress=delayed(progress))
        workload.save_first(problem, wanted, {size.rows: folder / size.folder for size in sizes}, delayed(progress))
        progress(data, 1, 1)


def _rounds(
    plan: Plan,
    result: ScheduleState,
    rows: Rows,
    folder: Path,
    rng: np.random.Generator,
    progress: ProgressCallback,
    after_round: Callable[[ScheduleState], None],
) -> None:
    settings, start = plan.settings, monotonic() - result.spent_s
    first, each = result.rounds, len(plan.contenders)
    done, total = first * each, each * min(settings.blocks, max(first, FEWEST_BLOCKS) + 1)
    longest_s = 0.0
    for number in range(first, settings.blocks):
        began = monotonic()
        if number >= FEWEST_BLOCKS and began - start + longest_s > settings.budget_s:
            break
        if number >= first + 2:  # the first round compiles
            fitting = int((settings.budget_s - (began - start)) / max(longest_s, 1e-3))
            total = each * min(settings.blocks, max(FEWEST_BLOCKS, number + fitting))
        for index in rng.permutation(each).tolist():
            contender = plan.contenders[index]
            progress("blocks", done, total, contender.name)
            if number == 0 or contender.device != "simulator":  # simulated times mean nothing: once is enough
                _block(contender, plan, rows, folder, int(rng.integers(2**31)))
            done += 1
        if number > first:
            longest_s = max(longest_s, monotonic() - began)
        result.rounds, result.spent_s = number + 1, monotonic() - start
        after_round(result)


def _block(contender: Target, plan: Plan, rows: Rows, folder: Path, seed: int) -> None:
    """One worker process: the implementation's cells that are still in order.

    A cell that kills the process is out, and those that it kept from their turn get a process of their own. So do, in
    the first round, larger cells, where it is to be known from smaller ones whether they would take too long.
    """
    most_call_s = plan.settings.most_call_s
    everything = [rows[contender, cell] for cell in contender.cells]
    waiting = list(contender.cells)
    while True:
        if most_call_s is not None:
            refuse_too_long(everything, most_call_s)
        waiting = [cell for cell in waiting if rows[contender, cell].status == "ok"]
        if not waiting:
            return
        now = waiting
        if most_call_s is not None:
            now = list(compress(waiting, measure_first([rows[contender, cell] for cell in waiting])))
        later = [cell for cell in waiting if cell not in now]
        waiting = _in_one_process(contender, now, plan, rows, folder, seed) + later


def _in_one_process(
    contender: Target, cells: list[tuple[LossName, Size]], plan: Plan, rows: Rows, folder: Path, seed: int
) -> list[tuple[LossName, Size]]:
    """Measures `cells`; returns those that had no turn because another one ended the process."""
    simulated = contender.device == "simulator"
    job = TimeJob(
        implementation=contender.name,
        cells=[Cell(loss, str(folder / size.folder)) for loss, size in cells],
        seconds=0.0 if simulated else plan.cell_s,
        most_samples=0 if simulated else MOST_SAMPLES,
        seed=seed,
    )
    variables = process.environment(plan.threads_of(contender), folder / "compiled", simulated)
    own = [rows[contender, cell] for cell in cells]
    return [cells[index] for index in measure_in_worker(job, own, variables, plan.settings.timeout_s)]


def _best(ceilings: list[MachinePeak]) -> list[MachinePeak]:
    """One ceiling a device, dtype and footprint, whose rates are the highest of those measured."""
    groups: dict[tuple[str, str, int], list[MachinePeak]] = {}
    for ceiling in ceilings:
        groups.setdefault((ceiling.device, ceiling.dtype, ceiling.footprint), []).append(ceiling)

    def highest(group: list[MachinePeak], rate: str) -> float | None:
        return max((getattr(ceiling, rate) for ceiling in group), key=lambda measured: measured or 0.0)

    rates = ("read_bytes_s", "flops_s", "copy_bytes_s", "gemm_flops_s")
    return [replace(group[0], **{rate: highest(group, rate) for rate in rates}) for group in groups.values()]


def _ceilings(plan: Plan, folder: Path, progress: ProgressCallback) -> list[MachinePeak]:
    """The limits of each device that takes part; the CPU's with the rate of NumPy's matrix product beside them."""
    ceilings = []
    variables = process.environment(plan.most_threads, folder / "compiled")
    for device in ("cpu", "cuda"):
        sizes = {size for contender in plan.contenders if contender.device == device for _, size in contender.cells}
        wanted = sorted({(size.dtype, size.footprint) for size in sizes})
        if not wanted:
            continue
        progress("the machine's own limits", 0, 1)
        events = process.work(PeaksJob(wanted=wanted, device=device), variables, plan.settings.timeout_s)
        found = [event.ceiling for event in events if isinstance(event, PeaksMeasured)]
        if device == "cpu":
            job = GemmJob(dtypes=sorted({dtype for dtype, _ in wanted}))
            events = process.work(job, variables, plan.settings.timeout_s)
            rates = {event.dtype: event.flops_s for event in events if isinstance(event, GemmMeasured)}
            found = [replace(ceiling, gemm_flops_s=rates.get(ceiling.dtype)) for ceiling in found]
        ceilings += found
        progress("the machine's own limits", 1, 1)
    return ceilings
