"""Machine on which a record was measured: the most important facts, then all facts of the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lcbench.record import MachinePeak, Record
from lcbench.report import formatting
from lcbench.report.tables.run import LOW_SCORE

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
            f"FMA {same[0].flops_s / 1e9:.0f} GFLOP/s {dtype}; reads {', '.join(rates)}",
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
