"""What a gate compares: each implementation of head beside the one of base that it is held against."""

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
    """What is compared: `base` and `head` are what their workers call it, `name` is what its rows are called.

    base_problem, head_problem: why one of them cannot be measured (status, reason), where that is known beforehand.
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
    """The pairs that `names` mean on both sides, or that the sides themselves are.

    User code is looked at in a worker process on either side. Raises LcbenchError where nothing can be held against
    anything, and LossError where a name means nothing.
    """
    given = [side for side in (base, head) if side.implementation]
    if len(given) == 1:
        other = head if given[0] is base else base
        raise LcbenchError(
            f"--{given[0].name} {given[0].given} is an implementation, so --{other.name} must be one too: "
            "a name from 'lcbench impls' or FILE.py[:FUNCTION]"
        )
    if given and names:
        raise LcbenchError("--base and --head are implementations already: --impl has no place beside them")
    if given:
        old, new = (_candidates(side, side.implementation or "", losses, timeout_s) for side in (base, head))
        return _matched(old, new, alone=True)
    pairs: dict[str, Pair] = {}
    for name in names or [DEFAULT_IMPLEMENTATION]:
        old, new = (_candidates(side, name, losses, timeout_s) for side in (base, head))
        pairs |= {pair.name: pair for pair in _matched(old, new, alone=False)}
    return list(pairs.values())


def _candidates(side: GateSide, name: str, losses: list[LossName], timeout_s: float) -> list[ResolvedTarget]:
    if is_user_code(name):
        return selection.from_user(name, losses, timeout_s, side.place)
    entry = catalog.find(name)
    offered = tuple(loss for loss in entry.losses if loss in losses)
    if not offered:
        raise LcbenchError(f"{name} offers {' and '.join(entry.losses)} only")
    if catalog.device_here(entry) == "simulator":
        raise LcbenchError(f"{name} would run in a simulator here, whose times mean nothing")
    return [ResolvedTarget(name, entry.device, offered)]


def _matched(base: list[ResolvedTarget], head: list[ResolvedTarget], alone: bool) -> list[Pair]:
    """Functions of the same name; where no name is on both sides and there is nothing else, those of the same loss."""
    by_name = {_function(candidate): candidate for candidate in base}
    matches = [(by_name[_function(candidate)], candidate) for candidate in head if _function(candidate) in by_name]
    if not matches and alone:
        matches = [
            (one, other)
            for one in base
            for other in head
            if set(one.losses) & set(other.losses) and _only_one(base, one.losses) and _only_one(head, other.losses)
        ]
    if not matches:
        names = [", ".join(sorted(map(_function, candidates))) for candidates in (base, head)]
        raise LcbenchError(f"nothing to hold against each other: base has {names[0]}, head has {names[1]}")
    row_names = selection.row_names(candidate for _, candidate in matches)
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


def _function(candidate: ResolvedTarget) -> str:
    return candidate.name.rpartition(":")[2]


def _only_one(candidates: list[ResolvedTarget], losses: tuple[LossName, ...]) -> bool:
    return sum(bool(set(candidate.losses) & set(losses)) for candidate in candidates) == 1


def _problem(candidate: ResolvedTarget) -> tuple[str, str] | None:
    return (candidate.status, candidate.unavailable) if candidate.unavailable else None


# Base and head measured in turn: blocks of four processes, two of each, in an order that a coin decides.
#
# In a block, base runs first and last and head between, or the other way round. So a drift that is steady within the
# block hits both alike; and since the coin might have fallen the other way, the difference of a block is as likely to
# come out with either sign if base and head are the same: that is what the exact test of the verdict rests on. One of
# the two processes of base, drawn by lot as well, is the control.

ORDERS = ("bhhc", "chhb", "hbch", "hcbh")
"""b is base, c the control (base once more), h is head."""

SIDES: dict[str, RowSide] = {"b": "base", "c": "control", "h": "head"}

LOOKS = ((0.4, 0.2), (0.7, 0.3))
"""The shares of the budget after which the verdicts are looked at early, and of the permitted error that each look may
spend. The last look, when the budget is spent, has what is left of it: so all together err no more often than one would
(alpha spending after Lan & DeMets 1983, summed by Bonferroni's bound)."""

BUDGET_S = 60.0
"""Seconds for a gate of which nobody has said how long it may take."""

MOST_SAMPLES = 60

SAMPLE_S = 0.005
"""Shorter than a run's: of many short samples more escape what else goes on, and what all share cancels."""


@dataclass(frozen=True)
class GatePlan:
    """pairs: what is compared. fewest_blocks: with fewer, no verdict is possible at all. cell_s: sampling time of a
    loss in one process.
    """

    base: GateSide
    head: GateSide
    pairs: tuple[Pair, ...]
    settings: GateSettings
    fewest_blocks: int
    cell_s: float = 0.1

    @property
    def size(self) -> Size:
        """The problem."""
        settings = self.settings
        return Size(settings.rows, settings.features, settings.classes, settings.dtype, settings.data)

    @property
    def budget_s(self) -> float:
        """Seconds for everything; where nobody has said how many, more are taken if a verdict needs them."""
        return self.settings.budget_s or BUDGET_S


@dataclass
class GateResult:
    """Rows of base, control and head, the order of each block, and the looks that were taken."""

    rows: list[Row]
    orders: list[str] = field(default_factory=list)
    interim_analyses: list[InterimAnalysis] = field(default_factory=list)
    interrupted: bool = False


def measure_gate(
    plan: GatePlan, decided: Callable[[GateResult], bool], progress: ProgressCallback = no_progress
) -> GateResult:
    """Measures until the budget is spent, or until `decided`, asked at each look, says that no more is needed.

    Ctrl-C keeps the blocks that are whole. Raises LcbenchError where the budget has no room for `fewest_blocks` and
    does not stretch, since such a design could never fail.
    """
    turns = _Turns(plan, progress)
    with files.temporary_folder("gate") as folder:
        try:
            turns.prepare(Path(folder))
            turns.take(decided)
        except KeyboardInterrupt:
            turns.measured.interrupted = True
    turns.keep_whole_blocks()
    return turns.measured


class _Turns:
    """One measurement on its way."""

    def __init__(self, plan: GatePlan, progress: ProgressCallback) -> None:
        self._plan, self._progress = plan, progress
        self._rng = np.random.default_rng(plan.settings.seed)
        self._began = monotonic()
        self._budget_s = plan.budget_s
        self._threads = plan.settings.threads or usable_cores()
        self._rows = {
            (pair, letter): self._empty_rows(pair, side) for pair in plan.pairs for letter, side in SIDES.items()
        }
        self._folder = Path()
        self.measured = GateResult([row for rows in self._rows.values() for row in rows])

    def _empty_rows(self, pair: Pair, side: RowSide) -> list[Row]:
        size, threads = self._plan.size, self._threads
        rows = [schedule.empty_row(pair.name, pair.device, loss, size, threads, side) for loss in pair.losses]
        problem = pair.head_problem if side == "head" else pair.base_problem
        for row in rows:
            if problem:
                row.fail(*problem)
        return rows

    def prepare(self, folder: Path) -> None:
        """Writes the problem, and runs every implementation once on either side, which fills its compilation cache."""
        self._folder = folder
        losses = list(dict.fromkeys(loss for pair in self._plan.pairs for loss in pair.losses))
        self._tell("data")
        workload.save_problem(workload.build_problem(self._plan.size), losses, folder / "problem")
        for pair in self._plan.pairs:
            for letter in "bh":
                rows = self._rows[pair, letter]
                if self._alive_pair(pair):
                    self._tell(f"{pair.name}, {rows[0].side}: first calls")
                    self._process(pair, letter, planted=0.0)
                for row in rows:
                    row.processes.clear()

    def take(self, decided: Callable[[GateResult], bool]) -> None:
        """Blocks, and looks between them."""
        longest_s = 0.0
        early = list(LOOKS)
        while self._alive():
            began = monotonic()
            self._block()
            longest_s = max(longest_s, monotonic() - began)
            self._require_room(longest_s)
            spent = (monotonic() - self._began + longest_s) / self._budget_s
            if spent > 1:
                self._look(1 - sum(each.share for each in self.measured.interim_analyses))
                return
            if early and spent > early[0][0]:
                _, share = early.pop(0)
                if len(self.measured.orders) >= self._plan.fewest_blocks:
                    self._look(share)
                    if decided(self.measured):
                        return

    def _look(self, share: float) -> None:
        analysis = InterimAnalysis(blocks=len(self.measured.orders), share=share)
        self.measured.interim_analyses.append(analysis)

    def _block(self) -> None:
        order = str(self._rng.choice(ORDERS))
        for index in self._rng.permutation(len(self._plan.pairs)).tolist():
            pair = self._plan.pairs[index]
            for letter in order:
                if self._alive_pair(pair):
                    self._tell(f"{pair.name}, {self._rows[pair, letter][0].side}")
                    self._process(pair, letter, self._plan.settings.planted if letter == "h" else 0.0)
        self.measured.orders.append(order)

    def _process(self, pair: Pair, letter: str, planted: float) -> None:
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
        waiting = schedule.measure_in_worker(job, rows, variables, self._plan.settings.timeout_s, side.place)
        for index in waiting:
            rows[index].fail("crashed", "another loss ended the process")

    def _alive(self) -> bool:
        return any(self._alive_pair(pair) for pair in self._plan.pairs)

    def _alive_pair(self, pair: Pair) -> bool:
        """Whether some loss of the pair is still in order on both sides."""
        sides = zip(*(self._rows[pair, letter] for letter in "bch"), strict=True)
        return any(all(row.status == "ok" for row in rows) for rows in sides)

    def _require_room(self, block_s: float) -> None:
        """After the first block: whether the budget has room for enough of them."""
        if len(self.measured.orders) > 1:
            return
        plan, spent_s = self._plan, monotonic() - self._began
        room = 1 + int(max(0.0, self._budget_s - spent_s) / block_s)
        wanted_s = spent_s + plan.fewest_blocks * block_s
        if room >= plan.fewest_blocks:
            return
        if plan.settings.budget_s is not None:
            raise LcbenchError(
                f"a budget of {plan.budget_s:.0f} s has room for {room} blocks, and with fewer than "
                f"{plan.fewest_blocks} no verdict is possible: --budget {wanted_s:.0f}s, or fewer rows, losses or "
                "implementations"
            )
        self._budget_s = wanted_s

    def keep_whole_blocks(self) -> None:
        """Drops what an interrupted block has left."""
        whole = len(self.measured.orders)
        for (_, letter), rows in self._rows.items():
            kept = 2 * whole if letter == "h" else whole
            for row in rows:
                del row.processes[kept:]

    def _tell(self, now: str) -> None:
        budget_s = max(1, int(self._budget_s))
        self._progress("seconds of the budget", min(int(monotonic() - self._began), budget_s - 1), budget_s, now)
