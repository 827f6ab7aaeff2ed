"""Checks of features and labels that run before any computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.rows import Rows, blocks
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

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
