"""Each class's weights as an image: what a linear classifier looks for."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcbench.learn.model import Model
from lcbench.report.pictures import style

_TITLE_INCHES = 0.17


def unfit(model: Model) -> str:
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


def draw(model: Model) -> Figure:
    """Ten in two rows; more of them, smaller."""
    images, names = templates(model), model.class_names
    columns = _columns(len(images))
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
        axes.set_title(style.shortened(name, style.letters(cell, size)), size=size, pad=2)
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


def _columns(classes: int) -> int:
    return min(classes, 5) if classes <= 10 else min(16, ceil((1.6 * classes) ** 0.5))
