"""Learning rates beside each other: too large, too small, right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lcbench.learn.model import Model
from lcbench.report.pictures import curves, style
from lcbench.report.pictures.several import labels, require_one_loss

_HEADROOM = 30.0
"""How far above the first losses the axis goes: a run that diverges leaves the picture, and the others stay legible."""


def unfit(model: Model) -> str:
    """Why the model cannot be drawn, or nothing."""
    if model.recipe.solver != "sgd":
        return f"it was trained by {model.recipe.solver}, which has no learning rate"
    return curves.unfit(model)


def draw(models: Mapping[str, Model]) -> Figure:
    """The losses of each on one logarithmic axis, the smallest learning rate first."""
    require_one_loss(models)
    ordered = dict(sorted(models.items(), key=lambda named: named[1].recipe.learning_rate))
    figure = style.figure(4.2, f"learning rates: {next(iter(ordered.values())).recipe.loss} loss")
    axes = figure.subplots()
    style.curve_axes(axes, "step", "loss", logarithmic=True)
    first_losses = [curves.shown_losses(model)[:1] for model in models.values()]
    highest = _HEADROOM * max(np.concatenate(first_losses), default=1.0)
    for number, (name, label) in enumerate(labels(ordered, "learning_rate").items()):
        model, colour = ordered[name], style.colour(number)
        losses = curves.shown_losses(model)
        if model.status == "diverged":
            visible = curves.until(losses > highest, losses)
            curves.draw_divergence(axes, visible, colour, f"{label}: diverges, not finite after step {len(losses):,}")
        else:
            curves.draw_losses(axes, losses, colour)
            axes.lines[-1].set_label(label)
    style.legend_above(axes, columns=1 if len(models) <= 5 else 2)
    return figure
