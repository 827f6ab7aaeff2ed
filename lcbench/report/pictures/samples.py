"""Every sample of a run, process by process: drift, outliers, and how far processes differ, at a glance."""

from __future__ import annotations

from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lcbench.judge.quiet import kept_blocks
from lcbench.record import Record, Row, Workload
from lcbench.report import style as words
from lcbench.report.pictures import records, style
from lcbench.report.pictures.records import why_no_run as unfit

__all__ = ["draw", "unfit"]

_PANEL_INCHES = 0.95
_HEADING_INCHES = 0.3
_NARROWEST, _WIDEST = 0.08, 0.50
"""How far from the median an axis reaches at least, and at most: samples beyond are drawn at its edge."""

_BETWEEN = 1.5
"""Places left free between two workloads."""


def draw(record: Record) -> Figure:
    """An axis an implementation. Side by side its workloads, in each a strip a process, relative to the median."""
    groups = records.by_workload(record)
    workloads = list(groups)
    titles = records.titles(workloads)
    key = records.key_of(record)
    names = _by_their_best(key, groups)
    starts, ends = _places(groups)
    figure = style.figure(
        1.1 + _PANEL_INCHES * len(names), "Samples: time of a call over its median, a strip a process"
    )
    heights = [_HEADING_INCHES, *[_PANEL_INCHES] * len(names)]
    heading, *panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    heading.set_axis_off()
    for workload in workloads:
        middle = (starts[workload] + ends[workload] - 1) / 2
        heading.text(middle, 0, titles[workload].replace(", ", "\n"), ha="center", va="bottom", linespacing=1.1)
    for axes, (name, rows) in zip(panels, names.items(), strict=True):
        for row in rows:
            _draw_row(axes, row, key.looks[row.implementation].colour, starts[row.workload], _reach(rows))
        _frame(axes, name, rows, starts, ends)
    heading.set_xlim(-0.8, ends[workloads[-1]] - 0.2)
    panels[-1].set_xticks([])
    some_left_out = any(len(kept_blocks(row)) < len(row.blocks) for rows in names.values() for row in rows)
    told = ["lines: medians of processes", "triangles: farther away"]
    if some_left_out:
        told.append("grey: left out, something disturbed the process")
    records.caption(figure, record, *told)
    return figure


def _by_their_best(key: records.Key, groups: dict[Workload, list[Row]]) -> dict[str, list[Row]]:
    """The rows of each name; fastest first, by how far a name is behind the fastest of each workload."""
    names: dict[str, list[Row]] = {}
    behind: dict[str, list[float]] = {}
    for rows in groups.values():
        for row in rows:
            names.setdefault(key.name(row), []).append(row)
            behind.setdefault(key.name(row), []).append((row.median_s or 0.0) / (rows[0].median_s or 1.0))
    return dict(sorted(names.items(), key=lambda item: median(behind[item[0]])))


def _places(groups: dict[Workload, list[Row]]) -> tuple[dict[Workload, float], dict[Workload, float]]:
    """Where the strips of each workload begin and end on the axis that all share."""
    starts, ends, place = {}, {}, 0.0
    for workload, rows in groups.items():
        starts[workload] = place
        ends[workload] = place = place + max(len(row.blocks) for row in rows)
        place += _BETWEEN
    return starts, ends


def _draw_row(axes: Axes, row: Row, colour: str, start: float, reach: float) -> None:
    """A strip a block, its samples from left to right in the order in which they were taken; a line at its median."""
    kept, middle = set(kept_blocks(row)), row.median_s or 1.0
    strips = [start + block + 0.3 * _spread_out(len(samples)) for block, samples in enumerate(row.blocks)]
    across = np.concatenate(strips)
    deviations = np.concatenate([np.array(samples) / middle - 1 for samples in row.blocks])
    colours = np.repeat(
        [colour if block in kept else style.LEFT_OUT for block in range(len(strips))],
        [len(strip) for strip in strips],
    )
    shown, beyond = np.clip(deviations, -reach, reach), np.abs(deviations) > reach
    for some, mark in ((~beyond, "o"), (beyond & (deviations > 0), "^"), (beyond & (deviations < 0), "v")):
        axes.scatter(
            across[some], shown[some], c=colours[some], s=9 if mark == "o" else 22, marker=mark, linewidth=0,
            alpha=0.8, clip_on=False, zorder=2,
        )  # fmt: skip
    medians = np.clip([median(samples) / middle - 1 for samples in row.blocks], -reach, reach)
    places = start + np.arange(len(row.blocks))
    axes.hlines(medians, places - 0.42, places + 0.42, color=style.INK, linewidth=1.2, zorder=4)


def _frame(axes: Axes, name: str, rows: list[Row], starts: dict[Workload, float], ends: dict[Workload, float]) -> None:
    reach = _reach(rows)
    axes.set_ylim(-1.05 * reach, 1.5 * reach)
    axes.axhline(0, color=style.FAINT, linewidth=0.7, zorder=1)
    step = max(size for size in (0.05, 0.1, 0.2, 0.3) if size < 0.75 * reach)
    axes.set_yticks([-step, 0, step], [f"{step:+.0%}" if step else "0" for step in (-step, 0, step)])
    axes.set_title(name, loc="left", pad=5, size=style.SMALL, weight="bold", color=style.INK)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    for row in rows:
        middle = (starts[row.workload] + ends[row.workload] - 1) / 2
        axes.text(
            middle, 1.5 * reach, words.seconds(row.median_s), ha="center", va="top", size=style.SMALL,
            color=style.INK,
        )  # fmt: skip


def _reach(rows: list[Row]) -> float:
    """How far from the median the axis goes."""
    away = [abs(sample / (row.median_s or 1.0) - 1) for row in rows for block in row.blocks for sample in block]
    return float(np.clip(1.4 * np.quantile(away, 0.95), _NARROWEST, _WIDEST))


def _spread_out(count: int) -> np.ndarray:
    """Places from -1 to 1 in the order in which the samples were taken."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
