"""Plots of a sweep: time along an axis, and speed-up by threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

from lcbench.record import SINGULAR, Record, describe_field
from lcbench.report.plots import selection, style
from lcbench.report.plots.selection import Key, Scaling
from lcbench.stats.crossings import CACHE_AXES, Efficiency
from lcbench.stats.growth import Growth, curves

_SCALING_INCHES = 2.5
_LEGEND_LINE_INCHES = 0.19
_MEASURED = "measured"
_LONGEST_NAME = 18
_MARGIN = 1.35
"""Margin above and below the data, as a factor."""

_THREADS_INCHES = 2.6
_HOLLOW = "svm"
_ASIDE = 3.0
"""Points between neighbouring curves, so that their intervals can be told apart."""
_WIDEST = 15.0
"""Points over which all curves are spread."""
_NAME_IN_THREE_COLUMNS = 17
_MOST_LINEAR = 16
"""Threads above which the axis is logarithmic."""


def draw_scaling(record: Record) -> Figure:
    """Draw a column of panels for each loss.

    A sweep of one axis has the time of a call, and below it that time over the axis. A sweep of two axes has a row for
    each value of the other axis.
    """
    axis = selection.growing_axis(record)
    shown = selection.scalings(record, axis)
    losses = list(dict.fromkeys(scaling.loss for scaling in shown))
    several = len(shown) > len(losses)
    legend = _LEGEND_LINE_INCHES * (1 + max(len(scaling.curves) for scaling in shown))
    rows = len(shown) // len(losses)
    heights = [_SCALING_INCHES + legend] * rows if several else [_SCALING_INCHES + legend, _SCALING_INCHES]
    figure = style.figure(0.9 + sum(heights), f"Scaling along {axis}: time of a call and fitted growth")
    panels = figure.subplots(
        len(heights), len(losses), squeeze=False, sharex=True, sharey="row" if not several else "all",
        height_ratios=heights,
    )  # fmt: skip
    key = selection.key_of(record, _LONGEST_NAME)
    for number, scaling in enumerate(shown):
        panel = panels[number % rows, number // rows]
        _draw_curves(panel, scaling, key)
        _draw_crossings(panel, scaling)
        _draw_caches(panel, scaling, named=several)
        others = [describe_field(name, value) for name, value in scaling.other.items()]
        _legend_above(panel, ", ".join([scaling.loss, *(others if several else [])]))
        if not several:
            below = panels[1, number]
            _draw_curves(below, scaling, key, over_axis=True)
            _draw_caches(below, scaling, named=True)
    _set_up_axes(panels, axis, several)
    notes = [
        f"dotted: fitted growth with {axis}, n, and 95 % interval",
        "rings: crossings" if any(scaling.crossings for scaling in shown) else "",
        "dashed vertical lines: X as large as a cache" if axis in CACHE_AXES else "",
        "" if several else ", ".join(others),
    ]
    style.caption(figure, selection.caption(record, *notes))
    return figure


def _draw_curves(axes: Axes, scaling: Scaling, key: Key, over_axis: bool = False) -> None:
    """Draw each curve with the band of its intervals, and its fit.

    over_axis: divide times by the place on the axis.
    """
    for curve in scaling.curves:
        fit = None if over_axis else scaling.fits.get(curve.implementation)
        line_style, name = key.styles[curve.implementation], key.names[curve.implementation]
        divisor = curve.values if over_axis else np.ones(len(curve.values))
        medians = np.array([row.median_s for row in curve.rows]) / divisor
        bands = np.array([row.ci95_s or (row.median_s,) * 2 for row in curve.rows]) / divisor[:, None]
        axes.fill_between(curve.values, bands[:, 0], bands[:, 1], color=line_style.colour, alpha=0.15, linewidth=0)
        axes.plot(
            curve.values, medians, gid=_MEASURED, label=_legend_text(name, fit), linestyle=line_style.line,
            linewidth=1.4, markersize=5, **style.marker_style(line_style),
        )  # fmt: skip
        if fit:
            axes.plot(*scaling.fitted(curve, 100), color=line_style.colour, linestyle=":", linewidth=1.6)
    axes.set(xscale="log", yscale="log")


def _legend_text(name: str, fit: Growth | None) -> str:
    return f"{name}: n^{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]" if fit else name


def _draw_crossings(axes: Axes, scaling: Scaling) -> None:
    """Draw a ring where two curves meet, with its interval and its place."""
    for number, crossing in enumerate(sorted(scaling.crossings, key=lambda crossing: crossing.at)):
        height = scaling.height(crossing)
        axes.errorbar(
            crossing.at, height, xerr=[[crossing.at - crossing.low], [crossing.high - crossing.at]], color=style.INK,
            marker="o", markersize=9, markerfacecolor="none", markeredgewidth=1.1, elinewidth=1.1, capsize=4,
            zorder=5,
        )  # fmt: skip
        above = number % 2 == 0
        axes.annotate(
            f"{float(f'{crossing.at:.2g}'):,g}", (crossing.at, height), xytext=(0, 8 if above else -8),
            textcoords="offset points", ha="center", va="bottom" if above else "top", size=style.SMALL, zorder=6,
            bbox=style.BACKED,
        )  # fmt: skip


def _draw_caches(axes: Axes, scaling: Scaling, named: bool) -> None:
    """Draw a faint line where X is as large as a cache, if that is between the ends of the axis."""
    first, *_, last = scaling.curves[0].values
    for name, place in scaling.caches.items():
        if first < place < last:
            axes.axvline(place, color=style.CACHE, linewidth=1.0, linestyle=(0, (6, 3)), zorder=0)
            if named:
                axes.annotate(
                    name, (place, 0), xycoords=axes.get_xaxis_transform(), xytext=(3, 3),
                    textcoords="offset points", size=style.SMALL, color=style.NOTE, bbox=style.BACKED,
                )  # fmt: skip


def _legend_above(axes: Axes, title: str) -> None:
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, handlelength=2.2, title=title,
        alignment="left", labelspacing=0.25,
    )  # fmt: skip
    legend.get_title().set_fontsize(style.NORMAL)


def _set_up_axes(panels: Any, axis: str, several: bool) -> None:
    """Set labels and limits of the axes; medians fill them, and wide bands are cut."""
    for row, line in enumerate(panels):
        together = panels.flat if several else line
        times = np.concatenate([drawn.get_ydata() for axes in together for drawn in _measured(axes)])
        for axes in line:
            axes.set_ylim(times.min() / _MARGIN, times.max() * _MARGIN)
            axes.grid(True)
            style.time_ticks(axes.yaxis)
            style.count_ticks(axes.xaxis)
        line[0].set_ylabel(
            "time of a call" if several or row == 0 else f"time per {SINGULAR.get(axis, 'row of the batch')}"
        )
    for axes in panels[-1]:
        axes.set_xlabel(axis)


def _measured(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == _MEASURED]


def draw_threads(record: Record) -> Figure:
    """Draw speed-up on the left and efficiency on the right, in a row for each value of the other axis."""
    shown = selection.gains(record)
    found = [gain for gains in shown for gain in gains.found]
    names = {(curve.implementation, curve.loss): None for curve in curves(record, "threads")}
    both = len({loss for _, loss in names}) > 1
    key = selection.key_of(record)
    columns = 3 if max(len(key.names[name]) for name, _ in names) < _NAME_IN_THREE_COLUMNS else 2
    lines = -(-len(names) // columns)
    figure = style.figure(1.0 + 0.2 * lines + _THREADS_INCHES * len(shown), "")  # the legend has the title
    panels = figure.subplots(len(shown), 2, squeeze=False, sharex=True, sharey="col")
    drawn: dict[str, Line2D] = {}
    for (left, right), gains in zip(panels, shown, strict=True):
        _frame_threads(left, right, found)
        for number, (implementation, loss) in enumerate(names):
            aside = min(_ASIDE, _WIDEST / len(names)) * (number - (len(names) - 1) / 2)
            points = [gain for gain in gains.found if (gain.implementation, gain.loss) == (implementation, loss)]
            if points:
                name = key.names[implementation] + (f", {loss}" if both else "")
                hollow = both and loss == _HOLLOW
                drawn.setdefault(name, _draw_gains(left, right, points, key, aside, hollow))
        ideal = _draw_ideal(left, right, gains.found)
        left.set_title(", ".join(describe_field(name, value) for name, value in gains.other.items()), loc="left")
        left.set_ylabel(f"speed-up over {describe_field('threads', gains.base)}")
        right.set_ylabel("efficiency")
    drawn["ideal"] = ideal
    for axes in panels[-1]:
        axes.set_xlabel("threads")
    title = "Threads: speed-up and efficiency, with 95 % intervals"
    style.legend_with_title(figure, drawn, title, columns, handlelength=2.2)
    style.caption(figure, selection.caption(record, style.arrow_note(figure)))
    return figure


def _draw_gains(left: Axes, right: Axes, points: Sequence[Efficiency], key: Key, aside: float, hollow: bool) -> Line2D:
    """Draw the curve from the fewest threads, which is 1 by definition, and return the line for the legend."""
    line_style = key.styles[points[0].implementation]
    mark = style.marker_style(line_style) | ({"markerfacecolor": "white"} if hollow else {})
    threads = [points[0].base, *(point.threads for point in points)]
    for axes, scale in ((left, [1.0] * len(points)), (right, [point.ideal for point in points])):
        middle, low, high = (
            [1.0, *(getattr(point, field) / ideal for point, ideal in zip(points, scale, strict=True))]
            for field in ("speedup", "low", "high")
        )
        beside = axes.transData + ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)
        axes.vlines(threads, low, high, color=line_style.colour, linewidth=1.1, transform=beside)
        spans = list(zip(low, high, strict=True))
        style.draw_arrows(axes, threads, spans, axes.get_ylim(), "y", line_style.colour, transform=beside)
        (line,) = axes.plot(
            threads, middle, linewidth=1.2, markersize=5.5, linestyle="--" if hollow else line_style.line,
            transform=beside, **mark,
        )  # fmt: skip
    return line


def _draw_ideal(left: Axes, right: Axes, gains: Sequence[Efficiency]) -> Line2D:
    base, most = gains[0].base, max(gain.threads for gain in gains)
    # many points, because the ideal is curved on a logarithmic axis
    places = [base + (most - base) * step / 50 for step in range(51)]
    right.axhline(1.0, color=style.FAINT, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    (line,) = left.plot(
        places, [place / base for place in places], color=style.FAINT, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1
    )
    return line


def _frame_threads(left: Axes, right: Axes, found: Sequence[Efficiency]) -> None:
    """Set up the axes, the same in every row: logarithmic for many threads, so that the ideal is a line there too."""
    threads = sorted({number for gain in found for number in (gain.base, gain.threads)})
    most = max(max(gain.ideal, gain.speedup) for gain in found)
    left.set_ylim(0, 1.08 * most)
    right.set_ylim(0, max(1.1, *(1.05 * gain.efficiency for gain in found)))
    style.percent_axis(right.yaxis)
    for axes in (left, right):
        if threads[-1] > _MOST_LINEAR:
            axes.set_xscale("log", base=2)
        axes.set_xticks(threads)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        axes.grid(True)
    if threads[-1] > _MOST_LINEAR:
        left.set_yscale("log", base=2)
        left.set_ylim(0.8 * min(1.0, *(gain.speedup for gain in found)), 1.2 * most)
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
