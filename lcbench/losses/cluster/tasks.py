"""What a worker does: reads its rows, computes on them, adds what others have computed. No task depends on another's
process: what is lost is computed again from the file, wherever there is a worker.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import jit, numba_parallel
from lcbench.losses.errors import LossError
from lcbench.losses.implementation import LossName


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
