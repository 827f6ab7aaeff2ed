"""Measurement of a gate: generations of two processes of base and two of head, which take turns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

import msgspec
import numpy as np

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.host.counters import usable_cores
from lcbench.losses import catalog
from lcbench.losses.implementation import Device, LossError, LossName
from lcbench.measure import schedule, selection, workload
from lcbench.measure.messages import Cell, TurnsJob
from lcbench.measure.pixels import uses_of_pixels
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.sides import GateSide, in_own_tree, lacks, why_missing
from lcbench.measure.turns import MOST_ROUNDS, Generation, Member, Pace
from lcbench.measure.workload import Size
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import InterimAnalysis, PixelUse, Row, RowSide
from lcbench.settings import GateSettings
from lcbench.usercode.discovery import is_user_code
from lcbench.workers import process

DEFAULT_IMPLEMENTATION = "numba-parallel"


@dataclass(frozen=True)
class Pair:
    """Implementation of base and implementation of head that are compared with each other.

    name: name in the rows. base, head: names that their worker processes resolve. base_problem, head_problem: status
    and reason if one of them is known to be unusable before anything is measured. pixels: how both use the pixels, if X
    is pixels. middle: name of the implementation of a third version, between the two; see `GatePlan`. is_new: whether
    base does not have it. Nothing is measured then, but head is checked.
    """

    name: str
    base: str
    head: str
    losses: tuple[LossName, ...]
    device: Device = "cpu"
    base_problem: tuple[str, str] | None = None
    head_problem: tuple[str, str] | None = None
    pixels: PixelUse = ""
    middle: str = ""
    is_new: bool = False

    @property
    def alone(self) -> bool:
        """Whether the processes are not stopped, since they compute on a GPU."""
        return self.device != "cpu"


def pair_targets(
    base: GateSide, head: GateSide, names: list[str], losses: list[LossName], timeout_s: float
) -> list[Pair]:
    """Return the pairs to compare: `names` on both sides, or the sides themselves if they are implementations.

    A function of `names` that base does not have is a new one. User code is loaded in a worker process of its side.
    Raise LcbenchError if nothing can be paired, and LossError if a name is unknown.
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
        pairs |= {pair.name: pair for pair in _pairs_of_name(base, head, name, losses, timeout_s)}
    return list(pairs.values())


def resolve(side: GateSide, names: list[str], losses: list[LossName], timeout_s: float) -> list[list[ResolvedTarget]]:
    """Return what each name stands for in one version. Raise LcbenchError or LossError if it stands for nothing."""
    return [_resolve(side, name, losses, timeout_s) for name in names or [DEFAULT_IMPLEMENTATION]]


def pairs_between(
    base: list[list[ResolvedTarget]],
    head: list[list[ResolvedTarget]],
    middle: list[list[ResolvedTarget]] | None = None,
) -> list[Pair]:
    """Return the pairs of functions that have the same name in base and head, and in the middle if there is one.

    base, head, middle: from `resolve`, for the same names. Raise LcbenchError if there are none.
    """
    pairs: dict[str, Pair] = {}
    for number, (old, new) in enumerate(zip(base, head, strict=True)):
        between = {_function(target): target.name for target in middle[number]} if middle else {}
        for pair in _match(old, new, by_loss=False):
            function = pair.head.rpartition(":")[2]
            if middle is None or function in between:
                pairs[pair.name] = replace(pair, middle=between.get(function, ""))
    return list(pairs.values())


