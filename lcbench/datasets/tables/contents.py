"""What a file was found to hold, before it is known to be sound. Each format makes this, and `reading` checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.rows import Rows, RowsOnDisk, choose
from lcbench.datasets.soundness import require_labels
from lcbench.errors import LcbenchError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """The rows of one split as they stand in the file.

    X (N, ...) of any type, or (N, D) where it stays on disk; y numbers or text ("U").
    x_name, y_name: what the file calls them. cell, label: what a message calls the value of X in a row and column, and
    the label of a row, file included.
    """

    X: NDArray[Any] | RowsOnDisk
    y: NDArray[Any]
    x_name: str
    y_name: str
    cell: Callable[[int, int], str]
    label: Callable[[int], str]


@dataclass(frozen=True)
class Contents:
    """parts: always with "train"; the others where the file tells them apart itself.

    class_names, feature_names, image_shape: where the file states them.
    """

    parts: Mapping[Split, Part]
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None


def listed(names: list[str], most: int = 8) -> str:
    """Names as a message lists them: quoted, and no more than fit."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def one_line(error: Exception) -> str:
    """What another library says went wrong, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


# Labels as a file has them, numbers or names of classes, made into numbers from 0 without gaps.

_NO_NAMES = ("", "nan")
"""What stands in a column of text where a label is missing, an empty cell or what pandas makes of it."""


def number_labels(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    """The labels of each split, (N,) int64 in [0, C), and the names of the C classes.

    The names are those that the file states, or the labels themselves, sorted if they are text. Raises LcbenchError for
    a label that is no class, a class without a training row, and fewer than two classes.
    """
    kinds = {part.y.dtype.kind == "U" for part in contents.parts.values()}
    if len(kinds) == 2:
        raise LcbenchError(f"{path}: labels are text in one split and numbers in another; write them alike")
    y, class_names = _from_text(contents) if kinds == {True} else _from_numbers(contents, path)
    used = np.unique(y["train"])
    if len(used) < len(class_names):
        absent = class_names[_first_gap(used)]
        raise LcbenchError(f"{path}: no training row is of class {absent!r}; add some or leave the class out")
    if len(used) == 1:
        rows = "the only row is" if len(y["train"]) == 1 else f"all {len(y['train']):,} rows are"
        raise LcbenchError(f"{path}: {rows} of class {class_names[0]!r}; there must be two classes to tell apart")
    return y, class_names


def _from_text(contents: Contents) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    distinct = np.unique(np.concatenate([np.unique(part.y) for part in contents.parts.values()]))
    class_names = contents.class_names or tuple(str(name) for name in distinct)
    number = {name: c for c, name in enumerate(class_names)}
    y = {}
    for split, part in contents.parts.items():
        distinct, which = np.unique(part.y, return_inverse=True)
        for i, name in enumerate(distinct.tolist()):
            if name in number and name.lower() not in _NO_NAMES:
                continue
            place = part.label(int(np.argmax(which == i)))
            if name.lower() in _NO_NAMES:
                raise LcbenchError(f"{place} is {repr(name) if name else 'empty'}; fill it in or leave the row out")
            raise LcbenchError(f"{place} is {name!r}, and class_names has only {listed([*class_names])}; add it there")
        y[split] = np.array([number[name] for name in distinct.tolist()], np.int64)[which]
    return y, class_names


def _from_numbers(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    classes = None if contents.class_names is None else len(contents.class_names)
    y = {}
    for split, part in contents.parts.items():
        labels = part.y.astype(np.int64) if part.y.dtype.kind == "b" else part.y
        require_labels(labels, classes, part.label)
        y[split] = labels.astype(np.int64)
    if contents.class_names is not None:
        return y, contents.class_names
    # before any array or list is made whose length is the highest label
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
    """The lowest number from 0 that is not among `used`, which ascend."""
    gaps = np.flatnonzero(used != np.arange(len(used)))
    return int(gaps[0]) if gaps.size else len(used)


# X as a file has it, made into the matrix that the losses take.

_NO_NUMBERS = {
    "c": "complex numbers; give their real and imaginary parts as two features",
    "U": "text; encode it as numbers",
    "S": "text; encode it as numbers",
    "O": "objects; store an array of numbers",
    "V": "records of several fields; store an array of numbers",
    "M": "dates; encode them as numbers",
    "m": "durations; encode them as numbers",
}
"""By NumPy's kind of type: what an array of it holds, and what to do."""


