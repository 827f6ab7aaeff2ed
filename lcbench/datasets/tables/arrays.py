"""Which of a file's named arrays are X and y: one rule for NPZ and HDF5."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.on_disk import RowsOnDisk
from lcbench.datasets.tables.contents import SPLITS, Contents, Part, Split, listed
from lcbench.errors import LcbenchError

_FEATURES = ("X", "images", "data", "features")
_LABELS = ("y", "labels", "target", "label", "targets")
_SPLIT_NAMES = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test",)}

Load = Callable[[str], NDArray[Any]]


def contents(
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
