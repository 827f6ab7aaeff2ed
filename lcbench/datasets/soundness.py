"""Can a classifier be trained on this? Asked of every X and y, wherever they come from, before any time is spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.rows import Rows, blocks
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

_BLOCK_VALUES = 2**18
"""Values looked at together: the temporaries stay in the cache, and below a megabyte whatever the size of X."""


def require_examples(X: Rows, y: NDArray[Any], classes: int, where: str) -> None:
    """Raises LcbenchError, beginning with `where`, unless a classifier of so many classes can be trained on X and y.

    That is: X (N, D) uint8, float32 or float64 and finite, D and N at least 1, and y (N,) integers in [0, classes).
    """
    if X.dtype not in (np.uint8, np.float32, np.float64):
        raise LcbenchError(f"{where}: X is {X.dtype}, not uint8, float32 or float64; convert it with X.astype")
    if X.ndim != 2:
        raise LcbenchError(f"{where}: X has the shape {X.shape}, not (rows, features); reshape it")
    require_rows(X, y, "X", "y", where)
    require_labels(y, classes, lambda row: f"{where}: y[{row}]")
    if y.dtype.kind not in "iu":
        raise LcbenchError(f"{where}: y is {y.dtype}, and labels are integers; convert it with y.astype(int)")
    require_finite(X, lambda row, column: f"{where}: X[{row}, {column}]")


def require_rows(X: Rows, y: NDArray[Any], x_name: str, y_name: str, where: str) -> None:
    """Raises LcbenchError unless X (N, D) and y (N,) have one label for each row, and at least one row and feature."""
    if y.ndim != 1:
        one_hot = y.ndim == 2 and y.shape[1] > 1
        advice = f"if it is one-hot, {y_name}.argmax(axis=1) is" if one_hot else f"{y_name}.ravel() is"
        raise LcbenchError(f"{where}: {y_name} has the shape {y.shape} and should have one label a row; {advice} that")
    if len(X) != len(y):
        raise LcbenchError(
            f"{where}: {x_name} has {len(X):,} rows and {y_name} {len(y):,} labels; give each row its label"
        )
    if not len(y):
        raise LcbenchError(f"{where}: no rows in {x_name}; there must be some to learn from")
    if not X.shape[1]:
        raise LcbenchError(f"{where}: no features in {x_name}; there must be some to learn from")


def require_finite(X: Rows, cell: Callable[[int, int], str], progress: ProgressCallback = no_progress) -> None:
    """Raises LcbenchError where X (N, D) holds NaN or infinity: how many there are, and the first of them.

    cell: what to call the value in a row and column, file included. X is read in blocks, without a copy. progress: told
    how far it has been looked at.
    """
    if X.dtype.kind != "f":
        return
    first, count = None, 0
    rows = max(1, _BLOCK_VALUES // X.shape[1])
    for start, block in blocks(X, rows, "looking for values that are not finite", progress):
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
    """Raises LcbenchError at the first of y (N,) that is no whole number in [0, classes); None: of any size.

    label: what to call the label of a row, file included.
    """
    if y.dtype.kind not in "iuf":
        raise LcbenchError(f"{label(0)} is of type {y.dtype}: labels are numbers, 0 for the first class")
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # the remainder of an infinity
            broken = np.flatnonzero(np.mod(y, 1) != 0)
        if broken.size:
            raise LcbenchError(
                f"{label(int(broken[0]))} is {y[broken[0]]}: labels are whole numbers; is this the label at all?"
            )
    outside = np.flatnonzero((y < 0) | (y >= (classes if classes is not None else 2**53)))
    if outside.size:
        range_ = "are numbered from 0" if classes is None else f"go from 0 to {classes - 1}"
        found = str(y[outside[0]]).removesuffix(".0")
        raise LcbenchError(f"{label(int(outside[0]))} is {found}: labels {range_}; renumber them")
