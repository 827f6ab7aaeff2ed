"""Results as a run would leave them, built from the times that a test is about."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from lcbench.record import Counters, ProcessResult, Record, Row, Turn
from lcbench.stats import estimates

MACHINE = "aaaa"
"""Fingerprint of the machine on which these results were measured."""


def processes(
    blocks: list[list[float]], calls: list[int] | None = None, counters: list[Counters] | None = None
) -> list[ProcessResult]:
    """What processes of one turn each measured: their samples and, where they are given, calls and counters."""
    turns = zip_longest(blocks, calls or [], counters or [])
    return [ProcessResult(turns=[Turn(samples=times, calls=of, counters=seen)]) for times, of, seen in turns]


def row(
    implementation: str = "numpy",
    medians: list[float] | None = None,
    blocks: list[list[float]] | None = None,
    calls: list[int] | None = None,
    counters: list[Counters] | None = None,
    **fields: Any,
) -> Row:
    """A row of one sample a process, or of `blocks`. `fields` replace what a small softmax on the CPU has."""
    size = {"rows": 500, "features": 3073, "classes": 10}
    size |= {name: fields.pop(name) for name in list(fields) if name in size}
    products = size["rows"] * size["features"] * size["classes"]
    defaults: dict[str, Any] = {
        "loss": "softmax",
        "dtype": "float32",
        "data": "synthetic",
        "device": "cpu",
        "status": "ok",
        "processes": processes([[s] for s in medians or []] if blocks is None else blocks, calls, counters),
        "flops": 4 * products,
        "bytes": 4 * size["rows"] * size["features"],
        "error_loss": 1e-7,
        "error_grad": 2e-7,
        "first_call_s": 0.5,
    }
    return Row(implementation=implementation, **size, **(defaults | fields))


_made = iter(range(1, 1_000_000))


def record(*rows: Row, **fields: Any) -> Record:
    """A record with an identity of its own, its medians and intervals filled in."""
    defaults: dict[str, Any] = {
        "lcbench": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "id": f"{next(_made):08x}",
        "fingerprint": MACHINE,
        "machine": {"cpu": "one"},
    }
    result = Record(rows=list(rows), **(defaults | fields))
    estimates.complete_record(result)
    return result
