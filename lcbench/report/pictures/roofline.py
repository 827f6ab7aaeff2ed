"""Rates of the implementations below what the machine can do, as measured in the same run.

The model is that of Williams, Waterman & Patterson (2009, "Roofline: an insightful visual performance model for
multicore architectures"): over operations a byte, reading X bounds the rate by a slope, and the FMA units by a flat
roof. How steep the slope is depends on where X fits, so that each footprint has a panel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform
from numpy.typing import NDArray

from lcbench.judge.estimates import ceiling_for
from lcbench.record import Ceiling, Record, Row
from lcbench.report import style as words
from lcbench.report.pictures import records, style
from lcbench.report.pictures.records import Key

_COLUMNS = 3
_PANEL_INCHES = 3.9
_AROUND_INCHES = 1.2
"""Of a panel: its title and the numbers below."""
_LABEL_INCHES = 0.19
"""Height of a label: two of them lie no closer."""

_LONGEST_NAME = 18
_HOLLOW = "svm"
_ASIDE = 3.5
"""Points by which the losses, whose places are the same, are drawn left and right of it."""
_LEADER = {
    "arrowstyle": "-", "color": style.FAINT, "linewidth": 0.6, "relpos": (0, 0.5), "shrinkA": 0,
}  # fmt: skip
"""From a label's left end to just beside its mark."""


class Point(NamedTuple):
    """A row by its counted operations a byte, and its operations a second."""

    row: Row
    intensity: float
    rate: float


def unfit(record: Record) -> str:
    """Why the record has no roofline, or nothing."""
    if reason := records.why_no_run(record):
        return reason
    return "" if points(record) else "its run measured no limits of the machine"


def points(record: Record) -> dict[Ceiling, list[Point]]:
    """The rows that have a time, by the ceiling that bounds them, smallest footprint first."""
    found: dict[Ceiling, list[Point]] = {}
    for row in record.rows:
        ceiling = ceiling_for(row, record.ceilings) if row.ranked else None
        if ceiling and row.median_s:
            found.setdefault(ceiling, []).append(Point(row, row.flops / row.bytes, row.flops / row.median_s))
    return dict(sorted(found.items(), key=lambda item: (item[0].device, item[0].dtype, item[0].footprint)))


