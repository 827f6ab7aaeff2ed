"""numba-parallel on row chunks across a Dask cluster: that of `LCBENCH_SCHEDULER`, or a process a core of this machine.

Every worker holds one chunk of X, which it has read from a file that all see. A call sends W to all of them; each
computes its part of loss and gradient with one kernel, and the parts are added in a tree::

    part 0   part 1  ...  part 7     part 8  ...
       \\       |            /           |
        \\------+-- FAN_IN -/        ----+----       on the workers
                 \\                    /
                  +------ pairs ------+              the last ones here, where the regularisation is added

What is added to what is fixed by the number of workers at the first call, so that the result depends on nothing else.
Chunks and parts are tasks of Dask's scheduler: those of a worker that is lost are done again by another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cluster import placed
from lcbench.losses.cluster.connection import connection, release
from lcbench.losses.cluster.placed import Labels, Rows
from lcbench.losses.implementation import LossName

__all__ = ["prepare", "release", "softmax_loss", "svm_loss", "threads"]

FAN_IN = 8
"""Parts added by one task: to send one more takes less time than one more task."""


def prepare(W: NDArray[Any], X: Any, y: NDArray[Any]) -> tuple[NDArray[Any], Rows, Labels]:
    """W as it is; X and y cut into chunks, with the workers that hold them.

    Raises Unavailable, in one line, where there is no cluster or its workers cannot do this.
    """
    return np.ascontiguousarray(W), Rows(X), Labels(y)


def threads() -> int:
    """Threads of all workers together."""
    return connection().threads


def svm_loss(
    W: NDArray[Any], X: Rows, y: Labels, reg: float, *, rows: NDArray[Any] | None = None
) -> tuple[float, NDArray[Any]]:
    """Multiclass hinge loss, margin 1 (Weston & Watkins, 1999), and its gradient dW (D, C) of W's dtype.

    rows (M,) integers: the loss is that of X[rows], y[rows]; each worker computes on those of them that it holds.
    Raises ValueError where shapes do not fit or a label is not in [0, C), IndexError where a row is not in [0, N).
    """
    return _loss("svm", W, X, y, reg, rows)


def softmax_loss(
    W: NDArray[Any], X: Rows, y: Labels, reg: float, *, rows: NDArray[Any] | None = None
) -> tuple[float, NDArray[Any]]:
    """Softmax cross-entropy loss and its gradient dW (D, C) of W's dtype.

    rows (M,) integers: the loss is that of X[rows], y[rows]; each worker computes on those of them that it holds.
    Raises ValueError where shapes do not fit or a label is not in [0, C), IndexError where a row is not in [0, N).
    """
    return _loss("softmax", W, X, y, reg, rows)


def _loss(
    name: LossName, W: NDArray[Any], X: Rows, y: Labels, reg: float, rows: NDArray[Any] | None
) -> tuple[float, NDArray[Any]]:
    if X.shape[1] != W.shape[0] or len(X) != len(y):
        raise ValueError(f"shapes do not fit: W {W.shape}, X {X.shape}, y {y.shape}")
    here = connection()
    for each in (X, y):
        if not each.chunks:
            each.bring()
    held = _by_chunk(X, rows)
    all_rows = len(X) if rows is None else len(rows)
    sums = _sums(here.client, name, W, X, y, held, all_rows)
    while not here.done(sums, X.homes + y.homes):
        X.place()
        y.place()
        sums = _sums(here.client, name, W, X, y, held, all_rows)
    total = placed.added(*here.client.gather(sums))
    if rows is None:
        X.found_at(total.workers)
    # not by BLAS, whose threads would spin on for a while where the workers have their cores
    penalty = reg * float(np.square(W, dtype=np.float64).sum())
    return total.loss + penalty, total.dW + W.dtype.type(2 * reg) * W


def _sums(
    client: Any, name: LossName, W: NDArray[Any], X: Rows, y: Labels, held: list[tuple[int, Any]], all_rows: int
) -> list[Any]:
    """The last few sums, as futures: the tasks are with the scheduler."""
    everywhere = W if len(held) <= FAN_IN else client.submit(placed.itself, W, pure=False)
    sums = [
        client.submit(
            placed.part,
            name,
            everywhere,
            X.chunks[k],
            y.chunks[k],
            own,
            all_rows,
            workers=[X.homes[k]],
            allow_other_workers=True,
            pure=False,
        )
        for k, own in held
    ]
    while len(sums) > FAN_IN:
        groups = [sums[first : first + FAN_IN] for first in range(0, len(sums), FAN_IN)]
        sums = [client.submit(placed.added, *group, pure=False) for group in groups]
    return sums


def _by_chunk(X: Rows, rows: NDArray[Any] | None) -> list[tuple[int, NDArray[Any] | None]]:
    """The chunks that take part, and which of their rows: None is all."""
    if rows is None:
        return [(k, None) for k in range(len(X.bounds) - 1)]
    rows = np.asarray(rows)
    outside = np.flatnonzero((rows < 0) | (rows >= len(X)))
    if outside.size:
        raise IndexError(f"rows[{outside[0]}] is {rows[outside[0]]}, not in 0..{len(X) - 1}")
    chunk = np.searchsorted(X.bounds, rows, side="right") - 1
    return [(int(k), rows[chunk == k] - X.bounds[k]) for k in np.unique(chunk)]
