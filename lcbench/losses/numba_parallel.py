"""One pass over X on all cores: scores, row step and gradient of a block of rows while the block is in the cache.

Two matrix products would read X twice. Here every thread walks over its own rows in blocks::

    X (N, D)           a block of rows (about 200 KB)                      held in
    +-----------+      1. scores   S = X_block Wt^T    4 rows x 5 classes   registers, Wt in L2
    | thread 0  | -->  2. row step S becomes dS        one row at a time    L1
    |  block    |      3. gradient Gt += dS^T X_block  5 classes x 4        registers, X_block in L2,
    +-----------+                                      vectors of features  next block on its way to L2
    | thread 1  |
    |  ...      |      Wt (C', D') is W transposed, Gt (C', D') one gradient a thread, both padded to whole tiles.
    +-----------+

The threads' gradients are added in a fixed order: the result depends on the number of threads, not on their timing.
X of another dtype (uint8 pixels) or whose rows are not contiguous is brought into a block buffer of each thread, block
by block, so no second copy of X ever exists.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import jit, simd
from lcbench.losses.implementation import require_fitting
from lcbench.losses.simd import CLASSES, ROWS, VECTORS, gradient_tile, score_tile

BLOCK_BYTES = 200_000
"""A block, the one being prefetched, Wt and Gt share a core's L2 cache (1 MB and up on today's cores)."""

MOST_ROWS_A_BLOCK = 256

LEAST_FLOPS_A_THREAD = 10_000_000
"""About what a core computes while another thread is woken up; less than that is done faster by the calling one."""


def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Multiclass hinge loss, margin 1 (Weston & Watkins, 1999), and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. Returns the loss and dW (D, C) of W's dtype.
    Raises ValueError where the arrays do not fit together or a label is not in [0, C).
    """
    return _one_pass(W, X, y, reg, True)


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Softmax cross-entropy loss and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. Returns the loss and dW (D, C) of W's dtype.
    Raises ValueError where the arrays do not fit together or a label is not in [0, C).
    """
    return _one_pass(W, X, y, reg, False)


def _one_pass(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool) -> tuple[float, NDArray[Any]]:
    require_fitting(W, X, y)  # the compiled code below checks nothing
    rows, features = X.shape
    classes = W.shape[1]
    y = np.ascontiguousarray(y, np.int64)
    lanes = simd.lanes(W.itemsize)
    Wt = np.empty((_up_to(classes, CLASSES), _up_to(features, VECTORS * lanes)), W.dtype)
    _transpose(W, Wt)

    block_rows = max(ROWS, min(MOST_ROWS_A_BLOCK, BLOCK_BYTES // (features * W.itemsize) // ROWS * ROWS))
    worth_waking = 4 * rows * features * classes // LEAST_FLOPS_A_THREAD
    threads = max(1, min(jit.thread_count(), rows // ROWS, worth_waking))
    Gt = np.empty((threads, *Wt.shape), W.dtype)
    losses = np.empty(threads)
    walk = _walk if X.dtype == W.dtype and X.flags.c_contiguous else _walk_packed

    def part(thread: int) -> int:
        start, stop = rows * thread // threads, rows * (thread + 1) // threads
        return walk(X, y, start, stop, Wt, classes, hinge, block_rows, Gt[thread], losses[thread : thread + 1])

    others = [_pool(threads).submit(part, thread) for thread in range(1, threads)]
    bad_rows = [part(0), *(other.result() for other in others)]
    bad = max(bad_rows)
    if bad >= 0:
        raise ValueError(f"label {y[bad]} in row {bad} is not in 0..{classes - 1}")
    dW = np.empty(W.shape, W.dtype)
    return _finish(losses, Gt, W, rows, reg, dW), dW


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """The threads beside the calling one, kept between calls."""
    return ThreadPoolExecutor(max_workers=max(1, threads - 1), thread_name_prefix="lcbench")


def _up_to(count: int, tile: int) -> int:
    return -(-count // tile) * tile


@jit.compiled
def _transpose(W: NDArray[Any], Wt: NDArray[Any]) -> None:
    """Wt (C', D') = W (D, C) transposed, zero in the padding."""
    features, classes = W.shape
    for c in range(Wt.shape[0]):
        row = Wt[c]
        if c < classes:
            for f in range(features):
                row[f] = W[f, c]
            row[features:] = 0
        else:
            row[:] = 0


@jit.compiled
def _walk(
    X: NDArray[Any], y: NDArray[Any], start: int, stop: int, Wt: NDArray[Any], classes: int, hinge: bool,
    block_rows: int, Gt: NDArray[Any], loss: NDArray[Any],
) -> int:  # fmt: skip
    """Adds rows start..stop of X into Gt (C', D') and loss (1,). Returns a row with a bad label, or -1."""
    Gt[:] = 0
    scores = np.empty((block_rows, Wt.shape[0]), Wt.dtype)
    total = 0.0
    for row in range(start, stop, block_rows):
        rows = min(block_rows, stop - row)
        bad = _bad_label(y, row, rows, classes)
        if bad >= 0:
            return bad
        total += _block(X, row, rows, y, row, Wt, classes, hinge, scores, Gt)
    loss[0] = total
    return -1


@jit.compiled
def _walk_packed(
    X: NDArray[Any], y: NDArray[Any], start: int, stop: int, Wt: NDArray[Any], classes: int, hinge: bool,
    block_rows: int, Gt: NDArray[Any], loss: NDArray[Any],
) -> int:  # fmt: skip
    """As `_walk`, for X of any layout and dtype: each block is first brought into a buffer of Wt's dtype."""
    Gt[:] = 0
    features = X.shape[1]
    scores = np.empty((block_rows, Wt.shape[0]), Wt.dtype)
    packed = np.empty((block_rows, features), Wt.dtype)
    total = 0.0
    for row in range(start, stop, block_rows):
        rows = min(block_rows, stop - row)
        bad = _bad_label(y, row, rows, classes)
        if bad >= 0:
            return bad
        for r in range(rows):
            source, target = X[row + r], packed[r]
            for f in range(features):
                target[f] = source[f]
        total += _block(packed, 0, rows, y, row, Wt, classes, hinge, scores, Gt)
    loss[0] = total
    return -1


