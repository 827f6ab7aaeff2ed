"""Records built from given times, and result files as `--json` prints them."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench import record as record_files
from lcbench.record import Counters, ProcessResult, Record, Row, Turn
from lcbench.stats import estimates

MACHINE = "aaaa"
"""Fingerprint of the machine of these records."""


def processes(
    blocks: list[list[float]], calls: list[int] | None = None, counters: list[Counters] | None = None
) -> list[ProcessResult]:
    """Return processes of one turn each, with the given samples, and calls and counters if given."""
    return [
        ProcessResult(counters=counter, turns=[Turn(samples=samples, calls=number)])
        for samples, number, counter in zip_longest(blocks, calls or [], counters or [])
    ]


def in_turns(table: NDArray[np.float64], generation: int = 0) -> list[ProcessResult]:
    """Return the processes of a generation.

    table: seconds per call, shape (rounds, processes, samples); NaN in rounds in which a process has no turn.
    """
    return [
        ProcessResult(
            generation=generation,
            turns=[
                Turn(round=number, place=place, samples=samples.tolist(), calls=1)
                for number, samples in enumerate(table[:, place])
                if not np.isnan(samples).any()
            ],
        )
        for place in range(table.shape[1])
    ]


def row(
    implementation: str = "numpy",
    medians: list[float] | None = None,
    blocks: list[list[float]] | None = None,
    calls: list[int] | None = None,
    counters: list[Counters] | None = None,
    **fields: Any,
) -> Row:
    """Return a row with one sample per process, or with `blocks`.

    The default is a small softmax on the CPU; `fields` override it.
    """
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


_ids = iter(range(1, 1_000_000))


def record(*rows: Row, **fields: Any) -> Record:
    """Return a record with a new id, completed with medians and intervals."""
    defaults: dict[str, Any] = {
        "lcbench": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "id": f"{next(_ids):08x}",
        "fingerprint": MACHINE,
        "machine": {"cpu": "one"},
    }
    result = Record(rows=list(rows), **(defaults | fields))
    estimates.complete_record(result)
    return result


def as_printed(path: Path) -> dict[str, Any]:
    """Return the content of a result file as `--json` prints it: its rows also have `blocks`."""
    content: dict[str, Any] = json.loads(record_files.to_json(record_files.read(path)))
    return content
