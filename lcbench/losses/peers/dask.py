r"""numba-parallel on chunks of rows across a Dask cluster: that of `LCBENCH_SCHEDULER`, or one process per core here.

Each worker holds one chunk of X, which it has read from a file that all workers see. A call sends W to all workers.
Each computes its part of the loss and gradient with one kernel, and the parts are added in a tree::

    part 0   part 1  ...  part 7     part 8  ...
       \       |            /           |
        \------+-- FAN_IN -/        ----+----       on the workers
                 \                    /
                  +------ pairs ------+              the last parts here, where the regularisation is added

The order of the additions depends only on the number of workers at the first call, and so does the result. Chunks and
parts are tasks of Dask's scheduler: if a worker is lost, another worker computes its tasks again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cluster import chunks
from lcbench.losses.cluster.chunks import Labels, Rows
from lcbench.losses.cluster.connection import connection, release
from lcbench.losses.implementation import LossName

__all__ = ["prepare", "release", "softmax_loss", "svm_loss", "threads"]

FAN_IN = 8
"""Parts added by one task: sending one more part takes less time than one more task."""


def prepare(W: NDArray[Any], X: Any, y: NDArray[Any]) -> tuple[NDArray[Any], Rows, Labels]:
    """Return W unchanged, and X and y cut into chunks on the workers.

    Raise Unavailable, in one line, if there is no cluster or its workers cannot compute the losses.
    """
    return np.ascontiguousarray(W), Rows(X), Labels(y)


def threads() -> int:
    """Return the number of threads of all workers."""
    return connection().threads


def svm_loss(
    W: NDArray[Any], X: Rows, y: Labels, reg: float, *, rows: NDArray[Any] | None = None
) -> tuple[float, NDArray[Any]]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient dW (D, C) of W's dtype.

    rows (M,) integers: the loss is that of X[rows] and y[rows]. Each worker computes on those rows that it holds.

    Raise ValueError if the shapes do not match or a label is not in [0, C), IndexError if a row is not in [0, N).
    """
    return _loss("svm", W, X, y, reg, rows)


def softmax_loss(
    W: NDArray[Any], X: Rows, y: Labels, reg: float, *, rows: NDArray[Any] | None = None
) -> tuple[float, NDArray[Any]]:
    """Return the softmax cross-entropy loss and its gradient dW (D, C) of W's dtype.

    rows (M,) integers: the loss is that of X[rows] and y[rows]. Each worker computes on those rows that it holds.

    Raise ValueError if the shapes do not match or a label is not in [0, C), IndexError if a row is not in [0, N).
    """
    return _loss("softmax", W, X, y, reg, rows)


def _loss(
    name: LossName, W: NDArray[Any], X: Rows, y: Labels, reg: float, rows: NDArray[Any] | None
) -> tuple[float, NDArray[Any]]:
    if X.shape[1] != W.shape[0] or len(X) != len(y):
        raise ValueError(f"shapes do not fit: W {W.shape}, X {X.shape}, y {y.shape}")
    cluster = connection()
    for array in (X, y):
        if not array.chunks:
            array.load()
    selected = _by_chunk(X, rows)
    all_rows = len(X) if rows is None else len(rows)
    sums = _sums(cluster.client, name, W, X, y, selected, all_rows)
    while not cluster.wait(sums, X.owners + y.owners):
        X.assign()
        y.assign()
        sums = _sums(cluster.client, name, W, X, y, selected, all_rows)
    total = chunks.add_sums(*cluster.client.gather(sums))
    if rows is None:
        X.update_owners(total.workers)
    # Not by BLAS, whose threads would keep spinning on cores that the workers need.
    penalty = reg * float(np.square(W, dtype=np.float64).sum())
    return total.loss + penalty, total.dW + W.dtype.type(2 * reg) * W


def _sums(
    client: Any, name: LossName, W: NDArray[Any], X: Rows, y: Labels, selected: list[tuple[int, Any]], all_rows: int
) -> list[Any]:
    """Submit the tasks of one call. Return the futures of the last sums, at most `FAN_IN`."""
    W_or_future = W if len(selected) <= FAN_IN else client.submit(chunks.identity, W, pure=False)
    sums = [
        client.submit(
            chunks.partial_sum,
            name,
            W_or_future,
            X.chunks[k],
            y.chunks[k],
            own_rows,
            all_rows,
            workers=[X.owners[k]],
            allow_other_workers=True,
            pure=False,
        )
        for k, own_rows in selected
    ]
    while len(sums) > FAN_IN:
        groups = [sums[first : first + FAN_IN] for first in range(0, len(sums), FAN_IN)]
        sums = [client.submit(chunks.add_sums, *group, pure=False) for group in groups]
    return sums


def _by_chunk(X: Rows, rows: NDArray[Any] | None) -> list[tuple[int, NDArray[Any] | None]]:
    """Return the chunks with selected rows, and their rows: None for all rows."""
    if rows is None:
        return [(k, None) for k in range(len(X.bounds) - 1)]
    rows = np.asarray(rows)
    outside = np.flatnonzero((rows < 0) | (rows >= len(X)))
    if outside.size:
        raise IndexError(f"rows[{outside[0]}] is {rows[outside[0]]}, not in 0..{len(X) - 1}")
    chunk = np.searchsorted(X.bounds, rows, side="right") - 1
    return [(int(k), rows[chunk == k] - X.bounds[k]) for k in np.unique(chunk)]
