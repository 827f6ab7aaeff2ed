"""Rows with their labels, in the three parts in which a classifier meets them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets import store, synthetic
from lcbench.datasets.cifar10 import CIFAR10, Split
from lcbench.datasets.preprocessing import split_train_validation_test_dev
from lcbench.datasets.rows import Rows, blocks, choose, in_memory, open_rows
from lcbench.errors import LcbenchError
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress

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


def cifar10_splits(path: Path, on_disk: bool = False) -> LabelledSplits:
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


# Whether data would fit in memory, or has to be read from its file as it is needed.

COPIES = 2
"""X and what is made of it: rows taken from it for validation and testing, or a matrix in another type."""


def fits_in_memory(size: int) -> bool:
    """Whether an X of `size` bytes, and what is made of it, would fit in the memory that is free now."""
    return COPIES * size <= psutil.virtual_memory().available


def too_large(source: str, size: int) -> str:
    """The line by which a user is told that an X of `size` bytes is streamed."""
    free = psutil.virtual_memory().available
    return (
        f"{source}: {size / 1e9:,.1f} GB of X would not fit in the {free / 1e9:,.1f} GB of memory that are free: "
        "streamed from the file"
    )


# The data that a name or a file stands for, as pixels or as features.


def is_hdf5(data: str | Path) -> bool:
    """Whether it is a file, by its name, that can be streamed."""
    return str(data).lower().endswith((".h5", ".hdf5"))


def load_splits(
    data: str,
    features: Sequence[str] = (),
    *,
    label: str | None = None,
    words: int | None = None,
    seed: int = 0,
    held_out: bool = True,
    learn_from: NDArray[np.uint8] | None = None,
    stream: bool | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """The splits of "cifar10", "synthetic" or a file of the user's own; of images, `features` instead of pixels.

    label: the column of a CSV that holds the labels. words, seed: of visual words. held_out: whether rows of a file are
    set apart for validation and test where it does not do so itself. learn_from: images from which features are learnt,
    instead of the training images. stream: whether X stays in its HDF5 file, to be read as it is needed; None: where it
    would not fit in memory, and `note` is told so. progress: is told of features, and of whatever else takes long.
    Raises LcbenchError where the data is missing or unfit, or features are asked of something that is no image.
    """
    if features and stream:
        raise LcbenchError("features are computed in memory: leave either them or the streaming out")
    if data == "cifar10":
        splits = cifar10_splits(files.cifar10_file(), on_disk=bool(stream))
    elif data == "synthetic":
        if stream:
            raise LcbenchError("synthetic images are made in memory: 'lcbench synth FILE.h5' makes a file to stream")
        splits = synthetic_images()
    else:
        from lcbench.datasets.tables.reading import read_table

        if not Path(data).exists():
            raise LcbenchError(f"no data '{data}': give cifar10, synthetic, or a CSV, NPZ or HDF5 file")
        fraction = 0.1 if held_out else 0.0
        splits = read_table(
            Path(data), label=label, validation=fraction, test=fraction, stream=False if features else stream,
            progress=delayed(progress),
        )  # fmt: skip
        if splits.streamed and stream is None:
            note(too_large(splits.source, splits.train.X.nbytes))
    return _with_features(splits, features, words, seed, learn_from, progress) if features else splits


def _with_features(
    splits: LabelledSplits,
    names: Sequence[str],
    words: int | None,
    seed: int,
    learn_from: NDArray[np.uint8] | None,
    progress: ProgressCallback,
) -> LabelledSplits:
    from lcbench.datasets import features
    from lcbench.datasets.features import catalog

    if splits.image_shape != IMAGE_SHAPE or splits.train.X.dtype != "uint8":
        raise LcbenchError(
            f"{splits.source}: features are of colour images of 32 x 32 uint8 pixels; leave --features out"
        )
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    images = {name: part.array for name, part in parts.items()}
    fit_on = splits.train.array if learn_from is None else learn_from
    found = features.of(names, images, fit_on, words=words or catalog.WORDS, seed=seed, progress=progress)
    train, validation, test = (Examples(found[name], part.y) for name, part in parts.items())
    return replace(splits, train=train, validation=validation, test=test)
