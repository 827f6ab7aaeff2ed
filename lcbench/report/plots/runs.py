"""Plots of a run: bars of the medians, samples, and the roofline."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import ScaledTranslation, Transform
from numpy.typing import NDArray

from lcbench.record import MachinePeak, Record, Row, Workload
from lcbench.report import formatting
from lcbench.report.plots import selection, style
from lcbench.report.plots.selection import Bars, Key, Label, Point

_ROW_INCHES = 0.27
_TITLE_INCHES = 0.62
_LONGEST_NAME = 20
_BETWEEN_BAR_AND_TEXT = 5.0
"""Points between a bar's interval and its numbers."""

_SAMPLES_INCHES = 0.95
_HEADING_INCHES = 0.3
_BETWEEN = 1.5
"""Gap between two workloads, in strips."""

_COLUMNS = 2
_PANEL_INCHES = 3.9
_AROUND_INCHES = 1.2
"""Height of a panel's title and tick labels."""
_LABEL_INCHES = 0.19
"""Height of a label."""

_LONGEST_ROOF_NAME = 18
_HOLLOW = "svm"
_ASIDE = 3.5
"""Points by which the marks of the two losses are moved apart, left and right, because their places are the same."""
_LEADER = {
    "arrowstyle": "-", "color": style.FAINT, "linewidth": 0.6, "relpos": (0, 0.5), "shrinkA": 0,
}  # fmt: skip
"""Line from the left end of a label to its mark."""


def draw_bars(record: Record) -> Figure:
    """Draw the medians of each workload in a panel, two panels per row.

    On a logarithmic axis the length of a bar has no meaning, so points are drawn.
    """
    panels = selection.by_workload(record)
    columns = min(2, len(panels))
    counts = [len(rows) for rows in panels.values()]
    most = [max(counts[first : first + columns]) for first in range(0, len(counts), columns)]
    heights = [_TITLE_INCHES + _ROW_INCHES * count for count in most]
    figure = style.figure(0.7 + sum(heights), "Time of a call, with its 95 % interval")
    titles, key = selection.titles(panels), selection.key_of(record, _LONGEST_NAME)
    drawn = []
    for axes, (workload, rows) in zip(
        style.grid(figure, len(panels), columns, height_ratios=heights), panels.items(), strict=True
    ):
        chosen = selection.bars(rows)
        drawn.append((axes, chosen, _draw_bars_of(axes, chosen, key)))
        axes.set_title(titles[workload], loc="left")
    has_baseline = any(row.implementation == selection.BASELINE for rows in panels.values() for row in rows)
    baseline = f"x: speed-up over {selection.BASELINE}" if has_baseline else ""
    style.caption(figure, selection.caption(record, baseline, style.arrow_note(figure)))
    with warnings.catch_warnings(action="ignore"):  # they come again when the figure is written
        figure.draw_without_rendering()  # lays the panels out: the numbers beside the bars need to know their width
    for axes, chosen, texts in drawn:
        _fit_axis(axes, chosen, texts)
    return figure


def _fit_axis(axes: Axes, chosen: Bars, texts: Sequence[Annotation]) -> None:
    """Set the end of the axis of times so that the numbers beside every bar just fit."""
    width = axes.get_window_extent().width
    gap = _BETWEEN_BAR_AND_TEXT * axes.figure.dpi / 72
    shares = [max(0.1, 1 - (text.get_window_extent().width + 2 * gap) / width) for text in texts]
    highs = [selection.clip_interval(bar.interval, chosen.ends)[1] for bar in chosen.bars]
    if chosen.logarithmic:
        low = axes.get_xlim()[0]
        axes.set_xlim(low, low * max((high / low) ** (1 / share) for high, share in zip(highs, shares, strict=True)))
    else:
        axes.set_xlim(0, max(high / share for high, share in zip(highs, shares, strict=True)))
    style.time_ticks(axes.xaxis)


def _draw_bars_of(axes: Axes, chosen: Bars, key: Key) -> list[Annotation]:
    """Draw the bars of one workload, and return their numbers."""
    ends, texts = chosen.ends, []
    for place, bar in enumerate(chosen.bars):
        low, high = selection.clip_interval(bar.interval, ends)
        error = [[bar.median - low], [high - bar.median]]
        line_style = key.styles[bar.row.implementation]
        ink = line_style.colour if chosen.logarithmic else style.INK
        if chosen.logarithmic:
            axes.errorbar(
                bar.median, place, xerr=error, capsize=2.5, markersize=6, linestyle="",
                **style.marker_style(line_style),
            )  # fmt: skip
        else:
            axes.barh(
                place, bar.median, height=0.68, facecolor=line_style.colour if line_style.filled else "white",
                edgecolor=line_style.colour, xerr=error,
                error_kw={"ecolor": ink, "capsize": 2.5, "elinewidth": 1.1},
            )  # fmt: skip
        style.draw_arrows(axes, [place], [bar.interval], ends, "x", ink)
        beside = axes.annotate(
            bar.text, (high, place), xytext=(_BETWEEN_BAR_AND_TEXT, 0), textcoords="offset points", va="center",
            size=style.SMALL,
        )  # fmt: skip
        beside.set_in_layout(False)  # the axis is made long enough for it
        texts.append(beside)
    axes.set_yticks(range(len(chosen.bars)), [key.name(bar.row) for bar in chosen.bars])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(chosen.bars) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    if chosen.logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(ends[0] / 1.4, 1.4 * ends[1])
    else:
        axes.set_xlim(0, ends[1])
        axes.locator_params(axis="x", nbins=5)
    style.time_ticks(axes.xaxis)
    return texts


