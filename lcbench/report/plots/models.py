"""Plots of trained models: templates, curves, decision boundaries, confusion, and comparisons of models."""

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
from lcbench.report.plots.line_styles import shorten

_TITLE_INCHES = 0.17

HEIGHT = 3.6

_FEWEST_TO_SMOOTH = 40
"""Steps from which a running mean is drawn."""

_WIDE_RANGE = 20.0
"""Ratio of the largest to the smallest loss from which the axis is logarithmic."""

_MOST_POINTS = 2000
_MOST_IN_LEGEND = 16

_MOST_WITH_NUMBERS = 20
_MOST_WITH_NAMES = 50

_HEADROOM = 30.0
"""Upper limit of the axis as a multiple of the largest first loss: beside a diverging run, the others stay legible."""

SOLVERS = {"sgd": "gradient descent", "lbfgs": "L-BFGS", "random": "random search"}

_DIFFERENCES = (
    "data", "features", "loss", "solver", "learning_rate", "reg", "batch", "schedule", "momentum", "scaling", "margin",
    "initial_scale", "iterations", "seed",
)  # fmt: skip
"""Fields of a recipe in which models can differ, the most important first."""

_MOST = 3
"""Maximum number of fields in a label."""


def why_no_templates(model: Model) -> str:
    """Return why the model has no templates, or an empty string."""
    if model.recipe.features:
        return f"it classifies {' + '.join(model.recipe.features)}, not pixels"
    columns = len(model.scaling.mean)
    if model.image_shape is None or prod(model.image_shape) != columns:
        return f"its rows of {columns:,} columns are not images"
    if not {1, 3} & {model.image_shape[0], model.image_shape[2]}:
        return f"its images of {' x '.join(map(str, model.image_shape))} have neither one nor three colours"
    if not np.isfinite(model.W).all():
        return "its weights are not finite"
    return ""


def draw_templates(model: Model) -> Figure:
    """Draw the weights of each class as an image: ten classes in two rows, more classes smaller."""
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
        axes.set_title(shorten(name, style.max_letters(cell, size)), size=size, pad=2)
    return figure


def templates(model: Model) -> NDArray[np.float64]:
    """Return the weights of each class in the space of raw pixels, (C, rows, columns, 3) in [0, 1].

    A weight of zero is 0.5; the largest absolute weight of a class is 0 or 1. The scaling of the model is undone: these
    weights applied to raw pixels give the scores, up to an offset.
    """
    weights, _ = model.scaling.folded(model.W)
    largest = np.abs(weights).max(axis=0)
    images = 0.5 + 0.5 * weights / np.where(largest > 0, largest, 1)
    return _as_colours(images.T, model.image_shape)


def _as_colours(images: NDArray[np.float64], shape: Any) -> NDArray[np.float64]:
    """Return images (C, D) as (C, rows, columns, 3), whether the colour planes or the pixels are contiguous."""
    shaped = images.reshape(-1, *shape)
    if shape[0] in (1, 3):
        shaped = shaped.transpose(0, 2, 3, 1)
    return np.repeat(shaped, 3, axis=3) if shaped.shape[3] == 1 else shaped


def _template_columns(classes: int) -> int:
    return min(classes, 5) if classes <= 10 else min(16, ceil((1.6 * classes) ** 0.5))


def why_no_curves(model: Model) -> str:
    """Return why the model has no curves, or an empty string."""
    return "" if model.curves.losses.size else "it has no training step"


def draw_curves(model: Model) -> Figure:
    """Draw the losses on the left, and the accuracies, if there are any, on the right."""
    curves, recipe = model.curves, model.recipe
    how = {"sgd": f"SGD, learning rate {recipe.learning_rate:g}", "lbfgs": "L-BFGS", "random": "random search"}
    figure = style.figure(HEIGHT, f"{recipe.loss} by {how[recipe.solver]}, reg {recipe.reg:g}")
    left, *others = figure.subplots(1, 2 if curves.steps.size else 1, squeeze=False).flat

    losses = shown_losses(model)
    of = "batch" if recipe.solver == "sgd" else "step"
    style.set_up_curve_axes(left, "step", "loss", logarithmic=_has_wide_range(losses))
    if model.status == "diverged":
        draw_divergence(left, losses, style.colour(0), f"of each {of}, not finite after step {len(losses):,}")
    elif draw_losses(left, losses, style.colour(0), f"of each {of}"):
        left.lines[-1].set_label(f"mean over {window(len(losses))}")
    style.legend_above(left)

    for right in others:
        _draw_accuracies(right, curves)
    return figure


