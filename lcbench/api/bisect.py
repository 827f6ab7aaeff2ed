"""Search for the commit that made an implementation slower: ``lcbench gate --revisions``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench import files, record
from lcbench.api.measure import MachineAtStart, checked_pairs, gate_plan, gate_record, write_record
from lcbench.errors import ExitCode, LcbenchError, NotSaved, require
from lcbench.losses.implementation import LossError
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress
from lcbench.settings import GateSettings
from lcbench.stats.bisection import TRIES, Bisection, Judged, RowName, Step

if TYPE_CHECKING:
    from lcbench.measure.gate import GatePlan, GateResult, Pair
    from lcbench.measure.selection import ResolvedTarget
    from lcbench.measure.sides import GateSide
    from lcbench.record import Commit

REFUSED = ("base", "head", "planted", "save")
"""Settings of a gate that a search does not have."""


def bisect(
    revisions: str,
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Bisection:
    """Search the commits of a range for the one that made an implementation slower.

    The last commit is compared with the first one, as `gate` does. If it is slower, each step measures a commit in the
    middle in turn with both ends of the range that is left. The commit that is found is confirmed by a gate against the
    commit before it. The record of each gate is written; of a step, that of the half which is slower.

    revisions: "FIRST..LAST". implementations: as in `gate`. settings: fields of `lcbench.settings.GateSettings` except
    base, head, planted and save; the budget is that of each gate. note: called with a line for each file that has
    changes or that changed meanwhile.
    Raise LcbenchError or LossError if the range has no commits, or if one of its ends cannot be measured.
    """
    from lcbench.measure import revisions as ranges
    from lcbench.measure import selection
    from lcbench.usercode.source import unchanging

    for name in REFUSED:
        require(name not in settings, f"bisect has no setting '{name}'")
    commits = ranges.commits_of(revisions)
    ends = {"base": commits[0].revision, "head": commits[-1].revision}
    chosen = GateSettings.from_keywords({**ends, "implementations": implementations, **settings})
    names = selection.split_names(chosen.implementations)
    for path in ranges.uncommitted(names):
        note(f"{path} has changes that are in no commit, and that are not measured")
    with (
        record.reserved(None),
        unchanging() as changed,
        files.temporary_folder("bisect") as folder,
        ExitStack() as trees,
    ):
        gates = _Gates(commits, chosen, names, Path(folder), trees, MachineAtStart(), changed, progress, note)
        first, _, last = revisions.partition("..")
        try:
            gates.open(0, first)
        except (LcbenchError, LossError) as error:
            raise LcbenchError(f"{error}{ranges.why_not_from(commits, names)}") from None
        gates.open(len(commits) - 1, last or "HEAD")
        found = Bisection(revisions, commits, gates.compare(0, len(commits) - 1), len(commits) - 1)
        slower = found.ends.verdicts.exit_code is ExitCode.REGRESSION
        if slower and not found.ends.record.interrupted:
            found.search(gates.split)
            if found.outcome in ("single", "several"):
                found.final = gates.confirm(found) if found.steps or found.skipped else found.ends
                found.merged = ranges.merged_by(found.culprit) if found.culprit else ""
    return found


@dataclass
class _Gates:
    """Gates between commits of a range, by their numbers. Each commit is checked out once, until the end.

    folder: for the problem, and the compilation caches of all steps. trees: closes what was checked out.
    """

    commits: list[Commit]
    settings: GateSettings
    names: list[str]
    folder: Path
    trees: ExitStack
    machine: MachineAtStart
    changed: Callable[[], list[str]]
    progress: ProgressCallback
    note: NoteCallback
    sides: dict[int, GateSide] = field(default_factory=dict)
    targets: dict[int, list[list[ResolvedTarget]]] = field(default_factory=dict)
    right: set[int] = field(default_factory=set)
    """Commits whose functions were checked and are right."""

    def open(self, number: int, name: str) -> None:
        """Check a commit out and find its functions. name: what it is called in the tables and in errors."""
        from lcbench.measure import gate, sides

        opened = sides.open_revision("revisions", self.commits[number].revision, self.settings.build)
        [side] = sides.with_own_trees(replace(self.trees.enter_context(opened), given=name))
        losses, timeout_s = self.settings.selected_losses, self.settings.timeout_s
        self.targets[number] = gate.resolve(side, self.names, losses, timeout_s)
        self.sides[number] = side

    def compare(self, first: int, last: int, rows: set[RowName] | None = None) -> Judged:
        """Return the gate of a commit against an earlier one, in processes and compilations of its own.

        rows: rows to look at; None means all.
        """
        from lcbench.measure import gate

        self.progress(f"comparing {self.commits[last]} with {self.commits[first]}")
        base, head = self.sides[first], self.sides[last]
        pairs = gate.pairs_between(self.targets[first], self.targets[last])
        gate.require_own_code(base, head, self.names)
        pairs = self._checked(_with_rows(pairs, rows) if rows else pairs, last)
        plan = gate_plan(base, head, gate.by_use_of_pixels(pairs, self.settings.dtype), self.settings)
        plan = replace(plan, extended=rows is not None)  # what was found is not lost for want of a few seconds
        result = gate.measure_gate(plan, lambda result: _decided(_judged(plan, result)), self.progress)
        self.machine.tell(self.changed(), self.note)
        return self._written(plan, result)

    def confirm(self, found: Bisection) -> Judged:
        """Return the gate of the last commit of the range that is left against the first one."""
        for _ in range(TRIES):
            judged = self.compare(found.first, found.last, found.rows)
            if judged.verdicts.exit_code is not ExitCode.INCONCLUSIVE or judged.record.interrupted:
                break
        return judged

    def split(self, first: int, middle: int, last: int, rows: set[RowName]) -> Step | str:
        """Return the comparison of a commit with both ends of a range, or why it cannot be measured.

        rows: rows to look at, which are slower on the last commit than on the first one.
        """
        from lcbench.measure import gate

        commit = self.commits[middle]
        self.progress(f"one of {last - first} commits; comparing {commit} with both ends of them")
        try:
            self.open(middle, commit.revision[:10])
        except (LcbenchError, LossError) as error:
            return re.sub("^--revisions [0-9a-f]+: ", "", str(error))
        targets = [self.targets[number] for number in (first, last, middle)]
        pairs = _with_rows(gate.by_use_of_pixels(gate.pairs_between(*targets), self.settings.dtype), rows)
        if {(pair.name, loss) for pair in pairs for loss in pair.losses} < {*map(_without_use, rows)}:
            return "it lacks a function that is slower"
        unusable = {target.name: target for group in self.targets[middle] for target in group if target.unavailable}
        for pair in pairs:
            if pair.middle in unusable:
                return f"{unusable[pair.middle].status}: {unusable[pair.middle].unavailable}"
        heads = [replace(pair, head=pair.middle, head_problem=None) for pair in pairs]
        for pair in self._checked(heads, middle):
            if pair.head_problem:
                return ": ".join(pair.head_problem)
        return self._step(first, middle, last, pairs)

    def _checked(self, pairs: list[Pair], number: int) -> list[Pair]:
        """Return the pairs with the problems of head, which is a commit, as `checked_pairs` does."""
        if number in self.right:
            return pairs
        checked = checked_pairs(pairs, self.sides[number], self.settings.timeout_s, self.progress)
        if not any(pair.head_problem for pair in checked):
            self.right.add(number)
        return checked

    def _step(self, first: int, middle: int, last: int, pairs: list[Pair]) -> Step | str:
        from lcbench.measure import gate

        whole = gate_plan(self.sides[first], self.sides[last], pairs, self.settings)
        plan = replace(whole, middle=self.sides[middle], folder=self.folder, extended=True)
        plans = replace(plan, head=self.sides[middle]), replace(plan, base=self.sides[middle])

        def judged(result: GateResult) -> Step:
            before, after = (_judged(*each) for each in zip(plans, gate.halves(result), strict=True))
            return Step(first, middle, last, before, after)

        def decided(result: GateResult) -> bool:
            step = judged(result)
            return step.slower_half is not None or (_decided(step.before) and _decided(step.after))

        result = gate.measure_gate(plan, decided, _without_lines(self.progress))
        self.machine.tell(self.changed(), self.note)
        step = judged(result)
        failed = next((row for row in step.before.record.rows if row.side == "head" and row.status != "ok"), None)
        if failed and not step.stopped:
            return f"{failed.status}: {failed.reason}"
        before, after = gate.halves(result)
        if step.slower_half is step.after:
            return replace(step, after=self._written(plans[1], after))
        return replace(step, before=self._written(plans[0], before))

    def _written(self, plan: GatePlan, result: GateResult) -> Judged:
        """Return the gate with its record, after writing it."""
        setup = gate_record(plan, result)
        try:
            written = write_record(self.machine, None, result.rows, gate=setup, interrupted=result.interrupted)
        except NotSaved as error:
            self.note(f"warning: {error}")
            written = error.result
        return replace(_judged(plan, result), record=written)


def _judged(plan: GatePlan, result: GateResult) -> Judged:
    """Return the verdicts of a gate, with a record that is not written."""
    from lcbench.stats.gate import judge_gate

    setup = gate_record(plan, result)
    unwritten = record.new(
        lcbench="", fingerprint="", machine={}, rows=result.rows, gate=setup, interrupted=result.interrupted
    )
    return Judged(unwritten, judge_gate(result.rows, setup))


def _decided(judged: Judged) -> bool:
    return all(comparison.verdict != "inconclusive" for comparison in judged.verdicts.comparisons)


def _with_rows(pairs: list[Pair], rows: set[RowName]) -> list[Pair]:
    """Return the pairs with those losses only whose rows are among `rows`."""
    names = {*map(_without_use, rows)}
    found = [replace(pair, losses=tuple(loss for loss in pair.losses if (pair.name, loss) in names)) for pair in pairs]
    return [pair for pair in found if pair.losses]


def _without_use(row: RowName) -> RowName:
    """Return the name and loss of a row without its use of pixels."""
    return row[0].removesuffix(record.CONVERTS), row[1]


def _without_lines(progress: ProgressCallback) -> ProgressCallback:
    """Return a callback that does not forward lines: those of the first gate hold for the steps, too."""

    def forward(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        if total:
            progress(stage, done, total, detail)

    return forward