def draw_samples(record: Record) -> Figure:
    """Draw an axis for each implementation, with its workloads side by side and a strip for each process."""
    groups = selection.by_workload(record)
    workloads = list(groups)
    titles = selection.titles(workloads)
    key = selection.key_of(record)
    names = selection.rows_by_name(key, groups)
    starts, ends = _places(groups)
    figure = style.figure(
        1.1 + _SAMPLES_INCHES * len(names), "Samples: time of a call over its median, a strip for each process"
    )
    heights = [_HEADING_INCHES, *[_SAMPLES_INCHES] * len(names)]
    heading, *panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    heading.set_axis_off()
    for workload in workloads:
        middle = (starts[workload] + ends[workload] - 1) / 2
        heading.text(middle, 0, titles[workload].replace(", ", "\n"), ha="center", va="bottom", linespacing=1.1)
    for axes, (name, rows) in zip(panels, names.items(), strict=True):
        for row in rows:
            _draw_samples_of(
                axes, row, key.styles[row.implementation].colour, starts[row.workload], selection.deviation_limit(rows)
            )
        _frame_samples(axes, name, rows, starts, ends)
    heading.set_xlim(-0.8, ends[workloads[-1]] - 0.2)
    panels[-1].set_xticks([])
    notes = ["lines: times of processes", selection.TRIANGLES]
    style.caption(figure, selection.caption(record, *notes))
    return figure


def _places(groups: dict[Workload, list[Row]]) -> tuple[dict[Workload, float], dict[Workload, float]]:
    """Return where the strips of each workload begin and end on the shared axis."""
    starts, ends, place = {}, {}, 0.0
    for workload, rows in groups.items():
        starts[workload] = place
        ends[workload] = place = place + max(len(row.processes) for row in rows)
        place += _BETWEEN
    return starts, ends


def _draw_samples_of(axes: Axes, row: Row, colour: str, start: float, reach: float) -> None:
    """Draw a strip for each process: its samples from left to right in their order, and its time."""
    shown = selection.processes(row)
    across = np.concatenate([start + process.number - 1 + 0.3 * _spread_out(len(process.samples)) for process in shown])
    deviations = np.concatenate([process.ratios - 1 for process in shown])
    at, beyond = np.clip(deviations, -reach, reach), np.abs(deviations) > reach
    for some, mark in ((~beyond, "o"), (beyond & (deviations > 0), "^"), (beyond & (deviations < 0), "v")):
        axes.scatter(
            across[some], at[some], color=colour, s=9 if mark == "o" else 22, marker=mark, linewidth=0,
            alpha=0.8, clip_on=False, zorder=2,
        )  # fmt: skip
    medians = np.clip([process.middle - 1 for process in shown], -reach, reach)
    places = start + np.arange(len(shown))
    axes.hlines(medians, places - 0.42, places + 0.42, color=style.INK, linewidth=1.2, zorder=4)


def _frame_samples(
    axes: Axes, name: str, rows: list[Row], starts: dict[Workload, float], ends: dict[Workload, float]
) -> None:
    reach = selection.deviation_limit(rows)
    axes.set_ylim(-1.05 * reach, 1.5 * reach)
    axes.axhline(0, color=style.FAINT, linewidth=0.7, zorder=1)
    step = max(size for size in (0.05, 0.1, 0.2, 0.3) if size < 0.75 * reach)
    axes.set_yticks([-step, 0, step], [f"{100 * end:+.0f} %" if end else "0" for end in (-step, 0, step)])
    axes.set_title(name, loc="left", pad=5, size=style.SMALL, weight="bold", color=style.INK)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    for row in rows:
        middle = (starts[row.workload] + ends[row.workload] - 1) / 2
        axes.text(
            middle, 1.5 * reach, formatting.seconds(row.median_s), ha="center", va="top", size=style.SMALL,
            color=style.INK,
        )  # fmt: skip


