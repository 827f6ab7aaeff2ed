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
from lcbench.datasets.on_disk import open_rows
from lcbench.datasets.preprocessing import split_train_validation_test_dev
from lcbench.datasets.rows import Rows, blocks, choose, in_memory
from lcbench.progress import ProgressCallback, no_progress

IMAGE_SHAPE = (3, 32, 32)
"""Colour planes, rows and columns of a CIFAR-10 image, in the order in which its values lie."""


_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Examples:
    """X (N, D) uint8, float32 or float64, in memory or on disk; y (N,) int64 in [0, C)."""

    X: Rows
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def array(self) -> NDArray[Any]:
        """X, for those who want all of it at once. Raises ValueError where it is on disk."""
        if not isinstance(self.X, np.ndarray):
            raise ValueError("X is on disk: load it with stream=False")
        return self.X


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

    @property
    def streamed(self) -> bool:
        """Whether the rows to train on stay in their file."""
        return not in_memory(self.train.X)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Tells other data apart: a hash of every shape, type, value and label. progress: is told how far it is."""
        digest = hashlib.sha256()
        for name in ("train", "validation", "test"):
            X, y = getattr(self, name).X, getattr(self, name).y
            digest.update(f"{X.shape} {X.dtype}".encode())
            digest.update(np.ascontiguousarray(y).data)
            for _, block in blocks(X, _BLOCK_ROWS, f"fingerprint of the {name} rows", progress):
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()[:16]


def cifar10(path: Path, on_disk: bool = False) -> LabelledSplits:
    """The assignment's splits of the real images: 49,000, 1,000, and the whole test set of 10,000.

    on_disk: the images are not read; they stay in the file.
    Raises LcbenchError where the file is missing or damaged.
    """
    rows = split_train_validation_test_dev()
    images, labels = _read(path, "train", on_disk)
    return LabelledSplits(
        _part(images, labels, rows.train),
        _part(images, labels, rows.validation),
        Examples(*_read(path, "test", on_disk)),
        CIFAR10.class_names,
        "cifar10",
        IMAGE_SHAPE,
    )


def _read(path: Path, split: Split, on_disk: bool) -> tuple[Rows, NDArray[np.int64]]:
    if on_disk:
        return open_rows(path, f"{split}/images"), store.read_labels(path, split).astype(np.int64)
    images, labels = store.read_split(path, split)
    return images, labels.astype(np.int64)


def _part(images: Rows, labels: NDArray[np.int64], rows: slice) -> Examples:
    if isinstance(images, np.ndarray):
        return Examples(images[rows], labels[rows])
    return Examples(choose(images, np.arange(rows.start, rows.stop)), labels[rows])


def synthetic_images(rows: int = 12_000, seed: int = 0) -> LabelledSplits:
    """Images of CIFAR-10's shape without CIFAR-10: the last sixth of the rows for testing, a sixth before to choose."""
    images, labels = synthetic.images(rows, seed=seed)
    first, second = rows - rows // 3, rows - rows // 6
    names = tuple(f"class {c}" for c in range(10))
    parts = (slice(0, first), slice(first, second), slice(second, rows))
    train, validation, test = (Examples(images[part], labels[part]) for part in parts)
    return LabelledSplits(train, validation, test, names, "synthetic", IMAGE_SHAPE)
