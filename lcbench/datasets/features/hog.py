"""Histograms of oriented gradients by scikit-image: in which directions an image's edges run, cell by cell.

Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features.square import planes

SETTINGS: dict[str, Any] = {
    "orientations": 9,
    "pixels_per_cell": (4, 4),
    "cells_per_block": (2, 2),
    "block_norm": "L2-Hys",
}
"""Of `skimage.feature.hog`. Each pixel has the gradient of the colour in which it is steepest, as the paper has it."""


def dimensions(side: int) -> int:
    """Numbers that `hog` gives for an image of side x side pixels."""
    blocks = side // SETTINGS["pixels_per_cell"][0] - SETTINGS["cells_per_block"][0] + 1
    across, down = SETTINGS["cells_per_block"]
    return int(blocks * blocks * across * down * SETTINGS["orientations"])


def hog(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """images (N, 3 * side * side) -> (N, dimensions(side)) float32. Needs scikit-image."""
    from skimage import feature

    coloured = planes(images)
    found = np.empty((len(images), dimensions(coloured.shape[2])), np.float32)
    for row, image in enumerate(coloured):
        found[row] = feature.hog(image, channel_axis=0, **SETTINGS)
    return found
