"""How time grows along an axis of a sweep: measured points, fitted growth, crossings, and where the caches end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lcbench.judge import cache_ends, crossings, growth
from lcbench.judge.crossings import Crossing
from lcbench.judge.growth import Growth
from lcbench.judge.points import GROWING, Curve, curves
from lcbench.record import Record
from lcbench.report.pictures import records, style
from lcbench.report.pictures.records import Key

_PANEL_INCHES = 2.5
_LEGEND_LINE_INCHES = 0.19
_CACHES = {"l1d": "L1", "l2": "L2", "l3": "L3"}
_MEASURED = "measured"
_LONGEST_NAME = 18
_MARGIN = 1.35
"""Above and below what was measured, as a factor."""


def unfit(record: Record) -> str:
    """Why the record has no scaling, or nothing."""
    if record.sweep is None:
        return "it is of no sweep"
    if not _axis(record):
        return f"along {' and '.join(record.sweep.axes)} nothing grows"
    return records.why_untimed(record)


def draw(record: Record) -> Figure:
    """A column a loss. Of one axis: the time of a call and, under it, that over the axis; of two: a row for each value
    of the other.
    """
    axis = _axis(record)
    along = list(curves(record, axis))
    losses = sorted({curve.loss for curve in along}, reverse=True)
    others = list({tuple(curve.other.items()): curve.other for curve in along}.values())
    several = len(others) > 1
    names = max(len([c for c in along if (c.loss, c.other) == (loss, other)]) for loss in losses for other in others)
    legend = _LEGEND_LINE_INCHES * (names + 1)
    heights = [_PANEL_INCHES + legend] * len(others) if several else [_PANEL_INCHES + legend, _PANEL_INCHES]
    figure = style.figure(0.9 + sum(heights), f"Scaling along {axis}: time of a call and fitted growth")
    panels = figure.subplots(
        len(heights), len(losses), squeeze=False, sharex=True, sharey="row" if not several else "all",
        height_ratios=heights,
    )  # fmt: skip
    key = records.key_of(record, _LONGEST_NAME)
    grown, crossed = growth.growths(record), crossings.crossings(record)
    for column, loss in enumerate(losses):
        for row, other in enumerate(others):
            own = [curve for curve in along if (curve.loss, curve.other) == (loss, other)]
            fits = [one for one in grown if (one.axis, one.loss, one.other) == (axis, loss, other)]
            marks = [one for one in crossed if (one.axis, one.loss, one.other) == (axis, loss, other)]
            panel = panels[row, column]
            title = ", ".join([loss, *(records.said(name, value) for name, value in other.items() if several)])
            _draw_curves(panel, own, fits, key)
            _draw_crossings(panel, marks, own)
            _draw_caches(panel, record, own, named=several)
            _frame(panel, own, title)
            if not several:
                _draw_curves(panels[1, column], own, [], key, over_axis=True)
                _draw_caches(panels[1, column], record, own, named=True)
    _label(panels, axis, several)
    others_said = [] if several else [", ".join(records.said(name, value) for name, value in others[0].items())]
    told = [
        f"dotted: fitted growth with {axis}, n, and 95 % interval",
        *(["rings: one passes the other"] if crossed else []),
    ]
    if axis in cache_ends.ALONG:
        told.append("broken upright lines: X as large as a cache")
    records.caption(figure, record, *told, *others_said)
    return figure


def _axis(record: Record) -> str:
    """The axis that is drawn from left to right: the first along which there is more to compute."""
    assert record.sweep is not None
    return next((axis for axis in GROWING if axis in record.sweep.axes), "")


def _draw_curves(axes: Axes, own: Sequence[Curve], fits: Sequence[Growth], key: Key, over_axis: bool = False) -> None:
    """Each curve with the band of its intervals, and its growth; `over_axis` divides times by the place on the axis."""
    by_name = {fit.implementation: fit for fit in fits}
    for curve in own:
        fit = by_name.get(curve.implementation)
        of, name = key.looks[curve.implementation], key.names[curve.implementation]
        per = curve.values if over_axis else np.ones(len(curve.values))
        medians = np.array([row.median_s for row in curve.rows]) / per
        bands = np.array([row.ci95_s or (row.median_s,) * 2 for row in curve.rows]) / per[:, None]
        axes.fill_between(curve.values, bands[:, 0], bands[:, 1], color=of.colour, alpha=0.15, linewidth=0)
        axes.plot(
            curve.values, medians, gid=_MEASURED, label=_legend(name, fit), linestyle=of.line, linewidth=1.4,
            markersize=5, **records.marker(of),
        )  # fmt: skip
        if fit:
            within = np.geomspace(curve.values[0], curve.values[-1], 100)
            axes.plot(within, fit(within), color=of.colour, linestyle=":", linewidth=1.6)
    axes.set(xscale="log", yscale="log")


def _legend(name: str, fit: Growth | None) -> str:
    return f"{name}: n^{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]" if fit else name


def _draw_crossings(axes: Axes, crossed: Sequence[Crossing], own: Sequence[Curve]) -> None:
    """A ring where two curves meet, its interval, and the place."""
    by_name = {curve.implementation: curve for curve in own}
    for number, crossing in enumerate(sorted(crossed, key=lambda one: one.at)):
        curve = by_name[crossing.faster]
        times = np.log([row.median_s or 0.0 for row in curve.rows])
        height = float(np.exp(np.interp(np.log(crossing.at), np.log(curve.values), times)))
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


def _draw_caches(axes: Axes, record: Record, own: Sequence[Curve], named: bool = False) -> None:
    """A faint line where X is as large as a cache, as far as it lies between the points."""
    cpu = record.machine.get("cpu")
    sizes = cpu.get("caches") if isinstance(cpu, dict) else None
    if not sizes or not own or own[0].axis not in cache_ends.ALONG or own[0].rows[0].batch is not None:
        return
    for name, place in cache_ends.places(own[0].rows[0], own[0].axis, sizes).items():
        if own[0].values[0] < place < own[0].values[-1]:
            axes.axvline(place, color=style.LEFT_OUT, linewidth=1.0, linestyle=(0, (6, 3)), zorder=0)
            if named:
                axes.annotate(
                    _CACHES.get(name, name), (place, 0), xycoords=axes.get_xaxis_transform(), xytext=(3, 3),
                    textcoords="offset points", size=style.SMALL, color=style.NOTE, bbox=style.BACKED,
                )  # fmt: skip


def _frame(axes: Axes, own: Sequence[Curve], title: str) -> None:
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, handlelength=2.2, title=title,
        alignment="left", labelspacing=0.25,
    )  # fmt: skip
    legend.get_title().set_fontsize(style.NORMAL)


def _label(panels: Any, axis: str, several: bool) -> None:
    """What the axes say; the measured points fill them, and wide bands are cut."""
    for row, line in enumerate(panels):
        together = panels.flat if several else line
        times = np.concatenate([drawn.get_ydata() for axes in together for drawn in _measured(axes)])
        for axes in line:
            axes.set_ylim(times.min() / _MARGIN, times.max() * _MARGIN)
            axes.grid(True)
            style.time_ticks(axes.yaxis)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_formatter(_between(axes))
        line[0].set_ylabel("time of a call" if several or row == 0 else f"time a {records.ONE[axis]}")
    for axes in panels[-1]:
        axes.set_xlabel(axis)


def _measured(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_gid() == _MEASURED]


def _between(axes: Axes) -> Any:
    """Numbers of 2 and 5 where an axis has few powers of ten."""

    def told(value: float, _: int | None) -> str:
        low, high = axes.get_xlim()
        return f"{value:,.0f}" if high / low < 60 and f"{value:e}"[0] in "25" else ""

    return told
