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
from lcbench.datasets.read_ahead import AHEAD, read_ahead
from lcbench.progress import ProgressCallback, no_progress

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

    @property
    def in_chunks(self) -> bool:
        """Whether many rows are read where one is asked for."""
        return self.source.in_chunks

    def __len__(self) -> int:
        return len(self.numbers)

    def first(self, rows: int) -> ChosenRows:
        """The first `rows` of these rows."""
        return ChosenRows(self.source, self.numbers[:rows])

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """A fresh array of what `rows`, a slice or an index array, chooses among these rows; one row of a number."""
        return self.source[self.numbers[rows]]

    def take(self, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        """X[rows] in the first rows of `out`, which is contiguous and of X's dtype."""
        return self.source.take(self.numbers[rows], out)

    def blocks(self, rows: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """All rows, `rows` at a time, each block with the place of its first row; those to come are read meanwhile."""
        for start, X, places in self.scattered_blocks(rows or self.source.rows_a_block()):
            yield start, X if places is None else X[places]

    def scattered_blocks(self, rows: int) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64] | None]]:
        """As `blocks`, but the rows may have others between them: then their places in the array come with it."""
        starts = range(0, len(self), rows)
        parts = [self.numbers[start : start + rows] for start in starts]
        if len(self) and self.numbers[-1] - self.numbers[0] < _DENSE * len(self):
            bounds = [(int(part[0]), int(part[-1]) + 1) for part in parts]
            for start, part, (first, X) in zip(starts, parts, self.source.stretches(bounds), strict=True):
                yield start, X, None if len(X) == len(part) else part - first
        else:
            memories = [np.empty((min(rows, len(self)), self.shape[1]), self.dtype) for _ in range(AHEAD + 1)]
            gathered = read_ahead(
                partial(self.source.take, part, memories[number % len(memories)]) for number, part in enumerate(parts)
            )
            for start, X in zip(starts, gathered, strict=True):
                yield start, X, None


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


def blocks(
    X: Rows, rows: int, what: str = "", progress: ProgressCallback = no_progress
) -> Iterator[tuple[int, NDArray[Any]]]:
    """All rows of X, `rows` at a time, each block with the number of its first row; good until the next is asked for.

    progress: is told `what` is done with them, and to how many.
    """
    for start, block in _in_memory(X, rows) if isinstance(X, np.ndarray) else X.blocks(rows):
        yield start, block
        progress(what, start + len(block), len(X))


def scattered_blocks(X: Rows, rows: int) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64] | None]]:
    """As `blocks`, for those who can read rows with others between them: these are at the places that come last.

    None: there are no others. Nothing is copied to bring the rows together.
    """
    if isinstance(X, ChosenRows):
        yield from X.scattered_blocks(rows)
    else:
        yield from ((start, block, None) for start, block in blocks(X, rows))


def _in_memory(X: NDArray[Any], rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
    return ((start, X[start : start + rows]) for start in range(0, len(X), rows))
