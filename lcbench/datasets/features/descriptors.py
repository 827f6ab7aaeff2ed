"""Square images of three colour planes, as CIFAR-10 stores them: red, green, blue, each row by row."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANES = 3


def side_of(pixels: int) -> int:
    """Rows and columns of a square image of three planes, `pixels` numbers in all. Raises ValueError where none is."""
    side = isqrt(pixels // PLANES)
    if side < 1 or PLANES * side * side != pixels:
        raise ValueError(f"{pixels} numbers are no square image of three planes")
    return side


def planes(images: NDArray[np.uint8]) -> NDArray[Any]:
    """images (N, 3 * side * side) as (N, 3, side, side), without a copy where they are contiguous."""
    side = side_of(images.shape[1])
    return images.reshape(-1, PLANES, side, side)


# Histogram of hue: which colours an image has, wherever they are and however bright.

BINS = 10
"""As in the cs231n assignment."""


def hue_histogram(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of pixels in each of BINS equal ranges of hue: images (N, 3 * pixels) -> (N, BINS) float32.

    Hue as HSV has it (Smith, "Color gamut transform pairs", SIGGRAPH 1978); grey has the hue of red, 0. Counted in
    whole numbers, so that a hue on the border of two ranges is in the upper one.
    """
    rows = len(images)
    red, green, blue = np.moveaxis(images.reshape(rows, 3, -1).astype(np.int32), 1, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    spread = highest - np.minimum(np.minimum(red, green), blue)
    # Hue in sixths of the circle, times the spread: from red by way of green (2) and blue (4) back to red (6).
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


# Histograms of oriented gradients by scikit-image: in which directions an image's edges run, cell by cell.
#
# Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005).

HOG_SETTINGS: dict[str, Any] = {
    "orientations": 9,
    "pixels_per_cell": (4, 4),
    "cells_per_block": (2, 2),
    "block_norm": "L2-Hys",
}
"""Of `skimage.feature.hog`. Each pixel has the gradient of the colour in which it is steepest, as the paper has it."""


def hog_dimensions(side: int) -> int:
    """Numbers that `hog` gives for an image of side x side pixels."""
    blocks = side // HOG_SETTINGS["pixels_per_cell"][0] - HOG_SETTINGS["cells_per_block"][0] + 1
    across, down = HOG_SETTINGS["cells_per_block"]
    return int(blocks * blocks * across * down * HOG_SETTINGS["orientations"])


def hog(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """images (N, 3 * side * side) -> (N, dimensions(side)) float32. Needs scikit-image."""
    from skimage import feature

    coloured = planes(images)
    found = np.empty((len(images), hog_dimensions(coloured.shape[2])), np.float32)
    for row, image in enumerate(coloured):
        found[row] = feature.hog(image, channel_axis=0, **HOG_SETTINGS)
    return found


# The gradient histogram of Stanford's cs231n assignment, with what is wrong in it, as thousands of reports use it.
#
# It differs from Dalal & Triggs' in three ways, and each costs information:
#
# - angles reach from -90 to 270 degrees but bins only from 0 to 180: a pixel that gets darker to the right is dropped;
# - grey is 0.299 red + 0.587 green + 0.144 blue, where the standard has 0.114 (ITU-R BT.601);
# - cells are not normalised against their neighbours.

ORIENTATIONS = 9
CELL = 8
"""Pixels along each side of a cell."""

GREY = (0.299, 0.587, 0.144)


def hog_assignment_dimensions(side: int) -> int:
    """Numbers that `hog_assignment` gives for an image of side x side pixels."""
    return (side // CELL) ** 2 * ORIENTATIONS


def hog_assignment(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean gradient magnitude by orientation: images (N, 3 * side * side) -> (N, dimensions(side)) float32.

    Cells column by column of the image, as the assignment orders them, ORIENTATIONS numbers each.
    """
    grey = np.einsum("npyx,p->nyx", planes(images), GREY)
    rows, side = grey.shape[:2]
    right, down = np.zeros_like(grey), np.zeros_like(grey)
    right[:, :, :-1] = np.diff(grey, axis=2)
    down[:, :-1, :] = np.diff(grey, axis=1)
    magnitude = np.hypot(right, down)
    angle = np.degrees(np.arctan2(down, right + 1e-15)) + 90
    kept = (angle > 0) & (angle < 180)

    cells = side // CELL
    cell = np.minimum(np.arange(side) // CELL, cells)  # pixels behind the last whole cell go into one that is cut off
    place = cell[None, None, :] * (cells + 1) + cell[None, :, None]
    place = place + np.arange(rows)[:, None, None] * (cells + 1) ** 2
    orientation = np.floor(angle[kept] * ORIENTATIONS / 180).astype(np.int64)
    sums = np.bincount(
        place[kept] * ORIENTATIONS + orientation,
        weights=magnitude[kept],
        minlength=rows * (cells + 1) ** 2 * ORIENTATIONS,
    )
    histogram = sums.reshape(rows, cells + 1, cells + 1, ORIENTATIONS)[:, :cells, :cells]
    return (histogram / CELL**2).reshape(rows, -1).astype(np.float32)
