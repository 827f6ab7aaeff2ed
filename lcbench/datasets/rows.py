"""Rows X (N, D): an array in memory, a matrix in an HDF5 file, or selected rows of such a matrix.

All three have `shape`, `ndim`, `dtype` and `nbytes`, and ``X[rows]`` is an array. Code that needs every row iterates
over `blocks`: the result is then the same for all three, to the last bit, and only a few blocks are in memory at a
time.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets import hdf5
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

T = TypeVar("T")

_ADVICE = "write the file again"

READ_AHEAD = 2
"""Number of results that `read_ahead` computes or holds beside the one in use."""

BLOCK_BYTES = 32_000_000
"""Default size of a block. Reading it takes long compared with the cost of passing it between threads."""

_MAX_READ_BYTES = 1 << 30
"""Most bytes that are requested in one system call; Linux returns at most 2 GiB."""

_DENSE_RATIO = 2
"""`SelectedRows` reads the whole range if it has fewer than this many times the selected rows: one long read takes less
time than many short ones."""

_PAGE_BYTES = 1 << 21
"""Size of a large page."""


def read_ahead(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of `tasks` in order. A thread computes the next results while the caller uses the last one.

    An exception of a task is raised in place of its result.
    """
    pending: deque[Future[T]] = deque()
    thread = ThreadPoolExecutor(1, "read-ahead")
    try:
        for task in tasks:
            pending.append(thread.submit(task))
            if len(pending) > READ_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def open_rows(path: Path, name: str) -> RowsOnDisk:
    """Return the matrix called `name` in an HDF5 file: a numeric dataset of two or more axes, the first for the rows.

    Raise LcbenchError if there is no such matrix.
    """
    with hdf5.open_file(path, _ADVICE) as file:
        return rows_of_dataset(path, file[name])


def rows_of_dataset(path: Path, dataset: Any) -> RowsOnDisk:
    """Return the matrix of an open h5py dataset in the file `path`. Raise LcbenchError if it is no numeric matrix."""
    hdf5.require_own_data(path, dataset)
    name = dataset.name.removeprefix("/")
    if dataset.shape is None or len(dataset.shape) < 2 or dataset.dtype.kind not in "biuf":
        raise LcbenchError(
            f"{path}: {name} is {dataset.dtype} {dataset.shape}: only numbers in rows and columns can be streamed"
        )
    stored = _StoredMatrix(
        path=path.absolute(),
        name=name,
        rows=dataset.shape[0],
        row_shape=dataset.shape[1:],
        dtype=dataset.dtype,
        offset=dataset.id.get_offset(),
        chunk_rows=dataset.chunks[0] if dataset.chunks else 1,
    )
    return RowsOnDisk(stored, stored.rows, stored.dtype)


@dataclass(frozen=True)
class _StoredMatrix:
    """Location and layout of a matrix in its file.

    offset: byte offset of the first row, None if the rows are chunked and only HDF5 can read them.
    """

    path: Path
    name: str
    rows: int
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    chunk_rows: int

    @property
    def where(self) -> str:
        return f"{self.path}: {self.name}"


class _Reader(Protocol):
    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (n, D), C-contiguous and of the file's dtype, with rows start..start+n."""
        ...


