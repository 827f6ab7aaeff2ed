"""From pixels to the matrices of the cs231n assignment: the mean image, the ones column, standardising, the splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_BLOCK_BYTES = 8_000_000
"""Of float64 at a time, where sums over rows need it."""


def mean_image(images: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over rows: images (N, pixels) -> (pixels,) float64."""
    mean: NDArray[np.float64] = images.mean(axis=0, dtype=np.float64)
    return mean


def design_matrix(
    images: NDArray[np.uint8], mean: NDArray[np.float64], dtype: DTypeLike = np.float32
) -> NDArray[np.floating]:
    """images (N, pixels) minus mean (pixels,), and a column of ones last: X (N, pixels + 1), C-contiguous.

    The difference is taken in float64 and rounded once to `dtype` (float32 or float64), without a second matrix.
    """
    rows, pixels = images.shape
    X = np.empty((rows, pixels + 1), dtype)
    np.subtract(images, mean, out=X[:, :pixels], dtype=np.float64, casting="same_kind")
    X[:, pixels] = 1
    return X


def standardisation(X: NDArray[Any], ddof: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column of X (N, D): two of (D,) float64, 1 for a column that is constant.

    (X - mean) / deviation is then standardised. ddof: the deviation divides by N - ddof; 1 gives that of a sample.
    Summed in float64, block by block: no float64 copy of X is made. Raises ValueError where N <= ddof.
    """
    rows, columns = X.shape
    if rows <= ddof:
        raise ValueError(f"the deviation of {rows} rows does not exist with ddof {ddof}")
    block_rows = max(1, _BLOCK_BYTES // (8 * max(1, columns)))
    blocks = [slice(start, start + block_rows) for start in range(0, rows, block_rows)]
    total, squares = np.zeros(columns), np.zeros(columns)
    for block in blocks:
        total += X[block].sum(axis=0, dtype=np.float64)
    mean = total / rows
    for block in blocks:
        squares += np.square(X[block] - mean).sum(axis=0)
    # Rounding of the mean alone leaves a constant column this much: dividing by it would make noise of nothing.
    squares[squares <= rows * np.square(np.finfo(np.float64).eps * rows * mean)] = 0
    deviation = np.sqrt(squares / (rows - ddof))
    deviation[deviation == 0] = 1
    return mean, deviation


@dataclass(frozen=True)
class Splits:
    """Which rows are for what. train, validation and dev are rows of the training set, test of the test set.

    dev (rows,) int64: a random sample of train, small enough for a slow implementation.
    """

    train: slice
    validation: slice
    test: slice
    dev: NDArray[np.int64]


def split_train_validation_test_dev(
    train: int = 49_000, validation: int = 1_000, test: int = 1_000, dev: int = 500, seed: int = 0
) -> Splits:
    """The assignment's protocol: train is the first rows, validation the next, test the first of the test set."""
    sample = np.random.default_rng(seed).choice(train, dev, replace=False)
    return Splits(slice(0, train), slice(train, train + validation), slice(0, test), sample)
