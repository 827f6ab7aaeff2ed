"""Solvers beside each other: random search against gradient descent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lcbench.learn.model import Model
from lcbench.report.pictures import curves, style
from lcbench.report.pictures.several import labels, require_one_loss

unfit = curves.unfit


def draw(models: Mapping[str, Model]) -> Figure:
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
        lowest = np.minimum.accumulate(curves.shown_losses(model))
        if model.status == "diverged":
            curves.draw_divergence(left, lowest, colour, f"{label}: diverges")
        else:
            left.plot(np.arange(1, len(lowest) + 1), lowest, color=colour, marker=curves.points(lowest), label=label)
        accuracies = model.curves.validation_accuracy
        right.plot(model.curves.steps, accuracies, color=colour, marker=curves.points(accuracies))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=1)
    return figure
