"""Verdicts of a gate, or on two records."""

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
    """Verdicts with their heading, summary, table (the worst first), notes on how they were reached, and plot."""

    heading: str
    summary: str
    table: Table
    notes: list[str]
    plot: dict[str, Any]


def of_gate(record: Record) -> Verdicts | None:
    """Return the verdicts of the record of a gate, or None for other records."""
    if record.gate is None:
        return None
    gated = gate.judge_gate(record.rows, record.gate)
    title, basis = heading(record.gate), notes(gated, record.gate)
    return _verdicts(gated.comparisons, gated.fail_above, title, ("base", "head"), basis, gated.doubt)


def of_two(records: list[Record], fail_above: float = 0.20) -> Verdicts | None:
    """Return the verdicts on the later of two runs, or None if they have nothing in common or are not runs."""
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
    title: str,
    sides: tuple[str, str],
    notes: list[str],
    doubt: str,
) -> Verdicts:
    worst_first = sorted(comparisons, key=lambda comparison: compare_tables.ORDER.index(comparison.verdict))
    return Verdicts(
        title,
        compare_tables.summary(comparisons, fail_above) + (f"; no verdict is valid: {doubt}" if doubt else ""),
        compare_tables.verdict_table("Verdicts", worst_first, *sides, fail_above),
        notes,
        _plot(worst_first, fail_above, f"{sides[1]} / {sides[0]}"),
    )


def _plot(comparisons: list[Comparison], fail_above: float, label: str) -> dict[str, Any]:
    """Return the ratios with their intervals, 1 and the threshold; an interval without an end extends to the edge."""
    marks = [
        {
            "name": comparison.new.implementation,
            "what": str(comparison.new.workload),
            "value": rounded(comparison.ratio.value),
            "low": rounded(comparison.ratio.low) if comparison.ratio.low > 0 else None,
            "high": rounded(comparison.ratio.high) if isfinite(comparison.ratio.high) else None,
            "mood": compare_tables.MOODS[comparison.verdict],
            "lines": [comparison.verdict, compare_tables.statement(comparison, fail_above)],
        }
        for comparison in comparisons
        if comparison.ratio
    ]
    return {"kind": "ratios", "label": label, "threshold": 1 + fail_above, "marks": marks}
