"""Images of CIFAR-10's shape without CIFAR-10: from a seed, offline, in a moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 512
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
    X, y = np.empty((rows, pixels), np.uint8), np.empty(rows, np.int64)
    source = Source(pixels, classes, seed)
    for start in range(0, rows, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        source.draw(start // BLOCK_ROWS, X[block], y[block])
    return X, y


class Source:
    """Draws the images block by block. Blocks do not depend on each other, so that threads may draw them."""

    def __init__(self, pixels: int = 3072, classes: int = 10, seed: int = 0) -> None:
        self._seed, self._classes = seed, classes
        self._templates = _templates(pixels, classes, np.random.default_rng([seed]))

    def draw(self, block: int, X: NDArray[np.uint8], y: NDArray[np.integer]) -> None:
        """Fills X (n, pixels) and y (n,), n <= `BLOCK_ROWS`, with the first rows of block number `block`."""
        rows, pixels = X.shape
        runs = -(-pixels // _RUN)
        # a block is drawn whole even where fewer rows are wanted: what follows in the stream must not depend on that
        stream = _stream(block, self._seed)
        y[:] = _labels(stream, self._classes)[:rows]
        coarse = stream.integers(0, 128, (BLOCK_ROWS, runs), np.uint8)[:rows]
        fine = np.frombuffer(stream.bytes(rows * pixels), np.uint8).reshape(rows, pixels)
        # the three parts reach at most 64, 127 and 63: no sum leaves uint8
        np.right_shift(fine, 2, out=X)
        whole = pixels // _RUN * _RUN
        X[:, :whole].reshape(rows, -1, _RUN)[:] += coarse[:, : whole // _RUN, None]
        X[:, whole:] += coarse[:, whole // _RUN :]
        for label in range(self._classes):
            X[y == label] += self._templates[label]


def rows_of_all_classes(classes: int, seed: int = 0) -> int:
    """How many of the first rows it takes for each class to have one."""
    unseen, left, block = np.ones(classes, bool), classes, -1
    while left:
        block += 1
        labels, firsts = np.unique(_labels(_stream(block, seed), classes), return_index=True)
        new = unseen[labels]
        unseen[labels] = False
        left -= int(np.count_nonzero(new))
        last = int(firsts[new].max(initial=0))
    return block * BLOCK_ROWS + last + 1


def _stream(block: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 1 + block])


def _labels(stream: np.random.Generator, classes: int) -> NDArray[np.int64]:
    """Of a block: what is drawn first."""
    return stream.integers(0, classes, BLOCK_ROWS)


def _templates(pixels: int, classes: int, stream: np.random.Generator) -> NDArray[np.uint8]:
    """(classes, pixels) uint8 in [0, 64]: random knots, straight lines between them."""
    knots = np.arange(0, pixels + _RUN, _RUN)
    heights = stream.uniform(0, 64, (classes, len(knots)))
    return np.stack([np.interp(np.arange(pixels), knots, row) for row in heights]).round().astype(np.uint8)
