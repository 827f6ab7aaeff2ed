"""A whole run: blocks of all implementations interleaved in random order, and what they add up to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from msgspec.structs import replace

from lcbench.losses.implementation import Device, LossName
from lcbench.measure import block, process, workload
from lcbench.measure.messages import CeilingJob, Cell, GemmJob, Measured, Multiplied, TimeJob
from lcbench.measure.workload import Size
from lcbench.record import Ceiling, Row

MOST_SAMPLES = 30
FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class Contender:
    """An implementation that takes part, with the losses and sizes on which it does.

    name: what resolves to it. row_name: what its rows are called, where that is something else.
    """

    name: str
    device: Device
    cells: tuple[tuple[LossName, Size], ...]
    row_name: str = ""


@dataclass(frozen=True)
class Plan:
    """contenders: who takes part on what. threads: for every library. blocks: at most so many rounds.

    budget_s: rounds stop when the next would end later, but not before `FEWEST_BLOCKS`. cell_s: sampling time of a cell
    in one block. patience_s: a worker silent for longer is killed.
    """

    contenders: tuple[Contender, ...]
    threads: int
    blocks: int = 20
    budget_s: float = 36.0
    cell_s: float = 0.1
    patience_s: float = 60.0
    seed: int | None = None


@dataclass
class Progress:
    """Told to whoever watches: blocks done of those planned so far, and what runs now."""

    done: int = 0
    planned: int = 1
    now: str = ""


Watcher = Callable[[Progress], None]


@dataclass
class Run:
    """What a run has measured so far."""

    rows: list[Row]
    ceilings: list[Ceiling] = field(default_factory=list)
    interrupted: bool = False


def run(plan: Plan, watch: Watcher = lambda progress: None) -> Run:
    """Measures all that `plan` names. Ctrl-C ends it early and keeps what was measured.

    Raises LcbenchError where a workload's data cannot be had.
    """
    rng = np.random.default_rng(plan.seed)
    rows = {
        (contender.name, cell): _row(contender, *cell, plan)
        for contender in plan.contenders
        for cell in contender.cells
    }
    result = Run(list(rows.values()))
    with tempfile.TemporaryDirectory(prefix="lcbench-run-") as name:
        folder = Path(name)
        try:
            _build(plan, folder, watch)
            limits = "the machine's own limits"
            result.ceilings = _ceilings(plan, folder, watch, Progress(0, 1, limits))
            _rounds(plan, rows, folder, rng, watch)
            # Noise only ever lowers a limit: the better of two, at both ends of the run, is nearer to it.
            result.ceilings = _best([*result.ceilings, *_ceilings(plan, folder, watch, Progress(1, 1, limits))])
        except KeyboardInterrupt:
            result.interrupted = True
    for row in result.rows:
        if row.status == "ok" and not row.blocks:
            row.status, row.reason = "crashed", "stopped before it was measured"
    return result


def refused(contender: Contender, status: str, reason: str, plan: Plan) -> list[Row]:
    """The rows of a contender that cannot take part: they say why."""
    rows = [_row(contender, *cell, plan) for cell in contender.cells]
    for row in rows:
        row.status, row.reason = status, reason  # type: ignore[assignment]
    return rows


def _row(contender: Contender, loss: LossName, size: Size, plan: Plan) -> Row:
    return block.empty_row(contender.row_name or contender.name, contender.device, loss, size, plan.threads)


def _build(plan: Plan, folder: Path, watch: Watcher) -> None:
    losses: dict[Size, list[LossName]] = {}
    for contender in plan.contenders:
        for loss, size in contender.cells:
            if loss not in losses.setdefault(size, []):
                losses[size].append(loss)
    for size, wanted in losses.items():
        watch(Progress(0, 1, f"data: {size.rows:,} x {size.features:,}"))
        workload.save(workload.build(size), wanted, folder / size.folder)


def _rounds(plan: Plan, rows: dict[Any, Row], folder: Path, rng: np.random.Generator, watch: Watcher) -> None:
    start = monotonic()
    progress = Progress(planned=len(plan.contenders) * min(plan.blocks, FEWEST_BLOCKS + 1))
    longest_s = 0.0
    for number in range(plan.blocks):
        began = monotonic()
        if number >= FEWEST_BLOCKS and began - start + longest_s > plan.budget_s:
            break
        if number >= 2:  # the first round compiles
            fitting = int((plan.budget_s - (began - start)) / max(longest_s, 1e-3))
            rounds = max(FEWEST_BLOCKS, number + fitting)
            progress.planned = len(plan.contenders) * min(plan.blocks, rounds)
        for index in rng.permutation(len(plan.contenders)).tolist():
            contender = plan.contenders[index]
            progress.now = contender.name
            watch(progress)
            if number == 0 or contender.device != "simulator":  # simulated times mean nothing: once is enough
                _block(contender, plan, rows, folder, int(rng.integers(2**31)))
            progress.done += 1
        if number:
            longest_s = max(longest_s, monotonic() - began)


def _block(contender: Contender, plan: Plan, rows: dict[Any, Row], folder: Path, seed: int) -> None:
    """One worker process: the implementation's cells that are still in order.

    A cell that kills the process is out, and those that it kept from their turn get a process of their own.
    """
    waiting = [cell for cell in contender.cells if rows[contender.name, cell].status == "ok"]
    while waiting:
        waiting = _in_one_process(contender, waiting, plan, rows, folder, seed)


def _in_one_process(
    contender: Contender, cells: list[tuple[LossName, Size]], plan: Plan, rows: dict[Any, Row], folder: Path, seed: int
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
    variables = process.environment(plan.threads, folder / "compiled", simulated)
    own = [rows[contender.name, cell] for cell in cells]
    return [cells[index] for index in block.measure(job, own, variables, plan.patience_s)]


def _best(ceilings: list[Ceiling]) -> list[Ceiling]:
    """One ceiling a device, dtype and footprint, whose rates are the highest of those measured."""
    groups: dict[tuple[str, str, int], list[Ceiling]] = {}
    for ceiling in ceilings:
        groups.setdefault((ceiling.device, ceiling.dtype, ceiling.footprint), []).append(ceiling)

    def highest(group: list[Ceiling], rate: str) -> float | None:
        return max((getattr(ceiling, rate) for ceiling in group), key=lambda measured: measured or 0.0)

    rates = ("read_bytes_s", "flops_s", "copy_bytes_s", "gemm_flops_s")
    return [replace(group[0], **{rate: highest(group, rate) for rate in rates}) for group in groups.values()]


def _ceilings(plan: Plan, folder: Path, watch: Watcher, progress: Progress) -> list[Ceiling]:
    """The limits of each device that takes part; the CPU's with the rate of NumPy's matrix product beside them."""
    ceilings = []
    variables = process.environment(plan.threads, folder / "compiled")
    for device in ("cpu", "cuda"):
        sizes = {size for contender in plan.contenders if contender.device == device for _, size in contender.cells}
        wanted = sorted({(size.dtype, size.footprint) for size in sizes})
        if not wanted:
            continue
        watch(progress)
        events = process.work(CeilingJob(wanted=wanted, device=device), variables, plan.patience_s)
        found = [event.ceiling for event in events if isinstance(event, Measured)]
        if device == "cpu":
            job = GemmJob(dtypes=sorted({dtype for dtype, _ in wanted}))
            events = process.work(job, variables, plan.patience_s)
            rates = {event.dtype: event.flops_s for event in events if isinstance(event, Multiplied)}
            found = [replace(ceiling, gemm_flops_s=rates.get(ceiling.dtype)) for ceiling in found]
        ceilings += found
    return ceilings
