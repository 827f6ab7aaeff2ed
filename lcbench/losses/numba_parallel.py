"""One pass over X on all cores: scores, row step and gradient of a block of rows while the block is in the cache.

Two matrix products would read X twice. Here every thread walks over its own rows in blocks::

    X (N, D)           a block of rows (about 150 KB)                      held in
    +-----------+      1. scores   S = X_block Wt^T    4 rows x 5 classes   registers, Wt in L2
    | thread 0  | -->  2. row step S becomes dS        the block at a time  L1
    |  block    |      3. gradient Gt += dS^T X_block  10 classes x 2       registers, X_block in L2,
    +-----------+                                      vectors of features  next block on its way to L2
    | thread 1  |
    |  ...      |      Wt (C', D') is W transposed, Gt (C', D') one gradient a thread, both padded to whole tiles.
    +-----------+

All threads run the same function and meet twice in it: when Wt is whole, and when all have their gradients, which are
then added in a fixed order. So the result depends on the number of threads, not on their timing.

Rows of X can be chosen by index and are then read where they are. X of another dtype (uint8 pixels), less a mean image,
with a bias, or with rows that are not contiguous is brought into a block buffer of each thread, block by block: no
second copy of X ever exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from lcbench.losses import jit, simd
from lcbench.losses.implementation import require_fitting
from lcbench.losses.row_steps import by_products, hinge_step, look_up_labels, regularise, softmax_step
from lcbench.losses.simd import CLASSES, ROWS, VECTORS, WIDE_CLASSES, WIDE_VECTORS
from lcbench.losses.threads import barrier, begin, leave, team

BLOCK_BYTES = 150_000
"""A block, the one being fetched, Wt and Gt share a core's L2 cache (1 MB and up on today's cores)."""

LEAST_ROWS_A_BLOCK = 12
MOST_ROWS_A_BLOCK = 256
"""Each block reads all of Wt and adds to all of Gt: few rows would not be worth that, even where they are long."""

# Where one pass beats two products, as measured: with many classes BLAS makes more of the caches; of a small X the pass
# saves less than it costs, and less still where it goes over a block once for every ten classes.
MOST_CLASSES_OF_ONE_PASS = 64
LEAST_ROWS_OF_ONE_PASS = 64
LEAST_NUMBERS_OF_ONE_PASS = 500_000
LEAST_NUMBERS_OF_ONE_PASS_IN_TILES = 4_000_000

FEATURES_AT_ONCE = 64
"""Rows of dW that are put together while they are in L1."""

LEAST_FLOPS_A_THREAD = 10_000_000
"""About what a core computes while another thread is woken up; less than that is done faster by the calling one."""


def svm_loss(
    W: NDArray[Any],
    X: NDArray[Any],
    y: NDArray[Any],
    reg: float,
    *,
    rows: NDArray[Any] | None = None,
    mean: NDArray[Any] | None = None,
) -> tuple[float, NDArray[Any]]:
    """Multiclass hinge loss, margin 1 (Weston & Watkins, 1999), and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. Returns the loss and dW (D, C) of W's dtype.
    rows (M,) integers: the loss is that of X[rows], y[rows], which are read in place. mean (D,): is subtracted from
    every row of X. Where W has one row more than X has columns, that row is the bias, and `mean` has X's columns.
    Raises ValueError where the arrays do not fit together or a label is not in [0, C), IndexError where a row is not in
    [0, N).
    """
    return _loss(W, X, y, reg, True, rows, mean)


def softmax_loss(
    W: NDArray[Any],
    X: NDArray[Any],
    y: NDArray[Any],
    reg: float,
    *,
    rows: NDArray[Any] | None = None,
    mean: NDArray[Any] | None = None,
) -> tuple[float, NDArray[Any]]:
    """Softmax cross-entropy loss and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. Returns the loss and dW (D, C) of W's dtype.
    rows (M,) integers: the loss is that of X[rows], y[rows], which are read in place. mean (D,): is subtracted from
    every row of X. Where W has one row more than X has columns, that row is the bias, and `mean` has X's columns.
    Raises ValueError where the arrays do not fit together or a label is not in [0, C), IndexError where a row is not in
    [0, N).
    """
    return _loss(W, X, y, reg, False, rows, mean)


def _loss(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool, order: NDArray[Any] | None,
    mean: NDArray[Any] | None,
) -> tuple[float, NDArray[Any]]:  # fmt: skip
    X, reg = np.asarray(X), float(reg)
    require_fitting_all(W, X, y, order, mean)  # the compiled code below checks nothing
    W, y = np.ascontiguousarray(W), np.ascontiguousarray(y, np.int64)
    order = None if order is None else np.ascontiguousarray(order, np.int64)
    mean = None if mean is None else np.ascontiguousarray(mean, W.dtype)
    rows = len(X) if order is None else len(order)
    if better_by_products(rows, W):
        loss, dW, bad = by_products(W, X, y, reg, hinge, order, mean)
    else:
        loss, dW, bad = _in_one_pass(W, X, y, reg, hinge, order, mean)
    if bad >= 0:
        _refuse(bad, len(X), W.shape[1], y, order)
    return loss, dW


def better_by_products(rows: int, W: NDArray[Any]) -> bool:
    """Whether two matrix products take less time than one pass: for many classes, and for a small X."""
    features, classes = W.shape
    least = LEAST_NUMBERS_OF_ONE_PASS if classes <= 2 * CLASSES else LEAST_NUMBERS_OF_ONE_PASS_IN_TILES
    return classes > MOST_CLASSES_OF_ONE_PASS or rows < LEAST_ROWS_OF_ONE_PASS or rows * features < least


def _refuse(position: int, all_rows: int, classes: int, y: NDArray[Any], order: NDArray[Any] | None) -> None:
    row = position if order is None else int(order[position])
    if not 0 <= row < all_rows:
        raise IndexError(f"rows[{position}] is {row}, not in 0..{all_rows - 1}")
    raise ValueError(f"label {y[row]} in row {row} is not in 0..{classes - 1}")


def _in_one_pass(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool, order: NDArray[Any] | None,
    mean: NDArray[Any] | None,
) -> tuple[float, NDArray[Any], int]:  # fmt: skip
    rows = len(X) if order is None else len(order)
    work = Workspace(W, X, rows, mean)
    dW = np.empty(W.shape, W.dtype)
    threads, words = work.threads, work.team.words

    def part(thread: int) -> None:
        _pass(
            thread, threads, words, W, X, y, order, mean, rows, reg, hinge,
            work.Wt, work.scores, work.labels, work.packed, work.Gt, work.sums, work.bad, dW,
        )  # fmt: skip

    work.team.run(part)
    bad = work.bad[work.bad >= 0]
    return (
        float(work.sums[:, 0].sum() / rows + reg * work.sums[:, 1].sum()),
        dW,
        int(bad.min(initial=rows)) if bad.size else -1,
    )


class Workspace:
    """The arrays beside W, X and y that one pass needs, of a size that does not grow with N.

    Wt (C', D') and Gt (threads, C', D'): W transposed, the gradients, padded to whole tiles with zeros.
    scores (threads, B, C') and labels (threads, B): of a block of B rows. packed (threads, B, D'') or None: rows of X
    in W's dtype, where X cannot be read in place. sums (threads, 2): loss and squared weights. bad (threads,): where a
    thread met a row or label that does not exist, or -1.
    """

    def __init__(self, W: NDArray[Any], X: NDArray[Any], rows: int, mean: NDArray[Any] | None = None) -> None:
        features, classes = W.shape
        bias = X.shape[1] < features
        worth_waking = 4 * rows * features * classes // LEAST_FLOPS_A_THREAD
        self.threads = max(1, min(jit.thread_count(), rows // ROWS, worth_waking))
        self.team = team(self.threads)
        fitting = BLOCK_BYTES // (features * W.itemsize) // ROWS * ROWS
        block_rows = max(LEAST_ROWS_A_BLOCK, min(fitting, MOST_ROWS_A_BLOCK))
        # An odd number of cache lines a packed row: even ones would crowd the rows into few sets of the cache.
        width = (-(-features * W.itemsize // simd.CACHE_LINE) | 1) * simd.CACHE_LINE // W.itemsize
        lanes = simd.lanes(W.itemsize)
        tiles = _up_to(classes, CLASSES), _up_to(width, VECTORS * lanes)
        self.Wt = simd.aligned(tiles, W.dtype)
        self.Gt = simd.aligned((self.threads, *tiles), W.dtype)
        # The last tile may write behind the last row.
        self.scores = simd.aligned((self.threads, block_rows + ROWS, tiles[0]), W.dtype)
        self.labels = np.empty((self.threads, block_rows), np.int64)
        self.packed = None
        if bias or mean is not None or X.dtype != W.dtype or not X.flags.c_contiguous:
            self.packed = simd.aligned((self.threads, block_rows, width), W.dtype)
            self.packed[:, :, features:] = 0
            if bias:
                self.packed[:, :, features - 1] = 1
        self.sums = np.empty((self.threads, 2))
        self.bad = np.full(self.threads, -1)


def require_fitting_all(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], order: NDArray[Any] | None, mean: NDArray[Any] | None
) -> None:
    """Raises ValueError where W (D, C), X (N, D) or (N, D - 1), y (N,), rows (M,) and mean do not fit together.

    And where X is neither float32, float64 nor whole numbers, or y not whole numbers.
    """
    bias = np.ndim(W) == 2 and np.ndim(X) == 2 and W.shape[0] == X.shape[1] + 1
    require_fitting(W[:-1] if bias else W, X, y)
    if not X.dtype.isnative or (X.dtype.kind not in "biu" and X.dtype not in (np.float32, np.float64)):
        raise ValueError(f"X is {X.dtype}: it must be float32, float64 or integers, in the byte order of this machine")
    labels = np.asarray(y).dtype
    if labels.kind not in "iu":
        raise ValueError(f"y is {labels}: labels must be integers")
    if mean is not None and np.shape(mean) != (X.shape[1],):
        raise ValueError(f"mean {np.shape(mean)} does not fit: X has {X.shape[1]} columns")
    if order is not None:
        order = np.asarray(order)
        if order.ndim != 1 or not order.size or order.dtype.kind not in "iu":
            raise ValueError(f"rows must be indices, (M,) integers and at least one, not {order.shape} {order.dtype}")


def _up_to(count: int, tile: int) -> int:
    return -(-count // tile) * tile


@jit.compiled
def _pass(
    thread: int, threads: int, words: NDArray[Any], W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], order: Any,
    mean: Any, rows: int, reg: float, hinge: bool, Wt: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any],
    packed: Any, Gt: NDArray[Any], sums: NDArray[Any], bad: NDArray[Any], dW: NDArray[Any],
) -> None:  # fmt: skip
    """What each thread does: its share of Wt, of the rows, and of dW, with a meeting after each."""
    begin(words, thread)
    first, end = share(thread, threads, Wt.shape[1])
    transpose(W, first, end, Wt)
    barrier(words, threads)
    start, stop = share(thread, threads, rows)
    bad[thread] = walk(
        X, y, order, mean, start, stop, rows - 1, Wt, W.shape[1], hinge, scores[thread], labels[thread], thread, packed,
        Gt[thread], sums[thread],
    )  # fmt: skip
    barrier(words, threads)
    sums[thread, 1] = _finish(Gt, W, rows, reg, first, min(end, W.shape[0]), dW)
    leave(words, thread, threads)


@jit.compiled
def share(thread: int, threads: int, count: int) -> tuple[int, int]:
    return count * thread // threads, count * (thread + 1) // threads


@jit.compiled
def transpose(W: NDArray[Any], first: int, end: int, Wt: NDArray[Any]) -> None:
    """Columns first..end of Wt (C', D') = W (D, C) transposed, zero in the padding."""
    features, classes = W.shape
    last = min(end, features)
    for c in range(Wt.shape[0]):
        row = Wt[c, first:end]
        if c < classes:
            column = W[first:last, c]
            for f in range(column.size):
                row[f] = column[f]
            row[max(0, last - first) :] = 0
        else:
            row[:] = 0


@jit.inlined
def walk(
    X: NDArray[Any], y: NDArray[Any], order: Any, mean: Any, start: int, stop: int, last: int, Wt: NDArray[Any],
    classes: int, hinge: bool, scores: NDArray[Any], labels: NDArray[Any], thread: int, packed: Any, Gt: NDArray[Any],
    loss: NDArray[Any],
) -> int:  # fmt: skip
    """Gt (C', D') and loss[0] become the sums over positions start..stop. Returns a bad position, or -1.

    What comes after, up to position `last`, may be fetched.
    """
    Gt[:] = 0
    loss[0] = 0.0
    for position in range(start, stop, labels.size):
        rows = min(labels.size, stop - position)
        bad = look_up_labels(y, order, position, rows, X.shape[0], classes, labels)
        if bad >= 0:
            return bad
        block = _readable(X, order, mean, position, rows, last, packed, thread)
        loss[0] += _block(block[0], block[1], block[2], rows, block[3], labels, Wt, classes, hinge, scores, Gt)
    return -1


def _readable(
    X: Any, order: Any, mean: Any, position: Any, rows: Any, last: Any, packed: Any, thread: Any
) -> tuple[Any, Any, Any, Any]:
    """The rows at position..position+rows where the micro-kernels can read them: X itself, or what is packed of it.

    Returns the array, the order, the position and the last position in that array.
    """
    return (_readable_in_place if packed is None else _readable_packed)(
        X, order, mean, position, rows, last, packed, thread
    )


def _readable_in_place(
    X: Any, order: Any, mean: Any, position: Any, rows: Any, last: Any, packed: Any, thread: Any
) -> tuple[Any, Any, Any, Any]:
    return X, order, position, last


def _readable_packed(
    X: Any, order: Any, mean: Any, position: Any, rows: Any, last: Any, packed: Any, thread: Any
) -> tuple[Any, Any, Any, Any]:
    buffer = packed[thread]
    _pack(X, order, mean, position, rows, buffer)
    return buffer, None, 0, rows - 1


@overload(_readable)
def _readable_of_a_type(
    X: Any, order: Any, mean: Any, position: Any, rows: Any, last: Any, packed: Any, thread: Any
) -> tuple[Any, Any, Any, Any]:
    # Only one of the two fits these types, and the compiler would look into both.
    return _readable_in_place if packed is types.none else _readable_packed  # type: ignore[return-value]


@jit.compiled
def _pack(X: NDArray[Any], order: Any, mean: Any, position: int, rows: int, packed: NDArray[Any]) -> None:
    """The first rows and columns of packed = X less the mean, from the rows at position..position+rows."""
    for r in range(rows):
        source = X[position + r] if order is None else X[order[position + r]]
        target = packed[r, : source.size]
        for f in range(source.size):
            if mean is None:
                target[f] = source[f]
            else:
                target[f] = target.dtype.type(source[f]) - mean[f]


@jit.compiled
def _block(
    X: NDArray[Any], order: Any, position: int, rows: int, last: int, labels: NDArray[Any], Wt: NDArray[Any],
    classes: int, hinge: bool, scores: NDArray[Any], Gt: NDArray[Any],
) -> float:  # fmt: skip
    """The rows at position..position+rows: adds to Gt, returns their summed loss. `last` is what may be fetched."""
    end = position + rows - 1
    for r in range(0, rows, ROWS):
        for c in range(0, Wt.shape[0], CLASSES):
            simd.score_tile(X, order, position + r, end, Wt, c, scores, r)

    total = hinge_step(scores, rows, labels, classes) if hinge else softmax_step(scores, rows, labels, classes)

    features, lanes = X.shape[1], simd.VECTOR_BYTES // X.itemsize
    wide = Wt.shape[0] // WIDE_CLASSES * WIDE_CLASSES
    if wide > 0:
        for f in range(0, features, WIDE_VECTORS * lanes):
            simd.wide_gradient_tile_fetching(X, order, position, rows, scores, 0, f, Gt, last)
            for c in range(WIDE_CLASSES, wide, WIDE_CLASSES):
                simd.wide_gradient_tile(X, order, position, rows, scores, c, f, Gt, last)
    if wide < Wt.shape[0]:
        for f in range(0, features, VECTORS * lanes):
            if wide > 0:
                simd.gradient_tile(X, order, position, rows, scores, wide, f, Gt, last)
            else:
                simd.gradient_tile_fetching(X, order, position, rows, scores, wide, f, Gt, last)
    return total


@jit.compiled
def _finish(Gt: NDArray[Any], W: NDArray[Any], rows: int, reg: float, first: int, end: int, dW: NDArray[Any]) -> float:
    """Rows first..end of dW (D, C): the threads' gradients in their order, mean, regularisation. Returns sum(W * W)."""
    mean = W.dtype.type(1.0 / rows)
    twice_reg = W.dtype.type(2 * reg)
    classes = W.shape[1]
    squares = 0.0
    for f in range(first, end, FEATURES_AT_ONCE):
        stop = min(f + FEATURES_AT_ONCE, end)
        for c in range(classes):
            total, column = Gt[0, c, f:stop], dW[f:stop, c]
            for thread in range(1, Gt.shape[0]):
                addend = Gt[thread, c, f:stop]
                for k in range(total.size):
                    total[k] += addend[k]
            for k in range(total.size):
                column[k] = total[k]
        weights, gradient = W[f:stop].reshape((stop - f) * classes), dW[f:stop].reshape((stop - f) * classes)
        squares += regularise(gradient, weights, mean, twice_reg)
    return squares
