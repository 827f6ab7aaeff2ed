"""Histograms of hue and of oriented gradients.

Images are square and have three colour planes, as CIFAR-10 stores them: red, green, blue, each row by row.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANES = 3


def side_of(pixels: int) -> int:
    """Return the side of a square image of `pixels` values in three planes. Raise ValueError if there is none."""
    side = isqrt(pixels // PLANES)
    if side < 1 or PLANES * side * side != pixels:
        raise ValueError(f"{pixels} values are no square image of three planes")
    return side


def planes(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Return images (N, 3 * side * side) as (N, 3, side, side), without a copy if they are contiguous."""
    side = side_of(images.shape[1])
    return images.reshape(-1, PLANES, side, side)


# Histogram of hue

BINS = 10
"""Number of ranges of hue, as in the cs231n assignment."""


def hue_histogram(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the fraction of pixels in each of BINS equal ranges of hue, for images (N, 3 * pixels): (N, BINS) float32.

    Hue is that of HSV (Smith, "Color gamut transform pairs", SIGGRAPH 1978); grey has the hue of red, 0. It is computed
    in integers, so that a hue on the border of two ranges counts for the upper one.
    """
    rows = len(images)
    red, green, blue = np.moveaxis(images.reshape(rows, 3, -1).astype(np.int32), 1, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    spread = highest - np.minimum(np.minimum(red, green), blue)
    # Hue in sixths of the circle, multiplied by the spread: red is 0 and 6, green 2, blue 4.
    sixths = np.where(
        red == highest,
        green - blue,
        np.where(green == highest, 2 * spread + blue - red, 4 * spread + red - green),
    )
    circle = np.maximum(6 * spread, 1)
    bins = sixths % circle * BINS // circle
    cells = bins + BINS * np.arange(rows, dtype=np.int32)[:, None]
    counts = np.bincount(cells.ravel(), minlength=rows * BINS).reshape(rows, BINS)
    return (counts / max(1, bins.shape[1])).astype(np.float32)


# Histograms of oriented gradients (scikit-image)

HOG_SETTINGS: dict[str, Any] = {
    "orientations": 9,
    "pixels_per_cell": (4, 4),
    "cells_per_block": (2, 2),
    "block_norm": "L2-Hys",
}
"""Arguments of `skimage.feature.hog`. As in the paper, the gradient of a pixel is that of its steepest colour plane."""


def hog_dimensions(side: int) -> int:
    """Return the number of values that `hog` computes for an image of side x side pixels."""
    blocks = side // HOG_SETTINGS["pixels_per_cell"][0] - HOG_SETTINGS["cells_per_block"][0] + 1
    across, down = HOG_SETTINGS["cells_per_block"]
    return int(blocks * blocks * across * down * HOG_SETTINGS["orientations"])


def hog(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return histograms of oriented gradients of images (N, 3 * side * side): (N, hog_dimensions(side)) float32.

    Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005). Needs scikit-image.
    """
    from skimage import feature

    coloured = planes(images)
    found = np.empty((len(images), hog_dimensions(coloured.shape[2])), np.float32)
    for row, image in enumerate(coloured):
        found[row] = feature.hog(image, channel_axis=0, **HOG_SETTINGS)
    return found


# Gradient histogram of the cs231n assignment, with its flaws

ORIENTATIONS = 9
CELL = 8
"""Rows and columns of a cell."""

_GREY = (0.299, 0.587, 0.144)


def hog_assignment_dimensions(side: int) -> int:
    """Return the number of values that `hog_assignment` computes for an image of side x side pixels."""
    return (side // CELL) ** 2 * ORIENTATIONS


def hog_assignment(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the histograms of Stanford's cs231n assignment for images (N, 3 * side * side): mean gradient magnitudes.

    The result is (N, hog_assignment_dimensions(side)) float32: ORIENTATIONS values for each cell, cells column by
    column, as in the assignment. Its flaws are kept, since published results rest on them. It differs from Dalal &
    Triggs (2005) in three ways, each of which loses information:

    - Angles range from -90 to 270 degrees but bins only from 0 to 180, so pixels that get darker to the right are lost.
    - Grey is 0.299 red + 0.587 green + 0.144 blue; the standard has 0.114 for blue (ITU-R BT.601).
    - Cells are not normalised by their neighbours.
    """
    grey = np.einsum("npyx,p->nyx", planes(images), _GREY)
    rows, side = grey.shape[:2]
    right, down = np.zeros_like(grey), np.zeros_like(grey)
    right[:, :, :-1] = np.diff(grey, axis=2)
    down[:, :-1, :] = np.diff(grey, axis=1)
    magnitude = np.hypot(right, down)
    angle = np.degrees(np.arctan2(down, right + 1e-15)) + 90
    kept = (angle > 0) & (angle < 180)

    cells = side // CELL
    cell = np.minimum(np.arange(side) // CELL, cells)  # pixels after the last whole cell go to a cell that is dropped
    index = cell[None, None, :] * (cells + 1) + cell[None, :, None]
    index = index + np.arange(rows)[:, None, None] * (cells + 1) ** 2
    orientation = np.floor(angle[kept] * ORIENTATIONS / 180).astype(np.int64)
    sums = np.bincount(
        index[kept] * ORIENTATIONS + orientation,
        weights=magnitude[kept],
        minlength=rows * (cells + 1) ** 2 * ORIENTATIONS,
    )
    histogram = sums.reshape(rows, cells + 1, cells + 1, ORIENTATIONS)[:, :cells, :cells]
    return (histogram / CELL**2).reshape(rows, -1).astype(np.float32)
