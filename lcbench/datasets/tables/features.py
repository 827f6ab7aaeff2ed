"""X as a file has it, made into the matrix that the losses take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.on_disk import RowsOnDisk
from lcbench.datasets.rows import Rows
from lcbench.datasets.tables.contents import Contents, Split
from lcbench.errors import LcbenchError

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
