"""Whether something got slower: the verdicts of a gate, or of two records held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from lcbench.errors import LcbenchError
from lcbench.record import Record
from lcbench.report.page.plots import rounded
from lcbench.report.table import Table
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables.gate import heading, notes
from lcbench.stats import gate, verdicts
from lcbench.stats.verdicts import Comparison


@dataclass(frozen=True)
class Verdicts:
    """What was held against what, in one sentence; the verdicts, worst first; what they rest on; and their plot."""

    heading: str
    summary: str
    sheet: Table
    notes: list[str]
    plot: dict[str, Any]


def of_gate(record: Record) -> Verdicts | None:
    """The verdicts of a gate's own record; None of any other."""
    if record.gate is None:
        return None
    gated = gate.judge_gate(record.rows, record.gate)
    told, rests_on = heading(record.gate), notes(gated, record.gate)
    return _verdicts(gated.comparisons, gated.fail_above, told, ("base", "head"), rests_on, gated.doubt)


def of_two(records: list[Record], fail_above: float = 0.20) -> Verdicts | None:
    """The verdicts on the later of two runs; None where they have nothing in common, or are of other kinds."""
    if len(records) != 2:
        return None
    base, new = sorted(records, key=lambda record: record.created)
    try:
        judgement = verdicts.compare_records(base, new, fail_above)
    except LcbenchError:
        return None
    doubt = "" if judgement.same_machine else "the two results are from different machines"
    notes = [*compare_tables.only_in_one(judgement), compare_tables.basis(judgement)]
    return _verdicts(
        compare_tables.valid_comparisons(judgement),
        fail_above,
        f"{new.id} against {base.id}",
        ("base", "new"),
        notes,
        doubt,
    )


def _verdicts(
    comparisons: list[Comparison],
    fail_above: float,
    told: str,
    sides: tuple[str, str],
    notes: list[str],
    doubt: str,
) -> Verdicts:
    worst_first = sorted(comparisons, key=lambda one: compare_tables.ORDER.index(one.verdict))
    return Verdicts(
        told,
        compare_tables.summary(comparisons, fail_above) + (f"; no verdict holds: {doubt}" if doubt else ""),
        compare_tables.verdict_table("Verdicts", worst_first, *sides, fail_above),
        notes,
        _plot(worst_first, fail_above, f"{sides[1]} / {sides[0]}"),
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
            "mood": compare_tables.MOODS[one.verdict],
            "lines": [one.verdict, compare_tables.statement(one, fail_above)],
        }
        for one in comparisons
        if one.ratio
    ]
    return {"kind": "ratios", "label": label, "threshold": 1 + fail_above, "marks": marks}