@jit.compiled
def _bad_label(y: NDArray[Any], row: int, rows: int, classes: int) -> int:
    for i in range(row, row + rows):
        if y[i] < 0 or y[i] >= classes:
            return i
    return -1


@jit.compiled
def _block(
    X: NDArray[Any], row: int, rows: int, y: NDArray[Any], label: int, Wt: NDArray[Any], classes: int, hinge: bool,
    scores: NDArray[Any], Gt: NDArray[Any],
) -> float:  # fmt: skip
    """Rows row..row+rows of X, whose labels begin at y[label]: adds to Gt, returns their summed loss."""
    for r in range(0, rows, ROWS):
        for c in range(0, Wt.shape[0], CLASSES):
            score_tile(X, row + r, row + rows - 1, Wt, c, scores, r)
    total = 0.0
    for r in range(rows):
        if hinge:
            total += _hinge(scores[r], y[label + r], classes)
        else:
            total += _cross_entropy(scores[r], y[label + r], classes)
    for f in range(0, X.shape[1], VECTORS * simd.VECTOR_BYTES // X.itemsize):
        for c in range(0, Wt.shape[0], CLASSES):
            gradient_tile(X, row, rows, scores, c, f, Gt)
    return total


@jit.compiled
def _hinge(scores: NDArray[Any], label: int, classes: int) -> float:
    """One row: scores (C',) become the gradient with respect to them; returns the row's loss."""
    one = scores.dtype.type(1)
    zero = scores.dtype.type(0)
    threshold = scores[label] - one
    scores[label] = threshold  # its own margin is then 0: neither a loss nor a gradient
    loss = zero
    violated = zero
    for c in range(classes):
        margin = scores[c] - threshold
        violation = one if margin > zero else zero
        loss += margin * violation
        violated += violation
        scores[c] = violation
    scores[label] = -violated
    return loss


@jit.compiled
def _cross_entropy(scores: NDArray[Any], label: int, classes: int) -> float:
    """One row: scores (C',) become the gradient with respect to them; returns the row's loss."""
    highest = scores[0]
    for c in range(1, classes):
        highest = max(highest, scores[c])
    true_score = scores[label] - highest
    total = scores.dtype.type(0)
    for c in range(classes):
        scores[c] = exp(scores[c] - highest)
        total += scores[c]
    scale = scores.dtype.type(1) / total
    for c in range(classes):
        scores[c] *= scale
    scores[label] -= scores.dtype.type(1)
    return log(total) - true_score


@jit.compiled
def _finish(losses: NDArray[Any], Gt: NDArray[Any], W: NDArray[Any], rows: int, reg: float, dW: NDArray[Any]) -> float:
    """Adds the threads' gradients in their order into dW (D, C); mean and regularisation. Returns the loss."""
    features, classes = W.shape
    mean = W.dtype.type(1.0 / rows)
    twice_reg = W.dtype.type(2 * reg)
    squares = 0.0
    for c in range(classes):
        total = Gt[0, c]
        for thread in range(1, Gt.shape[0]):
            share = Gt[thread, c]
            for f in range(features):
                total[f] += share[f]
        for f in range(features):
            w = W[f, c]
            squares += w * w
            dW[f, c] = total[f] * mean + twice_reg * w
    return losses.sum() / rows + reg * squares
