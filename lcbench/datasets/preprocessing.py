"""From pixels to the matrices of the cs231n assignment: the mean image, the ones column, standardising, the splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.rows import Rows, blocks
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress
from lcbench.settings import ScalingName

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


# How a row becomes a row of the design matrix: what is subtracted, what it is divided by, the ones column last.

HALF_RANGE = 128.0
"""Half of what a pixel can be."""

_BLOCK_VALUES = 2**17
"""Scaled together: in float64 they stay in the cache."""


@dataclass(frozen=True)
class Scaling:
    """x -> ((x - mean) / deviation, 1). mean and deviation (D,) float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @property
    def only_shifts(self) -> bool:
        """Whether nothing is divided."""
        return bool((self.deviation == 1).all())

    def design_matrix(
        self, X: NDArray[Any], dtype: DTypeLike = np.float32, first_row: int = 0, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """X (N, D) of any type -> (N, D + 1) of `dtype`, the ones column last. Computed in float64, rounded once.

        out: memory for it, of that shape and type. Raises LcbenchError where a value is beyond the range of `dtype`;
        its row is counted from `first_row`.
        """
        rows, columns = X.shape
        design = np.empty((rows, columns + 1), dtype) if out is None else out
        block_rows = max(1, _BLOCK_VALUES // max(1, columns))
        scaled = np.empty((block_rows, columns))
        for start in range(0, rows, block_rows):
            block = slice(start, start + block_rows)
            part = scaled[: len(X[block])]
            with np.errstate(over="ignore", invalid="ignore"):
                part[:] = X[block]
                part -= self.mean
                if not self.only_shifts:
                    part /= self.deviation
                design[block, :columns] = part
            finite = X.dtype.kind != "f" or np.isfinite(design[block, :columns])
            if not np.all(finite):
                row, column = np.argwhere(~finite)[0] + (start, 0)
                raise LcbenchError(
                    f"X[{first_row + row}, {column}] is {X[row, column]:g}, which leaves the range of {design.dtype}: "
                    "divide such columns, or choose scaling standard or dtype float64"
                )
        design[:, columns] = 1
        return design

    def folded(self, W: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (D, C) and offset (C,), float64, that give raw rows the scores of W (D + 1, C)."""
        weights = W[:-1] / self.deviation[:, None]
        return weights, W[-1] - self.mean @ weights


def scaling(name: ScalingName, X: Rows, progress: ProgressCallback = no_progress) -> Scaling:
    """The scaling of that name, from the training rows X (N, D). progress: is told how far they have been read."""
    columns = X.shape[1]
    if name == "none":
        return Scaling(np.zeros(columns), np.ones(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = (
            standardisation(X, progress=progress) if name == "standard" else (mean_image(X, progress), np.ones(columns))
        )
    return Scaling(mean, deviation * HALF_RANGE if name == "halved" else deviation)
