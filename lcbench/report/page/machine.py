"""Where a record was measured: what a reader asks first, then everything that the record knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lcbench.record import MachinePeak, Record
from lcbench.report import formatting
from lcbench.report.tables.run import LOW_SCORE

PACKAGES = ("numpy", "numba", "torch", "jax", "scikit-learn")
"""Whose versions are named among the first."""


def essentials(record: Record) -> list[tuple[str, str]]:
    """Processor, memory, GPU, versions and limits: a name and a value each, without what the record does not know."""
    facts = record.machine
    versions = _at(facts, "versions") or {}
    told = [
        ("processor", _processor(facts)),
        ("memory", formatting.size(_at(facts, "memory_bytes")) if _at(facts, "memory_bytes") else ""),
        ("GPU", str(_at(facts, "gpu", "name") or "")),
        ("system", " ".join(str(facts[name]) for name in ("system", "kernel") if facts.get(name))),
        ("Python", str(_at(facts, "python") or "")),
        ("packages", ", ".join(f"{name} {versions[name]}" for name in PACKAGES if versions.get(name))),
        *_limits(record.ceilings),
    ]
    return [(name, value) for name, value in told if value]


def everything(record: Record) -> list[tuple[str, str]]:
    """Each fact of the machine, named by its way through the record: "cpu caches l2"."""
    revision = record.git_revision and f"{record.git_revision}{', with changes' if record.git_dirty else ''}"
    identity = [("fingerprint", record.fingerprint), ("lcbench", record.lcbench), ("revision", revision or "")]
    return [(name, value) for name, value in [*identity, *_leaves(record.machine)] if value]


def disturbed(record: Record) -> bool:
    """Whether the machine was too noisy for its score to go unsaid."""
    return record.score is not None and record.score < LOW_SCORE


def _at(facts: Any, *names: str) -> Any:
    """A fact by its way, None where another version of lcbench recorded it otherwise or not at all."""
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


def _limits(ceilings: list[MachinePeak]) -> Iterator[tuple[str, str]]:
    """Measured in the same run: the arithmetic, and how fast an array of each X's size is read over and over."""
    kinds = dict.fromkeys((ceiling.device, ceiling.dtype) for ceiling in ceilings)
    for device, dtype in kinds:
        same = [ceiling for ceiling in ceilings if (ceiling.device, ceiling.dtype) == (device, dtype)]
        reading = [f"{formatting.size(one.footprint)} at {one.read_bytes_s / 1e9:.0f} GB/s" for one in _ends(same)]
        name = "GPU's limits" if device == "cuda" else "limits"
        yield (
            f"{name}, {dtype}" if len(kinds) > 1 else name,
            f"{same[0].flops_s / 1e9:.0f} GFLOP/s in {dtype}; reads {', '.join(reading)}",
        )


def _ends(ceilings: list[MachinePeak]) -> list[MachinePeak]:
    """A few of them, smallest and largest among them, by their footprint: a sweep has dozens."""
    ordered = sorted(ceilings, key=lambda ceiling: ceiling.footprint)
    return ordered if len(ordered) <= 4 else [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def _leaves(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*way, str(name)))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for place, inner in enumerate(value, 1):
            yield from _leaves(inner, (*way, str(place)))
    elif value is not None:
        yield " ".join(way), " ".join(map(str, value)) if isinstance(value, list) else str(value)
