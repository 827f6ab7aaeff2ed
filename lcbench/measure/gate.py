"""Measurement of a gate: base and head are measured alternately in blocks of four processes, in random order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.host.counters import usable_cores
from lcbench.losses import catalog
from lcbench.losses.implementation import Device, LossName
from lcbench.measure import schedule, selection, workload
from lcbench.measure.messages import Cell, TimeJob
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.sides import GateSide
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import InterimAnalysis, Row, RowSide
from lcbench.settings import GateSettings
from lcbench.usercode.discovery import is_user_code
from lcbench.workers import process

DEFAULT_IMPLEMENTATION = "numba-parallel"


@dataclass(frozen=True)
class Pair:
    """Implementation of base and implementation of head that are compared with each other.

    name: name in the rows. base, head: names that their worker processes resolve. base_problem, head_problem: status
    and reason if one of them is known to be unusable before anything is measured.
    """

    name: str
    base: str
    head: str
    losses: tuple[LossName, ...]
    device: Device = "cpu"
    base_problem: tuple[str, str] | None = None
    head_problem: tuple[str, str] | None = None


def pair_targets(
    base: GateSide, head: GateSide, names: list[str], losses: list[LossName], timeout_s: float
) -> list[Pair]:
    """Return the pairs to compare: `names` on both sides, or the sides themselves if they are implementations.

    User code is loaded in a worker process of its side. Raise LcbenchError if nothing can be paired, and LossError if a
    name is unknown.
    """
    given = [side for side in (base, head) if side.implementation]
    if len(given) == 1:
        other = head if given[0] is base else base
        raise LcbenchError(
            f"--{given[0].name} {given[0].given} is an implementation, so --{other.name} must be one too: "
            "a name from 'lcbench impls' or FILE.py[:FUNCTION]"
        )
    if given and names:
        raise LcbenchError("--base and --head are implementations already: --impl cannot be given as well")
    if given:
        old, new = (_resolve(side, side.implementation or "", losses, timeout_s) for side in (base, head))
        return _match(old, new, by_loss=True)
    pairs: dict[str, Pair] = {}
    for name in names or [DEFAULT_IMPLEMENTATION]:
        old, new = (_resolve(side, name, losses, timeout_s) for side in (base, head))
        pairs |= {pair.name: pair for pair in _match(old, new, by_loss=False)}
    return list(pairs.values())


def _resolve(side: GateSide, name: str, losses: list[LossName], timeout_s: float) -> list[ResolvedTarget]:
    if is_user_code(name):
        return selection.user_targets(name, losses, timeout_s, side.place)
    entry = catalog.find(name)
    offered = tuple(loss for loss in entry.losses if loss in losses)
    if not offered:
        raise LcbenchError(f"{name} offers {' and '.join(entry.losses)} only")
    if catalog.device_here(entry) == "simulator":
        raise LcbenchError(f"{name} would run in a simulator here: its times cannot be compared")
    return [ResolvedTarget(name, entry.device, offered)]


def _match(base: list[ResolvedTarget], head: list[ResolvedTarget], by_loss: bool) -> list[Pair]:
    """Return pairs of functions with the same name.

    If there are none and `by_loss` is true, pair the functions that are the only ones of their side for a loss.
    """
    by_name = {_function(target): target for target in base}
    matches = [(by_name[_function(target)], target) for target in head if _function(target) in by_name]
    if not matches and by_loss:
        matches = [
            (old, new)
            for old in base
            for new in head
            if set(old.losses) & set(new.losses) and _only_one(base, old.losses) and _only_one(head, new.losses)
        ]
    if not matches:
        names = [", ".join(sorted(map(_function, targets))) for targets in (base, head)]
        raise LcbenchError(f"no implementations to compare: base has {names[0]}, head has {names[1]}")
    row_names = selection.row_names(new for _, new in matches)
    return [
        Pair(
            row_names[new.name],
            old.name,
            new.name,
            tuple(loss for loss in new.losses if loss in old.losses),
            new.device,
            _problem(old),
            _problem(new),
        )
        for old, new in matches
    ]


def _function(target: ResolvedTarget) -> str:
    return target.name.rpartition(":")[2]


def _only_one(targets: list[ResolvedTarget], losses: tuple[LossName, ...]) -> bool:
    return sum(bool(set(target.losses) & set(losses)) for target in targets) == 1


def _problem(target: ResolvedTarget) -> tuple[str, str] | None:
    return (target.status, target.unavailable) if target.unavailable else None


# Design of the experiment.
#
# A block has four processes: base first and last and head twice in between, or head first and last and base in between.
# A linear drift within the block therefore affects both sides equally. The order is drawn at random, so if base and
# head are the same, the difference within a block has either sign with equal probability. The exact test of the verdict
# relies on this. One of the two processes of base, also chosen at random, is the control.

ORDERS = ("bhhc", "chhb", "hbch", "hcbh")
"""Possible orders of a block. b: base. c: control (base once more). h: head."""

SIDES: dict[str, RowSide] = {"b": "base", "c": "control", "h": "head"}

EARLY_ANALYSES = ((0.4, 0.2), (0.7, 0.3))
"""Interim analyses before the final one: (share of the budget that is spent, share of the error probability).