def as_matrix(X: NDArray[Any] | RowsOnDisk, where: str) -> Rows:
    """X (N, ...) as (N, D), C-contiguous, uint8, float32 or float64; a copy only where type or layout must change.

    What is on disk stays there, and is handed out in that type.

    Other integers, truth values and float16 become float32, longer floats float64. Raises LcbenchError, beginning with
    `where`, if X does not hold numbers, or not rows of them.
    """
    if X.dtype.kind not in "biuf":
        raise LcbenchError(f"{where} holds {_NO_NUMBERS.get(X.dtype.kind, f'values of type {X.dtype}')}")
    if X.ndim < 2:
        raise LcbenchError(f"{where} has the shape {X.shape}, not (rows, features); reshape it to (-1, 1) if it is one")
    dtype: DTypeLike
    if X.dtype.kind == "f":
        dtype = np.float32 if X.dtype.itemsize <= 4 else np.float64
    else:
        dtype = np.uint8 if X.dtype == np.uint8 else np.float32
    if isinstance(X, RowsOnDisk):
        return X.astype(dtype)
    return np.ascontiguousarray(X, dtype).reshape(len(X), int(np.prod(X.shape[1:])))


def image_shape(X: NDArray[Any] | RowsOnDisk) -> tuple[int, int, int] | None:
    """The shape of a row of X (N, ...), in the order of its values, if that is (3, H, W) or (H, W, 3)."""
    shape = _row_shape(X)
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 and 3 in (shape[0], shape[2]) else None


def _row_shape(X: NDArray[Any] | RowsOnDisk) -> tuple[int, ...]:
    return X.row_shape if isinstance(X, RowsOnDisk) else X.shape[1:]


def require_alike(X: Mapping[Split, Rows], contents: Contents, path: Path) -> None:
    """Raises LcbenchError unless the splits' X have the same features in the same type and row shape."""
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


# Which rows are learnt from and which are kept back, where a file does not say so itself.

_BLOCK_BYTES = 2**20


def require_fractions(fractions: Mapping[Split, float]) -> None:
    """Raises LcbenchError unless each fraction is 0 or more and something is left to train on."""
    for split, fraction in fractions.items():
        if not fraction >= 0:
            raise LcbenchError(f"the fraction for {split} is {fraction}; it must be 0 or more")
    if not sum(fractions.values()) < 1:
        said = " and ".join(f"{fraction:g} for {split}" for split, fraction in fractions.items())
        raise LcbenchError(f"{said} leave nothing to train on; together they must be below 1")


def draw_splits(
    y: NDArray[np.int64], class_names: tuple[str, ...], fractions: Mapping[Split, float], seed: int, path: Path
) -> dict[Split, NDArray[np.int64]]:
    """Row numbers, ascending, of each split in `fractions` and of "train", which gets the rest.

    Of each class of y (N,), every split gets its fraction, rounded, and at least one row unless the fraction is 0.
    The same seed gives the same rows. Raises LcbenchError where a class has fewer rows than there are splits to fill.
    """
    filled = [split for split, fraction in fractions.items() if fraction > 0]
    counts = np.bincount(y, minlength=len(class_names))
    few = np.flatnonzero(counts <= len(filled))
    if few.size:
        raise LcbenchError(_too_few(few, counts, class_names, filled, path))

    stream = np.random.default_rng(seed)
    by_class = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    chosen: dict[Split, list[NDArray[np.int64]]] = {split: [] for split in (*fractions, "train")}
    for of_class in by_class:
        shuffled = stream.permutation(of_class)
        for still_to_fill, split in zip(range(len(filled), 0, -1), filled, strict=True):
            wanted = max(1, round(len(of_class) * fractions[split]))
            # the splits after this one, of which train is the last, need a row each
            size = min(wanted, len(shuffled) - still_to_fill)
            chosen[split].append(shuffled[:size])
            shuffled = shuffled[size:]
        chosen["train"].append(shuffled)
    none = np.empty(0, np.int64)
    return {split: np.sort(np.concatenate([none, *rows])) for split, rows in chosen.items()}


def _too_few(
    few: NDArray[np.int64], counts: NDArray[np.int64], class_names: tuple[str, ...], filled: list[Split], path: Path
) -> str:
    first = few[0]
    rows = "1 row" if counts[first] == 1 else f"{counts[first]} rows"
    needed = f"{', '.join(('train', *filled[:-1]))} and {filled[-1]} need one each"
    if few.size == 1:
        return f"{path}: class {class_names[first]!r} has {rows}, and {needed}; add rows or leave the class out"
    return (
        f"{path}: {few.size:,} of {len(class_names):,} classes have too few rows (class {class_names[first]!r} has "
        f"{rows}, and {needed}); are these the labels? --label chooses others"
    )


def keep_rows(X: Rows, rows: NDArray[np.int64]) -> Rows:
    """``X[rows]`` for ascending rows without a second X in memory: they move to the front of X, which is given up."""
    if len(rows) == len(X):
        return X
    if not isinstance(X, np.ndarray):
        return choose(X, rows)
    step = max(1, _BLOCK_BYTES // (X.shape[1] * X.itemsize))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        X[start : start + len(block)] = X[block]
    return X[: len(rows)]