def _pairs_of_name(base: GateSide, head: GateSide, name: str, losses: list[LossName], timeout_s: float) -> list[Pair]:
    """Return the pairs of one name, and the functions that are new.

    Raise LcbenchError if head does not have it, or if only some of its functions' names have changed.
    """
    old: list[ResolvedTarget] | None = None
    if base.kind != "none":
        try:
            old = _targets(base, name, losses, timeout_s)
        except LossError as error:
            if not is_user_code(name):
                raise
            if not lacks(base, head, name, error):
                raise _unusable(base, name, error) from None
    try:
        new = _targets(head, name, losses, timeout_s)
    except LossError as error:
        if not is_user_code(name):
            raise
        both = f"; base {base.given} does not have it either" if old is None and base.kind != "none" else ""
        raise LcbenchError(f"{_unusable(head, name, error)}{both}") from None
    pairs = _match(old, new, by_loss=False) if old else []
    matched = {pair.head for pair in pairs}
    return pairs + [_new_pair(base, target, row_name) for target, row_name in _named(new) if target.name not in matched]


def _named(targets: list[ResolvedTarget]) -> list[tuple[ResolvedTarget, str]]:
    """Return the targets with the names of their rows."""
    row_names = selection.row_names(targets)
    return [(target, row_names[target.name]) for target in targets]


def _new_pair(base: GateSide, target: ResolvedTarget, row_name: str) -> Pair:
    lacking = "there is no base" if base.kind == "none" else f"base {base.given} does not have {target.name}"
    return Pair(
        row_name,
        target.name,
        target.name,
        target.losses,
        target.device,
        base_problem=("unavailable", lacking),
        head_problem=_problem(target),
        is_new=True,
    )


def require_own_code(base: GateSide, head: GateSide, names: list[str]) -> None:
    """Raise LcbenchError if `names` are lcbench's own implementations, and neither the code nor the Python differs.

    Source trees that are not lcbench's do not change them: such a gate would pass whatever they contain.
    """
    trees = all(side.kind in ("revision", "folder", "none") and not side.is_lcbench for side in (base, head))
    if trees and base.place.python == head.place.python and not any(map(is_user_code, names)):
        measured = " and ".join(names) + " are" if len(names) > 1 else f"{(names or [DEFAULT_IMPLEMENTATION])[0]} is"
        raise LcbenchError(
            f"nothing of this repository is measured: {measured} lcbench's own, the same in base and head; name a file "
            "of the repository: --impl FILE.py"
        )


def by_use_of_pixels(pairs: list[Pair], dtype: str) -> list[Pair]:
    """Return the pairs, each once for each way in which it uses an X of `dtype`.

    Raise LcbenchError if base reads pixels in place and head does not, or the reverse.
    """
    found = []
    for pair in pairs:
        uses = uses_of_pixels(pair.base, dtype)
        if uses != uses_of_pixels(pair.head, dtype):
            reads, other = (pair.base, pair.head) if uses == ("read",) else (pair.head, pair.base)
            raise LcbenchError(f"{reads} reads {dtype} pixels, and {other} does not: compare them with a float --dtype")
        found += [replace(pair, pixels=use) for use in uses]
    return found


def _resolve(side: GateSide, name: str, losses: list[LossName], timeout_s: float) -> list[ResolvedTarget]:
    """Return the targets of an implementation that is itself a side. Raise LcbenchError, with the side, for a file."""
    try:
        return _targets(side, name, losses, timeout_s)
    except LossError as error:
        if not is_user_code(name):
            raise
        raise _unusable(side, name, error) from None


def _unusable(side: GateSide, name: str, error: LossError) -> LcbenchError:
    return LcbenchError(f"--{side.name} {side.given}: {error}{why_missing(side, name)}")


def _targets(side: GateSide, name: str, losses: list[LossName], timeout_s: float) -> list[ResolvedTarget]:
    """Return the targets of a name on a side. Raise LossError if there is none."""
    if is_user_code(name):
        return selection.user_targets(in_own_tree(side, name), losses, timeout_s, side.place)
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
# A generation has four processes: two of base and two of head. Which of the four start slots has which side is drawn
# at random among the six possible splits. If base and head are the same code, every split was equally probable. The
# exact test of the verdict relies on this. One of the two processes of base, also chosen at random, is the control.

LETTERS = "bchh"
"""Sides of the four processes. b: base. c: control (base once more). h: head."""

