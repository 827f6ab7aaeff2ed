"""Comma-separated values, one line a sample: every statistic can be computed from it, and none has to be undone.

Rows without a time have one line, whose `block`, `sample` and `seconds` are empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from lcbench.record import Record, Row

COLUMNS = (
    "result",
    "created",
    "implementation",
    "loss",
    "dtype",
    "rows",
    "features",
    "classes",
    "data",
    "device",
    "status",
    "threads",
    "side",
    "block",
    "sample",
    "seconds",
)
"""`result` is the record's id; `block` and `sample` count from 0; `seconds` are those of one call."""


def result(record: Record) -> str:
    """The record's samples under a header, one line each."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in record.rows:
        for block, sample, seconds in _samples(row):
            writer.writerow(
                (
                    record.id,
                    record.created,
                    row.implementation,
                    row.loss,
                    row.dtype,
                    row.rows,
                    row.features,
                    row.classes,
                    row.data,
                    row.device,
                    row.status,
                    row.threads,
                    row.side,
                    block,
                    sample,
                    seconds,
                )
            )
    return file.getvalue()


def _samples(row: Row) -> Iterator[tuple[int | None, int | None, float | None]]:
    if not row.ranked:
        yield None, None, None
        return
    for block, samples in enumerate(row.blocks):
        for sample, seconds in enumerate(samples):
            yield block, sample, seconds
