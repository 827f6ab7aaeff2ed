"""What the page's script draws, as plain data: every number and word decided here, places and colours of marks too."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import quantiles
from typing import Any

from lcbench.judge.estimates import ceiling_for
from lcbench.judge.quiet import kept_blocks
from lcbench.record import Record, Row
from lcbench.report import style
from lcbench.report.page.samples import interval, processes, rounded
from lcbench.report.page.times import Group, coordinate, speedup
from lcbench.report.plots.looks import Look
from lcbench.report.run_tables import share

Drawing = dict[str, Any]

WIDE_RANGE = 15.0
"""Slowest over fastest from which an axis of times is logarithmic."""

NEAREST, FARTHEST = 1.04, 2.0
"""How far over the median, as a factor, an axis of samples reaches at least, and at most."""

_SYMBOLS: dict[Any, str] = {
    "o": "circle",
    "s": "square",
    "^": "triangle",
    "v": "wye",
    "D": "diamond",
    "X": "times",
    "P": "cross",
    "p": "star",
    "h": "hexagon",
    "*": "asterisk",
    "<": "plus",
    ">": "square2",
    "d": "diamond2",
    (4, 1, 0): "triangle2",
}
"""The script's names of the markers in other pictures."""


def appearance(of: Look) -> dict[str, Any]:
    """Colour and symbol of an implementation; the page's style knows a shade of each colour for the dark."""
    return {
        "colour": f"var(--{of.colour[1:].lower()}, {of.colour})",
        "symbol": _SYMBOLS.get(of.marker, "circle"),
        "filled": of.filled,
    }


def subject(row: Row, group: Group) -> dict[str, Any]:
    """What is shown of a mark that stands for `row`: its name, its numbers as they are written, and its samples."""
    return {
        "name": group.label(row),
        "what": str(row.workload),
        "lines": [line for line in (_median(row), _limit(row)) if line],
        "processes": processes(row),
        **appearance(group.looks[row.implementation]),
    }


def _median(row: Row) -> str:
    within = interval(row)
    return f"median {style.seconds(row.median_s)}" + (f", 95 % interval {within}" if within else "")


def _limit(row: Row) -> str:
    return f"{share(row.roofline_fraction)} of the machine's limit" if row.roofline_fraction is not None else ""


def bars(group: Group, baseline: str) -> Drawing:
    """The median and its interval of each row, fastest first."""
    medians = [row.median_s or 0.0 for row in group.ranked.values()]
    return {
        "kind": "bars",
        "logarithmic": max(medians) > WIDE_RANGE * min(medians),
        "marks": [
            {"row": name, **_estimate(row), "text": _in_short(row, group, baseline)}
            for name, row in group.ranked.items()
        ],
    }


def _estimate(row: Row) -> dict[str, float | None]:
    """Where a ranked row's median lies, and its interval."""
    low, high = row.ci95_s or (None, None)
    return {
        "value": rounded(row.median_s or 0.0),
        "low": None if low is None else rounded(low),
        "high": None if high is None else rounded(high),
    }


def _in_short(row: Row, group: Group, baseline: str) -> str:
    ratio = speedup(row, group, baseline)
    times = f", {style.ratio(ratio.value)}" if ratio and row.implementation != baseline else ""
    return style.seconds(row.median_s) + times


def distributions(group: Group) -> Drawing:
    """Every sample of each row, process by process; the rows' own data has the places.

    domain: samples over their row's median, from and to; farther ones are drawn at its ends.
    """
    return {"kind": "samples", "domain": _where_most_lie(group), "marks": [{"row": name} for name in group.ranked]}


def told_of_samples(group: Group) -> str:
    """The title of that drawing: what its marks mean, as far as there are such."""
    some_left_out = any(len(kept_blocks(row)) < len(row.blocks) for row in group.ranked.values())
    low, high = _where_most_lie(group)
    samples = [
        sample / (row.median_s or 1.0) for row in group.ranked.values() for block in row.blocks for sample in block
    ]
    told = ["Every sample, process by process"]
    if some_left_out:
        told.append("grey and hollow: left out, something disturbed the process")
    if min(samples) < low or max(samples) > high:
        told.append("triangles: farther away")
    return "; ".join(told)


