"""Bencher's own format, BMF (https://bencher.dev/docs/reference/bencher-metric-format/)."""

from __future__ import annotations

import json

from lcbench.record import Record, Row
from lcbench.report.exports.cases import full_name, timed


def result(record: Record) -> str:
    """The measure `latency` of every row that has a time: median and 95 % interval in nanoseconds.

    A row of one process has no interval, and then no bounds. Raises LcbenchError where no row has a time.
    """
    return json.dumps({full_name(row): {"latency": _latency(row)} for row in timed(record)}, indent=2) + "\n"


def _latency(row: Row) -> dict[str, float]:
    assert row.median_s is not None
    latency = {"value": row.median_s * 1e9}
    if row.ci95_s:
        low, high = row.ci95_s
        latency |= {"lower_value": low * 1e9, "upper_value": high * 1e9}
    return latency
