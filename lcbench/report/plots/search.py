"""Plot of a search for hyperparameters: validation accuracy over two of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lcbench.learn.search.search_file import Search, Trial, ranking
from lcbench.report.plots import style

_CELLS = ((0.95, style.NORMAL), (0.6, style.SMALL), (0.0, style.TINY))
"""Font size in points by minimum width of a cell in inches."""


def why_no_search(search: Search) -> str:
    """Return why the search has no plot, or an empty string."""
    if not search.axes:
        return "it searched no hyperparameter"
    return "no trial has ended" if len(search.waiting) == len(search.trials) else ""


def draw_search(search: Search) -> Figure:
    """Draw a grid as a heat map, random trials as coloured points.

    If there are more than two hyperparameters, the axes are the first two that vary, and each cell has its best trial.
    """
    return _heat_map(search) if search.way == "grid" else _points(search)


def _title(search: Search, shown: Sequence[str]) -> str:
    best, recipe = ranking(search.trials), search.trials[0].recipe
    accuracy = search.trials[best[0]].validation_accuracy if best else None
    error = None if accuracy is None else search.standard_error(accuracy)
    title = f"search: {recipe.loss}, " + (
        "all diverged or crashed" if accuracy is None else f"best {_percent(accuracy)}"
    )
    title += "" if error is None else f" (standard error {_percent(error)})"
    hidden = [_name(name) for name in search.axes if name not in shown]
    waiting = f", {len(search.waiting)} of {len(search.trials)} trials waiting" if search.waiting else ""
    return title + (f", best over {' and '.join(hidden)}" if hidden else "") + waiting


def _heat_map(search: Search) -> Figure:
    varying = sorted(search.axes, key=lambda name: len(search.axes[name]) == 1)[:2]
    names = [name for name in search.axes if name in varying]
    values = [search.axes[name] for name in names]
    if len(names) == 1:
        names, values = ["", *names], [[0.0], *values]
    cells = _best_in_cells(search, names, values)
    accuracies = _accuracies(cells)
    rows, columns = accuracies.shape

    figure = style.figure(max(2.6, 1.6 + 0.55 * rows), _title(search, names))
    axes = figure.subplots()
    size = next(points for inches, points in _CELLS if 0.8 * style.WIDTH / columns > inches)
    image = style.draw_heat_map(
        axes, accuracies, lambda row, column: _cell_text(cells[row][column]), _norm(accuracies, search), size
    )
    axes.set_xticks(range(columns), [style.plain(value) for value in values[1]], rotation=90 if columns > 10 else 0)
    axes.set_yticks(range(rows), [style.plain(value) for value in values[0]] if names[0] else [""])
    axes.set(xlabel=_name(names[1]), ylabel=_name(names[0]))
    if np.isfinite(accuracies).any():
        if accuracies.size > 1:
            _colour_bar(figure, axes, image)
        first = search.trials[ranking(search.trials)[0]]
        row, column = _cell(first, names, values)
        # a dark frame around a white one is visible on every colour
        for width, colour in ((4.0, style.INK), (2.0, "white")):
            axes.add_patch(
                Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor=colour, linewidth=width)
            )
    return figure


def _cell(trial: Trial, names: Sequence[str], values: Sequence[Sequence[float]]) -> tuple[int, int]:
    row, column = (
        list(axis).index(getattr(trial.recipe, name)) if name else 0 for name, axis in zip(names, values, strict=True)
    )
    return row, column


def _best_in_cells(search: Search, names: Sequence[str], values: Sequence[Sequence[float]]) -> list[list[Trial]]:
    """Return the best trial of each cell, or any trial of a cell without a model."""
    cells: dict[tuple[int, int], Trial] = {}
    ranks = {place: rank for rank, place in enumerate(ranking(search.trials))}
    worst_first = sorted(range(len(search.trials)), key=lambda place: -ranks.get(place, len(ranks)))
    for place in worst_first:
        cells[_cell(search.trials[place], names, values)] = search.trials[place]
    return [[cells[row, column] for column in range(len(values[1]))] for row in range(len(values[0]))]


def _accuracies(cells: Sequence[Sequence[Trial]]) -> NDArray[np.float64]:
    return np.array([[np.nan if (a := trial.validation_accuracy) is None else a for trial in row] for row in cells])


def _cell_text(trial: Trial) -> str:
    if trial.validation_accuracy is not None:
        return _percent(trial.validation_accuracy)
    return "" if trial.status == "waiting" else trial.status


def _points(search: Search) -> Figure:
    tried = [trial for trial in search.trials if trial.status != "waiting"]
    varying = [name for name in search.axes if len({getattr(trial.recipe, name) for trial in tried}) > 1]
    names = (varying + [name for name in search.axes if name not in varying])[:2]
    names = [name for name in search.axes if name in names]
    figure = style.figure(5.0, _title(search, list(search.axes)))
    axes = figure.subplots()
    axes.grid(True)

    found = [search.trials[place] for place in reversed(ranking(search.trials))]  # the best is drawn last, on top
    accuracies = np.array([trial.validation_accuracy for trial in found], float)
    alone = len(names) == 1
    across = names[-1]

    def at(trials: Sequence[Trial], heights: NDArray[np.float64]) -> tuple[list[float], list[float]]:
        return [getattr(t.recipe, across) for t in trials], (
            list(heights) if alone else [getattr(t.recipe, names[0]) for t in trials]
        )

    if found:
        points = axes.scatter(
            *at(found, accuracies), c=accuracies, cmap=style.SCALE, norm=_norm(accuracies, search), s=70,
            edgecolor="white", linewidth=0.6, label="trial",
        )  # fmt: skip
        if not alone:
            _colour_bar(figure, axes, points)
        x, y = (values[-1:] for values in at(found, accuracies))
        axes.scatter(x, y, s=190, facecolor="none", edgecolor=style.COLOURS[1], linewidth=1.8, label="best")
    for status, marker in (("diverged", "x"), ("crashed", "+")):
        lost = [trial for trial in tried if trial.status == status]
        if lost:
            axes.scatter(*at(lost, np.zeros(len(lost))), marker=marker, color=style.FAINT, s=45, label=status)
    if _all_positive(tried, across):
        axes.set_xscale("log")
        style.plain_ticks(axes.xaxis)
    if not alone and _all_positive(tried, names[0]):
        axes.set_yscale("log")
        style.plain_ticks(axes.yaxis)
    axes.set(xlabel=_name(across), ylabel="validation accuracy" if alone else _name(names[0]))
    if alone:
        style.percent_axis(axes.yaxis)
    style.legend_above(axes, columns=4)
    return figure


def _all_positive(trials: Sequence[Trial], name: str) -> bool:
    return min(getattr(trial.recipe, name) for trial in trials) > 0


_LEAST_ERRORS = 8.0
"""Least length of the colour scale in standard errors, so that noise does not take all colours."""


def _norm(accuracies: NDArray[np.float64], search: Search) -> Normalize:
    """Return the colour scale from the worst to the best accuracy, extended on both sides if these differ by little."""
    found = accuracies[np.isfinite(accuracies)]
    if not found.size:
        return Normalize(0, 1)
    low, high = float(found.min()), float(found.max())
    error = search.standard_error(high) or 0.0
    more = max(0.02 if high == low else 0.0, _LEAST_ERRORS * error - (high - low)) / 2
    return Normalize(low - max(more, 0.0), high + max(more, 0.0))


def _colour_bar(figure: Figure, axes: Axes, image: ScalarMappable) -> None:
    bar = figure.colorbar(image, ax=axes, label="validation accuracy")
    style.percent_axis(bar.ax.yaxis)
    bar.outline.set_visible(False)


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.1f} %"


def _name(field: str) -> str:
    return {"reg": "regularisation", "batch": "batch, rows"}.get(field, field.replace("_", " "))
