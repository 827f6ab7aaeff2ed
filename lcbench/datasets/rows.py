"""Work that waits for a disk, done on a thread while its last results are made use of."""

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

from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

T = TypeVar("T")

AHEAD = 2
"""Results that are waiting or being made beside the one in use."""


def read_ahead(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of `tasks`, in their order: the next are made on one thread while the caller is busy with the last.

    What a task raises comes where its result would have come.
    """
    waiting: deque[Future[T]] = deque()
    thread = ThreadPoolExecutor(1, "read-ahead")
    try:
        for task in tasks:
            waiting.append(thread.submit(task))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


# A matrix that stays in its HDF5 file and is read by rows, for those who have more rows than memory.
#
# Rows that lie in the file one behind the other, as they are, are read from it without HDF5, which would hold Python's
# lock and its own meanwhile. Chunks, compressed or with checksums, are left to HDF5.

BLOCK_BYTES = 32_000_000
"""Of rows at a time: long beside what it takes to hand them over."""

_MOST_AT_ONCE = 1 << 30
"""Bytes asked of the system in one call: Linux gives 2 GiB at most."""


class _Reader(Protocol):
    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fills `out` (n, D), of the file's dtype and contiguous, with rows start..start+n."""
        ...


@dataclass(frozen=True)
class _Stored:
    """Where and how the rows lie in the file. offset: of the first in bytes; None where only HDF5 can read them."""

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


@dataclass(frozen=True)
class RowsOnDisk:
    """X (N, D) in an HDF5 file. What is read of it is handed out and not held.

    Made by `open_rows`. It can be pickled, and opens its file once in each process, when something is first read.
    Rows of several axes are flattened.
    """

    _stored: _Stored
    rows: int
    dtype: np.dtype[Any]
    """Of what is handed out; the file may have another."""
    _opened: dict[int, _Reader] = field(default_factory=dict, repr=False, compare=False)
    """The reader of each process: one that was forked must not share the other's."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._stored.path

    @property
    def name(self) -> str:
        """What the file calls the matrix."""
        return self._stored.name

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of a row as the file has it."""
        return self._stored.row_shape

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self.rows, prod(self._stored.row_shape)

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def in_chunks(self) -> bool:
        """Whether HDF5 reads many rows where one is asked for."""
        return self._stored.chunk_rows > 1

    def __len__(self) -> int:
        return self.rows

    def __reduce__(self) -> tuple[Any, ...]:
        return RowsOnDisk, (self._stored, self.rows, self.dtype)

    def astype(self, dtype: DTypeLike) -> RowsOnDisk:
        """The same rows, handed out as `dtype`."""
        return RowsOnDisk(self._stored, self.rows, np.dtype(dtype))

    def first(self, rows: int) -> RowsOnDisk:
        """The first `rows` of these rows."""
        return RowsOnDisk(self._stored, min(rows, self.rows), self.dtype)

    def __getitem__(self, rows: slice | int | NDArray[Any]) -> NDArray[Any]:
        """A fresh array (n, D) of a slice, of row numbers in any order and with repeats, or of a mask; one row (D,).

        Raises IndexError where there is no such row, LcbenchError where the file cannot be read.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.rows)
            if step == 1:
                out = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
                self._read(start, out)
                return out
            return self._gathered(np.arange(start, stop, step))
        if isinstance(rows, int | np.integer):
            row: NDArray[Any] = self._gathered(np.array([rows], np.int64))[0]
            return row
        numbers = np.asarray(rows)
        if numbers.dtype == np.bool_:
            if numbers.shape != (self.rows,):
                raise IndexError(f"a mask of the shape {numbers.shape} does not fit {self.rows} rows")
            numbers = np.flatnonzero(numbers)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise IndexError(f"rows are chosen by (n,) integers, not {numbers.shape} {numbers.dtype}")
        return self._gathered(numbers.astype(np.int64, copy=False))

    def take(self, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        """X[rows], (n,) row numbers, in the first n rows of `out`, contiguous and of X's dtype: memory used again is
        there, which fresh memory is only when it is first touched. Raises as X[rows] does."""
        return self._gathered(rows, out[: len(rows)])

    def blocks(
        self, rows: int | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows start..stop in turn, `rows` at a time, each block with the number of its first row.

        The blocks to come are fetched on a thread meanwhile. A block may be written to, which does not reach the file,
        and holds its rows until the next one is asked for: then its memory may be used again. rows: None is as many as
        `BLOCK_BYTES` hold. Raises LcbenchError where the file cannot be read.
        """
        stop = self.rows if stop is None else min(stop, self.rows)
        rows = min(rows or self.rows_a_block(), max(1, stop - start))
        return self.stretches([(first, min(first + rows, stop)) for first in range(start, stop, rows)])

    def stretches(self, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows first..stop for each pair of `bounds` in turn, as `blocks` gives them."""
        reader = self._reader()
        if isinstance(reader, _Straight) and self._stored.dtype == self.dtype:
            return read_ahead(partial(reader.mapped, *ends) for ends in bounds)
        return self._into_buffers(bounds)

    def _into_buffers(self, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Each block is one of a few buffers, which are filled ahead."""
        longest = max((stop - first for first, stop in bounds), default=0)
        buffers = [np.empty((longest, self.shape[1]), self.dtype) for _ in range(AHEAD + 1)]

        def read(number: int) -> tuple[int, NDArray[Any]]:
            first, stop = bounds[number]
            block = buffers[number % len(buffers)][: stop - first]
            self._read(first, block)
            return first, block

        return read_ahead(partial(read, number) for number in range(len(bounds)))

    def rows_a_block(self) -> int:
        """As many rows as `BLOCK_BYTES` hold, in whole chunks of the file."""
        fitting = max(1, BLOCK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        chunk = self._stored.chunk_rows
        return max(chunk, fitting // chunk * chunk)

    def _gathered(self, rows: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        if out is None:
            out = np.empty((len(rows), self.shape[1]), self.dtype)
        if not len(rows):
            return out
        if rows.min() < -self.rows or rows.max() >= self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} are not all in 0..{self.rows - 1}")
        rows = np.where(rows < 0, rows + self.rows, rows)
        if self._stored.chunk_rows > 1:
            self._gather_by_chunks(rows, out)
            return out
        # neighbours in one read, and all in the order of the file
        ends = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        firsts = rows[ends[:-1]]
        order = np.argsort(firsts, kind="stable")
        runs = list(pairwise(ends))
        in_turn = [(row, *runs[k]) for k, row in zip(order.tolist(), firsts[order].tolist(), strict=True)]
        reader = self._reader()
        if isinstance(reader, _Straight) and self._stored.dtype == self.dtype:
            reader.gather(in_turn, out)
            return out
        for row, first, end in in_turn:
            self._read(row, out[first:end])
        return out

    def _gather_by_chunks(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """HDF5 reads whole chunks whatever is asked for: each once."""
        size = self._stored.chunk_rows
        order = np.argsort(rows, kind="stable")
        chunks = rows[order] // size
        chunk = np.empty((size, self.shape[1]), self.dtype)
        for places in np.split(order, np.flatnonzero(np.diff(chunks)) + 1):
            first = int(rows[places[0]]) // size * size
            part = chunk[: self._stored.rows - first]
            self._read(first, part)
            out[places] = part[rows[places] - first]

    def _read(self, start: int, out: NDArray[Any]) -> None:
        if not out.size:
            return
        reader = self._reader()
        if self._stored.dtype == self.dtype:
            reader.read(start, out)
            return
        rows = self.rows_a_block()
        for first in range(0, len(out), rows):
            part = out[first : first + rows]
            raw = np.empty(part.shape, self._stored.dtype)
            reader.read(start + first, raw)
            part[:] = raw

    def _reader(self) -> _Reader:
        process = os.getpid()
        if process not in self._opened:
            self._opened.clear()
            offset = self._stored.offset
            straight = offset is not None and offset % self._stored.dtype.itemsize == 0 and hasattr(os, "preadv")
            self._opened[process] = _Straight(self._stored) if straight else _ThroughHDF5(self._stored)
        return self._opened[process]


class _Straight:
    """Reads the file where HDF5 said that the rows lie."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored
        self._row_bytes = prod(stored.row_shape) * stored.dtype.itemsize
        try:
            self._file = stored.path.open("rb", buffering=0)
        except OSError as error:
            raise LcbenchError(f"cannot read {stored.path}: {error.strerror or error}") from error

    def mapped(self, start: int, stop: int) -> tuple[int, NDArray[Any]]:
        """`start`, and rows start..stop as the system keeps the file in memory, (n, D): nothing is copied.

        They are brought from the disk where they are not there yet, and let go with the array. A system that reads the
        file in large pages maps them as such, at next to no cost; small ones take as long as copying them.
        """
        position, size = self._position(start), (stop - start) * self._row_bytes
        before = position % mmap.ALLOCATIONGRANULARITY
        # what is missing would be no exception, but the end of the process
        if os.fstat(self._file.fileno()).st_size < position + size:
            raise self._cut_off()
        try:
            memory = mmap.mmap(self._file.fileno(), size + before, access=mmap.ACCESS_COPY, offset=position - before)
        except OSError as error:
            raise LcbenchError(f"cannot read {self._stored.path}: {error.strerror or error}") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # advice only
                memory.madvise(mmap.MADV_HUGEPAGE)
        # Looking at one byte brings its whole page.
        np.frombuffer(memory, np.uint8)[:: 1 << 21].max()
        numbers = np.frombuffer(memory, self._stored.dtype, (stop - start) * prod(self._stored.row_shape), before)
        return start, numbers.reshape(stop - start, -1)

    def _position(self, row: int) -> int:
        assert self._stored.offset is not None
        return self._stored.offset + row * self._row_bytes

    def _cut_off(self) -> LcbenchError:
        return LcbenchError(f"{self._stored.where} is cut off; write the file again")

    def gather(self, runs: list[tuple[int, int, int]], out: NDArray[Any]) -> None:
        """Fills out[first:end] with the rows from `row` on, for each (row, first, end) of `runs`."""
        file, size = self._file.fileno(), self._row_bytes
        memory = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for row, first, end in runs:  # many, of a row each: so nothing is done here that can be done before
            if os.preadv(file, [memory[first * size : end * size]], self._position(row)) < (end - first) * size:
                self.read(row, out[first:end])

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fills `out`, without Python's lock."""
        left, position = memoryview(out.reshape(-1).view(np.uint8)), self._position(start)  # type: ignore[arg-type]
        while left:
            try:
                count = os.preadv(self._file.fileno(), [left[:_MOST_AT_ONCE]], position)
            except OSError as error:
                raise LcbenchError(f"cannot read {self._stored.path}: {error.strerror or error}") from error
            if not count:
                raise self._cut_off()
            left, position = left[count:], position + count


class _ThroughHDF5:
    """Leaves reading to HDF5."""

    def __init__(self, stored: _Stored) -> None:
        import h5py

        self._stored = stored
        try:
            self._dataset = h5py.File(stored.path)[stored.name]
        except (OSError, KeyError, RuntimeError) as error:
            raise _damaged(stored, error) from error

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Fills `out`."""
        try:
            shaped = out.reshape(len(out), *self._stored.row_shape)
            self._dataset.read_direct(shaped, np.s_[start : start + len(out)])
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise _damaged(self._stored, error) from error


def _damaged(stored: _Stored, error: Exception) -> LcbenchError:
    return LcbenchError(f"{stored.where} cannot be read ({' '.join(str(error).split())}); write the file again")


def open_rows(path: Path, name: str) -> RowsOnDisk:
    """The matrix that an HDF5 file calls `name`: numbers in two axes or more, the first of which counts the rows.

    Raises LcbenchError where there is no such matrix.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            return rows_of_dataset(path, file[name])
    except (OSError, KeyError, RuntimeError) as error:
        raise LcbenchError(f"{path}: {name} cannot be read ({' '.join(str(error).split())})") from error


def rows_of_dataset(path: Path, dataset: Any) -> RowsOnDisk:
    """The matrix in an open dataset of h5py's. Raises LcbenchError where it is none."""
    name = dataset.name.removeprefix("/")
    if dataset.shape is None or len(dataset.shape) < 2 or dataset.dtype.kind not in "biuf":
        raise LcbenchError(
            f"{path}: {name} is {dataset.dtype} {dataset.shape}: only numbers in rows and columns can be streamed"
        )
    stored = _Stored(
        path=path.absolute(),
        name=name,
        rows=dataset.shape[0],
        row_shape=dataset.shape[1:],
        dtype=dataset.dtype,
        offset=dataset.id.get_offset(),
        chunk_rows=dataset.chunks[0] if dataset.chunks else 1,
    )
    return RowsOnDisk(stored, stored.rows, stored.dtype)


# X (N, D), wherever it is: an array, a matrix that stays in its file, or some of the rows of one.
#
# All of them have a shape, a dtype and nbytes, and X[rows] is an array. Whoever wants all rows takes them by `blocks`:
# then it makes no difference where they are, to the last bit, and no more of them is in memory than a few blocks.

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