@dataclass(frozen=True)
class RowsOnDisk:
    """Matrix X (N, D) in an HDF5 file. Rows are returned as they are read and are not kept.

    Created by `open_rows`. It can be pickled, and opens its file once in each process, on the first read. Rows of
    several axes are flattened.
    """

    _stored: _StoredMatrix
    rows: int
    dtype: np.dtype[Any]
    """Type of the returned arrays; the type in the file may differ."""
    _readers: dict[int, _Reader] = field(default_factory=dict, repr=False, compare=False)
    """Reader by process id: a forked process must not share its parent's open file."""

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._stored.path

    @property
    def name(self) -> str:
        """Name of the dataset in the file."""
        return self._stored.name

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row in the file."""
        return self._stored.row_shape

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, D)."""
        return self.rows, prod(self._stored.row_shape)

    @property
    def ndim(self) -> int:
        """Number of axes, 2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Number of bytes that the matrix would take in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def in_chunks(self) -> bool:
        """Whether HDF5 has to read many rows to return one."""
        return self._stored.chunk_rows > 1

    def __len__(self) -> int:
        return self.rows

    def __reduce__(self) -> tuple[Any, ...]:
        return RowsOnDisk, (self._stored, self.rows, self.dtype)

    def astype(self, dtype: DTypeLike) -> RowsOnDisk:
        """Return the same rows, which are converted to `dtype` when they are read."""
        return RowsOnDisk(self._stored, self.rows, np.dtype(dtype))

    def first(self, rows: int) -> RowsOnDisk:
        """Return the first `rows` rows, without reading them."""
        return RowsOnDisk(self._stored, min(rows, self.rows), self.dtype)

    def __getitem__(self, rows: slice | int | NDArray[Any]) -> NDArray[Any]:
        """Return a new array (n, D) for a slice, an index array or a mask, and (D,) for an integer.

        Indices may be negative, repeat and come in any order. Raise IndexError if an index is out of range, and
        LcbenchError if the file cannot be read.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.rows)
            if step == 1:
                out = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
                self._read(start, out)
                return out
            return self._take(np.arange(start, stop, step))
        if isinstance(rows, int | np.integer):
            row: NDArray[Any] = self._take(np.array([rows], np.int64))[0]
            return row
        indices = np.asarray(rows)
        if indices.dtype == np.bool_:
            if indices.shape != (self.rows,):
                raise IndexError(f"a mask of shape {indices.shape} does not fit {self.rows} rows")
            indices = np.flatnonzero(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise IndexError(f"rows are selected by (n,) integers, not {indices.shape} {indices.dtype}")
        return self._take(indices.astype(np.int64, copy=False))

    def take(self, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        """Write ``X[rows]`` to the first n rows of `out` and return them. Raises as ``X[rows]`` does.

        rows: (n,) indices. out: C-contiguous, of X's dtype. Reusing its memory avoids the page faults of a new array.
        """
        return self._take(rows, out[: len(rows)])

    def blocks(
        self, rows: int | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield rows start..stop in blocks of `rows` rows, each with the index of its first row.

        A thread reads the next blocks meanwhile. A block is valid until the next one is requested: its memory may then
        be reused. Writing to a block does not change the file. rows: by default as many as `BLOCK_BYTES` hold. Raises
        LcbenchError if the file cannot be read.
        """
        stop = self.rows if stop is None else min(stop, self.rows)
        rows = min(rows or self.rows_per_block(), max(1, stop - start))
        return self.ranges([(first, min(first + rows, stop)) for first in range(start, stop, rows)])

    def ranges(self, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield rows first..stop for each pair of `bounds`, as `blocks` does."""
        reader = self._reader()
        if isinstance(reader, _DirectReader) and self._stored.dtype == self.dtype:
            return read_ahead(partial(reader.map_rows, *pair) for pair in bounds)
        longest = max((stop - first for first, stop in bounds), default=0)
        buffers = [np.empty((longest, self.shape[1]), self.dtype) for _ in range(READ_AHEAD + 1)]

        def read(number: int) -> tuple[int, NDArray[Any]]:
            first, stop = bounds[number]
            block = buffers[number % len(buffers)][: stop - first]
            self._read(first, block)
            return first, block

        return read_ahead(partial(read, number) for number in range(len(bounds)))

    def rows_per_block(self) -> int:
        """Return the number of rows that `BLOCK_BYTES` hold, in whole chunks of the file."""
        fitting = max(1, BLOCK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        chunk = self._stored.chunk_rows
        return max(chunk, fitting // chunk * chunk)

    def _take(self, rows: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        if out is None:
            out = np.empty((len(rows), self.shape[1]), self.dtype)
        if not len(rows):
            return out
        if rows.min() < -self.rows or rows.max() >= self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} are not all in 0..{self.rows - 1}")
        rows = np.where(rows < 0, rows + self.rows, rows)
        if self._stored.chunk_rows > 1:
            self._take_by_chunks(rows, out)
            return out
        # Runs of consecutive rows are read at once, in the order of the file.
        ends = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        firsts = rows[ends[:-1]]
        order = np.argsort(firsts, kind="stable")
        places = list(pairwise(ends))
        runs = [(row, *places[k]) for k, row in zip(order.tolist(), firsts[order].tolist(), strict=True)]
        reader = self._reader()
        if isinstance(reader, _DirectReader) and self._stored.dtype == self.dtype:
            reader.read_runs(runs, out)
            return out
        for row, first, end in runs:
            self._read(row, out[first:end])
        return out

    def _take_by_chunks(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Read each chunk once, since HDF5 always reads whole chunks."""
        size = self._stored.chunk_rows
        order = np.argsort(rows, kind="stable")
        chunk_numbers = rows[order] // size
        chunk = np.empty((size, self.shape[1]), self.dtype)
        for places in np.split(order, np.flatnonzero(np.diff(chunk_numbers)) + 1):
            first = int(rows[places[0]]) // size * size
            part = chunk[: self._stored.rows - first]
            self._read(first, part)
            out[places] = part[rows[places] - first]

    def _read(self, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (n, D) with rows start..start+n, converted to `dtype`."""
        if not out.size:
            return
        reader = self._reader()
        if self._stored.dtype == self.dtype:
            reader.read(start, out)
            return
        rows = self.rows_per_block()
        for first in range(0, len(out), rows):
            part = out[first : first + rows]
            raw = np.empty(part.shape, self._stored.dtype)
            reader.read(start + first, raw)
            part[:] = raw

    def _reader(self) -> _Reader:
        process = os.getpid()
        if process not in self._readers:
            self._readers.clear()
            offset = self._stored.offset
            direct = offset is not None and offset % self._stored.dtype.itemsize == 0 and hasattr(os, "preadv")
            self._readers[process] = _DirectReader(self._stored) if direct else _HDF5Reader(self._stored)
        return self._readers[process]


class _DirectReader:
    """Reader of contiguous rows, without HDF5, which would hold the GIL and its own lock during a read."""

    def __init__(self, stored: _StoredMatrix) -> None:
        self._stored = stored
        self._row_bytes = prod(stored.row_shape) * stored.dtype.itemsize
        try:
            self._file = stored.path.open("rb", buffering=0)
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill `out` with rows start..start+n. Releases the GIL."""
        left, position = memoryview(out.reshape(-1).view(np.uint8)), self._position(start)  # type: ignore[arg-type]
        while left:
            try:
                count = os.preadv(self._file.fileno(), [left[:_MAX_READ_BYTES]], position)
            except OSError as error:
                raise self._unreadable(error) from error
            if not count:
                raise self._truncated()
            left, position = left[count:], position + count

    def read_runs(self, runs: list[tuple[int, int, int]], out: NDArray[Any]) -> None:
        """Fill out[first:end] with consecutive rows from `row` on, for each (row, first, end) of `runs`."""
        file, size = self._file.fileno(), self._row_bytes
        memory = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for row, first, end in runs:  # often one row each, so this loop does as little as possible
            if os.preadv(file, [memory[first * size : end * size]], self._position(row)) < (end - first) * size:
                self.read(row, out[first:end])

    def map_rows(self, start: int, stop: int) -> tuple[int, NDArray[Any]]:
        """Return `start` and rows start..stop (n, D), mapped from the page cache without a copy.

        Pages that are not in the page cache are read from the disk first. The mapping ends with the array. Mapping
        takes almost no time if the page cache holds the file in large pages, and as long as a copy if it does not.
        """
        position, size = self._position(start), (stop - start) * self._row_bytes
        before = position % mmap.ALLOCATIONGRANULARITY
        # Access to a mapped page behind the end of the file would kill the process with SIGBUS.
        if os.fstat(self._file.fileno()).st_size < position + size:
            raise self._truncated()
        try:
            memory = mmap.mmap(self._file.fileno(), size + before, access=mmap.ACCESS_COPY, offset=position - before)
        except OSError as error:
            raise self._unreadable(error) from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # advice only
                memory.madvise(mmap.MADV_HUGEPAGE)
        # Reading one byte of a large page loads all of it.
        np.frombuffer(memory, np.uint8)[::_PAGE_BYTES].max()
        values = np.frombuffer(memory, self._stored.dtype, (stop - start) * prod(self._stored.row_shape), before)
        return start, values.reshape(stop - start, -1)

    def _position(self, row: int) -> int:
        assert self._stored.offset is not None
        return self._stored.offset + row * self._row_bytes

    def _truncated(self) -> LcbenchError:
        return LcbenchError(f"{self._stored.where} is truncated; write the file again")

    def _unreadable(self, error: OSError) -> LcbenchError:
        return LcbenchError(f"cannot read {self._stored.path}: {error.strerror or error}")


class _HDF5Reader:
    """Reader of chunked rows (compressed or with checksums), through HDF5."""

    def __init__(self, stored: _StoredMatrix) -> None:
        import h5py

        self._stored = stored
        try:
            self._dataset = h5py.File(stored.path)[stored.name]
        except (OSError, KeyError, RuntimeError) as error:
            raise hdf5.unreadable(stored.path, error, _ADVICE) from error

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fill `out` with rows start..start+n."""
        try:
            shaped = out.reshape(len(out), *self._stored.row_shape)
            self._dataset.read_direct(shaped, np.s_[start : start + len(out)])
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise hdf5.unreadable(self._stored.path, error, _ADVICE) from error


@dataclass(frozen=True)
class SelectedRows:
    """Selected rows of a matrix on disk, ``source[indices]``, which are not read yet. indices: (N,) ascending."""

    source: RowsOnDisk
    indices: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, D)."""
        return len(self.indices), self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the returned arrays."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """Number of axes, 2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Number of bytes that the rows would take in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def in_chunks(self) -> bool:
        """Whether HDF5 has to read many rows to return one."""
        return self.source.in_chunks

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, rows: int) -> SelectedRows:
        """Return the first `rows` rows, without reading them."""
        return SelectedRows(self.source, self.indices[:rows])

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Return a new array (n, D) for a slice or an index array, and (D,) for an integer."""
        return self.source[self.indices[rows]]

    def take(self, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        """Write ``X[rows]`` to the first rows of `out`, C-contiguous and of X's dtype, and return them."""
        return self.source.take(self.indices[rows], out)

    def blocks(self, rows: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield all rows in blocks of `rows` rows, each with the index of its first row; a thread reads ahead."""
        for start, X, places in self.scattered_blocks(rows or self.source.rows_per_block()):
            yield start, X if places is None else X[places]

    def scattered_blocks(self, rows: int) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64] | None]]:
        """Yield blocks as the function `scattered_blocks` does."""
        starts = range(0, len(self), rows)
        parts = [self.indices[start : start + rows] for start in starts]
        if len(self) and self.indices[-1] - self.indices[0] < _DENSE_RATIO * len(self):
            bounds = [(int(part[0]), int(part[-1]) + 1) for part in parts]
            for start, part, (first, X) in zip(starts, parts, self.source.ranges(bounds), strict=True):
                yield start, X, None if len(X) == len(part) else part - first
        else:
            buffers = [np.empty((min(rows, len(self)), self.shape[1]), self.dtype) for _ in range(READ_AHEAD + 1)]
            taken = read_ahead(
                partial(self.source.take, part, buffers[number % len(buffers)]) for number, part in enumerate(parts)
            )
            for start, X in zip(starts, taken, strict=True):
                yield start, X, None


Rows: TypeAlias = NDArray[Any] | RowsOnDisk | SelectedRows


def in_memory(X: Rows) -> bool:
    """Return whether X is an array."""
    return isinstance(X, np.ndarray)


def select_rows(X: Rows, indices: NDArray[np.int64]) -> Rows:
    """Return ``X[indices]`` for ascending indices. Rows on disk are not read."""
    if isinstance(X, np.ndarray):
        return X[indices]
    if isinstance(X, SelectedRows):
        return SelectedRows(X.source, X.indices[indices])
    if len(indices) and indices[-1] == len(indices) - 1:
        return X.first(len(indices))
    return SelectedRows(X, indices)


def blocks(
    X: Rows, rows: int, stage: str = "", progress: ProgressCallback = no_progress
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield all rows of X in blocks of `rows` rows, each with the index of its first row.

    A block is valid until the next one is requested. stage: name of the work for `progress`, which is called with the
    number of rows done.
    """
    if isinstance(X, np.ndarray):
        found: Iterator[tuple[int, NDArray[Any]]] = (
            (start, X[start : start + rows]) for start in range(0, len(X), rows)
        )
    else:
        found = X.blocks(rows)
    for start, block in found:
        yield start, block
        progress(stage, start + len(block), len(X))


def scattered_blocks(X: Rows, rows: int) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64] | None]]:
    """Yield all rows of X in blocks of `rows` rows: the index of the first row, an array, and places in that array.

    The rows of the block are ``array[places]``; the array may hold other rows between them. If `places` is None, they
    are the whole array. This spares the copy that would bring the rows of `SelectedRows` together.
    """
    if isinstance(X, SelectedRows):
        yield from X.scattered_blocks(rows)
    else:
        yield from ((start, block, None) for start, block in blocks(X, rows))
