"""Which of a file's named arrays are X and y: one rule for NPZ and HDF5."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets import store
from lcbench.datasets.cifar10 import CIFAR10
from lcbench.datasets.examples import IMAGE_SHAPE
from lcbench.datasets.rows import RowsOnDisk, rows_of_dataset
from lcbench.datasets.tables.contents import SPLITS, Contents, Part, Split, listed, one_line
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    import h5py

_FEATURES = ("X", "images", "data", "features")
_LABELS = ("y", "labels", "target", "label", "targets")
_SPLIT_NAMES = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test",)}

Load = Callable[[str], NDArray[Any]]


def contents_of_arrays(
    path: Path,
    names: Iterable[str],
    load: Load,
    label: str | int | None,
    load_X: Callable[[str], NDArray[Any] | RowsOnDisk] | None = None,
) -> Contents:
    """Chooses X and y among `names` and loads them, with class_names where there are any. Raises LcbenchError.

    load_X: loads X, where that is done otherwise.
    """
    names = list(names)
    chosen = _chosen(path, names, label)
    class_names = None
    if "class_names" in names:
        array = as_text(load("class_names"))
        if array.ndim != 1 or array.dtype.kind != "U" or len(set(array)) != array.size or not array.size:
            raise LcbenchError(f"{path}: class_names is not a list of different names; mend it or leave it out")
        class_names = tuple(str(name) for name in array)
    return Contents({split: _part(path, load_X or load, load, *pair) for split, pair in chosen.items()}, class_names)


def _chosen(path: Path, names: list[str], label: str | int | None) -> dict[Split, tuple[str, str]]:
    """For each split that is there, the names of its features and of its labels."""
    labels = _LABELS if label is None else (str(label),)
    found = {split: (_first(names, split, _FEATURES), _first(names, split, labels)) for split in SPLITS}
    has = f"it has {listed(names) or 'none at all'}"
    if label is not None and not any(y for _, y in found.values()):
        raise LcbenchError(f"{path} has no array {str(label)!r} for the labels; {has}")
    chosen = {}
    for split, (X, y) in found.items():
        if X and y:
            chosen[split] = X, y
        elif X:
            raise LcbenchError(f"{path} has {X!r} without labels for it, such as {_partner(X, labels, split)!r}; {has}")
        elif y:
            raise LcbenchError(
                f"{path} has {y!r} without features for it, such as {_partner(y, _FEATURES, split)!r}; {has}"
            )
    if "train" not in chosen:
        wanted = "X and y, images and labels, or data and target, with _train or without"
        raise LcbenchError(f"{path} has no arrays to train on ({wanted}); {has}")
    return chosen


def _partner(name: str, words: tuple[str, ...], split: Split) -> str:
    """How one would spell the array that belongs to `name`."""
    if "/" in name:
        return f"{name.rpartition('/')[0]}/{words[0]}"
    return f"{words[0]}_{split}" if "_" in name else words[0]


def _first(names: list[str], split: Split, wanted: tuple[str, ...]) -> str | None:
    """The name that the file uses; upper and lower case are the same. Without a split's name it is train's."""
    by_spelling = {name.casefold(): name for name in names}
    spellings = [
        spelling
        for word in wanted
        for name in _SPLIT_NAMES[split]
        for spelling in (f"{word}_{name}", f"{name}_{word}", f"{name}/{word}")
    ]
    if split == "train":
        spellings += wanted
    return next((by_spelling[s.casefold()] for s in spellings if s.casefold() in by_spelling), None)


def _part(path: Path, load_X: Callable[[str], NDArray[Any] | RowsOnDisk], load: Load, x_name: str, y_name: str) -> Part:
    return Part(
        load_X(x_name),
        as_text(load(y_name)),
        x_name,
        y_name,
        cell=lambda row, column: f"{path}: {x_name}[{row}, {column}]",
        label=lambda row: f"{path}: {y_name}[{row}]",
    )


def as_text(array: NDArray[Any]) -> NDArray[Any]:
    """Bytes as the text that they spell in UTF-8; any other array as it is. Raises UnicodeDecodeError."""
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


# NumPy's archive of named arrays. Nothing in it is ever unpickled: that would run whatever the file says.


def read_npz(path: Path, label: str | int | None) -> Contents:
    """The arrays X and y of an NPZ file, compressed or not. Raises LcbenchError."""
    if not zipfile.is_zipfile(path):  # NumPy would take it for a pickle
        raise LcbenchError(f"{path} is damaged or no NPZ file; write it again with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return contents_of_arrays(path, archive.files, lambda name: _array_npz(path, archive, name), label)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        # all of these are ways in which zipfile and NumPy meet damaged archives, and encrypted ones
        raise LcbenchError(f"{path} is damaged ({one_line(error)}); write it again with numpy.savez") from error


def _array_npz(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        array = archive[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise LcbenchError(
            f"{path}: {name} holds Python objects, which are not loaded since that can run code; "
            "store numbers, or text for labels"
        ) from error
    if not isinstance(array, np.ndarray):  # another file in the archive comes as its bytes
        raise LcbenchError(f"{path}: {name} is no NumPy array; write the file again with numpy.savez")
    return array


# HDF5, whose arrays may lie in groups: X and y, X_train, train/images, and what `lcbench download` writes.


def read_hdf5(path: Path, label: str | int | None, on_disk: bool = False) -> Contents:
    """The arrays X and y of an HDF5 file. Links out of the file are not followed. Raises LcbenchError.

    on_disk: X is not read; it is a `RowsOnDisk`.
    """
    import h5py

    if not h5py.is_hdf5(path):
        raise LcbenchError(f"{path} is damaged or no HDF5 file; write it again, with h5py.File for example")
    try:
        with h5py.File(path) as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            contents = contents_of_arrays(
                path,
                names,
                lambda name: _array_hdf5(path, file[name]),
                label,
                load_X=(lambda name: rows_of_dataset(path, file[name])) if on_disk else None,
            )
            # the images of `lcbench download` lie there flat
            cifar10 = file.attrs.get("format") == store.FORMAT and file.attrs.get("dataset") == CIFAR10.name
            return replace(contents, image_shape=IMAGE_SHAPE) if cifar10 else contents
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        # all of these are ways in which h5py meets damaged files
        raise LcbenchError(f"{path} is damaged ({one_line(error)}); write it again") from error


def hdf5_size(path: Path) -> int:
    """Bytes that the arrays of an HDF5 file would take in memory; 0 where that cannot be told."""
    import h5py

    total = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal total
        total += item.nbytes if isinstance(item, h5py.Dataset) and item.shape else 0

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        return 0  # `read` says what is wrong
    return total


def _array_hdf5(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    import h5py

    if dataset.shape is None:
        raise LcbenchError(f"{path}: {dataset.name[1:]} holds nothing; store an array of numbers")
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])
