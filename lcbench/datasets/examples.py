"""Labelled data for training, validation and test, and the checks that run on it before any computation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench import files, units
from lcbench.control_groups import memory_available
from lcbench.datasets import store, synthetic
from lcbench.datasets.cifar10 import CIFAR10, Split
from lcbench.datasets.preprocessing import split_train_validation_test_dev
from lcbench.datasets.rows import Rows, blocks, in_memory, open_rows, select_rows
from lcbench.errors import LcbenchError
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress

_BLOCK_VALUES = 2**18
"""Number of values that are checked together: the temporary arrays stay below a megabyte, and in the cache."""


def require_rows(X: Rows, y: NDArray[Any], x_name: str, y_name: str, where: str) -> None:
    """Raise LcbenchError unless X (N, D) and y (N,) have one label per row, and at least one row and one feature."""
    if y.ndim != 1:
        one_hot = y.ndim == 2 and y.shape[1] > 1
        advice = f"if it is one-hot, use {y_name}.argmax(axis=1)" if one_hot else f"use {y_name}.ravel()"
        raise LcbenchError(f"{where}: {y_name} has the shape {y.shape} and should have one label per row; {advice}")
    if len(X) != len(y):
        raise LcbenchError(f"{where}: {x_name} has {len(X):,} rows and {y_name} {len(y):,} labels; give one per row")
    if not len(y):
        raise LcbenchError(f"{where}: no rows in {x_name}; there must be some to learn from")
    if not X.shape[1]:
        raise LcbenchError(f"{where}: no features in {x_name}; there must be some to learn from")


def require_finite(X: Rows, cell: Callable[[int, int], str], progress: ProgressCallback = no_progress) -> None:
    """Raise LcbenchError if X (N, D) holds NaN or infinity, with their number and the first of them.

    cell: returns the name of the value in a row and column for the message, with the file. X is read in blocks.
    """
    if X.dtype.kind != "f":
        return
    first, count = None, 0
    rows = max(1, _BLOCK_VALUES // X.shape[1])
    for start, block in blocks(X, rows, "checking for values that are not finite", progress):
        finite = np.isfinite(block)
        if finite.all():
            continue
        if first is None:
            row, column = (int(place) for place in np.unravel_index(np.argmin(finite), finite.shape))
            first, value = (start + row, column), block[row, column]
        count += finite.size - int(np.count_nonzero(finite))
    if first is not None:
        others = f", the first of {count:,} values that are not finite" if count > 1 else ""
        raise LcbenchError(f"{cell(*first)} is {value}{others}; fill in numbers or leave such rows out")


def require_labels(y: NDArray[Any], classes: int | None, label: Callable[[int], str]) -> None:
    """Raise LcbenchError at the first value of y (N,) that is not a whole number in [0, classes).

    classes: None allows any label from 0 on. label: returns the name of the label of a row for the message, with the
    file.
    """
    if y.dtype.kind not in "iuf":
        raise LcbenchError(f"{label(0)} is of type {y.dtype}: labels are numbers, 0 for the first class")
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # the remainder of infinity
            broken = np.flatnonzero(np.mod(y, 1) != 0)
        if broken.size:
            raise LcbenchError(
                f"{label(int(broken[0]))} is {y[broken[0]]}: labels are whole numbers; is this the label column?"
            )
    outside = np.flatnonzero((y < 0) | (y >= (classes if classes is not None else 2**53)))
    if outside.size:
        range_ = "are numbered from 0" if classes is None else f"go from 0 to {classes - 1}"
        found = str(y[outside[0]]).removesuffix(".0")
        raise LcbenchError(f"{label(int(outside[0]))} is {found}: labels {range_}; renumber them")


# Labelled data for training, validation and test, from CIFAR-10, synthetic images or a file.

IMAGE_SHAPE = (3, 32, 32)
"""Colour planes, rows and columns of a CIFAR-10 image, in the order of its values."""

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Examples:
    """Rows X (N, D) uint8, float32 or float64, in memory or on disk, and labels y (N,) int64 in [0, C)."""

    X: Rows
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def array(self) -> NDArray[Any]:
        """X as an array. Raise ValueError if X is on disk."""
        if not isinstance(self.X, np.ndarray):
            raise ValueError("X is on disk: load it with stream=False")
        return self.X


@dataclass(frozen=True)
class LabelledSplits:
    """Training, validation and test examples of one data set.

    source: "cifar10", "synthetic" or the name of a file. image_shape: shape of an image in the order of its values, if
    a row of X is an image: (3, rows, columns), colour plane by plane, or (rows, columns, 3). feature_names: names of
    the columns of X, if they have any.
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
        """Whether the training rows stay in their file."""
        return not in_memory(self.train.X)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Return a hash of the shapes, types, values and labels of all splits: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for name in ("train", "validation", "test"):
            X, y = getattr(self, name).X, getattr(self, name).y
            digest.update(f"{X.shape} {X.dtype}".encode())
            digest.update(np.ascontiguousarray(y).data)
            for _, block in blocks(X, _BLOCK_ROWS, f"fingerprint of the {name} rows", progress):
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()[:16]


