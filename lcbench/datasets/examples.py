"""Rows with their labels, in the three parts in which a classifier meets them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets import store, synthetic
from lcbench.datasets.cifar10 import CIFAR10, Split
from lcbench.datasets.preprocessing import split_train_validation_test_dev

IMAGE_SHAPE = (3, 32, 32)
"""Colour planes, rows and columns of a CIFAR-10 image, in the order in which its values lie."""


_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Examples:
    """X (N, D) uint8, float32 or float64; y (N,) int64 in [0, C)."""

    X: NDArray[Any]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class LabelledSplits:
    """What a classifier learns from (train), is chosen by (validation) and is judged by (test).

    source: "cifar10", "synthetic" or the name of a file. image_shape: where a row of X is an image, in the
    order in which its values lie: (3, rows, columns), colour plane by plane, or (rows, columns, 3). feature_names: of
    the columns of X, where they have names.
    """

    train: Examples
    validation: Examples
    test: Examples
    class_names: tuple[str, ...]
    source: str
    image_shape: tuple[int, int, int] | None = None
    feature_names: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Tells other data apart: a hash of every shape, type, value and label."""
        digest = hashlib.sha256()
        for examples in (self.train, self.validation, self.test):
            X, y = examples.X, examples.y
            digest.update(f"{X.shape} {X.dtype}".encode())
            digest.update(y.tobytes())
            for start in range(0, len(X), _BLOCK_ROWS):
                digest.update(X[start : start + _BLOCK_ROWS].tobytes())
        return digest.hexdigest()[:16]


def cifar10(path: Path) -> LabelledSplits:
    """The assignment's splits of the real images: 49,000, 1,000, and the whole test set of 10,000.

    Raises LcbenchError where the file is missing or damaged.
    """
    rows = split_train_validation_test_dev()
    images, labels = _read(path, "train")
    return LabelledSplits(
        Examples(images[rows.train], labels[rows.train]),
        Examples(images[rows.validation], labels[rows.validation]),
        Examples(*_read(path, "test")),
        CIFAR10.class_names,
        "cifar10",
        IMAGE_SHAPE,
    )


def _read(path: Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = store.read_split(path, split)
    return images, labels.astype(np.int64)


def synthetic_images(rows: int = 12_000, seed: int = 0) -> LabelledSplits:
    """Images of CIFAR-10's shape without CIFAR-10: the last sixth of the rows for testing, a sixth before to choose."""
    images, labels = synthetic.images(rows, seed=seed)
    first, second = rows - rows // 3, rows - rows // 6
    names = tuple(f"class {c}" for c in range(10))
    parts = (slice(0, first), slice(first, second), slice(second, rows))
    train, validation, test = (Examples(images[part], labels[part]) for part in parts)
    return LabelledSplits(train, validation, test, names, "synthetic", IMAGE_SHAPE)
