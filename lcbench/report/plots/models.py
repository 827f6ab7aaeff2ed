"""Plots of trained models: templates, training curves, boundaries, confusion, learning rates and solvers compared."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from lcbench.datasets.examples import LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn import evaluation
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe
from lcbench.report.plots import style
from lcbench.report.plots.looks import shortened

_TITLE_INCHES = 0.17

HEIGHT = 3.6

_FEWEST_TO_SMOOTH = 40
"""Steps of which a mean over a fiftieth says something."""

_WIDE_RANGE = 20.0
"""Largest over smallest loss from which the axis is logarithmic."""

_MOST_POINTS = 2000
_MOST_IN_LEGEND = 16

_MOST_WITH_NUMBERS = 20
_MOST_WITH_NAMES = 50

_HEADROOM = 30.0
"""How far above the first losses the axis goes: a run that diverges leaves the plot, and the others stay legible."""

SOLVERS = {"sgd": "gradient descent", "lbfgs": "L-BFGS", "random": "random search"}

_DIFFERENCES = (
    "data", "features", "loss", "solver", "learning_rate", "reg", "batch", "schedule", "momentum", "scaling", "margin",
    "initial_scale", "iterations", "seed",
)  # fmt: skip
"""Fields of a recipe in which models may differ, those that say most first."""

_MOST = 3
"""Differences in one label."""


def why_no_templates(model: Model) -> str:
    """Why the model has no templates, or nothing."""
    if model.recipe.features:
        return f"it classifies {' + '.join(model.recipe.features)}, not pixels"
    columns = len(model.scaling.mean)
    if model.image_shape is None or prod(model.image_shape) != columns:
        return f"its rows of {columns:,} columns are no images"
    if not {1, 3} & {model.image_shape[0], model.image_shape[2]}:
        return f"its images of {' x '.join(map(str, model.image_shape))} are neither grey nor of three colours"
    if not np.isfinite(model.W).all():
        return "its weights are not finite"
    return ""


def draw_templates(model: Model) -> Figure:
    """Ten in two rows; more of them, smaller."""
    images, names = templates(model), model.class_names
    columns = _template_columns(len(images))
    rows = ceil(len(images) / columns)
    height, width = images.shape[1:3]
    cell = style.WIDTH / max(columns, 3)
    size = float(np.clip(style.NORMAL * cell / 1.2, style.TINY, style.NORMAL))
    figure = style.figure(
        0.5 + rows * (cell * height / width + _TITLE_INCHES), f"templates: weights of {model.recipe.loss}, grey is zero"
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, name in zip(grid.flat, images, names, strict=False):
        axes.imshow(image, interpolation="nearest")
        axes.set_title(shortened(name, style.letters(cell, size)), size=size, pad=2)
    return figure


def templates(model: Model) -> NDArray[np.float64]:
    """The weights of each class in the space of raw pixels, (C, rows, columns, 3) in [0, 1].

    0.5 is a weight of zero; the largest of a class, of either sign, is 0 or 1. The scaling of the model is undone:
    these weights give raw pixels the scores, but for an offset.
    """
    weights, _ = model.scaling.folded(model.W)
    largest = np.abs(weights).max(axis=0)
    images = 0.5 + 0.5 * weights / np.where(largest > 0, largest, 1)
    return _as_colours(images.T, model.image_shape)


def _as_colours(images: NDArray[np.float64], shape: Any) -> NDArray[np.float64]:
    """(C, D) -> (C, rows, columns, 3), whether the planes of colour lie one after the other, or pixel by pixel."""
    shaped = images.reshape(-1, *shape)
    if shape[0] in (1, 3):
        shaped = shaped.transpose(0, 2, 3, 1)
    return np.repeat(shaped, 3, axis=3) if shaped.shape[3] == 1 else shaped


def _template_columns(classes: int) -> int:
    return min(classes, 5) if classes <= 10 else min(16, ceil((1.6 * classes) ** 0.5))


def why_no_curves(model: Model) -> str:
    """Why the model has no curves, or nothing."""
    return "" if model.curves.losses.size else "it has not been trained a single step"


def draw_curves(model: Model) -> Figure:
    """Loss on the left, accuracies on the right where they were looked at."""
    curves, recipe = model.curves, model.recipe
    how = {"sgd": f"SGD, learning rate {recipe.learning_rate:g}", "lbfgs": "L-BFGS", "random": "random search"}
    figure = style.figure(HEIGHT, f"{recipe.loss} by {how[recipe.solver]}, reg {recipe.reg:g}")
    left, *others = figure.subplots(1, 2 if curves.steps.size else 1, squeeze=False).flat

    losses = shown_losses(model)
    of = "batch" if recipe.solver == "sgd" else "step"
    style.curve_axes(left, "step", "loss", logarithmic=_wide(losses))
    if model.status == "diverged":
        draw_divergence(left, losses, style.colour(0), f"of each {of}, not finite after step {len(losses):,}")
    elif draw_losses(left, losses, style.colour(0), f"of each {of}"):
        left.lines[-1].set_label(f"mean over {window(len(losses))}")
    style.legend_above(left)

    for right in others:
        _draw_accuracies(right, curves)
    return figure


def _draw_accuracies(axes: Axes, curves: Curves) -> None:
    style.curve_axes(axes, "step", "accuracy")
    style.percent_axis(axes.yaxis)
    for number, (name, accuracies) in enumerate(
        (("train", curves.train_accuracy), ("validation", curves.validation_accuracy))
    ):
        axes.plot(curves.steps, accuracies, color=style.colour(number), marker=points(accuracies), label=name)
    style.legend_above(axes)


def shown_losses(model: Model) -> NDArray[np.float64]:
    """Losses until the first that is not finite: (S,) float64."""
    return until(~np.isfinite(model.curves.losses), model.curves.losses)


def until(ends: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of values (S,) lies before the first place where `ends` (S,) holds."""
    return values[: ends.argmax()] if ends.any() else values


