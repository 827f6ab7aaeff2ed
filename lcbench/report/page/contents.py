"""Facts about the machine and verdicts, as the page of a record shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.ranges import dtype_of_W
from lcbench.record import MachinePeak, Record
from lcbench.report import formatting
from lcbench.report.page.plots import rounded
from lcbench.report.table import Table
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables.gate import heading, notes
from lcbench.report.tables.run import LOW_SCORE
from lcbench.stats import gate, verdicts
from lcbench.stats.verdicts import Comparison

PACKAGES = ("numpy", "numba", "torch", "jax", "scikit-learn")
"""Packages whose versions are among the most important facts."""


def essentials(record: Record) -> list[tuple[str, str]]:
    """Return the processor, memory, GPU, versions and limits as pairs, without facts that the record does not have."""
    facts = record.machine
    versions = _at(facts, "versions") or {}
    facts_by_name = [
        ("processor", _processor(facts)),
        ("memory", formatting.size(_at(facts, "memory_bytes")) if _at(facts, "memory_bytes") else ""),
        ("GPU", str(_at(facts, "gpu", "name") or "")),
        ("system", " ".join(str(facts[name]) for name in ("system", "kernel") if facts.get(name))),
        ("Python", str(_at(facts, "python") or "")),
        ("packages", ", ".join(f"{name} {versions[name]}" for name in PACKAGES if versions.get(name))),
        *_limits(record.ceilings),
    ]
    return [(name, value) for name, value in facts_by_name if value]


def everything(record: Record) -> list[tuple[str, str]]:
    """Return every fact of the machine, named by its path in the record: "cpu caches l2"."""
    revision = record.git_revision and f"{record.git_revision}{', with changes' if record.git_dirty else ''}"
    identity = [("fingerprint", record.fingerprint), ("lcbench", record.lcbench), ("revision", revision or "")]
    return [(name, value) for name, value in [*identity, *_leaves(record.machine)] if value]


def is_noisy(record: Record) -> bool:
    """Return whether the score is so low that the machine was too noisy."""
    return record.score is not None and record.score < LOW_SCORE


def _at(facts: Any, *names: str) -> Any:
    """Return the fact at a path, or None if another version of lcbench recorded it differently or not at all."""
    for name in names:
        facts = facts.get(name) if isinstance(facts, dict) else None
    return facts


def _processor(facts: dict[str, Any]) -> str:
    cpu = facts.get("cpu")
    if not isinstance(cpu, dict):
        return str(cpu or "")
    cores = f"{cpu['usable_cores']} usable cores" if cpu.get("usable_cores") else ""
    caches = cpu.get("caches") or {}
    sizes = [f"{name.removesuffix('d').upper()} {formatting.size(size)}" for name, size in caches.items() if size]
    return ", ".join(str(part) for part in (cpu.get("model"), cpu.get("revision"), cores, *sizes) if part)


def _limits(peaks: list[MachinePeak]) -> Iterator[tuple[str, str]]:
    """Yield the limits measured in the same run: FMA, and the rate of reading an array of the size of each X."""
    kinds = dict.fromkeys((peak.device, peak.dtype) for peak in peaks)
    for device, dtype in kinds:
        same = [peak for peak in peaks if (peak.device, peak.dtype) == (device, dtype)]
        rates = [f"{formatting.size(peak.footprint)} at {peak.read_bytes_s / 1e9:.0f} GB/s" for peak in _ends(same)]
        name = "GPU's limits" if device == "cuda" else "limits"
        yield (
            f"{name}, {dtype}" if len(kinds) > 1 else name,
            f"{same[0].unit} {same[0].flops_s / 1e9:.0f} GFLOP/s {dtype_of_W(dtype)}; reads {', '.join(rates)}",
        )


def _ends(peaks: list[MachinePeak]) -> list[MachinePeak]:
    """Return at most four peaks by their footprint, the smallest and largest among them: a sweep has dozens."""
    ordered = sorted(peaks, key=lambda peak: peak.footprint)
    return ordered if len(ordered) <= 4 else [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for place, inner in enumerate(value, 1):
            yield from _leaves(inner, (*path, str(place)))
    elif value is not None:
        yield " ".join(path), " ".join(map(str, value)) if isinstance(value, list) else str(value)


# Verdicts of a gate, or on two records.


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


def of_two(records: list[Record], fail_above: float = 0.10) -> Verdicts | None:
    """Return the verdicts on the later of two runs, or None if they have nothing in common or are not runs."""
    if len(records) != 2:
        return None
    base, new = sorted(records, key=lambda record: record.created)
    try:
        judgement = verdicts.compare_records(base, new, fail_above)
    except LcbenchError:
        return None
    doubt = "" if judgement.same_machine else "the two results are from different machines"
    notes = [
        *filter(None, [compare_tables.machine_line(judgement)]),
        *compare_tables.only_in_one(judgement),
        *compare_tables.other_software(judgement.comparisons),
        compare_tables.basis(judgement),
    ]
    return _verdicts(
        compare_tables.valid_comparisons(judgement),
        fail_above,
        f"{result_name(new)} against {result_name(base)}",
        ("base", "new"),
        notes,
        doubt,
    )


def result_name(record: Record) -> str:
    """Return the saved name of a record, or else the time of its measurement, and its id."""
    path = Path(record.path)
    saved = path.parent.name == files.baselines_folder().name
    return path.stem if saved else f"{record.created[:16].replace('T', ' ')} ({record.id})"


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
