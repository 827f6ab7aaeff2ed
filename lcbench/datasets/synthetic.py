"""Images of CIFAR-10's shape without CIFAR-10: from a seed, offline, in a moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
"""Rows drawn from one generator: bounds the temporaries, and makes rows independent of how many follow."""

_RUN = 64
"""Neighbouring pixels that share their coarse noise, as neighbours in photographs are alike."""


def images(
    rows: int, pixels: int = 3072, classes: int = 10, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Synthetic images (rows, pixels) uint8 and their labels (rows,) int64 in [0, classes).

    An image is its class's smooth template plus coarse and fine noise, so that a linear classifier has something to
    learn. More rows begin with the same rows: ``images(100)`` is the start of ``images(1000)``.
    """
    if min(rows, pixels, classes) < 1:
        raise ValueError(f"rows, pixels and classes must be at least 1, not {rows}, {pixels}, {classes}")
    templates = _templates(pixels, classes, np.random.default_rng([seed]))
    X = np.empty((rows, pixels), np.uint8)
    y = np.empty(rows, np.int64)
    runs = -(-pixels // _RUN)
    for start in range(0, rows, _BLOCK):
        block = X[start : start + _BLOCK]
        size = len(block)
        # a block is drawn whole even where fewer rows are wanted: what follows in the stream must not depend on that
        stream = np.random.default_rng([seed, 1 + start // _BLOCK])
        labels = stream.integers(0, classes, _BLOCK)[:size]
        coarse = stream.integers(0, 128, (_BLOCK, runs), np.uint8)[:size]
        fine = np.frombuffer(stream.bytes(size * pixels), np.uint8).reshape(size, pixels)
        # the three parts reach at most 64, 127 and 63: no sum leaves uint8
        np.right_shift(fine, 2, out=block)
        block += np.repeat(coarse, _RUN, axis=1)[:, :pixels]
        block += templates[labels]
        y[start : start + size] = labels
    return X, y


def _templates(pixels: int, classes: int, stream: np.random.Generator) -> NDArray[np.uint8]:
    """(classes, pixels) uint8 in [0, 64]: random knots, straight lines between them."""
    knots = np.arange(0, pixels + _RUN, _RUN)
    heights = stream.uniform(0, 64, (classes, len(knots)))
    return np.stack([np.interp(np.arange(pixels), knots, row) for row in heights]).round().astype(np.uint8)
