"""The newest result of every implementation on one machine, workload by workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lcbench.record import Record, Row, Workload


@dataclass(frozen=True)
class Entry:
    """A row and when it was measured (UTC, ISO 8601)."""

    row: Row
    created: str


@dataclass(frozen=True)
class Latest:
    """Rows of one workload with one number of threads, fastest first."""

    workload: Workload
    threads: int
    entries: list[Entry]


def latest(newest_first: Iterable[Record], fingerprint: str) -> list[Latest]:
    """The newest ranked row of every implementation measured on the machine `fingerprint`, by workload and threads.

    Workloads come in the order in which they were last measured.
    """
    groups: dict[tuple[Workload, int], dict[str, Entry]] = {}
    for record in newest_first:
        if record.fingerprint != fingerprint or record.sweep:  # a sweep's processes time many sizes each
            continue
        for row in record.rows:
            if row.ranked and not row.side:  # a gate measures what may never be in use
                entries = groups.setdefault((row.workload, row.threads), {})
                entries.setdefault(row.implementation, Entry(row, record.created))
    return [
        Latest(workload, threads, sorted(entries.values(), key=lambda entry: entry.row.median_s or 0.0))
        for (workload, threads), entries in groups.items()
    ]
