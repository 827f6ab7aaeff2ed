"""Data of the page's plots as numbers and texts for JSON; the page's script draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from lcbench.record import Record, Row, describe_field
from lcbench.report import formatting
from lcbench.report.page.times import Group
from lcbench.report.plots import selection
from lcbench.report.plots.line_styles import LineStyle
from lcbench.report.tables import run as run_tables
from lcbench.report.tables import sweep as sweep_tables
from lcbench.stats.crossings import Efficiency
from lcbench.stats.growth import OtherAxis

Plot = dict[str, Any]

DIGITS = 5
"""Significant digits of numbers that place a mark."""

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
"""Symbols of Observable Plot for the markers of matplotlib."""


def appearance(style: LineStyle) -> dict[str, Any]:
    """Return colour and symbol of a line style; the page's CSS defines a light and a dark shade of each colour."""
    return {
        "colour": f"var(--{style.colour[1:].lower()}, {style.colour})",
        "symbol": _SYMBOLS.get(style.marker, "circle"),
        "filled": style.filled,
    }


def row_data(row: Row, group: Group) -> dict[str, Any]:
    """Return the data shown for a mark of `row`: its name, its numbers as text, and its samples."""
    interval = "" if row.ci95_s is None else f", 95 % interval {formatting.time_interval(*row.ci95_s)}"
    time = f"time {formatting.seconds(row.median_s)}{interval}"
    return {
        "name": group.label(row),
        "what": str(row.workload),
        "lines": [time, *_limit(row)],
        "processes": processes(row),
        **appearance(group.styles[row.implementation]),
    }


def _limit(row: Row) -> list[str]:
    fraction = row.roofline_fraction
    return [] if fraction is None else [f"{formatting.share(fraction)} of the machine's limit"]


def fastest(group: Group, baseline: str) -> tuple[str, list[str]]:
    """Return the fastest row of a group with its time, and its speed-up and share of the limit."""
    row = next(iter(group.ranked.values()))
    ratio = run_tables.speedup(row, group.rows.values(), baseline)
    lines = _limit(row)
    if ratio and row.implementation != baseline:
        lines.insert(0, f"{' '.join(formatting.ratio_with_interval(*ratio).split())} x {baseline}")
    return f"{group.label(row)}: {formatting.seconds(row.median_s)}", lines


def processes(row: Row) -> list[dict[str, Any]]:
    """Return a dictionary for each process of a ranked row, for JSON.

    number: counts from 1. times: samples as text. ratios: samples over the row's time. middle: the time of the process
    over that of the row.
    """
    return [
        {
            "number": process.number,
            "times": [formatting.seconds(sample) for sample in process.samples],
            "ratios": [rounded(ratio) for ratio in process.ratios],
            "middle": rounded(process.middle),
        }
        for process in selection.processes(row)
    ]


def rounded(value: float) -> float:
    """Return a number with few digits, for JSON."""
    return float(f"{value:.{DIGITS}g}")


def bars(group: Group, baseline: str) -> Plot:
    """Return the plot of the times and their intervals, the fastest first."""
    chosen = selection.bars(group.ranked.values(), baseline)
    return {
        "kind": "bars",
        "logarithmic": chosen.logarithmic,
        "marks": [
            {
                "row": name,
                **_estimate(bar.row),
                "text": bar.text,
            }
            for name, bar in zip(group.ranked, chosen.bars, strict=True)
        ],
    }


def _estimate(row: Row) -> dict[str, float | None]:
    """Return the time of a ranked row, and its interval."""
    low, high = row.ci95_s or (None, None)
    return {
        "value": rounded(row.median_s or 0.0),
        "low": None if low is None else rounded(low),
        "high": None if high is None else rounded(high),
    }


def samples(group: Group) -> tuple[str, Plot]:
    """Return a title that explains the marks, and the plot of every sample of each process.

    domain: limits of the axis, as ratios to the row's time; samples beyond are drawn at its ends. The places of the
    marks are in the data of the rows.
    """
    rows = group.ranked.values()
    domain = [rounded(end) for end in selection.ratio_limits(rows)]
    notes = ["Samples of each process"]
    ratios = [ratio for row in rows for process in selection.processes(row) for ratio in process.ratios]
    if min(ratios) < domain[0] or max(ratios) > domain[1]:
        notes.append(selection.TRIANGLES)
    return "; ".join(notes), {"kind": "samples", "domain": domain, "marks": [{"row": name} for name in group.ranked]}


