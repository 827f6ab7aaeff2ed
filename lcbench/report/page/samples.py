"""Every sample of a row, process by process: for the fold at the end, and for what is shown of a mark."""

from __future__ import annotations

from statistics import median
from typing import Any

from lcbench.judge.quiet import kept_blocks, why_disturbed
from lcbench.record import Row
from lcbench.report import style
from lcbench.report.page.sheets import between

DIGITS = 5
"""Of the numbers that only place a mark."""


def processes(row: Row) -> list[dict[str, Any]]:
    """A dictionary a block of a ranked row, for JSON.

    number: from 1. kept: not left out. times: the samples as they are written. ratios: the samples over the row's
    median. calls: in one sample. median: of the block. middle: that over the row's. note: what disturbed it, and
    whether it was left out.
    """
    assert row.median_s is not None
    kept = set(kept_blocks(row))
    return [
        {
            "number": block + 1,
            "kept": block in kept,
            "times": [style.seconds(sample) for sample in samples],
            "ratios": [rounded(sample / row.median_s) for sample in samples],
            "calls": row.calls[block] if block < len(row.calls) else None,
            "median": style.seconds(median(samples)),
            "middle": rounded(median(samples) / row.median_s),
            "note": _note(row, block, block in kept),
        }
        for block, samples in enumerate(row.blocks)
    ]


def interval(row: Row) -> str:
    """The 95 % interval of a row's median as it is written, `NO_INTERVAL` if too wide; empty for a single process."""
    if row.ci95_s is None:
        return ""
    low, high = row.ci95_s
    return between(style.seconds(low), style.seconds(high)) if high <= style.WIDEST * low else style.NO_INTERVAL


def rounded(value: float) -> float:
    """A number for JSON, short."""
    return float(f"{value:.{DIGITS}g}")


def _note(row: Row, block: int, kept: bool) -> str:
    reason = why_disturbed(row.covariates[block], row.threads) if block < len(row.covariates) else None
    if reason is None:
        return "" if kept else "left out"
    return f"{'disturbed, as most were' if kept else 'left out'}: {reason}"
