"""What a worker does: reads its rows, computes on them, adds what others have computed. No task depends on another's
process: what is lost is computed again from the file, wherever there is a worker.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import jit, numba_parallel
from lcbench.losses.cluster.connection import connection, spread
from lcbench.losses.cluster.shared_files import SharedArray
from lcbench.losses.implementation import LossError, LossName


class Chunk(NamedTuple):
    """Rows of X as they are stored, and the mean to be subtracted from them, or None."""

    X: NDArray[Any]
    mean: NDArray[Any] | None


class Sum(NamedTuple):
    """loss and dW: a part of the whole. workers: where each part of it was computed, in their order."""

    loss: float
    dW: NDArray[Any]
    workers: tuple[str, ...]


def read(source: Any, start: int, stop: int, mean: NDArray[Any] | None) -> Chunk:
    """Rows start..stop of what is in a file. Raises LossError where this worker does not see it."""
    try:
        return Chunk(np.ascontiguousarray(source[start:stop]), mean)
    except OSError as error:
        raise LossError(
            f"a worker cannot read {source.path}: {error.strerror or error}; let LCBENCH_SHARED name a folder of all"
        ) from None


def itself(value: Any) -> Any:
    """A value that was sent to a worker, where others fetch it."""
    return value


def part(
    loss: LossName, W: NDArray[Any], chunk: Chunk, y: NDArray[Any], rows: NDArray[Any] | None, all_rows: int
) -> Sum:
    """What `chunk` adds to loss and gradient of so many rows, without regularisation.

    rows: positions in the chunk; None is every row of it. The kernel uses as many threads as Dask says the worker has.
    """
    from distributed import get_worker

    worker = get_worker()
    jit.use_threads(worker.state.nthreads)
    function = numba_parallel.svm_loss if loss == "svm" else numba_parallel.softmax_loss
    value, dW = function(W, chunk.X, y, 0.0, rows=rows, mean=chunk.mean)
    share = (len(chunk.X) if rows is None else len(rows)) / all_rows
    dW *= dW.dtype.type(share)
    return Sum(share * value, dW, (worker.address,))


def added(*sums: Sum) -> Sum:
    """Their sum, added in pairs, always the same ones: when each came makes no difference."""
    while len(sums) > 1:
        pairs = zip(sums[0:-1:2], sums[1::2], strict=True)
        last = sums[len(sums) // 2 * 2 :]
        sums = (*(Sum(a.loss + b.loss, a.dW + b.dW, a.workers + b.workers) for a, b in pairs), *last)
    return sums[0]


# X and y on a cluster: cut into chunks of rows, each held by a worker that has read it and can be lost.

RETRIES = 3
"""Of a task that reads: a file system may have a bad moment."""


def bounds(rows: int, parts: int) -> NDArray[np.int64]:
    """Where each chunk begins, and where the last one ends: `parts` of them, or as many as rows if those are fewer."""
    parts = min(rows, parts)
    return np.arange(parts + 1) * rows // parts


class _Placed:
    """Chunks of rows, each with a worker.

    homes: the worker that has each chunk, as far as is known. chunks: they themselves, as futures.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.bounds = bounds(shape[0], connection().parts)
        self.homes: list[str] = []
        self.chunks: list[Any] = []
        if min(shape) > 1:  # else it stands beside a W, X or y that is brought by itself
            self.bring()

    def __len__(self) -> int:
        return self.shape[0]

    def place(self) -> None:
        """Gives each chunk to one of the workers that are there now, or to the first that comes back."""
        connection().client.wait_for_workers(1)
        self.homes = spread(connection().workers(), len(self.bounds) - 1)
        self.chunks = [self.chunk(k) for k in range(len(self.homes))]

    def bring(self) -> None:
        """Places the chunks and waits until all are there."""
        self.place()
        while not connection().done(self.chunks, self.homes):
            self.place()

    def chunk(self, k: int) -> Any:
        """Chunk k, as a future, which is to come about on its worker."""
        function, *arguments = self.task(*self.bounds[k : k + 2].tolist())
        return connection().client.submit(
            function, *arguments, workers=[self.homes[k]], allow_other_workers=True, retries=RETRIES, pure=False
        )

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """What brings rows start..stop: a function and its arguments."""
        raise NotImplementedError


class Rows(_Placed):
    """X (N, D) of a cluster.

    X is an array, which is written to a file, or stays in its own: then it has `shape` and `dtype`, can be pickled, and
    slices of it are arrays. It may also have `images` (N, D - 1) and `mean`, where a ones column is to be added.
    """

    def __init__(self, X: Any) -> None:
        self.dtype, self.ndim = X.dtype, 2
        self._source = getattr(X, "images", X)
        self._mean = X.mean.astype(X.dtype) if hasattr(X, "images") else None
        super().__init__(X.shape)

    def place(self) -> None:
        """Gives each chunk to one of the workers that are there now. An array is in a file from now on."""
        if isinstance(self._source, np.ndarray):
            self._source = SharedArray(self._source)
        super().place()

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """A worker reads them from the file."""
        return read, self._source, start, stop, self._mean

    def found_at(self, workers: tuple[str, ...]) -> None:
        """Takes note of where each chunk was computed on, and has some read anew where there is a worker without one.

        After a loss, what the lost worker held lies with the others, until it is replaced.
        """
        crowded = Counter(workers)
        if list(workers) == self.homes and len(crowded) == len(workers):
            return
        self.homes = list(workers)
        idle = [worker for worker in connection().workers() if worker not in crowded]
        for k, worker in enumerate(workers):
            if idle and crowded[worker] > 1:
                crowded[worker] -= 1
                self.homes[k] = idle.pop()
                self.chunks[k] = self.chunk(k)


class Labels(_Placed):
    """y (N,) of a cluster, cut like X, in the smallest integers that hold it.

    The scheduler keeps them, so that none is lost with a worker.
    """

    def __init__(self, y: NDArray[Any]) -> None:
        self._y = _smallest(np.asarray(y))
        super().__init__(np.shape(y))

    def task(self, start: int, stop: int) -> tuple[Any, ...]:
        """They are sent."""
        return itself, self._y[start:stop]


def _smallest(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype.kind not in "iu":
        return y  # which the loss will refuse
    return y.astype(np.result_type(np.min_scalar_type(y.min()), np.min_scalar_type(y.max())))
