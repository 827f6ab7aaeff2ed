"""A whole run: blocks of all implementations interleaved in random order, and what they add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from time import monotonic

import numpy as np
from msgspec.structs import replace

from lcbench import temporary
from lcbench.losses.implementation import Device, LossName
from lcbench.measure import block, too_long, workload
from lcbench.measure.messages import CeilingJob, Cell, GemmJob, Measured, Multiplied, TimeJob
from lcbench.measure.surroundings.covariates import usable_cores
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, no_progress, patient
from lcbench.record import Ceiling, Row
from lcbench.settings import RunSettings
from lcbench.workers import process

MOST_SAMPLES = 30
FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class Contender:
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

    contenders: tuple[Contender, ...]
    settings: RunSettings
    cell_s: float = 0.1

    def threads_of(self, contender: Contender) -> int:
        """Return the number of threads for every library in the processes of `contender`."""
        return contender.threads or self.settings.threads or usable_cores()

    @property
    def most_threads(self) -> int:
        """With which the machine's own limits are measured."""
        most = max((contender.threads or 0 for contender in self.contenders), default=0)
        return most or self.settings.threads or usable_cores()


Rows = dict[tuple[Contender, tuple[LossName, Size]], Row]


@dataclass
class Run:
    """What a run has measured so far. rounds: that are complete. spent_s: time that those took."""

    rows: list[Row]
    ceilings: list[Ceiling] = field(default_factory=list)
    interrupted: bool = False
    rounds: int = 0
    spent_s: float = 0.0


def begin(plan: Plan) -> Run:
    """A run of `plan` of which nothing is measured yet."""
    return Run([_row(contender, *cell, plan) for contender in plan.contenders for cell in contender.cells])


def run(
    plan: Plan,
    progress: ProgressCallback = no_progress,
    result: Run | None = None,
    after_round: Callable[[Run], None] = lambda result: None,
) -> Run:
    """Measures all that `plan` names. Ctrl-C ends it early and keeps what was measured.

    result: an earlier run of the same plan, to go on with. after_round: is told what there is after every round.
    Raises LcbenchError where a workload's data cannot be had.
    """
    result = result or begin(plan)
    seed = plan.settings.seed
    rng = np.random.default_rng(seed if seed is None else [seed, result.rounds])
    cells = ((contender, cell) for contender in plan.contenders for cell in contender.cells)
    rows = dict(zip(cells, result.rows, strict=True))
    with temporary.folder("run") as name:
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


def refused(contender: Contender, status: str, reason: str, plan: Plan) -> list[Row]:
    """The rows of a contender that cannot take part: they say why."""
    rows = [_row(contender, *cell, plan) for cell in contender.cells]
    for row in rows:
        row.fail(status, reason)
    return rows


def _row(contender: Contender, loss: LossName, size: Size, plan: Plan) -> Row:
    name = contender.row_name or contender.name
    return block.empty_row(name, contender.device, loss, size, plan.threads_of(contender))


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
        problem = workload.build(largest, progress=patient(progress))
        workload.save_first(problem, wanted, {size.rows: folder / size.folder for size in sizes}, patient(progress))
        progress(data, 1, 1)


def _rounds(
    plan: Plan,
    result: Run,
    rows: Rows,
    folder: Path,
    rng: np.random.Generator,
    progress: ProgressCallback,
    after_round: Callable[[Run], None],
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


def _block(contender: Contender, plan: Plan, rows: Rows, folder: Path, seed: int) -> None:
    """One worker process: the implementation's cells that are still in order.

    A cell that kills the process is out, and those that it kept from their turn get a process of their own. So do, in
    the first round, larger cells, where it is to be known from smaller ones whether they would take too long.
    """
    most_call_s = plan.settings.most_call_s
    everything = [rows[contender, cell] for cell in contender.cells]
    waiting = list(contender.cells)
    while True:
        if most_call_s is not None:
            too_long.refuse(everything, most_call_s)
        waiting = [cell for cell in waiting if rows[contender, cell].status == "ok"]
        if not waiting:
            return
        now = waiting
        if most_call_s is not None:
            now = list(compress(waiting, too_long.first([rows[contender, cell] for cell in waiting])))
        later = [cell for cell in waiting if cell not in now]
        waiting = _in_one_process(contender, now, plan, rows, folder, seed) + later


def _in_one_process(
    contender: Contender, cells: list[tuple[LossName, Size]], plan: Plan, rows: Rows, folder: Path, seed: int
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
    return [cells[index] for index in block.measure(job, own, variables, plan.settings.timeout_s)]


def _best(ceilings: list[Ceiling]) -> list[Ceiling]:
    """One ceiling a device, dtype and footprint, whose rates are the highest of those measured."""
    groups: dict[tuple[str, str, int], list[Ceiling]] = {}
    for ceiling in ceilings:
        groups.setdefault((ceiling.device, ceiling.dtype, ceiling.footprint), []).append(ceiling)

    def highest(group: list[Ceiling], rate: str) -> float | None:
        return max((getattr(ceiling, rate) for ceiling in group), key=lambda measured: measured or 0.0)

    rates = ("read_bytes_s", "flops_s", "copy_bytes_s", "gemm_flops_s")
    return [replace(group[0], **{rate: highest(group, rate) for rate in rates}) for group in groups.values()]


def _ceilings(plan: Plan, folder: Path, progress: ProgressCallback) -> list[Ceiling]:
    """The limits of each device that takes part; the CPU's with the rate of NumPy's matrix product beside them."""
    ceilings = []
    variables = process.environment(plan.most_threads, folder / "compiled")
    for device in ("cpu", "cuda"):
        sizes = {size for contender in plan.contenders if contender.device == device for _, size in contender.cells}
        wanted = sorted({(size.dtype, size.footprint) for size in sizes})
        if not wanted:
            continue
        progress("the machine's own limits", 0, 1)
        events = process.work(CeilingJob(wanted=wanted, device=device), variables, plan.settings.timeout_s)
        found = [event.ceiling for event in events if isinstance(event, Measured)]
        if device == "cpu":
            job = GemmJob(dtypes=sorted({dtype for dtype, _ in wanted}))
            events = process.work(job, variables, plan.settings.timeout_s)
            rates = {event.dtype: event.flops_s for event in events if isinstance(event, Multiplied)}
            found = [replace(ceiling, gemm_flops_s=rates.get(ceiling.dtype)) for ceiling in found]
        ceilings += found
        progress("the machine's own limits", 1, 1)
    return ceilings
