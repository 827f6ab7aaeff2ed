"""X (N, D), wherever it is: an array, a matrix that stays in its file, or some of the rows of one.

All of them have a shape, a dtype and nbytes, and X[rows] is an array. Whoever wants all rows takes them by `blocks`:
then it makes no difference where they are, to the last bit, and no more of them is in memory than a few blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.on_disk import RowsOnDisk
from lcbench.datasets.read_ahead import read_ahead
from lcbench.datasets.watching import Watch, unwatched

_DENSE = 2
"""Where the rows between are no more than this many times those that are wanted, all are read: one long read takes less
time than many short ones."""


@dataclass(frozen=True)
class ChosenRows:
    """Some rows of a matrix on disk, by ascending numbers (N,): X[numbers], without reading it."""

    source: RowsOnDisk
    numbers: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self.numbers), self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is handed out."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return len(self.numbers) * self.source.shape[1] * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """A fresh array of what `rows`, a slice or an index array, chooses among these rows; one row of a number."""
        numbers = self.numbers[rows]
        if isinstance(rows, slice) and len(numbers) and rows.step in (None, 1):
            first, last = int(numbers[0]), int(numbers[-1])
            if last - first < _DENSE * len(numbers):
                between = self.source[first : last + 1]
                return between if len(between) == len(numbers) else between[numbers - first]
        return self.source[numbers]

    def blocks(self, rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """All rows, `rows` at a time, each block with the place of its first row; those to come are read meanwhile."""
        starts = range(0, len(self), rows)
        read = (partial(self.__getitem__, slice(start, start + rows)) for start in starts)
        return zip(starts, read_ahead(read), strict=True)


Rows: TypeAlias = NDArray[Any] | RowsOnDisk | ChosenRows


def in_memory(X: Rows) -> bool:
    """Whether X is an array."""
    return isinstance(X, np.ndarray)


def choose(X: Rows, numbers: NDArray[np.int64]) -> Rows:
    """X[numbers], for ascending numbers; what is on disk stays there."""
    if isinstance(X, np.ndarray):
        return X[numbers]
    if isinstance(X, ChosenRows):
        return ChosenRows(X.source, X.numbers[numbers])
    if len(numbers) and numbers[-1] == len(numbers) - 1:
        return X.first(len(numbers))
    return ChosenRows(X, numbers)


def blocks(X: Rows, rows: int, what: str = "", watch: Watch = unwatched) -> Iterator[tuple[int, NDArray[Any]]]:
    """All rows of X, `rows` at a time, each block with the number of its first row; good until the next is asked for.

    watch: is told `what` is done with them, and to how many.
    """
    found: Iterator[tuple[int, NDArray[Any]]]
    if isinstance(X, np.ndarray):
        found = ((start, X[start : start + rows]) for start in range(0, len(X), rows))
    else:
        found = X.blocks(rows)
    for start, block in found:
        yield start, block
        watch(what, start + len(block), len(X))
