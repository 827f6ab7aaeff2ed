"""What the plots of records show, as plain data: which rows, in what order, how they are called, how far an axis goes.

No matplotlib here: the HTML page draws by the same selection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from lcbench.record import Record, Row, Workload
from lcbench.report.plots.looks import Look, left_out, looks, short

LONGEST_NAME = 24
"""Letters; the middle of a longer name is left out."""

_CAPTION_LETTERS = 130
"""In a line as wide as the plot."""


def why_no_run(record: Record) -> str:
    """Why the record is not of a run with times, or nothing."""
    if record.sweep is not None:
        return "it is of a sweep"
    return why_untimed(record)


def why_untimed(record: Record) -> str:
    """Why there is nothing to draw in the record, or nothing."""
    return "" if any(row.ranked for row in record.rows) else "none of its rows has a time"


def by_workload(record: Record) -> dict[Workload, list[Row]]:
    """The rows that have times, fastest first, by what was computed, in the order of rows of X and losses."""
    ranked = [row for row in record.rows if row.ranked]
    workloads = sorted({row.workload for row in ranked}, key=_order)
    return {
        workload: sorted((row for row in ranked if row.workload == workload), key=lambda row: row.median_s or 0.0)
        for workload in workloads
    }


@dataclass(frozen=True)
class Key:
    """How the implementations of a picture look, and what they are called there, by their names."""

    looks: dict[str, Look]
    names: dict[str, str]

    def name(self, row: Row) -> str:
        """What the row is called: its implementation, and its side in a gate."""
        return self.names[row.implementation] + _side(row)


def key(implementations: Iterable[str], most: int = LONGEST_NAME) -> Key:
    """Of these implementations, whose names have at most so many letters."""
    all_of = list(implementations)
    return Key(looks(all_of), short(all_of, most))


def key_of(record: Record, most: int = LONGEST_NAME) -> Key:
    """Of what has times in the record: the same looks in all its pictures. A name and a side have so many letters."""
    return key(_implementations(record), most - max(len(_side(row)) for row in record.rows))


def _side(row: Row) -> str:
    return f" ({row.side})" if row.side else ""


def _implementations(record: Record) -> list[str]:
    return [row.implementation for row in record.rows if row.ranked]


def titles(workloads: Iterable[Workload]) -> dict[Workload, str]:
    """A title for each: its loss and its rows, and whatever else tells the workloads apart."""
    all_of = list(workloads)
    fields = [field for field in Workload._fields if field in ("loss", "rows") or _differ(all_of, field)]
    return {workload: ", ".join(filter(None, (_said(workload, field) for field in fields))) for workload in all_of}


def shared(workloads: Iterable[Workload]) -> str:
    """What the titles do not say, since it is the same for all."""
    all_of = list(workloads)
    fields = [field for field in Workload._fields if field not in ("loss", "rows") and not _differ(all_of, field)]
    return ", ".join(filter(None, (_said(all_of[0], field) for field in fields)))


def short_names(implementations: Iterable[str]) -> str:
    """What a caption says of names that were made short, or nothing."""
    whole = left_out(implementations)
    return f"names: short for {whole}" if whole else ""


def _order(workload: Workload) -> tuple[Any, ...]:
    # svm stands before softmax, as in the tables
    return (
        workload.rows, workload.batch or 0, workload.features, workload.classes, workload.dtype, workload.data,
        workload.streamed, -ord(workload.loss[1]),
    )  # fmt: skip


def _differ(workloads: list[Workload], field: str) -> bool:
    return len({getattr(workload, field) for workload in workloads}) > 1


def _said(workload: Workload, field: str) -> str:
    return said(field, getattr(workload, field))


def said(field: str, value: Any) -> str:
    """A field of a row in words: 1,000 rows, 1 thread, float64; nothing where it is as usual."""
    if field == "batch":
        return "" if value is None else f"batches of {value:,}"
    if field == "streamed":
        return "streamed" if value else ""
    if field in ("rows", "features", "classes", "threads"):
        return f"{value:,} {ONE[field] if value == 1 else field}"
    return str(value)


ONE = {"rows": "row", "features": "feature", "classes": "class", "batch": "row of the batch", "threads": "thread"}
"""Of what an axis counts."""


Interval = tuple[float, float]


FARTHEST = 2.0
"""How many times the largest median an interval may reach; below the smallest, as many times less."""


def reach(medians: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """From where to where an axis goes that shows all medians, and their intervals as far as they are of that size."""
    lows, highs = zip(*intervals, strict=True)
    return max(min(lows), min(medians) / FARTHEST), min(max(highs), max(medians) * FARTHEST)


def within(interval: Interval, ends: Interval) -> Interval:
    """What of an interval lies between the ends."""
    return max(ends[0], min(interval[0], ends[1])), min(ends[1], max(interval[1], ends[0]))


def caption(record: Record, *more: str) -> str:
    """Return the line at the foot of a plot: what was computed on which machine."""
    ranked = [row for row in record.rows if row.ranked]
    threads = sorted({row.threads for row in ranked})
    on = str(record.machine.get("cpu", {}).get("model") or "") if isinstance(record.machine.get("cpu"), dict) else ""
    many = f"{threads[0]} to {threads[-1]} threads" if len(threads) > 1 else said("threads", threads[0])
    words = [
        *more,
        short_names(_implementations(record)),
        shared(row.workload for row in ranked),
        f"{on}, {many}" if on else many,
        record.created[:10],
    ]
    return "\n".join(wrap("; ".join(filter(None, words)), _CAPTION_LETTERS))