def _draw_accuracies(axes: Axes, curves: Curves) -> None:
    style.set_up_curve_axes(axes, "step", "accuracy")
    style.percent_axis(axes.yaxis)
    for number, (name, accuracies) in enumerate(
        (("train", curves.train_accuracy), ("validation", curves.validation_accuracy))
    ):
        axes.plot(curves.steps, accuracies, color=style.colour(number), marker=few_marker(accuracies), label=name)
    style.legend_above(axes)


def shown_losses(model: Model) -> NDArray[np.float64]:
    """Return the losses before the first that is not finite: (S,) float64."""
    return before_first(~np.isfinite(model.curves.losses), model.curves.losses)


def before_first(ends: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values (S,) before the first place where `ends` (S,) is true."""
    return values[: ends.argmax()] if ends.any() else values


def draw_losses(axes: Axes, losses: NDArray[np.float64], colour: str, label: str = "") -> bool:
    """Draw the losses from step 1 and, if there are many, their running mean. Return whether the mean was drawn."""
    steps = np.arange(1, len(losses) + 1)
    width = window(len(losses))
    if width == 1:
        axes.plot(steps, losses, color=colour, marker=few_marker(losses), label=label)
        return False
    axes.plot(steps, losses, color=colour, linewidth=0.6, alpha=0.4, label=label)
    half = width // 2
    axes.plot(steps[half : len(steps) - half], running_mean(losses, width), color=colour)
    return True


def draw_divergence(axes: Axes, losses: NDArray[np.float64], colour: str, label: str) -> None:
    """Draw the losses of a diverged run, with a cross at the last one."""
    axes.plot(
        np.arange(1, len(losses) + 1), losses, color=colour, marker="X", markevery=[-1] if len(losses) else [],
        markersize=10, markeredgecolor="white", label=label, clip_on=False, zorder=3,
    )  # fmt: skip


def window(steps: int) -> int:
    """Return the width of the running mean in steps, an odd number; 1 means no running mean."""
    return 1 if steps < _FEWEST_TO_SMOOTH else 2 * (steps // 100) + 3


def running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the mean over each window of `width` values: (S,) -> (S - width + 1,)."""
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)


def few_marker(values: Any) -> str:
    """Return the marker of a curve: few points have markers, because a single point would be invisible without."""
    return "o" if len(values) <= 30 else ""


def _has_wide_range(losses: NDArray[np.float64]) -> bool:
    return bool(losses.size and losses.min() > 0 and losses.max() / losses.min() > _WIDE_RANGE)


def why_no_boundaries(model: Model) -> str:
    """Return why the model has no decision boundaries in a plane, or an empty string."""
    columns = len(model.scaling.mean)
    if columns != 2:
        return f"it classifies rows of {columns:,} {'columns' if columns > 1 else 'column'}, and a plane has 2"
    return "" if np.isfinite(model.W).all() else "its weights are not finite"


