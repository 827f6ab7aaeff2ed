"""What the formats agree on: how a row is called, and which rows have a time to tell."""

from __future__ import annotations

from lcbench.errors import LcbenchError
from lcbench.record import Record, Row


def name(row: Row) -> str:
    """The row's name in its group: "numpy[500x3073x10-float32-synthetic-2]".

    Implementation, rows x features x classes, dtype, data, threads. Tools that draw a line through many runs go by the
    name alone: where any of these differs, it is another line.
    """
    size = f"{row.rows}x{row.features}x{row.classes}"
    simulated = "-simulator" if row.device == "simulator" else ""
    return f"{row.implementation}[{size}-{row.dtype}-{row.data}-{row.threads}{simulated}]"


def group(row: Row) -> str:
    """Where the row's name is the only one: its loss, and for a row of a gate also the side: "softmax.head"."""
    return f"{row.loss}.{row.side}" if row.side else row.loss


def full_name(row: Row) -> str:
    """The row's name among all of a record: "softmax/numpy[500x3073x10-float32-synthetic-2]"."""
    return f"{group(row)}/{name(row)}"


def timed(record: Record) -> list[Row]:
    """The rows whose time means something: right, and measured on the device itself.

    Raises LcbenchError where there is none, since a file of no measurement would pass for a measurement of nothing.
    """
    rows = [row for row in record.rows if row.ranked]
    if not rows:
        raise LcbenchError(
            f"no row of result {record.id} has a time to export; the formats csv, markdown and junit tell why"
        )
    return rows
