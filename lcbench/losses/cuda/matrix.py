"""Matrices on the device with padded rows, and an X in host memory that is copied to the device in chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cuda.backend import compiled_kernel, cuda, is_simulator

CHUNK_BYTES = 64 << 20
"""Size of a chunk of rows. Large enough to hide the time to start a copy and three kernels."""


def pieces(count: int, size: int) -> int:
    """Return how many pieces of `size` cover `count`."""
    return -(-count // size)


def stride_of(columns: int) -> int:
    """Return the number of columns of a padded row, so that every row begins at an aligned address.

    An access needs a multiple of 4 columns. A multiple of 32 makes float32 rows whole cache lines, and is used where it
    adds a few percent at most. The stride depends only on the columns, so that X and W have the same layout.
    """
    step = 32 if columns >= 512 else 4
    return pieces(columns, step) * step


@dataclass(frozen=True, eq=False)
class DeviceMatrix:
    """Matrix on the device, in row-major order with padded rows.

    grid (rows, stride) and line (rows * stride,): two views of the same contiguous memory, zero from `columns` on.
    """

    grid: Any
    line: Any
    columns: int

    @classmethod
    def empty(cls, rows: int, columns: int, dtype: Any) -> DeviceMatrix:
        """Return an uninitialised matrix; the padding is not initialised either."""
        line = cuda.device_array(rows * stride_of(columns), dtype)
        return cls(line.reshape(rows, stride_of(columns)), line, columns)

    @classmethod
    def copy_of(cls, matrix: NDArray[Any]) -> DeviceMatrix:
        """Return a copy of `matrix` (rows, columns), made in chunks. The device needs memory for two more chunks."""
        rows, columns = matrix.shape
        made = cls.empty(rows, columns, matrix.dtype)
        HostMatrix(matrix).for_each_chunk(lambda *_: None, into=made)
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (rows, columns)."""
        return self.grid.shape[0], self.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the elements."""
        return np.dtype(self.grid.dtype)

    def copy_to_host(self) -> NDArray[Any]:
        """Return a NumPy array (rows, columns)."""
        host: NDArray[Any] = self.line.copy_to_host()
        return np.ascontiguousarray(host.reshape(self.grid.shape)[:, : self.columns])


ChunkCallback = Callable[[DeviceMatrix, int, int, Any], None]
"""``(chunk, start, stop, stream)``: the first rows of the chunk are rows start to stop. Work on it goes to `stream`."""


class HostMatrix:
    """X (N, D), contiguous in host memory, that is copied to the device in chunks of rows for each computation.

    While the device computes on one chunk, the next is copied. Copies reach the full rate of the bus if X is pinned
    (locked in memory), which `pin` does in place. If the system does not allow that, copies are slower::

                      copying stream    copy 0   copy 1   copy 2 ...       two raw buffers, alternating
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
        """Shape (N, D)."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of X."""
        return self.matrix.dtype

    def pin(self) -> HostMatrix:
        """Lock X in memory for the lifetime of this object, if the system allows it. Return self."""
        with contextlib.suppress(Exception):  # the backends raise different errors if memory cannot be locked
            self._pinned.enter_context(cuda.pinned(self.matrix))
        return self

    def for_each_chunk(self, use: ChunkCallback, into: DeviceMatrix | None = None) -> None:
        """Call `use` for every chunk in order, and wait until the device has finished the last one.

        into: matrix that keeps all rows. Without it, a buffer of one chunk is reused.
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
    """Return the kernel ``pad(raw, rows, padded, at)``.

    It copies the first `rows` rows of raw to padded[at : at + rows] and sets the padding to zero.
    """

    @compiled_kernel()
    def pad(raw: Any, rows: int, padded: Any, at: int) -> None:
        columns = raw.shape[1]
        for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            for column in range(cuda.threadIdx.x, padded.shape[1], cuda.blockDim.x):
                if column < columns:
                    padded[at + row, column] = raw[row, column]
                else:
                    padded[at + row, column] = 0

    return pad