def _where_most_lie(group: Group) -> list[float]:
    """From where to where, over the rows' medians, most of the samples of processes that were not left out lie."""
    kept = [
        sample / (row.median_s or 1.0)
        for row in group.ranked.values()
        for block in kept_blocks(row)
        for sample in row.blocks[block]
    ]
    low, *_, high = quantiles(kept, n=40, method="inclusive") if len(kept) > 1 else kept * 2
    low, high = max(low**1.4, min(kept) / 1.02), min(high**1.4, max(kept) * 1.02)  # with a margin, if it is of use
    return [rounded(min(max(1 / FARTHEST, low), 1 / NEAREST)), rounded(max(min(FARTHEST, high), NEAREST))]


def rooflines(group: Group, record: Record) -> Drawing | None:
    """The rate of each row under the machine's limits; None where they were not measured for this workload.

    Williams, Waterman & Patterson 2009, "Roofline". Rows of one workload all do as much work for each byte.
    """
    ceilings = {name: ceiling_for(row, record.ceilings) for name, row in group.ranked.items()}
    measured = {name: row for name, row in group.ranked.items() if ceilings[name] is not None}
    devices = {row.device for row in measured.values()}
    if (
        len(devices) != 1
    ):  # the limits of a CPU and of a GPU are two pictures, and which points lie under which is unclear
        return None
    ceiling = next(ceilings[name] for name in measured)
    assert ceiling is not None
    marks = [
        {
            "row": name,
            "intensity": rounded(row.flops / row.bytes),
            "rate": rounded(row.flops / (row.median_s or 1.0)),
            "text": share(row.roofline_fraction),
        }
        for name, row in measured.items()
    ]
    return {
        "kind": "roofline",
        "read": ceiling.read_bytes_s,
        "readText": f"reads {ceiling.read_bytes_s / 1e9:.0f} GB/s",
        "flops": ceiling.flops_s,
        "flopsText": f"FMA {ceiling.flops_s / 1e9:.0f} GFLOP/s",
        "gemm": ceiling.gemm_flops_s,
        "gemmText": f"GEMM {ceiling.gemm_flops_s / 1e9:.0f}" if ceiling.gemm_flops_s else "",
        "marks": marks,
    }


def fastest(group: Group, baseline: str) -> tuple[str, list[str]]:
    """The fastest of a group with its time, and what there is to say of that."""
    row = next(iter(group.ranked.values()))
    ratio = speedup(row, group, baseline)
    words = []
    if ratio and row.implementation != baseline:
        words.append(f"{' '.join(style.within(*ratio).split())} x {baseline}")
    if row.roofline_fraction is not None:
        words.append(f"{share(row.roofline_fraction)} of the machine's limit")
    return f"{group.label(row)}: {style.seconds(row.median_s)}", words


def curves(group: Group, axis: str) -> Drawing:
    """Times along one axis of a sweep: a curve an implementation, its points in order."""
    ordered = sorted(group.ranked.items(), key=lambda one: (one[1].implementation, coordinate(one[1], axis)))
    marks = [
        {"row": name, "curve": row.implementation, "at": coordinate(row, axis), **_estimate(row)}
        for name, row in ordered
    ]
    return {
        "kind": "scaling",
        "axis": axis,
        "numeric": not any(isinstance(mark["at"], str) for mark in marks),
        "marks": marks,
        "legend": legend((row.implementation for _, row in ordered), group),
        "fits": [],
        "crossings": [],
        "caches": [],
    }


def legend(curves: Iterable[str], group: Group) -> list[dict[str, Any]]:
    """Each curve once, with its looks; what else is said of it goes into its text."""
    return [{"curve": name, **appearance(group.looks[name]), "text": ""} for name in dict.fromkeys(curves)]