def _spread_out(count: int) -> np.ndarray:
    """Return offsets from -1 to 1."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)


def draw_roofline(record: Record) -> Figure:
    """Draw a panel for each footprint on common axes, with the name of each implementation beside its marks."""
    panels = selection.roofline_points(record)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    key = selection.key_of(record, _LONGEST_ROOF_NAME)
    (left, right), (low, high) = selection.roofline_limits(panels)
    close = np.log(high / low) * _LABEL_INCHES / (_PANEL_INCHES - _AROUND_INCHES)
    labels = {peak: selection.roofline_labels(points, close) for peak, points in panels.items()}
    height = max(_PANEL_INCHES, _AROUND_INCHES + _LABEL_INCHES * (2 + max(map(len, labels.values()))))
    figure = style.figure(0.9 + rows * height, "Roofline: rates and the limits of this machine")
    intensities = np.geomspace(left, right, 200)
    for number, (axes, (peak, points)) in enumerate(
        zip(style.grid(figure, len(panels), columns, sharey=True), panels.items(), strict=True)
    ):
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, high), xlabel="operations per byte")
        _draw_roof(axes, peak, intensities)
        _draw_points(axes, points, key)
        _draw_labels(axes, labels[peak], key, peak.flops_s, height=height - _AROUND_INCHES)
        axes.set_title(_roof_title(peak, record), loc="left")
        if number % columns == 0:
            axes.set_ylabel("GFLOP/s")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1e9:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value / 1e9:g}" if f"{value:e}"[0] in "25" else "")
        style.plain_ticks(axes.xaxis)
    losses = {point.row.loss for points in panels.values() for point in points}
    marks = "left, hollow: svm; right, filled: softmax" if len(losses) > 1 else ""
    style.caption(figure, selection.caption(record, marks, "dashed: NumPy's GEMM, for reference"))
    return figure


def _roof_title(peak: MachinePeak, record: Record) -> str:
    dtype = f", {peak.dtype}" if len({row.dtype_of_X for row in record.rows if row.ranked}) > 1 else ""
    where = ", GPU" if peak.device == "cuda" else ""
    return f"X of {formatting.size(peak.footprint)}{dtype}{where}\n{selection.read_label(peak)}"


def _draw_roof(axes: Axes, peak: MachinePeak, intensities: NDArray[np.float64]) -> None:
    axes.plot(intensities, selection.roofline_rate(peak, intensities), color=style.INK, linewidth=1.6)
    axes.text(
        0.98, peak.flops_s * 1.06, selection.flops_label(peak), ha="right", va="bottom",
        size=style.SMALL, transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    if peak.gemm_flops_s:
        axes.axhline(peak.gemm_flops_s, color=style.FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)


def _draw_points(axes: Axes, points: Sequence[Point], key: Key) -> None:
    both = _has_both_losses(points)
    for point in points:
        filled = point.row.loss != _HOLLOW or not both
        marker = style.marker_style(key.styles[point.row.implementation])
        axes.plot(
            point.intensity, point.rate, linestyle="", markersize=6, zorder=3, transform=_mark_place(axes, point, both),
            **(marker | ({} if filled else {"markerfacecolor": "white"})),
        )  # fmt: skip


def _has_both_losses(points: Sequence[Point]) -> bool:
    return len({point.row.loss for point in points}) > 1


def _draw_labels(axes: Axes, labels: Sequence[Label], key: Key, roof_above: float, height: float) -> None:
    """Draw the names at the right of all marks, with a line from each name to its mark."""
    low, high = np.log(axes.get_ylim())
    least = (high - low) * _LABEL_INCHES / height
    places = spread_labels(
        [label.centre for label in labels], least, np.log(roof_above) - 0.7 * least, low + 0.5 * least
    )
    points = [point for label in labels for point in label.points]
    both, edge, beside = _has_both_losses(points), max(point.intensity for point in points), _aside(axes, 24)
    for label, place in zip(labels, places, strict=True):
        first = label.points[0]
        alone = len(label.points) == 1
        axes.annotate(
            f"{key.name(first.row)}{_shares(label)}", (first.intensity, np.exp(label.centre)),
            xycoords=_mark_place(axes, first, both) if alone else axes.transData,
            xytext=(edge, np.exp(place)), textcoords=beside, va="center", size=style.SMALL, bbox=style.BACKED,
            arrowprops=_LEADER | {"shrinkB": 5 if alone else 8},
        )  # fmt: skip


def _shares(label: Label) -> str:
    """Return the share of the limit of the label's points, as in " 75 %" or " 71-75 %"; empty if it is unknown."""
    known = sorted(fraction for point in label.points if (fraction := point.row.roofline_fraction) is not None)
    if not known:
        return ""
    low, high = formatting.share(known[0]), formatting.share(known[-1])
    return f" {high}" if low == high else f" {low.removesuffix(' %')}-{high}"


def _mark_place(axes: Axes, point: Point, both: bool) -> Transform:
    """Return the transform of a mark; with two losses, the marks are left and right of their place."""
    return _aside(axes, (-_ASIDE if point.row.loss == _HOLLOW else _ASIDE) if both else 0.0)


def _aside(axes: Axes, points: float) -> Transform:
    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def spread_labels(wanted: Sequence[float], least: float, highest: float, lowest: float = -np.inf) -> list[float]:
    """Return places for labels, in the descending order of `wanted`: at most `highest`, and at least `least` apart.

    Labels that would overlap become a stack around their mean (pool adjacent violators). If there is room for all, none
    is below `lowest`.
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
