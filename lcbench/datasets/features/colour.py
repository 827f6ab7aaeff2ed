"""Histogram of hue: which colours an image has, wherever they are and however bright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
