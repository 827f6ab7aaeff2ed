"""From pixels to the matrices of the cs231n assignment: the mean image, the ones column, standardising, the splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.rows import Rows, blocks
from lcbench.progress import ProgressCallback, no_progress

_BLOCK_BYTES = 8_000_000
"""Of float64 at a time, where sums over rows need it."""

_SUMMED_BYTES = 4_000_000
"""Of X at a time, where it is only added up."""


def mean_image(images: Rows, progress: ProgressCallback = no_progress) -> NDArray[np.float64]:
    """Mean over rows: images (N, pixels) -> (pixels,) float64. Summed block by block; progress: is told how far."""
    rows, pixels = images.shape
    total = np.zeros(pixels)
    for _, block in blocks(images, _rows_of(_SUMMED_BYTES, pixels, images.dtype.itemsize), "mean", progress):
        total += _sum(block)
    mean: NDArray[np.float64] = total / rows
    return mean


def _rows_of(size: int, columns: int, itemsize: int) -> int:
    return max(1, size // (itemsize * max(1, columns)))


def _sum(block: NDArray[Any]) -> NDArray[Any]:
    """Over rows. Of pixels in whole numbers: exact as in float64, and faster."""
    exact = block.dtype == np.uint8 and len(block) < 2**24
    total: NDArray[Any] = block.sum(axis=0, dtype=np.uint32 if exact else np.float64)
    return total


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


def standardisation(
    X: Rows, ddof: int = 0, progress: ProgressCallback = no_progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column of X (N, D): two of (D,) float64, 1 for a column that is constant.

    (X - mean) / deviation is then standardised. ddof: the deviation divides by N - ddof; 1 gives that of a sample.
    Summed in float64, block by block: no float64 copy of X is made. progress: is told how far. Raises ValueError where
    N <= ddof.
    """
    rows, columns = X.shape
    if rows <= ddof:
        raise ValueError(f"the deviation of {rows} rows does not exist with ddof {ddof}")
    mean, squares = mean_image(X, progress), np.zeros(columns)
    for _, block in blocks(X, _rows_of(_BLOCK_BYTES, columns, 8), "standard deviation", progress):
        squares += np.square(block - mean).sum(axis=0)
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
