"""Every sample of a row, process by process: for the fold at the end, and for what is shown of a mark."""

from __future__ import annotations

from typing import Any

from lcbench.judge.quiet import why_disturbed
from lcbench.record import Row
from lcbench.report import style
from lcbench.report.plots import selection

DIGITS = 5
"""Of the numbers that only place a mark."""


def processes(row: Row) -> list[dict[str, Any]]:
    """Return a dictionary a process of a ranked row, for JSON.

    number: from 1. kept: not left out. times: the samples as they are written. ratios: the samples over the row's
    median. middle: the process's median over the row's. note: what disturbed it, and whether it was left out.
    """
    return [
        {
            "number": one.number,
            "kept": one.kept,
            "times": [style.seconds(sample) for sample in one.samples],
            "ratios": [rounded(ratio) for ratio in one.ratios],
            "middle": rounded(one.middle),
            "note": _note(why_disturbed(row.processes[one.number - 1], row.threads), one.kept),
        }
        for one in selection.processes(row)
    ]


def interval(row: Row) -> str:
    """The 95 % interval of a row's median as it is written, `NO_INTERVAL` if too wide; empty for a single process."""
    if row.ci95_s is None:
        return ""
    return style.between(*row.ci95_s)


def rounded(value: float) -> float:
    """A number for JSON, short."""
    return float(f"{value:.{DIGITS}g}")


def _note(reason: str | None, kept: bool) -> str:
    if reason is None:
        return "" if kept else "left out"
    return f"{'disturbed, as most were' if kept else 'left out'}: {reason}"