def draw_boundaries(model: Model, splits: LabelledSplits) -> Figure:
    """Draw the decision regions and the training points by class."""
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
            linewidth=0.5, zorder=2, label=shorten(name, 30) + ("" if len(of_class) else " (no points)"),
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
    """Return the corners (n, 2) of the part of a rectangle in which class c has the highest score.

    The rectangle has the corners low (2,) and high (2,). Scores are x @ weights (2, C) + offset (C,). The result is
    empty if there is no such part. Its sides are parts of the rectangle's edge or lie where the score of c equals
    another score. If classes have identical scores, the first one has the region.
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
    """Return the part of a convex polygon (n, 2) in which a linear function is not negative.

    lead: values (n,) of the function at the corners.
    """
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
    """Return the corners of a rectangle around the points, with a margin."""
    low, high = X.min(axis=0), X.max(axis=0)
    room = np.where(high > low, 0.08 * (high - low), 1.0)
    return low - room, high + room


def _pale(colour: str) -> tuple[float, ...]:
    return tuple(0.75 + 0.25 * part for part in to_rgb(colour))


def draw_confusion(model: Model, splits: LabelledSplits) -> Figure:
    """Draw the confusion matrix of the test rows in percent: rows are true classes, columns are predicted classes."""
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
    names = [shorten(name, 16) for name in model.class_names]

    def text(row: int, column: int) -> str:
        return f"{100 * shares[row, column]:.0f}" if classes <= _MOST_WITH_NUMBERS and counts[row, column] else ""

    style.draw_heat_map(
        axes, shares, text, Normalize(0, 1), style.SMALL if classes > 12 else style.NORMAL, style.SHARES
    )
    if classes <= _MOST_WITH_NAMES:
        size = style.SMALL if classes <= _MOST_WITH_NUMBERS else style.TINY
        axes.set_xticks(range(classes), names, rotation=90 if classes > 5 else 0, size=size)
        axes.set_yticks(range(classes), names, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def why_no_learning_rates(model: Model) -> str:
    """Return why the model has no plot of learning rates, or an empty string."""
    if model.recipe.solver != "sgd":
        return f"it was trained by {model.recipe.solver}, which has no learning rate"
    return why_no_curves(model)


def draw_learning_rates(models: Mapping[str, Model]) -> Figure:
    """Draw the losses of all models on one logarithmic axis, the smallest learning rate first."""
    require_one_loss(models)
    ordered = dict(sorted(models.items(), key=lambda named: named[1].recipe.learning_rate))
    figure = style.figure(4.2, f"learning rates: {next(iter(ordered.values())).recipe.loss} loss")
    axes = figure.subplots()
    style.set_up_curve_axes(axes, "step", "loss", logarithmic=True)
    first_losses = [shown_losses(model)[:1] for model in models.values()]
    highest = _HEADROOM * max(np.concatenate(first_losses), default=1.0)
    for number, (name, label) in enumerate(labels(ordered, "learning_rate").items()):
        model, colour = ordered[name], style.colour(number)
        losses = shown_losses(model)
        if model.status == "diverged":
            visible = before_first(losses > highest, losses)
            draw_divergence(axes, visible, colour, f"{label}: diverges, not finite after step {len(losses):,}")
        else:
            draw_losses(axes, losses, colour)
            axes.lines[-1].set_label(label)
    style.legend_above(axes, columns=1 if len(models) <= 5 else 2)
    return figure


def draw_descents(models: Mapping[str, Model]) -> Figure:
    """Draw the lowest loss so far on the left and the validation accuracy on the right, a colour for each model."""
    require_one_loss(models)
    loss = next(iter(models.values())).recipe.loss
    figure = style.figure(3.6 + 0.17 * len(models), f"solvers: {loss} loss")
    left, right = figure.subplots(1, 2)
    style.set_up_curve_axes(left, "step", "lowest loss so far", logarithmic=True)
    style.set_up_curve_axes(right, "step", "validation accuracy")
    style.percent_axis(right.yaxis)
    for number, (name, label) in enumerate(labels(models, "solver").items()):
        model, colour = models[name], style.colour(number)
        lowest = np.minimum.accumulate(shown_losses(model))
        if model.status == "diverged":
            draw_divergence(left, lowest, colour, f"{label}: diverges")
        else:
            left.plot(np.arange(1, len(lowest) + 1), lowest, color=colour, marker=few_marker(lowest), label=label)
        accuracies = model.curves.validation_accuracy
        right.plot(model.curves.steps, accuracies, color=colour, marker=few_marker(accuracies))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=1)
    return figure


def require_one_loss(models: Mapping[str, Model]) -> None:
    """Raise LcbenchError if the models were trained with different losses, which are not comparable."""
    losses = {model.recipe.loss: name for name, model in models.items()}
    if len(losses) > 1:
        listed = " and ".join(f"{name} has {loss}" for loss, name in losses.items())
        raise LcbenchError(f"different losses cannot share an axis: {listed}; name models of one loss")


def labels(models: Mapping[str, Model], always: str) -> dict[str, str]:
    """Return a label for each model by the name of its file: the field `always`, and fields in which the models differ.

    If labels would be the same, the name of the file is added.
    """
    recipes = {name: model.recipe for name, model in models.items()}
    differing = [field for field in _DIFFERENCES if len({repr(getattr(r, field)) for r in recipes.values()}) > 1]
    fields = [always, *(field for field in differing if field != always)][:_MOST]
    found = {
        name: ", ".join(_field_text(recipe, field) for field in fields if _field_text(recipe, field))
        for name, recipe in recipes.items()
    }
    if len(set(found.values())) < len(found):
        return {name: f"{label} ({Path(name).stem})" for name, label in found.items()}
    return found


def _field_text(recipe: Recipe, field: str) -> str:
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
