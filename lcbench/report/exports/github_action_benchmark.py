"""What the action benchmark-action/github-action-benchmark reads as its tool `customSmallerIsBetter`."""

from __future__ import annotations

import json

from lcbench.record import Record, Row
from lcbench.report.exports.cases import full_name, timed


def result(record: Record) -> str:
    """The median of every row that has a time, in milliseconds, with its 95 % interval and what else a chart shows.

    Always milliseconds: a chart draws the numbers of many runs as they stand. Raises LcbenchError where no row has a
    time.
    """
    return json.dumps([_entry(row) for row in timed(record)], indent=2) + "\n"


def _entry(row: Row) -> dict[str, str | float]:
    assert row.median_s is not None
    entry: dict[str, str | float] = {"name": full_name(row), "unit": "ms", "value": row.median_s * 1e3}
    if row.ci95_s:
        low, high = row.ci95_s
        entry["range"] = f"95 %: {low * 1e3:.6g} to {high * 1e3:.6g}"
    entry["extra"] = f"processes: {len(row.processes)}\ndevice: {row.device}\nthreads: {row.threads}"
    return entry
