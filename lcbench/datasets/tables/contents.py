"""Contents of a table file, as a reader for one format returns them, and their conversion to checked X and y.

Each format is read into `Contents`. `reading.read_table` then applies the functions of this module: labels become class
numbers, X becomes a matrix, and missing splits are drawn from the training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.examples import require_labels
from lcbench.datasets.rows import Rows, RowsOnDisk, select_rows
from lcbench.errors import LcbenchError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """Rows of one split as they are in the file.

    X: (N, ...) of any type, or (N, D) on disk. y: numbers or text (dtype kind "U"). x_name, y_name: their names in the
    file. cell, label: functions that return the name of a value of X by row and column, and of a label by row, for
    messages, with the file.
    """

    X: NDArray[Any] | RowsOnDisk
    y: NDArray[Any]
    x_name: str
    y_name: str
    cell: Callable[[int, int], str]
    label: Callable[[int], str]


@dataclass(frozen=True)
class Contents:
    """Everything that was read from a file.

    parts: "train", and the other splits if the file has them. class_names, feature_names, image_shape: as the file
    states them, if it does.
    """

    parts: Mapping[Split, Part]
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None


def quoted(names: list[str], most: int = 8) -> str:
    """Return the names for a message: quoted, and at most `most` of them."""
    first = ", ".join(shown(name) for name in names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def shown(name: str, most: int = 60) -> str:
    """Return a name for a message: quoted, and at most `most` characters of it."""
    return repr(name) if len(name) <= most else f"{repr(name[: most - 1])[:-1]}…'"


# Labels

_MISSING_LABELS = ("", "nan")
"""Text labels that stand for a missing one: an empty cell, or what pandas makes of it."""


def number_labels(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    """Return the labels of each split, (N,) int64 in [0, C), and the names of the C classes.

    The names are those in the file, or else the labels themselves, sorted if they are text. Raise LcbenchError for a
    label that is no class, a class without a training row, and fewer than two classes.
    """
    text = {part.y.dtype.kind == "U" for part in contents.parts.values()}
    if len(text) == 2:
        raise LcbenchError(f"{path}: labels are text in one split and numbers in another; use one kind for all")
    y, class_names = _number_text(contents) if text == {True} else _check_numbers(contents, path)
    used = np.unique(y["train"])
    if len(used) < len(class_names):
        absent = class_names[_first_gap(used)]
        raise LcbenchError(f"{path}: no training row is of class {shown(absent)}; add some or leave the class out")
    if len(used) == 1:
        rows = "the only row is" if len(y["train"]) == 1 else f"all {len(y['train']):,} rows are"
        raise LcbenchError(f"{path}: {rows} of class {shown(class_names[0])}; there must be at least two classes")
    return y, class_names


def _number_text(contents: Contents) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    distinct = np.unique(np.concatenate([np.unique(part.y) for part in contents.parts.values()]))
    class_names = contents.class_names or tuple(str(name) for name in distinct)
    number = {name: c for c, name in enumerate(class_names)}
    y = {}
    for split, part in contents.parts.items():
        distinct, inverse = np.unique(part.y, return_inverse=True)
        for i, name in enumerate(distinct.tolist()):
            if name in number and name.lower() not in _MISSING_LABELS:
                continue
            place = part.label(int(np.argmax(inverse == i)))
            if name.lower() in _MISSING_LABELS:
                raise LcbenchError(f"{place} is {shown(name) if name else 'empty'}; fill it in or leave the row out")
            raise LcbenchError(
                f"{place} is {shown(name)}, and class_names has only {quoted([*class_names])}; add it there"
            )
        y[split] = np.array([number[name] for name in distinct.tolist()], np.int64)[inverse]
    return y, class_names


def _check_numbers(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    classes = None if contents.class_names is None else len(contents.class_names)
    y = {}
    for split, part in contents.parts.items():
        labels = part.y.astype(np.int64) if part.y.dtype.kind == "b" else part.y
        require_labels(labels, classes, part.label)
        y[split] = labels.astype(np.int64)
    if contents.class_names is not None:
        return y, contents.class_names
    # This check comes first, since the highest label may be too large for an array or list of that length.
    absent = _first_gap(np.unique(y["train"]))
    split = max(y, key=lambda split: int(y[split].max()))
    highest = int(y[split].max())
    if absent <= highest:
        place = contents.parts[split].label(int(y[split].argmax()))
        raise LcbenchError(
            f"{place} is {highest}, and no training row has the label {absent}; number the classes from 0 without gaps"
        )
    return y, tuple(str(label) for label in range(highest + 1))


def _first_gap(used: NDArray[np.int64]) -> int:
    """Return the lowest number from 0 on that is not in `used`, which is sorted."""
    gaps = np.flatnonzero(used != np.arange(len(used)))
    return int(gaps[0]) if gaps.size else len(used)


# Features

_NOT_NUMBERS = {
    "c": "complex numbers; give their real and imaginary parts as two features",
    "U": "text; encode it as numbers",
    "S": "text; encode it as numbers",
    "O": "objects; store an array of numbers",
    "V": "records of several fields; store an array of numbers",
    "M": "dates; encode them as numbers",
    "m": "durations; encode them as numbers",
}
"""Content of an array, and advice, by the kind of its dtype."""


def as_matrix(X: NDArray[Any] | RowsOnDisk, where: str) -> Rows:
    """Return X (N, ...) as (N, D), C-contiguous, uint8, float32 or float64; a copy only if type or layout change.

    Other integers, booleans and float16 become float32, longer floats float64. X on disk is not read; its rows are
    converted when they are. Raise LcbenchError, with `where` before the message, if X is not numeric or has one axis.
    """
    if X.dtype.kind not in "biuf":
        raise LcbenchError(f"{where} holds {_NOT_NUMBERS.get(X.dtype.kind, f'values of type {X.dtype}')}")
    if X.ndim < 2:
        raise LcbenchError(f"{where} has the shape {X.shape}, not (rows, features); reshape one feature to (-1, 1)")
    dtype: DTypeLike
    if X.dtype.kind == "f":
        dtype = np.float32 if X.dtype.itemsize <= 4 else np.float64
    else:
        dtype = np.uint8 if X.dtype == np.uint8 else np.float32
    if isinstance(X, RowsOnDisk):
        return X.astype(dtype)
    return np.ascontiguousarray(X, dtype).reshape(len(X), int(np.prod(X.shape[1:])))


def image_shape(X: NDArray[Any] | RowsOnDisk) -> tuple[int, int, int] | None:
    """Return the shape of a row of X (N, ...) if it is (3, H, W) or (H, W, 3), otherwise None."""
    shape = _row_shape(X)
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 and 3 in (shape[0], shape[2]) else None


def _row_shape(X: NDArray[Any] | RowsOnDisk) -> tuple[int, ...]:
    return X.row_shape if isinstance(X, RowsOnDisk) else X.shape[1:]


def require_same_features(X: Mapping[Split, Rows], contents: Contents, path: Path) -> None:
    """Raise LcbenchError unless the X of all splits have the same row shape and type."""
    train = contents.parts["train"]
    for split, part in contents.parts.items():
        if _row_shape(part.X) != _row_shape(train.X):
            raise LcbenchError(
                f"{path}: {part.x_name} has rows of the shape {_row_shape(part.X)} and {train.x_name} "
                f"{_row_shape(train.X)}; all splits need the same features"
            )
        if X[split].dtype != X["train"].dtype:
            raise LcbenchError(
                f"{path}: {part.x_name} is {part.X.dtype} and {train.x_name} {train.X.dtype}; store all in one type"
            )


# Splits that the file does not have

_BLOCK_BYTES = 2**20
"""Size of the blocks in which rows are moved."""


def require_fractions(fractions: Mapping[Split, float]) -> None:
    """Raise LcbenchError unless each fraction is 0 or more and their sum leaves rows for training."""
    for split, fraction in fractions.items():
        if not fraction >= 0:
            raise LcbenchError(f"the fraction for {split} is {fraction}; it must be 0 or more")
    if not sum(fractions.values()) < 1:
        given = " and ".join(f"{fraction:g} for {split}" for split, fraction in fractions.items())
        raise LcbenchError(f"{given} leave nothing to train on; together they must be below 1")


def draw_splits(
    y: NDArray[np.int64], class_names: tuple[str, ...], fractions: Mapping[Split, float], seed: int, path: Path
) -> dict[Split, NDArray[np.int64]]:
    """Return the ascending row indices of each split in `fractions`, and of "train", which gets the rest.

    Each split gets its fraction of every class of y (N,), rounded, and at least one row unless the fraction is 0. The
    same seed gives the same rows. Raise LcbenchError if a class has fewer rows than there are splits to fill.
    """
    filled = [split for split, fraction in fractions.items() if fraction > 0]
    counts = np.bincount(y, minlength=len(class_names))
    small = np.flatnonzero(counts <= len(filled))
    if small.size:
        raise LcbenchError(_too_few_rows(small, counts, class_names, filled, path))

    rng = np.random.default_rng(seed)
    by_class = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    drawn: dict[Split, list[NDArray[np.int64]]] = {split: [] for split in (*fractions, "train")}
    for rows_of_class in by_class:
        shuffled = rng.permutation(rows_of_class)
        for unfilled, split in zip(range(len(filled), 0, -1), filled, strict=True):
            wanted = max(1, round(len(rows_of_class) * fractions[split]))
            # The splits after this one, and train, need one row each.
            size = min(wanted, len(shuffled) - unfilled)
            drawn[split].append(shuffled[:size])
            shuffled = shuffled[size:]
        drawn["train"].append(shuffled)
    none = np.empty(0, np.int64)
    return {split: np.sort(np.concatenate([none, *rows])) for split, rows in drawn.items()}


def _too_few_rows(
    small: NDArray[np.int64], counts: NDArray[np.int64], class_names: tuple[str, ...], filled: list[Split], path: Path
) -> str:
    first = small[0]
    rows = "1 row" if counts[first] == 1 else f"{counts[first]} rows"
    needed = f"{', '.join(('train', *filled[:-1]))} and {filled[-1]} need one each"
    if small.size == 1:
        return f"{path}: class {shown(class_names[first])} has {rows}, and {needed}; add rows or leave the class out"
    return (
        f"{path}: {small.size:,} of {len(class_names):,} classes have too few rows (class {shown(class_names[first])} "
        f"has {rows}, and {needed}); are these the labels? --label chooses others"
    )


def keep_rows(X: Rows, rows: NDArray[np.int64]) -> Rows:
    """Return ``X[rows]`` for ascending rows without a second X in memory: X is overwritten."""
    if len(rows) == len(X):
        return X
    if not isinstance(X, np.ndarray):
        return select_rows(X, rows)
    step = max(1, _BLOCK_BYTES // (X.shape[1] * X.itemsize))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        X[start : start + len(block)] = X[block]
    return X[: len(rows)]
