"""Whether something got slower: the verdicts of a gate, or of two records held against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal

from lcbench.errors import LcbenchError
from lcbench.judge import gate, verdicts
from lcbench.judge.verdicts import Comparison, Verdict
from lcbench.record import Record
from lcbench.report import style
from lcbench.report.exports import wording
from lcbench.report.gate_tables import heading, notes
from lcbench.report.page.samples import rounded
from lcbench.report.page.sheets import Cell, Column, Line, Sheet, number, seconds, text

MOODS: dict[Verdict, Literal["good", "open", "bad"]] = {
    "slower": "bad",
    "wrong": "bad",
    "not measured": "bad",
    "inconclusive": "open",
    "not slower": "good",
}


@dataclass(frozen=True)
class Verdicts:
    """What was held against what, in one sentence; the verdicts, worst first; what they rest on; and their plot."""

    heading: str
    summary: str
    sheet: Sheet
    notes: list[str]
    plot: dict[str, Any]


def of_gate(record: Record) -> Verdicts | None:
    """The verdicts of a gate's own record; None of any other."""
    if record.gate is None:
        return None
    gated = gate.judge(record.rows, record.gate)
    told, rests_on = heading(record.gate), notes(gated, record.gate)
    return _verdicts(gated.comparisons, gated.fail_above, told, ("base", "head"), rests_on, gated.doubt)


def of_two(records: list[Record], fail_above: float = 0.20) -> Verdicts | None:
    """The verdicts on the later of two runs; None where they have nothing in common, or are of other kinds."""
    if len(records) != 2:
        return None
    base, new = sorted(records, key=lambda record: record.created)
    try:
        judgement = verdicts.compare(base, new, fail_above)
    except LcbenchError:
        return None
    told = [f"only in {record.id}: {row.implementation}, {row.workload}"
            for record, rows in ((base, judgement.only_base), (new, judgement.only_new)) for row in rows]  # fmt: skip
    comparisons, doubt = judgement.comparisons, ""
    if not judgement.same_machine:
        doubt = "the two results are from different machines"
        comparisons = [replace(one, verdict="inconclusive") if one.ratio else one for one in comparisons]
    told.append("tests corrected for their number (Holm), with an allowance for what differs from run to run")
    return _verdicts(comparisons, fail_above, f"{new.id} against {base.id}", ("base", "new"), told, doubt)


def _verdicts(
    comparisons: list[Comparison],
    fail_above: float,
    heading: str,
    sides: tuple[str, str],
    notes: list[str],
    doubt: str,
) -> Verdicts:
    worst_first = sorted(comparisons, key=lambda one: wording.ORDER.index(one.verdict))
    base, new = sides
    columns = [
        Column("implementation"),
        Column("workload"),
        Column(base, "median, seconds a call", number=True),
        Column(new, "median, seconds a call", number=True),
        Column(f"{new} / {base}", "ratio of the times, with its 95 % interval", number=True, first="descending"),
        Column("visible", "smallest slowdown beyond the threshold that 4 of 5 such pairs would show", number=True),
        Column("verdict"),
    ]
    return Verdicts(
        heading,
        wording.summary(comparisons, fail_above) + (f"; no verdict holds: {doubt}" if doubt else ""),
        Sheet("Verdicts", columns, [_line(one, fail_above) for one in worst_first]),
        notes,
        _plot(worst_first, fail_above, f"{new} / {base}"),
    )


def _line(one: Comparison, fail_above: float) -> Line:
    names = [text(one.new.implementation), text(str(one.new.workload))]
    if one.ratio is None:
        told = f"{one.verdict}: {wording.statement(one, fail_above)}"
        return Line(names, one.verdict, instead=Cell(told, one.verdict, MOODS[one.verdict]))
    visible = style.MISSING if one.detectable is None else f"+{style.percent(one.detectable)}"
    return Line(
        [
            *names,
            seconds(one.base.median_s),
            seconds(one.new.median_s),
            number(style.within(*one.ratio, decimals=3), one.ratio.value),
            number(visible, one.detectable),
            text(one.verdict, MOODS[one.verdict]),
        ],
        one.verdict,
    )


def _plot(comparisons: list[Comparison], fail_above: float, label: str) -> dict[str, Any]:
    """The ratios with their intervals, beside 1 and the threshold; an interval without an end reaches the edge."""
    marks = [
        {
            "name": one.new.implementation,
            "what": str(one.new.workload),
            "value": rounded(one.ratio.value),
            "low": rounded(one.ratio.low) if one.ratio.low > 0 else None,
            "high": rounded(one.ratio.high) if isfinite(one.ratio.high) else None,
            "mood": MOODS[one.verdict],
            "lines": [one.verdict, wording.statement(one, fail_above)],
        }
        for one in comparisons
        if one.ratio
    ]
    return {"kind": "ratios", "label": label, "threshold": 1 + fail_above, "marks": marks}