SIDES: dict[str, RowSide] = {"b": "base", "c": "control", "h": "head"}

LETTERS_WITH_MIDDLE = "bcmnhh"
"""Same if a third version, the middle, takes turns with base and head: m is a base for head, and n its control."""

HALVES: tuple[dict[str, str], dict[str, str]] = (
    {"b": "b", "c": "c", "m": "h", "n": "h"},
    {"m": "b", "n": "c", "h": "h"},
)
"""Letters of two gates by the letters of the processes: the middle is head of the first, and base of the second."""

EARLY_ANALYSES = ((0.4, 0.2), (0.7, 0.3))
"""Interim analyses before the final one: (share of all generations, share of the error probability).

The final analysis, after the last generation, gets the remaining error probability. The shares add up to 1, so by
Bonferroni's inequality all analyses together err no more often than a single one would (alpha spending, Lan & DeMets
1983)."""

BUDGET_S = 60.0
"""Default budget of a gate in seconds."""

MOST_GENERATIONS = 500
"""Maximum number of generations of a gate with a given precision."""

SURE_SHARE = 0.8
"""Share of `PACE.rounds_s` that the rounds of a generation take at least: their number is rounded."""

LONGEST_OVERRUN = 1.25
"""Share of the budget after which the gate ends even if fewer generations than planned were measured."""

PACE = Pace(rounds=8, rounds_s=2.4, noisy_rounds_s=9.0, turn_s=0.03, fewest_samples=2, process_s=2.0, equal=True)
"""Rounds and turns. There are more samples than in `lcbench run`, since the fastest one represents a turn.

More rounds reduce the effect of bursts of load, and more generations that of the memory layout. On a quiet machine,
the rounds take about as long as the start of the processes. With bursts on one of two cores, the spread of processes
is 5 % with eight rounds and 1 % with 24."""


@dataclass(frozen=True)
class GatePlan:
    """Sides, pairs and settings of a gate.

    fewest_generations: number of generations below which no verdict is possible. generations_for: returns the number
    of generations that a verdict needs, from the rows of the first one; it must not depend on which side is which.
    middle: version that is measured in the same generations, between base and head; see `halves`. folder: place of the
    problem and of the compilation caches of each revision, if several gates share them. extended: whether a budget that
    the user gave is extended if a verdict needs more time, as the default budget always is.
    """

    base: GateSide
    head: GateSide
    pairs: tuple[Pair, ...]
    settings: GateSettings
    fewest_generations: int
    generations_for: Callable[[list[Row]], int | None]
    middle: GateSide | None = None
    folder: Path | None = None
    extended: bool = False

    def side(self, letter: str) -> GateSide:
        """Return the side of the processes with this letter."""
        if letter in "mn":
            assert self.middle
            return self.middle
        return self.head if letter == "h" else self.base

    @property
    def size(self) -> Size:
        """Size of the problem."""
        settings = self.settings
        return Size(settings.rows, settings.features, settings.classes, settings.dtype, settings.data)

    @property
    def budget_s(self) -> float:
        """Budget for all measurements, in seconds. The default budget is extended if a verdict needs more time."""
        return self.settings.budget_s or BUDGET_S

    @property
    def limited(self) -> bool:
        """Whether a gate without enough time for a verdict is refused."""
        return self.settings.budget_s is not None and not self.extended


@dataclass
class GateResult:
    """Rows of base, control and head, sides of the processes of each generation, and interim analyses.

    started_s: seconds that were spent before the rounds: first calls, imports, loading and warm-up. spent_s: seconds in
    all. by_letter: the rows by the letter of their processes, in the same order for each letter.
    """

    rows: list[Row]
    orders: list[str] = field(default_factory=list)
    interim_analyses: list[InterimAnalysis] = field(default_factory=list)
    interrupted: bool = False
    started_s: float = 0.0
    spent_s: float = 0.0
    by_letter: dict[str, list[Row]] = field(default_factory=dict)


