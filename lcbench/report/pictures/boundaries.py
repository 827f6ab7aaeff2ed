"""The plane of two features, cut by straight lines into the regions of the classes."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from lcbench.datasets.examples import LabelledSplits
from lcbench.learn.model import Model
from lcbench.report.pictures import style

_MOST_POINTS = 2000
_MOST_IN_LEGEND = 16


def unfit(model: Model) -> str:
    """Why there is no plane to draw, or nothing."""
    columns = len(model.scaling.mean)
    if columns != 2:
        return f"it classifies rows of {columns:,} {'columns' if columns > 1 else 'column'}, and a plane has 2"
    return "" if np.isfinite(model.W).all() else "its weights are not finite"


def draw(model: Model, splits: LabelledSplits) -> Figure:
    """Regions shaded, boundaries as lines, training points by class."""
    figure = style.figure(5.6, f"decision boundaries: {model.recipe.loss} on {splits.source}")
    axes = figure.subplots()
    every = -(-len(splits.train) // _MOST_POINTS)
    X, y = splits.train.X[::every].astype(np.float64), splits.train.y[::every]
    low, high = _frame(X)
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
            linewidth=0.5, zorder=2, label=style.shortened(name, 30) + ("" if len(of_class) else " (no points)"),
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


def _frame(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A rectangle around the points with room to spare."""
    low, high = X.min(axis=0), X.max(axis=0)
    room = np.where(high > low, 0.08 * (high - low), 1.0)
    return low - room, high + room


def _pale(colour: str) -> tuple[float, ...]:
    return tuple(0.75 + 0.25 * part for part in to_rgb(colour))