The final analysis, when the budget is spent, gets the remaining error probability. The shares add up to 1, so by
Bonferroni's inequality all analyses together err no more often than a single one would (alpha spending, Lan & DeMets
1983)."""

BUDGET_S = 60.0
"""Default budget of a gate in seconds."""

MOST_SAMPLES = 60

SAMPLE_S = 0.005
"""Length of a sample in seconds.

It is shorter than in `lcbench run`: with many short samples, more of them are undisturbed, and a bias that both sides
share cancels."""


@dataclass(frozen=True)
class GatePlan:
    """Sides, pairs and settings of a gate.

    fewest_blocks: number of blocks below which no verdict is possible. cell_s: sampling time of one loss in one
    process, in seconds.
    """

    base: GateSide
    head: GateSide
    pairs: tuple[Pair, ...]
    settings: GateSettings
    fewest_blocks: int
    cell_s: float = 0.1

    @property
    def size(self) -> Size:
        """Size of the problem."""
        settings = self.settings
        return Size(settings.rows, settings.features, settings.classes, settings.dtype, settings.data)

    @property
    def budget_s(self) -> float:
        """Budget for all measurements, in seconds. The default budget is extended if a verdict needs more time."""
        return self.settings.budget_s or BUDGET_S


@dataclass
class GateResult:
    """Rows of base, control and head, order of each block, and interim analyses."""

    rows: list[Row]
    orders: list[str] = field(default_factory=list)
    interim_analyses: list[InterimAnalysis] = field(default_factory=list)
    interrupted: bool = False


def measure_gate(
    plan: GatePlan, decided: Callable[[GateResult], bool], progress: ProgressCallback = no_progress
) -> GateResult:
    """Measure blocks until the budget is spent, or until `decided` returns true at an interim analysis.

    Ctrl-C keeps the complete blocks. Raise LcbenchError if the user's budget is too small for `fewest_blocks` blocks,
    since such a gate could never fail.
    """
    measurement = _GateMeasurement(plan, progress)
    with files.temporary_folder("gate") as folder:
        try:
            measurement.prepare(Path(folder))
            measurement.measure_blocks(decided)
        except KeyboardInterrupt:
            measurement.result.interrupted = True
    measurement.drop_incomplete_block()
    return measurement.result


class _GateMeasurement:
    """Measurement of a plan in progress. Sides are denoted by the letters of `SIDES`."""

    def __init__(self, plan: GatePlan, progress: ProgressCallback) -> None:
        self._plan, self._progress = plan, progress
        self._rng = np.random.default_rng(plan.settings.seed)
        self._start = monotonic()
        self._budget_s = plan.budget_s
        self._threads = plan.settings.threads or usable_cores()
        self._rows = {
            (pair, letter): self._empty_rows(pair, side) for pair in plan.pairs for letter, side in SIDES.items()
        }
        self._folder = Path()
        self.result = GateResult([row for rows in self._rows.values() for row in rows])

    def _empty_rows(self, pair: Pair, side: RowSide) -> list[Row]:
        size, threads = self._plan.size, self._threads
        rows = [schedule.empty_row(pair.name, pair.device, loss, size, threads, side) for loss in pair.losses]
        problem = pair.head_problem if side == "head" else pair.base_problem
        for row in rows:
            if problem:
                row.fail(*problem)
        return rows

    def prepare(self, folder: Path) -> None:
        """Write the problem, and run every implementation once on either side to fill its compilation cache."""
        self._folder = folder
        losses = list(dict.fromkeys(loss for pair in self._plan.pairs for loss in pair.losses))
        self._show("data")
        workload.save_problem(workload.build_problem(self._plan.size), losses, folder / "problem")
        for pair in self._plan.pairs:
            for letter in "bh":
                rows = self._rows[pair, letter]
                if self._measurable(pair):
                    self._show(f"{pair.name}, {rows[0].side}: first calls")
                    self._measure_process(pair, letter, planted=0.0)
                for row in rows:
                    row.processes.clear()

    def measure_blocks(self, decided: Callable[[GateResult], bool]) -> None:
        """Measure blocks, with the interim analyses in between."""
        longest_s = 0.0
        early = list(EARLY_ANALYSES)
        while any(self._measurable(pair) for pair in self._plan.pairs):
            start = monotonic()
            self._measure_block()
            longest_s = max(longest_s, monotonic() - start)
            if len(self.result.orders) == 1:
                self._require_sufficient_budget(longest_s)
            spent = (monotonic() - self._start + longest_s) / self._budget_s
            if spent > 1:
                self._add_analysis(1 - sum(each.share for each in self.result.interim_analyses))
                return
            if early and spent > early[0][0]:
                _, share = early.pop(0)
                if len(self.result.orders) >= self._plan.fewest_blocks:
                    self._add_analysis(share)
                    if decided(self.result):
                        return

    def _add_analysis(self, share: float) -> None:
        self.result.interim_analyses.append(InterimAnalysis(blocks=len(self.result.orders), share=share))

    def _measure_block(self) -> None:
        order = str(self._rng.choice(ORDERS))
        for index in self._rng.permutation(len(self._plan.pairs)).tolist():
            pair = self._plan.pairs[index]
            for letter in order:
                if self._measurable(pair):
                    self._show(f"{pair.name}, {self._rows[pair, letter][0].side}")
                    self._measure_process(pair, letter, self._plan.settings.planted if letter == "h" else 0.0)
        self.result.orders.append(order)

    def _measure_process(self, pair: Pair, letter: str, planted: float) -> None:
        side = self._plan.head if letter == "h" else self._plan.base
        rows = self._rows[pair, letter]
        job = TimeJob(
            implementation=pair.head if letter == "h" else pair.base,
            cells=[Cell(row.loss, str(self._folder / "problem")) for row in rows],
            seconds=self._plan.cell_s,
            most_samples=MOST_SAMPLES,
            sample_s=SAMPLE_S,
            seed=int(self._rng.integers(2**31)),
            planted=planted,
        )
        variables = process.environment(self._threads, self._folder / f"compiled-{side.name}")
        unmeasured = schedule.measure_in_worker(job, rows, variables, self._plan.settings.timeout_s, side.place)
        for index in unmeasured:
            rows[index].fail("crashed", "another loss ended the process")

    def _measurable(self, pair: Pair) -> bool:
        """Return whether some loss of the pair has not failed on any side."""
        sides = zip(*(self._rows[pair, letter] for letter in "bch"), strict=True)
        return any(all(row.status == "ok" for row in rows) for rows in sides)

    def _require_sufficient_budget(self, block_s: float) -> None:
        """Raise LcbenchError if the budget is too small for `fewest_blocks` blocks of this length.

        The default budget is extended instead.
        """
        plan, spent_s = self._plan, monotonic() - self._start
        possible = 1 + int(max(0.0, self._budget_s - spent_s) / block_s)
        needed_s = spent_s + plan.fewest_blocks * block_s
        if possible >= plan.fewest_blocks:
            return
        if plan.settings.budget_s is not None:
            raise LcbenchError(
                f"a budget of {plan.budget_s:.0f} s allows {possible} blocks, but a verdict needs at least "
                f"{plan.fewest_blocks}: give --budget {needed_s:.0f}s, or fewer rows, losses or implementations"
            )
        self._budget_s = needed_s

    def drop_incomplete_block(self) -> None:
        """Remove the process results of an interrupted block."""
        complete = len(self.result.orders)
        for (_, letter), rows in self._rows.items():
            kept = 2 * complete if letter == "h" else complete
            for row in rows:
                del row.processes[kept:]

    def _show(self, detail: str) -> None:
        budget_s = max(1, int(self._budget_s))
        self._progress("seconds of the budget", min(int(monotonic() - self._start), budget_s - 1), budget_s, detail)
