"""The rows that the next steps of a descent need, brought to memory while the last ones are made use of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.read_ahead import AHEAD, read_ahead
from lcbench.learn.descent.objective import Memory, Objective

BYTES_AT_ONCE = 6_000_000
"""Of rows that are read together, where a step does not need more: they are in the cache when they are used."""

BYTES_AT_ONCE_OF_CHUNKS = 32_000_000
"""Where HDF5 reads whole chunks: the more rows are wanted of each, the better."""


class RowsAhead:
    """Gives the batches of an objective together with their rows, a few at a time."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._memories = [Memory() for _ in range(AHEAD + 1)]

    def __call__(self, batches: NDArray[np.int64]) -> Iterator[tuple[Objective, NDArray[np.int64]]]:
        """The batches (S, B) in turn, some at a time, each time after the objective on rows in memory that they number.

        Rows in memory stay where they are: then it is the objective itself, and all batches at once. Rows on disk are
        read each once, in the order of the file, while the batches before them are in use; then their memory is used
        again.
        """
        if not self.objective.streamed:
            yield self.objective, batches
            return
        size = BYTES_AT_ONCE_OF_CHUNKS if self.objective.X.in_chunks else BYTES_AT_ONCE
        steps = max(1, size // (batches.shape[1] * self.objective.row_bytes))
        pieces = (batches[first : first + steps] for first in range(0, len(batches), steps))
        yield from read_ahead(
            partial(self._read, piece, self._memories[number % len(self._memories)])
            for number, piece in enumerate(pieces)
        )

    def _read(self, batches: NDArray[np.int64], memory: Memory) -> tuple[Objective, NDArray[np.int64]]:
        rows, places = np.unique(batches, return_inverse=True)
        return self.objective.among(rows, memory), places.reshape(batches.shape)