def halves(result: GateResult) -> tuple[GateResult, GateResult]:
    """Return the results of two gates, from a result with a middle: middle against base, and head against middle.

    Both have all generations, in which the slots of their four processes are drawn at random among all splits, too.
    """
    first, second = (
        replace(
            result,
            rows=[row for rows in zip(*_rows_of(result.by_letter, letters), strict=True) for row in rows],
            orders=["".join(letters.get(letter, "") for letter in order) for order in result.orders],
            by_letter={},
        )
        for letters in HALVES
    )
    return first, second


def _rows_of(by_letter: dict[str, list[Row]], letters: dict[str, str]) -> list[list[Row]]:
    """Return the rows of base, of control and of head."""
    found = []
    for letter, side in SIDES.items():
        alike = [by_letter[own] for own, other in letters.items() if other == letter]
        found.append([_joined(rows, side) for rows in zip(*alike, strict=True)])
    return found


def _joined(rows: tuple[Row, ...], side: RowSide) -> Row:
    """Return one row with the processes of all; it has failed if one of them has."""
    chosen = next((row for row in rows if row.status != "ok"), rows[0])
    processes = [] if chosen.status != "ok" else [process for row in rows for process in row.processes]
    processes.sort(key=lambda process: process.generation or 0)
    return msgspec.structs.replace(chosen, side=side, processes=processes)


def measure_gate(
    plan: GatePlan, decided: Callable[[GateResult], bool], progress: ProgressCallback = no_progress
) -> GateResult:
    """Measure generations until the budget is spent, or until `decided` returns true at an interim analysis.

    Ctrl-C keeps the complete generations. Raise LcbenchError if the user's budget is too small for
    `fewest_generations`, since such a gate could never fail.
    """
    measurement = _GateMeasurement(plan, progress)
    with ExitStack() as stack:
        folder = plan.folder or Path(stack.enter_context(files.temporary_folder("gate")))
        try:
            measurement.prepare(folder)
            measurement.measure_generations(decided)
        except KeyboardInterrupt:
            measurement.result.interrupted = True
    measurement.drop_incomplete_generation()
    if measurement.result.interrupted:
        schedule.fail_unmeasured(measurement.result.rows)
    return measurement.result


