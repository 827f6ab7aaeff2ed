"""From pixels to the matrices of the cs231n assignment: the mean image, the ones column, the splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray


def mean_image(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean over rows: images (N, pixels) -> (pixels,) float64."""
    return images.mean(axis=0, dtype=np.float64)


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
