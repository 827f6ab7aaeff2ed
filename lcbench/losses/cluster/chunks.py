"""Chunks of rows on a cluster, and the tasks on them: read rows, compute a partial sum, add partial sums.

If a worker is lost, Dask computes its tasks again on another worker, from the file.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import jit, numba_parallel
from lcbench.losses.cluster.connection import connection, distribute
from lcbench.losses.cluster.shared_files import SharedArray
from lcbench.losses.implementation import LossError, LossName


class Chunk(NamedTuple):
    """Rows of X as stored, and the mean to be subtracted from them, or None."""

    X: NDArray[Any]
    mean: NDArray[Any] | None


class PartialSum(NamedTuple):
    """Partial loss and dW. workers: address of the worker that computed each part, in the order of the parts."""

    loss: float
    dW: NDArray[Any]
    workers: tuple[str, ...]


def read_rows(source: Any, start: int, stop: int, mean: NDArray[Any] | None) -> Chunk:
    """Read rows start..stop of a file. Raise LossError if this worker cannot read the file."""
    try:
        return Chunk(np.ascontiguousarray(source[start:stop]), mean)
    except OSError as error:
        raise LossError(
            f"a worker cannot read {source.path}: {error.strerror or error}; let LCBENCH_SHARED name a folder of all"
        ) from None


def identity(value: Any) -> Any:
    """Return the argument: a task that stores a value on a worker, from which others fetch it."""
    return value


def partial_sum(
    loss: LossName, W: NDArray[Any], chunk: Chunk, y: NDArray[Any], rows: NDArray[Any] | None, all_rows: int
) -> PartialSum:
    """Return the contribution of `chunk` to the loss and gradient of `all_rows` rows, without regularisation.

    rows: positions in the chunk, or None for all its rows. The kernel uses as many threads as Dask gives the worker.
    """
    from distributed import get_worker

    worker = get_worker()
    jit.use_threads(worker.state.nthreads)
    function = numba_parallel.svm_loss if loss == "svm" else numba_parallel.softmax_loss
    value, dW = function(W, chunk.X, y, 0.0, rows=rows, mean=chunk.mean)
    share = (len(chunk.X) if rows is None else len(rows)) / all_rows
    dW *= dW.dtype.type(share)
    return PartialSum(share * value, dW, (worker.address,))


def add_sums(*sums: PartialSum) -> PartialSum:
    """Return the sum. It is added in fixed pairs, so that it does not depend on the order of arrival."""
    while len(sums) > 1:
        pairs = zip(sums[0:-1:2], sums[1::2], strict=True)
        last = sums[len(sums) // 2 * 2 :]
        sums = (*(PartialSum(a.loss + b.loss, a.dW + b.dW, a.workers + b.workers) for a, b in pairs), *last)
    return sums[0]


# X and y on a cluster, cut into chunks of rows. Each chunk is held by one worker.

RETRIES = 3
"""Retries of a task that reads, for temporary errors of the file system."""


def chunk_bounds(rows: int, parts: int) -> NDArray[np.int64]:
    """Return the start of each chunk and the end of the last one, for `parts` chunks of at least one row."""
    parts = min(rows, parts)
    return np.arange(parts + 1) * rows // parts


class _Chunks:
    """Array cut into chunks of rows, each assigned to a worker.

    owners: address of the worker that holds each chunk, as far as known. chunks: the chunks, as futures.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.bounds = chunk_bounds(shape[0], connection().parts)
        self.owners: list[str] = []
        self.chunks: list[Any] = []
        if min(shape) > 1:  # else it is a placeholder, in a call of `prepare` that converts W or y alone
            self.load()

    def __len__(self) -> int:
        return self.shape[0]

    def assign(self) -> None:
        """Assign each chunk to one of the current workers. Wait for a worker if there is none."""
        connection().client.wait_for_workers(1)
        self.owners = distribute(connection().workers(), len(self.bounds) - 1)
        self.chunks = [self.chunk(k) for k in range(len(self.owners))]

    def load(self) -> None:
        """Assign the chunks and wait until all are loaded."""
        self.assign()
        while not connection().wait(self.chunks, self.owners):
            self.assign()

    def chunk(self, k: int) -> Any:
        """Return chunk k as a future, computed by its owner if possible."""
        function, *arguments = self.task(*self.bounds[k : k + 2].tolist())
        return connection().client.submit(
            function, *arguments, workers=[self.owners[k]], allow_other_workers=True, retries=RETRIES, pure=False
        )

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return the task that loads rows start..stop: a function and its arguments."""
        raise NotImplementedError


class Rows(_Chunks):
    """X (N, D) on a cluster.

    X is an array, which is written to a file, or an object that reads its own file. The object has `shape` and `dtype`,
    can be pickled, and its slices are arrays. If it has `images` (N, D - 1) and `mean`, a column of ones is added.
    """

    def __init__(self, X: Any) -> None:
        self.dtype, self.ndim = X.dtype, 2
        self._source = getattr(X, "images", X)
        self._mean = X.mean.astype(X.dtype) if hasattr(X, "images") else None
        super().__init__(X.shape)

    def assign(self) -> None:
        """Assign each chunk to one of the current workers. Write an array to a file first."""
        if isinstance(self._source, np.ndarray):
            self._source = SharedArray(self._source)
        super().assign()

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return the task that reads rows start..stop from the file."""
        return read_rows, self._source, start, stop, self._mean

    def update_owners(self, workers: tuple[str, ...]) -> None:
        """Set the owners to the workers that computed the chunks, and assign chunks to workers that have none.

        After a worker is lost, the others hold its chunks until it is replaced.
        """
        chunks_of = Counter(workers)
        if list(workers) == self.owners and len(chunks_of) == len(workers):
            return
        self.owners = list(workers)
        idle = [worker for worker in connection().workers() if worker not in chunks_of]
        for k, worker in enumerate(workers):
            if idle and chunks_of[worker] > 1:
                chunks_of[worker] -= 1
                self.owners[k] = idle.pop()
                self.chunks[k] = self.chunk(k)


class Labels(_Chunks):
    """Labels y (N,) on a cluster, cut like X, in the smallest sufficient integer type.

    The scheduler keeps them, so that none is lost with a worker.
    """

    def __init__(self, y: NDArray[Any]) -> None:
        self._y = _smallest(np.asarray(y))
        super().__init__(np.shape(y))

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return the task that stores the labels of rows start..stop."""
        return identity, self._y[start:stop]


def _smallest(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype.kind not in "iu":
        return y  # the loss raises for it
    return y.astype(np.result_type(np.min_scalar_type(y.min()), np.min_scalar_type(y.max())))
