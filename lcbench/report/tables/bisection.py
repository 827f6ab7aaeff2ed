"""Tables of ``lcbench gate --revisions``: its first gate, the steps of the search, and the gate that confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.text import Text

from lcbench.errors import ExitCode
from lcbench.record import Commit, describe_fields
from lcbench.report import formatting
from lcbench.report.table import FINE_RATIO, WORD, WORDS, Column, Table
from lcbench.report.tables import gate as gate_tables
from lcbench.report.tables.compare import not_compared, side_by_side
from lcbench.stats.bisection import Bisection, Judged, Step
from lcbench.stats.estimates import Ratio
from lcbench.stats.verdicts import Comparison

MOST_LISTED = 10
"""Number of commits that a sentence lists."""


def tables(found: Bisection) -> Iterator[Table | Text]:
    """Yield the gate of both ends, the steps, the commits that were skipped, and the gate that the result is from."""
    if found.final is not None and found.final is not found.ends:
        yield Text(f"{found.revisions}: {len(found.commits) - 1} commits")
        yield from side_by_side(found.ends.verdicts.comparisons, "first", "last")
        yield from not_compared(found.ends.verdicts.comparisons)
    elif found.steps or found.skipped:
        yield from _gate(found.ends)
    if found.steps:
        yield _steps(found)
        yield Text()
    for number, reason in sorted(found.skipped.items()):
        yield Text(f"skipped {found.commits[number]}: {reason}")
    if found.final is not None or not (found.steps or found.skipped):
        yield from _gate(found.decisive)


def _gate(judged: Judged) -> Iterator[Table | Text]:
    assert judged.record.gate
    yield from gate_tables.tables(judged.verdicts, judged.record.gate)


def _steps(found: Bisection) -> Table:
    return Table(
        "Search: each commit was measured in turn with both ends of the range that was left",
        found.steps,
        Column("commit", lambda step: found.commits[step.middle].revision[:10], WORD),
        Column("subject", lambda step: found.commits[step.middle].subject, WORDS, leaves=1),
        Column("commit / first", lambda step: _largest(step.before), FINE_RATIO),
        Column("last / commit", lambda step: _largest(step.after), FINE_RATIO),
        Column("slower", _slower, WORD),
    )


def _largest(judged: Judged) -> Ratio | None:
    ratios = [comparison.ratio for comparison in judged.verdicts.comparisons if comparison.ratio]
    return max(ratios, key=lambda ratio: ratio.value, default=None)


def _slower(step: Step) -> str:
    half = step.slower_half
    if half is None:
        return "neither" if not step.stopped else formatting.MISSING
    return "up to it" if half is step.before else "after it"


def heading(found: Bisection) -> str:
    """Return what was compared, in a few words."""
    assert found.decisive.record.gate
    return gate_tables.heading(found.decisive.record.gate)


def conclusions(found: Bisection) -> Iterator[str]:
    """Yield sentences on what was found: the first is the result, others say what to do next."""
    first, last = found.commits[found.first], found.commits[found.last]
    allowed = formatting.percent(found.ends.verdicts.fail_above)
    if found.exit_code is ExitCode.STOPPED:
        yield f"stopped: {_among(found.suspects)}" if found.suspects else "stopped before anything was found"
    elif not found.outcome:
        if found.exit_code is ExitCode.OK:
            yield f"nothing was made slower by more than {allowed}: {last} is not slower than {first}"
        elif found.exit_code is ExitCode.INCONCLUSIVE:
            yield f"the noise does not tell whether {last} is slower than {first}: nothing was searched"
        else:
            yield f"{last} cannot be compared with {first}: nothing was searched"
    elif found.outcome == "gradual":
        yield from _each(found.ends, f"{_among(found.suspects)}, no half of them by more than {allowed}: together they")
    elif found.outcome == "inconclusive":
        yield f"the noise does not tell which commit made it slower: {_among(found.suspects)}"
    elif found.outcome == "several":
        assert found.final
        if found.final.slower:
            yield from _each(found.final, f"{_among(found.suspects)}, of which only the last can be measured: they")
        else:
            yield f"not confirmed: {_among(found.suspects)}, which are not slower in another gate"
    elif found.culprit and found.final:
        yield from _each(found.final, f"commit {found.culprit}")
    else:
        verdict = found.final.verdicts.comparisons[0].verdict if found.final else "not measured"
        yield f"not confirmed: {last} is {verdict} in another gate against the commit before it"
    yield from _next_steps(found)


def _each(judged: Judged, subject: str) -> Iterator[str]:
    for comparison in judged.slower.values():
        assert comparison.ratio
        where = describe_fields(comparison.new, "loss", "rows")
        yield f"{subject} made {comparison.new.implementation} {_factor(comparison.ratio)} times slower ({where})"


def _factor(ratio: Ratio) -> str:
    return formatting.ratio_with_interval(*ratio).replace("\n", " ")


def _among(commits: list[Commit]) -> str:
    """Return a clause on the commits one of which may be the cause."""
    listed = ", ".join(map(str, commits[:MOST_LISTED]))
    more = f" and {len(commits) - MOST_LISTED} more" if len(commits) > MOST_LISTED else ""
    return f"one of {len(commits)} commits, {listed}{more}" if len(commits) > 1 else f"{listed}"


def as_json(found: Bisection) -> dict[str, Any]:
    """Return the fields that ``--json`` prints: those of the gate that the result is from, and the search."""
    return msgspec.to_builtins(found.decisive.verdicts) | {
        "exit_code": int(found.exit_code),
        "record": found.decisive.record.path,
        "revisions": found.revisions,
        "commits": found.commits,
        "culprit": found.culprit,
        "suspects": found.suspects,
        "skipped": [{"commit": found.commits[number], "reason": why} for number, why in sorted(found.skipped.items())],
        "steps": [
            {
                "commit": found.commits[step.middle],
                "slower": _slower(step),
                "before": _ratios(step.before),
                "after": _ratios(step.after),
                "record": step.before.record.path or step.after.record.path,
            }
            for step in found.steps
        ],
        "conclusions": list(conclusions(found)),
    }


def _ratios(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "implementation": comparison.new.implementation,
            "loss": comparison.new.loss,
            "verdict": comparison.verdict,
            "ratio": comparison.ratio,
        }
        for comparison in judged.verdicts.comparisons
    ]


def _next_steps(found: Bisection) -> Iterator[str]:
    if found.exit_code is ExitCode.INCONCLUSIVE and found.outcome:
        yield "a larger --budget, which is that of each comparison, or a quieter machine decides"
    if not found.culprit or found.final is None or found.final is found.ends:
        return
    for name, whole in found.ends.slower.items():
        part = found.final.slower.get(name)
        if _remains(whole, part, found.ends.verdicts.fail_above):
            assert whole.ratio
            where = describe_fields(whole.new, "loss", "rows")
            parts = [(0, found.last - 1), (found.last, len(found.commits) - 1)]
            rest = " and ".join(f"--revisions {_range(found, *ends)}" for ends in parts if ends[0] < ends[1])
            yield (
                f"the whole range made {whole.new.implementation} {_factor(whole.ratio)} times slower ({where}): "
                f"another commit did, too; it is in {rest}"
            )
    if found.merged:
        yield f"that commit is a merge: --revisions {found.merged} searches what it merged"


def _remains(whole: Comparison, part: Comparison | None, fail_above: float) -> bool:
    """Return whether the slowdown of a range is certainly larger than that of a commit in it, by the threshold."""
    if not whole.ratio:
        return False
    return whole.ratio.low > (part.ratio.high if part and part.ratio else 1.0) * (1 + fail_above)


def _range(found: Bisection, first: int, last: int) -> str:
    return f"{found.commits[first].revision[:10]}..{found.commits[last].revision[:10]}"
