"""Search for the commit of a range that made a row slower, by the verdicts of gates.

The search keeps a range whose last commit is slower than its first one, by the verdict of a gate. In each step, a
commit in the middle takes turns with both ends, in the same generations, which are two gates: of the middle against the
first commit, and of the last commit against the middle. The half that is slower replaces the range, so that each
decision is a verdict of a gate on times of the same minutes. The commit that remains is confirmed by another gate,
against the commit before it, with new processes, compilations and draws: a wrong turn of the search is found there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lcbench.errors import ExitCode
from lcbench.record import Commit, Record

if TYPE_CHECKING:
    from lcbench.stats.gate import GateVerdicts
    from lcbench.stats.verdicts import Comparison

TRIES = 2
"""Number of times that a comparison is made if it is inconclusive: other load may have ended meanwhile."""

RowName = tuple[str, str]
"""Implementation and loss of a row. All rows of a gate have the same size."""


@dataclass(frozen=True)
class Judged:
    """Record of a gate, with its verdicts."""

    record: Record
    verdicts: GateVerdicts

    @property
    def slower(self) -> dict[RowName, Comparison]:
        """Return the comparisons of the rows that are slower."""
        return {
            (each.new.implementation, each.new.loss): each
            for each in self.verdicts.comparisons
            if each.verdict == "slower"
        }

    @property
    def largest(self) -> float:
        """Return the largest slowdown of the rows that are slower, as a ratio."""
        return max((each.ratio.value for each in self.slower.values() if each.ratio), default=0.0)


@dataclass(frozen=True)
class Step:
    """Comparison of a commit with both ends of the range that is left, by their numbers in the whole range.

    before: gate of the middle against the first commit. after: gate of the last commit against the middle.
    """

    first: int
    middle: int
    last: int
    before: Judged
    after: Judged

    @property
    def slower_half(self) -> Judged | None:
        """Return the half that is slower, by more if both are; None if there is no verdict that one is."""
        halves = [half for half in (self.before, self.after) if half.slower]
        return max(halves, key=lambda half: half.largest, default=None)

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended the step."""
        return self.before.record.interrupted


Outcome = Literal["", "single", "several", "gradual", "inconclusive", "stopped"]


@dataclass
class Bisection:
    """Search in a range of commits.

    ends: gate of the last commit against the first one. steps: steps of the search. skipped: reasons why commits could
    not be measured, by their numbers. first, last: range that is left. final: gate of its last commit against its first
    one, which confirms the result. outcome: "single" if the range that is left has one commit after the first one,
    "several" if all others in it were skipped, "gradual" if both halves of it are not slower, "inconclusive" if
    the noise does not tell which half is slower, "stopped" after Ctrl-C, and "" if the last commit is not slower.
    rows: rows that are slower in that range. merged: range of what the commit that was found merged, if it is a merge.
    """

    revisions: str
    commits: list[Commit]
    ends: Judged
    last: int
    first: int = 0
    steps: list[Step] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    outcome: Outcome = ""
    final: Judged | None = None
    rows: set[RowName] = field(default_factory=set)
    merged: str = ""

    @property
    def suspects(self) -> list[Commit]:
        """Return the commits of the range that is left, one of which made a row slower; empty if none is slower."""
        return self.commits[self.first + 1 : self.last + 1] if self.outcome else []

    @property
    def culprit(self) -> Commit | None:
        """Return the commit that made a row slower, if it was found and confirmed."""
        confirmed = self.outcome == "single" and self.final and self.final.slower
        return self.commits[self.last] if confirmed else None

    @property
    def decisive(self) -> Judged:
        """Return the gate that the result is from."""
        return self.final or self.ends

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the search: that of its first gate, unless the search for the commit failed."""
        if self.ends.record.interrupted or self.outcome == "stopped" or self.decisive.record.interrupted:
            return ExitCode.STOPPED
        code = self.ends.verdicts.exit_code
        if code is not ExitCode.REGRESSION or self.outcome == "gradual":
            return code
        if self.outcome == "inconclusive" or self.final is None:
            return ExitCode.INCONCLUSIVE
        confirmed = self.final.verdicts.exit_code
        return ExitCode.INCONCLUSIVE if confirmed is ExitCode.OK else confirmed

    def search(self, split: Callable[[int, int, int, set[RowName]], Step | str]) -> None:
        """Narrow the range until one commit is left, or until no verdict tells which half is slower.

        split: measures a step from the numbers of first, middle and last commit, and the rows to look at. It returns
        the reason if the middle cannot be measured: another commit is tried then.
        """
        self.rows = {*self.ends.slower}
        while (middle := self._next()) is not None:
            try:
                step = split(self.first, middle, self.last, self.rows)
            except KeyboardInterrupt:
                self.outcome = "stopped"
                return
            if isinstance(step, str):
                self.skipped[middle] = step
                continue
            self.steps.append(step)
            half = step.slower_half
            if step.stopped or half is None:
                self.outcome = "stopped" if step.stopped else _without_verdict(step)
                if self.outcome == "inconclusive" and self._tries(step) < TRIES:
                    continue
                return
            self.rows = {*half.slower}
            if half is step.before:
                self.last = middle
            else:
                self.first = middle
        self.outcome = "single" if self.last - self.first == 1 else "several"

    def _tries(self, step: Step) -> int:
        """Return how often the commits of a step were compared with each other."""
        return sum((each.first, each.middle, each.last) == (step.first, step.middle, step.last) for each in self.steps)

    def _next(self) -> int | None:
        """Return the number of the commit that is nearest to the middle of the range, without those skipped."""
        inside = [number for number in range(self.first + 1, self.last) if number not in self.skipped]
        return min(inside, key=lambda number: abs(2 * number - self.first - self.last), default=None)


def _without_verdict(step: Step) -> Outcome:
    comparisons = [*step.before.verdicts.comparisons, *step.after.verdicts.comparisons]
    return "gradual" if all(each.verdict == "not slower" for each in comparisons) else "inconclusive"