def roof(ceiling: Ceiling, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest rate, operations a second, of so many operations a byte."""
    return np.minimum(ceiling.read_bytes_s * intensity, ceiling.flops_s)


def draw(record: Record) -> Figure:
    """A panel a footprint on common axes; the name of each implementation beside its marks."""
    panels = points(record)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    key = records.key_of(record, _LONGEST_NAME)
    left, right, low, high = _limits(panels)
    close = np.log(high / low) * _LABEL_INCHES / (_PANEL_INCHES - _AROUND_INCHES)
    labels = {ceiling: _labels(some, close) for ceiling, some in panels.items()}
    height = max(_PANEL_INCHES, _AROUND_INCHES + _LABEL_INCHES * (2 + max(map(len, labels.values()))))
    figure = style.figure(0.9 + rows * height, "Roofline: rates below what this machine can do")
    intensities = np.geomspace(left, right, 200)
    for number, (axes, (ceiling, some)) in enumerate(
        zip(records.grid(figure, len(panels), columns, sharey=True), panels.items(), strict=True)
    ):
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, high), xlabel="operations a byte")
        _draw_roof(axes, ceiling, intensities)
        _draw_points(axes, some, key)
        _draw_labels(axes, labels[ceiling], key, ceiling.flops_s, height=height - _AROUND_INCHES)
        axes.set_title(_title(ceiling, record), loc="left")
        if number % columns == 0:
            axes.set_ylabel("GFLOP/s")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1e9:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value / 1e9:g}" if f"{value:e}"[0] in "25" else "")
        style.plain_ticks(axes.xaxis)
    losses = {point.row.loss for some in panels.values() for point in some}
    marks = "left, hollow: svm; right, filled: softmax" if len(losses) > 1 else ""
    records.caption(figure, record, marks, "dashed: NumPy's matrix product, for reference")
    return figure


def _title(ceiling: Ceiling, record: Record) -> str:
    dtype = f", {ceiling.dtype}" if len({row.dtype for row in record.rows if row.ranked}) > 1 else ""
    where = ", GPU" if ceiling.device == "cuda" else ""
    return f"X of {words.size(ceiling.footprint)}{dtype}{where}\nreads {ceiling.read_bytes_s / 1e9:.0f} GB/s"


def _limits(panels: dict[Ceiling, list[Point]]) -> tuple[float, float, float, float]:
    """The axes' ends, the same for all panels: every ridge and point, and room for the names at the right."""
    intensities = [point.intensity for some in panels.values() for point in some]
    ridges = [ceiling.flops_s / ceiling.read_bytes_s for ceiling in panels]
    rates = [point.rate for some in panels.values() for point in some]
    left = min(*intensities, *ridges) / 3
    right = max(*intensities, *ridges)
    return left, right * (right / left) ** 0.9, min(rates) / 2.5, 1.9 * max(*rates, *(c.flops_s for c in panels))


def _draw_roof(axes: Axes, ceiling: Ceiling, intensities: NDArray[np.float64]) -> None:
    axes.plot(intensities, roof(ceiling, intensities), color=style.INK, linewidth=1.6)
    axes.text(
        0.98, ceiling.flops_s * 1.06, f"FMA {ceiling.flops_s / 1e9:.0f} GFLOP/s", ha="right", va="bottom",
        size=style.SMALL, transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    if ceiling.gemm_flops_s:
        axes.axhline(ceiling.gemm_flops_s, color=style.FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)


class Label(NamedTuple):
    """A name at the height of the marks that it is of: those of one implementation, where they are close."""

    of: list[Point]

    @property
    def centre(self) -> float:
        """Logarithm of the rate."""
        return float(np.mean([np.log(point.rate) for point in self.of]))


def _labels(some: Sequence[Point], close: float) -> list[Label]:
    """From the highest rate down. One for both marks of an implementation that are no farther apart, in logarithms."""
    own: dict[tuple[str, str | None], list[Point]] = {}
    for point in some:
        own.setdefault((point.row.implementation, point.row.side), []).append(point)
    found = []
    for marks in own.values():
        rates = np.log([point.rate for point in marks])
        found += [Label(marks)] if np.ptp(rates) <= close else [Label([point]) for point in marks]
    return sorted(found, key=lambda label: -label.centre)


def _draw_points(axes: Axes, some: Sequence[Point], key: Key) -> None:
    both = _both(some)
    for point in some:
        filled = point.row.loss != _HOLLOW or not both
        axes.plot(
            point.intensity, point.rate, linestyle="", markersize=6, zorder=3, transform=_mark_place(axes, point, both),
            **(key.mark(point.row) | ({} if filled else {"markerfacecolor": "white"})),
        )  # fmt: skip


def _both(some: Sequence[Point]) -> bool:
    return len({point.row.loss for point in some}) > 1


def _draw_labels(axes: Axes, labels: Sequence[Label], key: Key, roof_above: float, height: float) -> None:
    """Each name at the right of all marks, with a line to its own."""
    low, high = np.log(axes.get_ylim())
    least = (high - low) * _LABEL_INCHES / height
    places = apart([label.centre for label in labels], least, np.log(roof_above) - 0.7 * least, low + 0.5 * least)
    some = [point for label in labels for point in label.of]
    both, edge, beside = _both(some), max(point.intensity for point in some), _aside(axes, 24)
    for label, place in zip(labels, places, strict=True):
        first = label.of[0]
        alone = len(label.of) == 1
        axes.annotate(
            key.name(first.row), (first.intensity, np.exp(label.centre)),
            xycoords=_mark_place(axes, first, both) if alone else axes.transData,
            xytext=(edge, np.exp(place)), textcoords=beside, va="center", size=style.SMALL, bbox=style.BACKED,
            arrowprops=_LEADER | {"shrinkB": 5 if alone else 8},
        )  # fmt: skip


def _mark_place(axes: Axes, point: Point, both: bool) -> Transform:
    """Where a mark is drawn: of two losses, one at the left of its place and the other at its right."""
    return _aside(axes, (-_ASIDE if point.row.loss == _HOLLOW else _ASIDE) if both else 0.0)


def _aside(axes: Axes, points: float) -> Transform:
    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def apart(wanted: Sequence[float], least: float, highest: float, lowest: float = -np.inf) -> list[float]:
    """Places for labels, in descending order as they are wanted: none above `highest`, no two closer than `least`.

    Those that would overlap become a stack around their mean (pool adjacent violators). None lies below `lowest`, where
    there is room for all.
    """
    stacks: list[list[float]] = []

    def top(stack: list[float]) -> float:
        return min(float(np.mean(stack)) + (len(stack) - 1) * least / 2, highest)

    def bottom(stack: list[float]) -> float:
        return top(stack) - (len(stack) - 1) * least

    for place in wanted:
        stacks.append([place])
        while len(stacks) > 1 and bottom(stacks[-2]) - top(stacks[-1]) < least:
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    places = [top(stack) - number * least for stack in stacks for number in range(len(stack))]
    floors = [lowest + number * least for number in reversed(range(len(places)))]
    return [max(place, floor) for place, floor in zip(places, floors, strict=True)]