def load_splits(
    data: str,
    features: Sequence[str] = (),
    *,
    label: str | None = None,
    words: int | None = None,
    seed: int = 0,
    held_out: bool = True,
    fit_on: NDArray[np.uint8] | None = None,
    stream: bool | None = None,
    copied_itemsize: int = 0,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """Return the splits of "cifar10", "synthetic" or a file, with the pixels or with `features` of the images.

    label: column of a CSV file that holds the labels. words, seed: settings of the visual words. held_out: whether to
    draw validation and test rows from a file that has none. fit_on: images from which features are learnt, by default
    the training images. stream: whether X stays in its HDF5 file and is read as needed; None: only if it does not fit
    in memory, and `note` is then called. copied_itemsize: bytes per value of a further copy that is made of X.
    progress: called during the computation of features and other long work.
    Raise LcbenchError if the data is missing or unsuitable, or if features are requested of rows that are no images.
    """
    if features and stream:
        raise LcbenchError("features are computed in memory: leave out either the features or the streaming")
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
            copied_itemsize=copied_itemsize, progress=delayed(progress),
        )  # fmt: skip
        if splits.streamed and stream is None:
            note(_streaming_note(splits.source, splits.train.X.nbytes))
    return _with_features(splits, features, words, seed, fit_on, progress) if features else splits


def is_hdf5(data: str | Path) -> bool:
    """Return whether the name is that of an HDF5 file, which can be streamed."""
    return str(data).lower().endswith((".h5", ".hdf5"))


def fits_in_memory(size: int, copied: int = 0) -> bool:
    """Return whether an X of `size` bytes, one copy of it and `copied` further bytes fit in the free memory.

    The copy is for the rows that are taken from X for validation and test, or for X converted to another type.
    """
    return 2 * size + copied <= memory_available()


def _streaming_note(source: str, size: int) -> str:
    free = memory_available()
    return (
        f"{source}: {units.size(size)} of X and its copies do not fit in the {units.size(free)} of free memory: "
        "streamed from the file"
    )


def require_cifar10(data: str) -> None:
    """Raise LcbenchError if `data` is "cifar10", which is the default, and it was not downloaded."""
    path = files.cifar10_file()
    if data == "cifar10" and not path.exists():
        raise LcbenchError(f"no {path}: 'lcbench download' fetches CIFAR-10, and --data synthetic needs no download")


def cifar10_splits(path: Path, on_disk: bool = False) -> LabelledSplits:
    """Return the splits of the cs231n assignment: 49,000 and 1,000 training images, and all 10,000 test images.

    on_disk: whether the images stay in the file. Raise LcbenchError if the file is missing or damaged.
    """
    rows = split_train_validation_test_dev()
    images, labels = _read_cifar10(path, "train", on_disk)

    def part(chosen: slice) -> Examples:
        if isinstance(images, np.ndarray):
            return Examples(images[chosen], labels[chosen])
        return Examples(select_rows(images, np.arange(chosen.start, chosen.stop)), labels[chosen])

    return LabelledSplits(
        part(rows.train),
        part(rows.validation),
        Examples(*_read_cifar10(path, "test", on_disk)),
        CIFAR10.class_names,
        "cifar10",
        IMAGE_SHAPE,
    )


def _read_cifar10(path: Path, split: Split, on_disk: bool) -> tuple[Rows, NDArray[np.int64]]:
    if on_disk:
        return open_rows(path, f"{split}/images"), store.read_labels(path, split).astype(np.int64)
    images, labels = store.read_split(path, split)
    return images, labels.astype(np.int64)


def synthetic_images(rows: int = 12_000, seed: int = 0) -> LabelledSplits:
    """Return synthetic images of CIFAR-10's shape: 2/3 of the rows for training, 1/6 each for validation and test."""
    images, labels = synthetic.images(rows, seed=seed)
    first, second = rows - rows // 3, rows - rows // 6
    names = tuple(f"class {c}" for c in range(10))
    parts = (slice(0, first), slice(first, second), slice(second, rows))
    train, validation, test = (Examples(images[part], labels[part]) for part in parts)
    return LabelledSplits(train, validation, test, names, "synthetic", IMAGE_SHAPE)


def _with_features(
    splits: LabelledSplits,
    names: Sequence[str],
    words: int | None,
    seed: int,
    fit_on: NDArray[np.uint8] | None,
    progress: ProgressCallback,
) -> LabelledSplits:
    from lcbench.datasets.features import catalog

    if splits.image_shape != IMAGE_SHAPE or splits.train.X.dtype != "uint8":
        raise LcbenchError(
            f"{splits.source}: features need colour images of 32 x 32 uint8 pixels; leave --features out"
        )
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    images = {name: part.array for name, part in parts.items()}
    features = catalog.extract(
        names, images, splits.train.array if fit_on is None else fit_on, words=words or catalog.WORDS, seed=seed,
        progress=progress,
    )  # fmt: skip
    train, validation, test = (Examples(features[name], part.y) for name, part in parts.items())
    return replace(splits, train=train, validation=validation, test=test)
