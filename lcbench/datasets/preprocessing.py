"""Preprocessing of the cs231n assignment: splits, mean image, standardisation, and the design matrix with its ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.rows import Rows, blocks
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress
from lcbench.settings import ScalingName

HALF_RANGE = 128.0
"""Half the range of a pixel."""

_MEAN_BLOCK_BYTES = 4_000_000
"""Size of a block of X, in its own type, when its rows are added up."""

_DEVIATION_BLOCK_BYTES = 8_000_000
"""Size of a block of X, in float64, when the squares of its rows are added up."""

_SCALING_BLOCK_VALUES = 2**17
"""Number of values that are scaled together: in float64 they stay in the cache."""


@dataclass(frozen=True)
class Splits:
    """Rows of each split. train, validation and dev are rows of the training set, test of the test set.

    dev (n,) int64: a random sample of train, small enough for a slow implementation.
    """

    train: slice
    validation: slice
    test: slice
    dev: NDArray[np.int64]


def split_train_validation_test_dev(
    train: int = 49_000, validation: int = 1_000, test: int = 1_000, dev: int = 500, seed: int = 0
) -> Splits:
    """Return the splits of the assignment: first rows for training, the next for validation, first test rows."""
    sample = np.random.default_rng(seed).choice(train, dev, replace=False)
    return Splits(slice(0, train), slice(train, train + validation), slice(0, test), sample)


def mean_image(images: Rows, progress: ProgressCallback = no_progress) -> NDArray[np.float64]:
    """Return the mean of the rows of images (N, D): (D,) float64. It is summed block by block."""
    rows, columns = images.shape
    total = np.zeros(columns)
    for _, block in blocks(images, _block_rows(_MEAN_BLOCK_BYTES, columns, images.dtype.itemsize), "mean", progress):
        # A sum of pixels in uint32 is as exact as in float64, and faster.
        exact = block.dtype == np.uint8 and len(block) < 2**24
        total += block.sum(axis=0, dtype=np.uint32 if exact else np.float64)
    mean: NDArray[np.float64] = total / rows
    return mean


def _block_rows(size: int, columns: int, itemsize: int) -> int:
    return max(1, size // (itemsize * max(1, columns)))


def standardisation(
    X: Rows, ddof: int = 0, progress: ProgressCallback = no_progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each column of X (N, D): two arrays (D,) float64.

    The deviation of a constant column is 1, so that (X - mean) / deviation is always defined. ddof: the variance is
    divided by N - ddof; 1 gives the sample deviation. Sums are taken in float64, block by block, without a float64 copy
    of X. Raise ValueError if N <= ddof.
    """
    rows, columns = X.shape
    if rows <= ddof:
        raise ValueError(f"{rows} rows have no standard deviation with ddof {ddof}")
    mean, squares = mean_image(X, progress), np.zeros(columns)
    for _, block in blocks(X, _block_rows(_DEVIATION_BLOCK_BYTES, columns, 8), "standard deviation", progress):
        squares += np.square(block - mean).sum(axis=0)
    # The rounding error of the mean leaves a constant column this much; dividing by it would amplify rounding errors.
    squares[squares <= rows * np.square(np.finfo(np.float64).eps * rows * mean)] = 0
    deviation = np.sqrt(squares / (rows - ddof))
    deviation[deviation == 0] = 1
    return mean, deviation


def design_matrix(
    images: NDArray[np.uint8], mean: NDArray[np.float64], dtype: DTypeLike = np.float32
) -> NDArray[np.floating]:
    """Return images (N, D) minus mean (D,) with a last column of ones: X (N, D + 1), C-contiguous.

    The difference is computed in float64 and rounded once to `dtype` (float32 or float64), without a second matrix.
    """
    rows, pixels = images.shape
    X = np.empty((rows, pixels + 1), dtype)
    np.subtract(images, mean, out=X[:, :pixels], dtype=np.float64, casting="same_kind")
    X[:, pixels] = 1
    return X


@dataclass(frozen=True)
class Scaling:
    """Map from a row x to its row of the design matrix, ((x - mean) / deviation, 1). mean, deviation: (D,) float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @property
    def only_shifts(self) -> bool:
        """Whether every deviation is 1."""
        return bool((self.deviation == 1).all())

    def design_matrix(
        self, X: NDArray[Any], dtype: DTypeLike = np.float32, first_row: int = 0, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the design matrix (N, D + 1) of X (N, D) in `dtype`, computed in float64 and rounded once.

        out: array of that shape and type for the result. first_row: index of X[0] for the error message. Raises
        LcbenchError if a value is outside the range of `dtype`.
        """
        rows, columns = X.shape
        design = np.empty((rows, columns + 1), dtype) if out is None else out
        block_rows = max(1, _SCALING_BLOCK_VALUES // max(1, columns))
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
                    f"X[{first_row + row}, {column}] is {X[row, column]:g}, which is outside the range of "
                    f"{design.dtype}: divide such columns, or choose scaling standard or dtype float64"
                )
        design[:, columns] = 1
        return design

    def folded(self, W: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (D, C) and offset (C,), float64: x @ weights + offset are the scores that W (D + 1, C) gives.

        x is a row before scaling.
        """
        weights = W[:-1] / self.deviation[:, None]
        return weights, W[-1] - self.mean @ weights


def fit_scaling(name: ScalingName, X: Rows, progress: ProgressCallback = no_progress) -> Scaling:
    """Return the scaling called `name`, computed from the training rows X (N, D)."""
    columns = X.shape[1]
    if name == "none":
        return Scaling(np.zeros(columns), np.ones(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = (
            standardisation(X, progress=progress) if name == "standard" else (mean_image(X, progress), np.ones(columns))
        )
    return Scaling(mean, deviation * HALF_RANGE if name == "halved" else deviation)
