"""Rows to be measured on from a file of the user's own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.loading import is_hdf5
from lcbench.datasets.on_disk import RowsOnDisk, open_rows
from lcbench.datasets.rows import in_memory
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    from lcbench.datasets.examples import Examples


class Shape(NamedTuple):
    """What a file has to offer: its rows to train on, the columns of X with the ones, and the classes.

    on_disk: whether its X can stay where it is. itemsize: bytes of a number of X as it lies there.
    """

    rows: int
    features: int
    classes: int
    on_disk: bool
    itemsize: int


def shape(path: Path) -> Shape:
    """Of the rows to train on in `path`. Raises LcbenchError where it is no table."""
    train, classes = _train(path)
    X = train.X
    stored = open_rows(X.path, X.name) if isinstance(X, RowsOnDisk) else X  # X itself may be given out as another type
    return Shape(len(train), X.shape[1] + 1, classes, not in_memory(X), stored.dtype.itemsize)


def first_rows(path: Path, rows: int, streamed: bool) -> tuple[Any, NDArray[Any]]:
    """The first rows to train on: X (rows, D - 1), on disk where it is streamed, and their labels in [0, C).

    Raises LcbenchError where there are fewer.
    """
    train, _ = _train(path)
    if rows > len(train):
        raise LcbenchError(f"{path} has {len(train):,} rows to train on, {rows:,} were asked for")
    if not streamed:
        return train.X[:rows], train.y[:rows]
    if isinstance(train.X, np.ndarray):
        raise LcbenchError(f"{path}: only HDF5 can be streamed; write it as that, or leave --stream out")
    return train.X.first(rows), train.y[:rows]


@cache
def _train(path: Path) -> tuple[Examples, int]:
    """The training rows, X on disk where the format allows it, and the number of classes."""
    from lcbench.datasets import tables

    # nothing is set apart for validation and testing: what is measured may be all of it
    splits = tables.read(path, validation=0.0, test=0.0, stream=is_hdf5(path))
    classes = len(splits.class_names)
    # the labels are held as long as the run goes on
    return replace(splits.train, y=splits.train.y.astype(np.min_scalar_type(classes - 1))), classes
