"""Matrices on the device, with rows that begin where wide accesses may, and X that stays on the host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cuda.backend import cuda, is_simulator

CHUNK_BYTES = 64 << 20
"""Rows on their way to the device at a time. Enough to hide what starting a copy and three kernels costs."""


def pieces(count: int, size: int) -> int:
    """How many pieces of `size` cover `count`."""
    return -(-count // size)


def stride_of(columns: int) -> int:
    """Columns that a row of `columns` takes in memory: zeros are added so that every row begins at a whole access.

    A multiple of 4 columns is what an access needs; of 32, what makes float32 rows whole cache lines as well, where it
    adds at most a few percent. It depends on the columns alone, so that X and W are laid out alike.
    """
    step = 32 if columns >= 512 else 4
    return pieces(columns, step) * step


@dataclass(frozen=True, eq=False)
class DeviceMatrix:
    """A matrix on the device, row after row.

    grid (rows, stride), line (rows * stride,): the same memory, contiguous, zero from `columns` on.
    """

    grid: Any
    line: Any
    columns: int

    @classmethod
    def empty(cls, rows: int, columns: int, dtype: Any) -> DeviceMatrix:
        """Of any content, the columns beyond the last included."""
        line = cuda.device_array(rows * stride_of(columns), dtype)
        return cls(line.reshape(rows, stride_of(columns)), line, columns)

    @classmethod
    def copy_of(cls, matrix: NDArray[Any]) -> DeviceMatrix:
        """`matrix` (rows, columns), copied in chunks: beside it, the device holds two chunks for the time being."""
        rows, columns = matrix.shape
        made = cls.empty(rows, columns, matrix.dtype)
        Feed(matrix).each(lambda *_: None, into=made)
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.grid.shape[0], self.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return np.dtype(self.grid.dtype)

    def copy_to_host(self) -> NDArray[Any]:
        """(rows, columns), a NumPy array."""
        host: NDArray[Any] = self.line.copy_to_host()
        return np.ascontiguousarray(host.reshape(self.grid.shape)[:, : self.columns])


Use = Callable[[DeviceMatrix, int, int, Any], None]
"""``(chunk, start, stop, stream)``: the chunk's first rows are rows start to stop; work on it goes to `stream`."""


class Feed:
    """X (N, D) in host memory, contiguous, that passes through the device in chunks of rows, as often as asked.

    While one chunk is computed with, the next is copied. Copies run at the bus's full rate where X is pinned (locked in
    memory), which `pin` does in place; where the system refuses that, they are slower and right all the same.

                      copying stream    copy 0   copy 1   copy 2 ...       two raw buffers in turn
                    computing stream             pad 0, use 0   pad 1, use 1 ...
    """

    def __init__(self, matrix: NDArray[Any], chunk_bytes: int | None = None) -> None:
        self.matrix = matrix
        rows, columns = matrix.shape
        self.chunk_rows = max(1, min(rows, (chunk_bytes or CHUNK_BYTES) // (columns * matrix.itemsize)))
        self._pinned = contextlib.ExitStack()
        self._raw: list[Any] = []
        self._padded: DeviceMatrix | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of X."""
        return self.matrix.dtype

    def pin(self) -> Feed:
        """Lock X in memory for as long as this lives, if the system lets us."""
        with contextlib.suppress(Exception):  # each backend has its own error for memory that cannot be locked
            self._pinned.enter_context(cuda.pinned(self.matrix))
        return self

    def each(self, use: Use, into: DeviceMatrix | None = None) -> None:
        """Call `use` for every chunk in turn, and wait until the device has finished with the last.

        into: where all the rows are kept; without it, they pass through a buffer of one chunk.
        """
        if not self._raw:
            self._raw = [cuda.device_array((self.chunk_rows, self.shape[1]), self.dtype) for _ in range(2)]
        if into is None and self._padded is None:
            self._padded = DeviceMatrix.empty(self.chunk_rows, self.shape[1], self.dtype)
        chunk = into or self._padded
        assert chunk is not None
        raw, threads = self._raw, 4 if is_simulator() else 256
        copying, computing = cuda.stream(), cuda.stream()
        copied, released = [cuda.event(), cuda.event()], [cuda.event(), cuda.event()]
        pad = build_pad()
        for i, start in enumerate(range(0, self.shape[0], self.chunk_rows)):
            stop = min(start + self.chunk_rows, self.shape[0])
            turn = i % 2
            if i >= 2:
                released[turn].wait(copying)
            raw[turn][: stop - start].copy_to_device(self.matrix[start:stop], stream=copying)
            copied[turn].record(copying)
            copied[turn].wait(computing)
            at = start if into is not None else 0
            pad[min(stop - start, 4096), threads, computing](raw[turn], stop - start, chunk.grid, at)
            released[turn].record(computing)
            use(chunk, start, stop, computing)
        computing.synchronize()


@lru_cache(maxsize=1)
def build_pad() -> Any:
    """The kernel ``pad(raw, rows, padded, at)``: padded[at : at + rows] = the first rows of raw, and zeros beyond."""

    @cuda.jit
    def pad(raw: Any, rows: int, padded: Any, at: int) -> None:
        columns = raw.shape[1]
        for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            for column in range(cuda.threadIdx.x, padded.shape[1], cuda.blockDim.x):
                if column < columns:
                    padded[at + row, column] = raw[row, column]
                else:
                    padded[at + row, column] = 0

    return pad