def draw_losses(axes: Axes, losses: NDArray[np.float64], colour: str, label: str = "") -> bool:
    """Each loss; where there are many, thin, and their running mean over it. Answers whether that was drawn.

    The first loss is of step 1.
    """
    steps = np.arange(1, len(losses) + 1)
    width = window(len(losses))
    if width == 1:
        axes.plot(steps, losses, color=colour, marker=points(losses), label=label)
        return False
    axes.plot(steps, losses, color=colour, linewidth=0.6, alpha=0.4, label=label)
    half = width // 2
    axes.plot(steps[half : len(steps) - half], running_mean(losses, width), color=colour)
    return True


def draw_divergence(axes: Axes, losses: NDArray[np.float64], colour: str, label: str) -> None:
    """Each loss of a run that was lost, and a cross on the last."""
    axes.plot(
        np.arange(1, len(losses) + 1), losses, color=colour, marker="X", markevery=[-1] if len(losses) else [],
        markersize=10, markeredgecolor="white", label=label, clip_on=False, zorder=3,
    )  # fmt: skip


def window(steps: int) -> int:
    """How many steps the running mean is over, an odd number; 1 where there is none."""
    return 1 if steps < _FEWEST_TO_SMOOTH else 2 * (steps // 100) + 3


def running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over each stretch of `width` values: (S,) -> (S - width + 1,)."""
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)


def points(values: Any) -> str:
    """A marker on each point where there are few; a single one would be invisible without."""
    return "o" if len(values) <= 30 else ""


def _wide(losses: NDArray[np.float64]) -> bool:
    return bool(losses.size and losses.min() > 0 and losses.max() / losses.min() > _WIDE_RANGE)


def why_no_boundaries(model: Model) -> str:
    """Why there is no plane to draw_boundaries, or nothing."""
    columns = len(model.scaling.mean)
    if columns != 2:
        return f"it classifies rows of {columns:,} {'columns' if columns > 1 else 'column'}, and a plane has 2"
    return "" if np.isfinite(model.W).all() else "its weights are not finite"


def draw_boundaries(model: Model, splits: LabelledSplits) -> Figure:
    """Regions shaded, boundaries as lines, training points by class."""
    figure = style.figure(5.6, f"decision boundaries: {model.recipe.loss} on {splits.source}")
    axes = figure.subplots()
    every = -(-len(splits.train) // _MOST_POINTS)
    X, y = splits.train.X[::every].astype(np.float64), splits.train.y[::every]
    low, high = _rectangle_around(X)
    weights, offset = model.scaling.folded(model.W)
    for c, name in enumerate(model.class_names):
        corners = region(weights, offset, c, low, high)
        if len(corners):
            axes.add_patch(
                Polygon(corners, facecolor=_pale(style.colour(c)), edgecolor=style.INK, linewidth=1.2, zorder=1)
            )
        of_class = X[y == c]
        axes.scatter(
            of_class[:, 0], of_class[:, 1], s=30, marker=style.marker(c), color=style.colour(c), edgecolor="white",
            linewidth=0.5, zorder=2, label=shortened(name, 30) + ("" if len(of_class) else " (no points)"),
        )  # fmt: skip
    across, up = model.feature_names or ("first feature", "second feature")
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=across, ylabel=up)
    if len(model.class_names) <= _MOST_IN_LEGEND:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def region(
    weights: NDArray[np.float64],
    offset: NDArray[np.float64],
    c: int,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Corners (n, 2) of the part of the rectangle from low (2,) to high (2,) where class c has the highest score.

    Scores are x @ weights (2, C) + offset (C,). Empty where that is nowhere. A corner that is not on the rectangle's
    edge lies where c's score equals another's, so every side does that is not part of the edge. Of classes with the
    very same scores the first has the region.
    """
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    for other in range(len(offset)):
        if other != c and len(corners):
            lead = corners @ (weights[:, c] - weights[:, other]) + offset[c] - offset[other]
            if not lead.any() and other < c:
                return corners[:0]
            corners = _where_positive(corners, lead)
    return corners


def _where_positive(corners: NDArray[np.float64], lead: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon (n, 2) where a linear function, `lead` (n,) at its corners, is not negative."""
    kept = []
    for corner, value, following, next_value in zip(
        corners, lead, np.roll(corners, -1, 0), np.roll(lead, -1), strict=True
    ):
        if value >= 0:
            kept.append(corner)
        if value * next_value < 0:
            kept.append(corner + (following - corner) * (value / (value - next_value)))
    return np.array(kept) if len(kept) > 2 else corners[:0]


def _rectangle_around(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A rectangle around the points with room to spare."""
    low, high = X.min(axis=0), X.max(axis=0)
    room = np.where(high > low, 0.08 * (high - low), 1.0)
    return low - room, high + room


def _pale(colour: str) -> tuple[float, ...]:
    return tuple(0.75 + 0.25 * part for part in to_rgb(colour))


def draw_confusion(model: Model, splits: LabelledSplits) -> Figure:
    """Of the test rows: the share of each class (down) that was taken for each class (across), in percent."""
    classes, part = len(model.class_names), splits.test
    predicted = evaluation.predict(model.W, model.scaling, part.X)
    counts = evaluation.confusion(predicted, part.y, classes)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.where(rows > 0, counts / np.maximum(rows, 1), np.nan)

    accuracy = evaluation.accuracy(predicted, part.y)
    figure = style.figure(
        6.4, f"confusion in percent: {len(part):,} test rows of {splits.source}, {100 * accuracy:.1f} % right"
    )
    axes = figure.subplots()
    names = [shortened(name, 16) for name in model.class_names]

    def text(row: int, column: int) -> str:
        return f"{100 * shares[row, column]:.0f}" if classes <= _MOST_WITH_NUMBERS and counts[row, column] else ""

    style.heat(axes, shares, text, Normalize(0, 1), style.SMALL if classes > 12 else style.NORMAL, style.SHARES)
    if classes <= _MOST_WITH_NAMES:
        size = style.SMALL if classes <= _MOST_WITH_NUMBERS else style.TINY
        axes.set_xticks(range(classes), names, rotation=90 if classes > 5 else 0, size=size)
        axes.set_yticks(range(classes), names, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def why_no_learning_rates(model: Model) -> str:
    """Why the model cannot be drawn, or nothing."""
    if model.recipe.solver != "sgd":
        return f"it was trained by {model.recipe.solver}, which has no learning rate"
    return why_no_curves(model)


def draw_learning_rates(models: Mapping[str, Model]) -> Figure:
    """The losses of each on one logarithmic axis, the smallest learning rate first."""
    require_one_loss(models)
    ordered = dict(sorted(models.items(), key=lambda named: named[1].recipe.learning_rate))
    figure = style.figure(4.2, f"learning rates: {next(iter(ordered.values())).recipe.loss} loss")
    axes = figure.subplots()
    style.curve_axes(axes, "step", "loss", logarithmic=True)
    first_losses = [shown_losses(model)[:1] for model in models.values()]
    highest = _HEADROOM * max(np.concatenate(first_losses), default=1.0)
    for number, (name, label) in enumerate(labels(ordered, "learning_rate").items()):
        model, colour = ordered[name], style.colour(number)
        losses = shown_losses(model)
        if model.status == "diverged":
            visible = until(losses > highest, losses)
            draw_divergence(axes, visible, colour, f"{label}: diverges, not finite after step {len(losses):,}")
        else:
            draw_losses(axes, losses, colour)
            axes.lines[-1].set_label(label)
    style.legend_above(axes, columns=1 if len(models) <= 5 else 2)
    return figure


def draw_descents(models: Mapping[str, Model]) -> Figure:
    """The lowest loss so far on the left, the validation accuracy on the right, one colour a model."""
    require_one_loss(models)
    loss = next(iter(models.values())).recipe.loss
    figure = style.figure(3.6 + 0.17 * len(models), f"ways down the {loss} loss")
    left, right = figure.subplots(1, 2)
    style.curve_axes(left, "step", "lowest loss so far", logarithmic=True)
    style.curve_axes(right, "step", "validation accuracy")
    style.percent_axis(right.yaxis)
    for number, (name, label) in enumerate(labels(models, "solver").items()):
        model, colour = models[name], style.colour(number)
        lowest = np.minimum.accumulate(shown_losses(model))
        if model.status == "diverged":
            draw_divergence(left, lowest, colour, f"{label}: diverges")
        else:
            left.plot(np.arange(1, len(lowest) + 1), lowest, color=colour, marker=points(lowest), label=label)
        accuracies = model.curves.validation_accuracy
        right.plot(model.curves.steps, accuracies, color=colour, marker=points(accuracies))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=1)
    return figure


def require_one_loss(models: Mapping[str, Model]) -> None:
    """Raises LcbenchError where models were trained to lower different losses, which are not to be compared."""
    losses = {model.recipe.loss: name for name, model in models.items()}
    if len(losses) > 1:
        told = " and ".join(f"{name} has {loss}" for loss, name in losses.items())
        raise LcbenchError(f"losses of different kinds cannot share an axis: {told}; draw models of one loss")


def labels(models: Mapping[str, Model], always: str) -> dict[str, str]:
    """A label for each model, by the name of its file: the field `always`, and what else tells them apart.

    The file's name where the recipes are the same, or too many.
    """
    recipes = {name: model.recipe for name, model in models.items()}
    differing = [field for field in _DIFFERENCES if len({repr(getattr(r, field)) for r in recipes.values()}) > 1]
    fields = [always, *(field for field in differing if field != always)][:_MOST]
    found = {
        name: ", ".join(_said(recipe, field) for field in fields if _said(recipe, field))
        for name, recipe in recipes.items()
    }
    if len(set(found.values())) < len(found):
        return {name: f"{label} ({Path(name).stem})" for name, label in found.items()}
    return found


def _said(recipe: Recipe, field: str) -> str:
    value: Any = getattr(recipe, field)
    if field == "solver":
        return SOLVERS[value]
    if field in ("learning_rate", "schedule", "momentum") and recipe.solver != "sgd":
        return ""
    if field == "batch" and recipe.solver == "lbfgs":
        return "all rows"
    if field == "features":
        return " + ".join(value) or "pixels"
    written = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{field.replace('_', ' ')} {written}"
