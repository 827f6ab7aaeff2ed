"""The gradient histogram of Stanford's cs231n assignment, with what is wrong in it, as thousands of reports use it.

It differs from Dalal & Triggs' in three ways, and each costs information:

- angles reach from -90 to 270 degrees but bins only from 0 to 180: a pixel that gets darker to the right is dropped;
- grey is 0.299 red + 0.587 green + 0.144 blue, where the standard has 0.114 (ITU-R BT.601);
- cells are not normalised against their neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features.square import planes

ORIENTATIONS = 9
CELL = 8
"""Pixels along each side of a cell."""

GREY = (0.299, 0.587, 0.144)


def dimensions(side: int) -> int:
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
