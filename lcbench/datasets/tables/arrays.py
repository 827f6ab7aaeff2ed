"""Readers of NPZ and HDF5 files. Both use the same rule to find X and y among the named arrays of a file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets import hdf5, store
from lcbench.datasets.cifar10 import CIFAR10
from lcbench.datasets.examples import IMAGE_SHAPE
from lcbench.datasets.rows import RowsOnDisk, rows_of_dataset
from lcbench.datasets.tables.contents import SPLITS, Contents, Part, Split, quoted
from lcbench.errors import LcbenchError, one_line

if TYPE_CHECKING:
    import h5py

_FEATURE_NAMES = ("X", "images", "data", "features")
_LABEL_NAMES = ("y", "labels", "target", "label", "targets")
_SPLIT_NAMES = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test",)}

_HDF5_ADVICE = "write it again, with h5py.File for example"

Load = Callable[[str], NDArray[Any]]


def read_npz(path: Path, label: str | int | None) -> Contents:
    """Return X and y of an NPZ file, compressed or not. Nothing in it is unpickled, since that could run code.

    Raise LcbenchError.
    """
    if not zipfile.is_zipfile(path):  # NumPy would treat it as a pickle
        raise LcbenchError(f"{path} is damaged or no NPZ file; write it again with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _contents(path, archive.files, lambda name: _load_npz(path, archive, name), label)
    except MemoryError as error:
        raise LcbenchError(f"{path} does not fit in the memory: {one_line(error)}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        # zipfile and NumPy raise any of these for damaged and for encrypted archives.
        raise LcbenchError(f"{path} is damaged ({one_line(error)}); write it again with numpy.savez") from error


def _load_npz(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        array = archive[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise LcbenchError(
            f"{path}: {name} holds Python objects, which are not loaded since that can run code; "
            "store numbers, or text for labels"
        ) from error
    if not isinstance(array, np.ndarray):  # NumPy returns other members of the archive as bytes
        raise LcbenchError(f"{path}: {name} is no NumPy array; write the file again with numpy.savez")
    return array


def read_hdf5(path: Path, label: str | int | None, on_disk: bool = False) -> Contents:
    """Return X and y of an HDF5 file. Arrays may be in groups; external links are not followed.

    on_disk: whether X is not read but returned as `RowsOnDisk`. Raise LcbenchError.
    """
    with hdf5.open_file(path, _HDF5_ADVICE) as file:
        names = _dataset_names(file)
        contents = _contents(
            path,
            names,
            lambda name: _load_hdf5(path, file[name]),
            label,
            load_X=(lambda name: rows_of_dataset(path, file[name])) if on_disk else None,
        )
        # `lcbench download` stores flattened images.
        attributes = hdf5.attributes(file)
        cifar10 = attributes.get("format") == store.FORMAT and attributes.get("dataset") == CIFAR10.name
        return replace(contents, image_shape=IMAGE_SHAPE) if cifar10 else contents


def _dataset_names(file: h5py.File) -> list[str]:
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _load_hdf5(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    import h5py

    hdf5.require_own_data(path, dataset)
    if dataset.shape is None:
        raise LcbenchError(f"{path}: {dataset.name[1:]} holds nothing; store an array of numbers")
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])


def npz_size(path: Path) -> int:
    """Return the bytes that the arrays of an NPZ file would take in memory, or 0 if the file cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return 0  # `read_npz` reports the error


def hdf5_size(path: Path) -> tuple[int, int]:
    """Return the bytes that the arrays of an HDF5 file would take in memory, and the number of their values.

    Raise LcbenchError as `read_hdf5`.
    """
    with hdf5.open_file(path, _HDF5_ADVICE) as file:
        found = [file[name] for name in _dataset_names(file) if file[name].shape]
        return sum(dataset.nbytes for dataset in found), sum(dataset.size for dataset in found)


# Selection of X and y


def _contents(
    path: Path,
    names: Iterable[str],
    load: Load,
    label: str | int | None,
    load_X: Callable[[str], NDArray[Any] | RowsOnDisk] | None = None,
) -> Contents:
    """Return the contents of a file whose arrays are called `names`. Raise LcbenchError if X or y is missing.

    load: returns the array of a name. load_X: the same for X, by default `load`.
    """
    names = list(names)
    selected = _select(path, names, label)
    class_names = None
    if "class_names" in names:
        array = _decoded(load("class_names"))
        if array.ndim != 1 or array.dtype.kind != "U" or len(set(array)) != array.size or not array.size:
            raise LcbenchError(f"{path}: class_names is not a list of different names; correct it or leave it out")
        class_names = tuple(str(name) for name in array)
    parts = {split: _part(path, load_X or load, load, *pair) for split, pair in selected.items()}
    return Contents(parts, class_names)


def _select(path: Path, names: list[str], label: str | int | None) -> dict[Split, tuple[str, str]]:
    """Return the names of features and labels for each split of the file."""
    label_names = _LABEL_NAMES if label is None else (str(label),)
    found = {split: (_find(names, split, _FEATURE_NAMES), _find(names, split, label_names)) for split in SPLITS}
    available = f"it has {quoted(names) or 'no arrays'}"
    if label is not None and not any(y for _, y in found.values()):
        raise LcbenchError(f"{path} has no array {str(label)!r} for the labels; {available}")
    selected = {}
    for split, (X, y) in found.items():
        if X and y:
            selected[split] = X, y
        elif X:
            partner = _partner(X, label_names, split)
            raise LcbenchError(f"{path} has {X!r} without labels for it, such as {partner!r}; {available}")
        elif y:
            partner = _partner(y, _FEATURE_NAMES, split)
            raise LcbenchError(f"{path} has {y!r} without features for it, such as {partner!r}; {available}")
    if "train" not in selected:
        expected = "X and y, images and labels, or data and target, with _train or without"
        raise LcbenchError(f"{path} has no arrays to train on ({expected}); {available}")
    return selected


def _partner(name: str, words: tuple[str, ...], split: Split) -> str:
    """Return an example of a name for the array that belongs to `name`."""
    if "/" in name:
        return f"{name.rpartition('/')[0]}/{words[0]}"
    return f"{words[0]}_{split}" if "_" in name else words[0]


def _find(names: list[str], split: Split, words: tuple[str, ...]) -> str | None:
    """Return the first of `names` that combines a word with the split, ignoring case. For "train" a word is enough."""
    by_spelling = {name.casefold(): name for name in names}
    spellings = [
        spelling
        for word in words
        for name in _SPLIT_NAMES[split]
        for spelling in (f"{word}_{name}", f"{name}_{word}", f"{name}/{word}")
    ]
    if split == "train":
        spellings += words
    return next((by_spelling[s.casefold()] for s in spellings if s.casefold() in by_spelling), None)


def _part(path: Path, load_X: Callable[[str], NDArray[Any] | RowsOnDisk], load: Load, x_name: str, y_name: str) -> Part:
    return Part(
        load_X(x_name),
        _decoded(load(y_name)),
        x_name,
        y_name,
        cell=lambda row, column: f"{path}: {x_name}[{row}, {column}]",
        label=lambda row: f"{path}: {y_name}[{row}]",
    )


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of bytes decoded from UTF-8, and any other array unchanged."""
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