def roofline(group: Group, record: Record) -> Plot | None:
    """Return the plot of the rate of each row and the machine's limits, or None.

    There is none if the limits were not measured for this workload, or if it has rows of a CPU and a GPU, whose limits
    differ.
    """
    found = selection.roofline_points(record, group.ranked.values())
    if len(found) != 1:
        return None
    ((peak, points),) = found.items()
    names = {id(row): name for name, row in group.ranked.items()}
    gemm = peak.gemm_flops_s
    return {
        "kind": "roofline",
        "read": peak.read_bytes_s,
        "readText": selection.read_label(peak),
        "flops": peak.flops_s,
        "flopsText": selection.flops_label(peak),
        "gemm": gemm,
        "gemmText": f"GEMM {gemm / 1e9:.0f}" if gemm else "",
        "marks": [
            {
                "row": names[id(point.row)],
                "intensity": rounded(point.intensity),
                "rate": rounded(point.rate),
                "text": formatting.share(point.row.roofline_fraction),
            }
            for point in points
        ],
    }


def scaling(record: Record, group: Group) -> Iterator[tuple[str, Plot]]:
    """Yield title and plot of the curves of a table along each axis but threads, for each place on the other axis."""
    names = {id(row): name for name, row in group.ranked.items()}
    for axis in group.axes:
        for panel in selection.scalings(record, axis) if axis != "threads" else ():
            curves = sorted(panel.curves, key=lambda curve: curve.implementation)
            marks = [
                {"row": names[id(row)], "curve": curve.implementation, "at": getattr(row, axis), **_estimate(row)}
                for curve in curves
                for row in curve.rows
                if id(row) in names
            ]
            if len({mark["at"] for mark in marks}) < 2:
                continue
            texts = {name: f"exponent {sweep_tables.exponent(fit)}" for name, fit in panel.fits.items()}
            fits = [{"curve": name, "points": _fitted(panel, name)} for name in panel.fits]
            yield (
                _titled(f"{panel.loss}: time by {axis}", panel.other) + ("; dashed: fitted growth" if fits else ""),
                {
                    "kind": "scaling",
                    "axis": axis,
                    "numeric": not any(isinstance(mark["at"], str) for mark in marks),
                    "marks": marks,
                    "legend": _legend((curve.implementation for curve in curves), group, texts),
                    "fits": fits,
                    "crossings": [
                        {"at": rounded(crossing.at), "text": sweep_tables.describe_crossing(crossing)}
                        for crossing in panel.crossings
                    ],
                    "caches": [
                        {"at": rounded(place), "text": f"X as large as {name}"} for name, place in panel.caches.items()
                    ],
                },
            )


def _legend(curves: Iterable[str], group: Group, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each curve once, with its appearance and a text."""
    return [
        {"curve": name, **appearance(group.styles[name]), "text": texts.get(name, "")} for name in dict.fromkeys(curves)
    ]


def _fitted(scaling: selection.Scaling, implementation: str) -> list[list[float]]:
    """Return places and seconds along the fit where it is positive."""
    (curve,) = [curve for curve in scaling.curves if curve.implementation == implementation]
    along = zip(*scaling.fitted(curve), strict=True)
    return [[rounded(place), rounded(seconds)] for place, seconds in along if seconds > 0]


def threads(record: Record, group: Group) -> Iterator[tuple[str, Plot]]:
    """Yield title and plot of the speed-ups by threads of one table, for each place on the other axis."""
    loss = group.workload.loss
    for gains in selection.gains(record):
        names = {
            (row.implementation, row.threads): name
            for name, row in group.ranked.items()
            if all(getattr(row, axis) == value for axis, value in gains.other.items())
        }
        marks = [
            {
                "row": names[gain.implementation, gain.threads],
                "curve": gain.implementation,
                "at": gain.threads,
                "value": rounded(gain.speedup),
                "low": rounded(gain.low) if gain.low > 0 else None,
                "high": rounded(gain.high) if isfinite(gain.high) else None,
                "text": _gain_text(gain),
            }
            for gain in gains.found
            if gain.loss == loss
        ]
        if marks:
            legend = _legend((gain.implementation for gain in gains.found), group, {})
            yield (
                _titled(f"{loss}: speed-up by threads", gains.other),
                {
                    "kind": "threads",
                    "base": gains.base,
                    "baseText": describe_field("threads", gains.base),
                    "marks": marks,
                    "legend": legend,
                },
            )


def _gain_text(gain: Efficiency) -> str:
    speedup = " ".join(formatting.ratio_with_interval(gain.speedup, gain.low, gain.high).split())
    base, efficiency = describe_field("threads", gain.base), formatting.share(gain.efficiency)
    return f"speed-up {speedup} over {base}, efficiency {efficiency}"


def _titled(what: str, other: OtherAxis) -> str:
    return f"{what}, {sweep_tables.describe_place(other)}" if other else what