class _GateMeasurement:
    """Measurement of a plan in progress. Sides are denoted by the letters of `LETTERS` or `LETTERS_WITH_MIDDLE`."""

    def __init__(self, plan: GatePlan, progress: ProgressCallback) -> None:
        self._plan, self._progress = plan, progress
        self._rng = np.random.default_rng(plan.settings.seed)
        self._start = monotonic()
        self._budget_s = plan.budget_s
        self._threads = plan.settings.threads or usable_cores()
        self._letters = LETTERS_WITH_MIDDLE if plan.middle else LETTERS
        self._rows = {
            (pair, letter): self._empty_rows(pair, letter)
            for pair in plan.pairs
            for letter in dict.fromkeys(self._letters)
        }
        self._folder = Path()
        self._generations = 0
        self.result = GateResult(
            [row for rows in self._rows.values() for row in rows],
            by_letter={
                letter: [row for pair in plan.pairs for row in self._rows[pair, letter]] for letter in self._letters
            },
        )

    def _empty_rows(self, pair: Pair, letter: str) -> list[Row]:
        size, threads = self._plan.size, self._threads
        side = SIDES[HALVES[1].get(letter, letter)]
        rows = [
            schedule.empty_row(pair.name, pair.device, loss, size, threads, side, pair.pixels) for loss in pair.losses
        ]
        problem = pair.head_problem if side == "head" else pair.base_problem
        for row in rows:
            if problem:
                row.fail(*problem)
        return rows

    def prepare(self, folder: Path) -> None:
        """Write the problem, and make the first calls of each process, which fill its compilation cache.

        Each of the four processes has a cache of its own. Otherwise, the control could not show a difference between
        two compilations of the same code.
        """
        self._require_time(0.0)
        self._folder = folder
        if not any(map(self._measurable, self._plan.pairs)):
            return
        losses = list(dict.fromkeys(loss for pair in self._plan.pairs for loss in pair.losses))
        self._show("data")
        if not (folder / "problem").exists():
            workload.save_problem(workload.build_problem(self._plan.size), losses, folder / "problem")
        for pair in self._plan.pairs:
            self._show(f"{pair.name}: first calls")
            self._measure_pair(pair, self._letters, Pace(rounds=1, simulated=True))
            for letter in self._letters:
                for row in self._rows[pair, letter]:
                    row.processes.clear()
        self._require_time(monotonic() - self._start)

    def _require_time(self, spent_s: float) -> None:
        """Raise LcbenchError if the given budget is too small for the rounds alone of the fewest generations."""
        plan = self._plan
        least_s = spent_s + SURE_SHARE * plan.fewest_generations * PACE.rounds_s * sum(
            self._sides_ok(pair, index) for pair in plan.pairs for index in range(len(pair.losses))
        )
        if plan.limited and least_s > plan.budget_s:
            raise LcbenchError(
                f"a budget of {plan.budget_s:g} s is too short for a verdict, which needs "
                f"{plan.fewest_generations} generations and at least {least_s:.0f} s, and about twice as long with the "
                "start of the processes: give a longer --budget, or fewer losses or implementations"
            )

    def measure_generations(self, decided: Callable[[GateResult], bool]) -> None:
        """Measure generations, with the interim analyses in between."""
        early = list(EARLY_ANALYSES)
        while any(self._measurable(pair) for pair in self._plan.pairs):
            start = monotonic()
            order = "".join(self._rng.permutation(list(self._letters)).tolist())
            for index in self._rng.permutation(len(self._plan.pairs)).tolist():
                self._measure_pair(self._plan.pairs[index], order, PACE)
            self.result.orders.append(order)
            done, self.result.spent_s = len(self.result.orders), monotonic() - self._start
            if done == 1:
                self._plan_generations(monotonic() - start)
            late = self.result.spent_s > LONGEST_OVERRUN * self._budget_s and done >= self._plan.fewest_generations
            if done >= self._generations or late:
                self._add_analysis(1 - sum(each.share for each in self.result.interim_analyses))
                return
            if early and done >= early[0][0] * self._generations:
                _, share = early.pop(0)
                if done >= self._plan.fewest_generations:
                    self._add_analysis(share)
                    if decided(self.result):
                        return

    def _add_analysis(self, share: float) -> None:
        self.result.interim_analyses.append(InterimAnalysis(blocks=len(self.result.orders), share=share))

    def _plan_generations(self, generation_s: float) -> None:
        """Set the number of generations, from the duration of the first one and the budget.

        Raise LcbenchError if the given budget is too small for a verdict. The default budget is extended instead.
        """
        plan, spent_s = self._plan, monotonic() - self._start
        fitting = 1 + int(max(0.0, self._budget_s - spent_s) / generation_s)
        needed_s = spent_s + (plan.fewest_generations - 1) * generation_s
        if fitting < plan.fewest_generations and plan.limited:
            raise LcbenchError(
                f"a budget of {plan.budget_s:.0f} s allows {fitting} generations, but a verdict needs at least "
                f"{plan.fewest_generations}: give --budget {needed_s:.0f}s, or fewer rows, losses or implementations"
            )
        wanted = plan.generations_for((halves(self.result)[0] if plan.middle else self.result).rows)
        self._generations = max(plan.fewest_generations, fitting)
        if plan.settings.precision is not None and wanted:
            self._generations = max(plan.fewest_generations, min(wanted, MOST_GENERATIONS))
        self._budget_s = max(self._budget_s, needed_s, spent_s + (self._generations - 1) * generation_s)
        self._announce(wanted, spent_s, generation_s)

    def _announce(self, wanted: int | None, spent_s: float, generation_s: float) -> None:
        """Show a line on the time that a verdict takes."""
        most_s = spent_s + (self._generations - 1) * generation_s
        needed = max(wanted or 0, self._plan.fewest_generations)
        needed_s = spent_s + (needed - 1) * generation_s
        what = f"a verdict at {100 * self._plan.settings.fail_above:g} %"
        if self._plan.settings.precision is not None:
            what = f"an interval of +-{100 * self._plan.settings.precision:g} %"
        line = f"about {needed_s:.0f} s for {what}, from this machine's noise"
        if wanted is None or needed > self._generations:
            seconds = "more than an hour" if wanted is None else f"about {needed_s:.0f} s"
            line = f"{what} would take {seconds} with this machine's noise; the budget is {most_s:.0f} s"
        self._progress(line)

    def _measure_pair(self, pair: Pair, order: str, pace: Pace) -> None:
        """Measure one generation of a pair. A row that fails on one side is not measured any more on any side."""
        if not self._measurable(pair):
            return
        start, rounds_s = monotonic(), 0.0
        slots = range(len(order))
        for group in [[slot] for slot in slots] if pair.alone else [[*slots]]:  # one process at a time on a GPU
            members = [self._member(pair, order, slot, pace) for slot in group]
            timeout_s = self._plan.settings.timeout_s
            number, first_round = len(self.result.orders), group[0] * MOST_ROUNDS
            with Generation(number, members, timeout_s, self._rng, first_round=first_round) as generation:
                cells = [index for index in range(len(pair.losses)) if self._sides_ok(pair, index)]
                for cell in self._rng.permutation(cells).tolist():
                    self._show(f"{pair.name}, {pair.losses[cell]}")
                    outcomes = generation.measure(dict.fromkeys(range(len(group)), cell), pace)
                    for index, slot in enumerate(group):
                        schedule.add(self._rows[pair, order[slot]][cell], outcomes[index])
                    rounds_s += generation.rounds_s
        self.result.started_s += monotonic() - start - rounds_s

    def _member(self, pair: Pair, order: str, slot: int, pace: Pace) -> Member:
        letter = order[slot]
        side = self._plan.side(letter)
        implementations = {"m": pair.middle, "n": pair.middle, "h": pair.head}
        job = TurnsJob(
            implementation=implementations.get(letter, pair.base),
            cells=[Cell(loss, str(self._folder / "problem"), pair.pixels) for loss in pair.losses],
            seed=int(self._rng.integers(2**31)),
            planted=self._plan.settings.planted if letter == "h" and not pace.simulated else 0.0,
            tree=side.place.tree,
        )
        cache = self._folder / f"compiled-{self._cache(order, slot)}"
        return Member(job, process.environment(self._threads, cache), side.place, stopped=not pair.alone)

    def _cache(self, order: str, slot: int) -> str:
        """Return the name of the compilation cache of a process: each has its own, whatever the order."""
        letter = order[slot]
        if self._plan.folder is None:
            return f"{letter}{order[:slot].count(letter)}"
        side = self._plan.side(letter)
        earlier = sum(self._plan.side(other) is side for other in order[:slot])
        return f"{side.revision}-{earlier}"

    def _sides_ok(self, pair: Pair, index: int) -> bool:
        return all(self._rows[pair, letter][index].status == "ok" for letter in self._letters)

    def _measurable(self, pair: Pair) -> bool:
        """Return whether some loss of the pair has not failed on any side."""
        return any(self._sides_ok(pair, index) for index in range(len(pair.losses)))

    def drop_incomplete_generation(self) -> None:
        """Remove the processes of an interrupted generation."""
        complete = len(self.result.orders)
        for rows in self._rows.values():
            for row in rows:
                row.processes = [each for each in row.processes if (each.generation or 0) < complete]

    def _show(self, detail: str) -> None:
        budget_s = max(1, int(self._budget_s))
        self._progress("seconds of the budget", min(int(monotonic() - self._start), budget_s - 1), budget_s, detail)
