"""How training went: the loss of each step, and the accuracies on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcbench.learn.model import Curves, Model
from lcbench.report.pictures import style

HEIGHT = 3.6

_FEWEST_TO_SMOOTH = 40
"""Steps of which a mean over a fiftieth says something."""

_WIDE_RANGE = 20.0
"""Largest over smallest loss from which the axis is logarithmic."""


def unfit(model: Model) -> str:
    """Why the model has no curves, or nothing."""
    return "" if model.curves.losses.size else "it has not been trained a single step"


def draw(model: Model) -> Figure:
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
