"""Single pass over X on all cores: scores, row step and gradient of a block of rows while the block is in the cache.

Two matrix products would read X twice. Here each thread processes rows block by block::

    X (N, D)           a block of rows                                  held in
    +-----------+      1. scores    S = X_block Wt^T  2 rows x 10 classes or  registers; parts of Wt in L1 for all rows
    | thread 0  | -->               and panels        4 rows x 5 classes      of the block; the tiles of the first
    |  block    |                                                             classes copy the rows into panels in L2,
    +-----------+                                                             and prefetch rows of X
    | thread 1  |      2. row step  S becomes dS      the block at a time     L1
    |  ...      |      3. gradient  Gt += dS^T X      5 classes x 4 vectors   registers; four panels, which one line
    +-----------+                                     of features             after the other comes from L2; half of the
                                                                              next block is prefetched

    Wt is W transposed and interleaved by vectors, Gt (C', D') one gradient a portion, both padded to whole tiles. A
    panel holds one vector of features of every row of the block.

These are the tiles for 32 vector registers. With 16 they are 2 rows x 5 classes, and 5 classes x 2 vectors.

Rows of X are about 12 KB apart and not aligned. Without the copy, most loads of the gradient would read two cache
lines, which compete for a few sets of the L1 cache.

All threads run the same function. They wait for each other at two barriers: after Wt is complete, and after all
gradients are complete. Of many rows, each thread has most of its share to itself, and the others are taken portion by
portion, so that a slower core delays nobody. The gradients of the portions are added in a fixed order: the result
depends on the number of threads, but not on their timing.

Rows of X can be selected by index and are then read in place. X of another dtype (uint8 pixels), with a mean image,
with a bias, or with rows that are not contiguous is converted block by block into a buffer of each thread. X is never
copied as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import int8, jit, pixels, simd
from lcbench.losses.implementation import require_fitting
from lcbench.losses.row_steps import hinge_step, look_up_labels, regularise, softmax_step, two_products
from lcbench.losses.simd import CLASSES, ROWS, VECTORS, WIDE_CLASSES, WIDE_ROWS
from lcbench.losses.threads import (
    Reserve,
    barrier,
    begin,
    begin_portions,
    leave,
    new_number,
    next_portion,
    portions,
    publish,
    received,
    same_kind,
    share,
    team,
)

BLOCK_BYTES = 300_000
"""Size of a block of rows. Each block reads and writes Gt, so smaller ones are slower. This one, its panels, Wt and Gt
fit an L2 cache of 1 MB; with 512 KB it was also the fastest size.
"""

AHEAD = 2
"""Packing score tiles between the one that prefetches a row and the one that reads it, at least.

Rows are prefetched at an even rate. While the gradient of a block is computed, its tiles prefetch the first half of the
next block, a line of each row in turn: the caches follow several streams of lines, and prefetch further on their own.
While the score tiles process a part of Wt, they prefetch that part of the other half of their block.
"""

NO_ORDER = np.empty(0, np.int64)
"""Order of the rows that means all rows as they are."""

NO_SOURCE = np.empty((0, 0), np.uint8)
"""Source of converted rows that means none, since X can be read in place.

Both are arrays and not None, so that kernels are compiled once for rows in place, by index, and from pixels.
"""

PASS_BYTES = 16_000
"""Size of a part of Wt with which the scores of all rows of a block are continued. It stays in L1."""

MIN_PASS_FEATURES = 256
"""Least number of features of such a part. Each begins with loading the sums of the scores."""

MIN_BLOCK_ROWS = 12
MAX_BLOCK_ROWS = 256
"""Limits of the rows of a block. Each block reads all of Wt and Gt, which is too expensive for fewer rows."""

FOLD_BLOCKS = 64
"""Blocks whose gradients are added up in W's dtype, before that sum is added to one in float64.

The rounding errors of a sum grow with its length.
"""

HINGE_SCALES = 64
"""Number of scales by which the hinge's dscores of a block are multiplied, and the block's gradient divided.

Centred pixels have the same fraction, and most dscores of the hinge are 1. So the rounding errors of a sum over rows
have the same sign, and add up over the blocks. With a different scale in each block they cancel.
"""
HINGE_SCALE_STEP = 37
"""Steps, in the order of the scales, from one block to the next. Neighbours then differ widely, and all are used."""

# Sizes for which one pass was measured to be faster than two products. With many classes BLAS uses the caches better.
# With a small X the overhead of one pass is larger than its gain; the more so if it reads a block once for every ten
# classes. On bytes, two products must convert X in each call, and how many classes are too many depends on the unit.
ONE_PASS_MAX_CLASSES = 64
ONE_PASS_MIN_ROWS = 64
ONE_PASS_MIN_NUMBERS = 500_000
ONE_PASS_MIN_NUMBERS_IN_TILES = 4_000_000
ONE_PASS_MIN_PIXELS = 320_000
ONE_PASS_MIN_FEATURES_PER_CLASS = 2

FINISH_FEATURES = 64
"""Rows of dW that are completed at a time, while they are in L1."""

MIN_FLOPS_PER_THREAD = 10_000_000
"""About what a core computes while another thread wakes up. For less work the calling thread alone is faster."""


def svm_loss(
    W: NDArray[Any],
    X: NDArray[Any],
    y: NDArray[Any],
    reg: float,
    *,
    rows: NDArray[Any] | None = None,
    mean: NDArray[Any] | None = None,
) -> tuple[float, NDArray[Any]]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. The loss is a float, dW (D, C) has W's dtype.
    If X has one column less than W has rows, the last row of W is the bias.
    rows (M,) integers: the loss is that of X[rows] and y[rows], which are read in place.
    mean: one value per column of X, subtracted from every row of X.

    Raise ValueError if the shapes do not match or a label is not in [0, C), IndexError if a row is not in [0, N).
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
    """Return the softmax cross-entropy loss and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers. The loss is a float, dW (D, C) has W's dtype.
    If X has one column less than W has rows, the last row of W is the bias.
    rows (M,) integers: the loss is that of X[rows] and y[rows], which are read in place.
    mean: one value per column of X, subtracted from every row of X.

    Raise ValueError if the shapes do not match or a label is not in [0, C), IndexError if a row is not in [0, N).
    """
    return _loss(W, X, y, reg, False, rows, mean)


def _loss(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool, order: NDArray[Any] | None,
    mean: NDArray[Any] | None,
) -> tuple[float, NDArray[Any]]:  # fmt: skip
    X, reg = np.asarray(X), float(reg)
    check_arrays(W, X, y, order, mean)  # the compiled code does not check them
    W, y = np.ascontiguousarray(W), np.ascontiguousarray(y, np.int64)
    order = NO_ORDER if order is None else np.ascontiguousarray(order, np.int64)
    mean = None if mean is None else np.ascontiguousarray(mean, W.dtype)
    rows = order.size or len(X)
    unit = int8.UNIT if pixels.suits(W, X) else None
    if prefer_two_products(rows, W, unit):
        loss, dW, bad = two_products(W, X, y, reg, hinge, order, mean)
    else:
        bad = pixels.NOT_FINITE
        if unit is not None:
            loss, dW, bad = pixels.one_pass(W, X, y, reg, hinge, order, mean)
        if bad == pixels.NOT_FINITE:
            loss, dW, bad = _one_pass(W, X, y, reg, hinge, order, mean)
    if bad >= 0:
        _raise_for_bad_row(bad, len(X), W.shape[1], y, order)
    return loss, dW


def prefer_two_products(rows: int, W: NDArray[Any], unit: int8.Unit | None = None) -> bool:
    """Return True if two matrix products take less time than one pass: for many classes, or a small X.

    unit: that of the pass on bytes, or None for one on floats.
    """
    features, classes = W.shape
    if unit is not None:
        few_rows = rows < max(ONE_PASS_MIN_ROWS, unit.rows_per_class * classes)
        few_features = features < ONE_PASS_MIN_FEATURES_PER_CLASS * classes
        return classes > unit.most_classes or few_rows or few_features or rows * features < ONE_PASS_MIN_PIXELS
    least = ONE_PASS_MIN_NUMBERS if classes <= 2 * CLASSES else ONE_PASS_MIN_NUMBERS_IN_TILES
    return classes > ONE_PASS_MAX_CLASSES or rows < ONE_PASS_MIN_ROWS or rows * features < least


def _raise_for_bad_row(position: int, all_rows: int, classes: int, y: NDArray[Any], order: NDArray[Any]) -> None:
    row = int(order[position]) if order.size else position
    if not 0 <= row < all_rows:
        raise IndexError(f"rows[{position}] is {row}, not in 0..{all_rows - 1}")
    raise ValueError(f"label {y[row]} in row {row} is not in 0..{classes - 1}")


def _one_pass(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool, order: NDArray[Any],
    mean: NDArray[Any] | None,
) -> tuple[float, NDArray[Any], int]:  # fmt: skip
    rows = order.size or len(X)
    threads, block_rows = _division(W, rows)
    bounds = portions(threads, rows, block_rows)
    kind = (W.shape, W.dtype, X.shape[1], _is_packed(W, X, mean), threads, block_rows, bounds.size)
    work = _RESERVE.take(kind, lambda: Workspace(W, X, rows, mean, bounds.size - 1))
    dW = np.empty(W.shape, W.dtype)
    X, source, mean = readable(W, X, mean)
    crew = team(threads)
    words = crew.words

    def part(thread: int) -> None:
        _pass(
            thread, threads, words, W, X, source, y, order, mean, bounds, reg, hinge, dW, work.number, work.Wt,
            work.scores, work.labels, work.later, work.parts, work.panels, work.packed, work.Gt, work.totals, work.sums,
            work.bad,
        )  # fmt: skip

    crew.run(part)
    bad = [position for position in work.bad.tolist() if position >= 0]
    losses, squares = work.sums.T.tolist()
    _RESERVE.keep(kind, work)
    return sum(losses) / rows + reg * sum(squares), dW, min(bad, default=-1)


def _is_packed(W: NDArray[Any], X: NDArray[Any], mean: NDArray[Any] | None) -> bool:
    """Return whether rows of X must be converted, since the micro-kernels cannot read them in place."""
    return X.shape[1] < W.shape[0] or mean is not None or X.dtype != W.dtype or not X.flags.c_contiguous


def readable(
    W: NDArray[Any], X: NDArray[Any], mean: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return X if the micro-kernels can read it in place, the rows that must be converted, and the mean.

    Of the first two, one has no rows.
    """
    source = NO_SOURCE
    if _is_packed(W, X, mean):
        X, source = np.empty((0, len(W)), W.dtype), X
    return X, source, np.zeros(source.shape[1], W.dtype) if mean is None else mean


def _division(W: NDArray[Any], rows: int) -> tuple[int, int]:
    """Return the number of threads, and the number of rows of a block."""
    features, classes = W.shape
    useful_threads = 4 * rows * features * classes // MIN_FLOPS_PER_THREAD
    fitting = BLOCK_BYTES // (features * W.itemsize) // ROWS * ROWS
    return (
        max(1, min(jit.thread_count(), rows // ROWS, useful_threads)),
        max(MIN_BLOCK_ROWS, min(fitting, MAX_BLOCK_ROWS)),
    )


class Workspace:
    """Number of threads, and work arrays, of one pass over P portions of the rows. Their size does not grow with N.

    number: that of this work memory in the process.
    Wt (C' / CLASSES, CLASSES * D'): W transposed, padded to whole tiles with zeros: for CLASSES classes, one vector of
    each class after the other, in the order in which the scores read them.
    Gt (P, C', D'): gradient of each portion, transposed and padded.
    totals (threads, C', D') float64: sum of the gradients of earlier blocks, used only for portions of many blocks.
    scores (threads, B, C') and labels (threads, B): those of a block of B rows.
    parts (threads, C' / CLASSES, B * CLASSES * lanes): sums of the scores of a block between two parts of Wt.
    panels (threads, D' / lanes, B' * lanes): the B rows of a block as the gradient reads them.
    packed (threads, B, D''): rows of X in W's dtype; B is zero if X can be read in place.
    later (threads, B): addresses in X, in bytes, of the lines that the gradient tiles prefetch.
    sums (P, 2): loss of each portion, and squared weights of each thread.
    bad (P,): first position of each portion with a row or label that does not exist, or -1.
    """

    def __init__(
        self, W: NDArray[Any], X: NDArray[Any], rows: int, mean: NDArray[Any] | None = None, portions: int = 0
    ) -> None:  # fmt: skip
        features, classes = W.shape
        self.number = new_number()
        self.threads, block_rows = _division(W, rows)
        portions = portions or self.threads
        # A packed row takes an odd number of cache lines: with an even number the rows would share few sets of the
        # cache.
        width = (-(-features * W.itemsize // simd.CACHE_LINE) | 1) * simd.CACHE_LINE // W.itemsize
        lanes = simd.lanes(W.itemsize)
        tiles = simd.up_to(classes, CLASSES), simd.up_to(width, VECTORS * lanes)
        self.Wt = simd.aligned((tiles[0] // CLASSES, CLASSES * tiles[1]), W.dtype)
        self.Gt = simd.aligned((portions, *tiles), W.dtype)
        self.totals = simd.aligned((self.threads, *tiles), np.dtype(np.float64))
        # The last tile may write after the last row.
        self.scores = simd.aligned((self.threads, block_rows + ROWS, tiles[0]), W.dtype)
        self.labels, self.later = np.empty((2, self.threads, block_rows), np.int64)
        self.parts = simd.aligned((self.threads, tiles[0] // CLASSES, (block_rows + ROWS) * CLASSES * lanes), W.dtype)
        # Rows of panels an odd number of vectors apart do not share few sets of the L1 cache.
        self.panels = simd.aligned((self.threads, tiles[1] // lanes, (block_rows | 1) * lanes), W.dtype)
        self.panels[:, features // lanes :] = 0  # the score tiles do not write behind the features
        self.packed = simd.aligned((self.threads, block_rows if _is_packed(W, X, mean) else 0, width), W.dtype)
        self.packed[:, :, features:] = 0
        if X.shape[1] < features:  # the bias
            self.packed[:, :, features - 1] = 1
        self.sums = np.zeros((portions, 2))
        self.bad = np.full(portions, -1)


_RESERVE = Reserve()


def check_arrays(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], order: NDArray[Any] | None, mean: NDArray[Any] | None
) -> None:
    """Raise ValueError unless W (D, C), X (N, D) or (N, D - 1), y (N,), rows (M,) and mean match in shape and dtype.

    X must be float32, float64 or integers, and y integers.
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


@jit.kernel
def _pass(
    thread: int, threads: int, words: NDArray[Any], W: NDArray[Any], X: NDArray[Any], source: NDArray[Any],
    y: NDArray[Any], order: NDArray[Any], mean: NDArray[Any], bounds: NDArray[Any], reg: float, hinge: bool,
    dW: NDArray[Any], work: int, Wt: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], later: NDArray[Any],
    parts: NDArray[Any], panels: NDArray[Any], packed: NDArray[Any], Gt: NDArray[Any], totals: NDArray[Any],
    sums: NDArray[Any], bad: NDArray[Any],
) -> None:  # fmt: skip
    """Compute a thread's share of Wt, then portions of the rows, then a share of dW, with a barrier after each.

    bounds (P + 1,): those of the portions.
    """
    while True:
        arguments = W, X, source, y, order, mean, bounds, reg, hinge, dW
        if thread == 0:
            publish(words, work, arguments)
        begin(words, thread)
        if thread == 0:
            begin_portions(words, threads)
        first, end = share(thread, threads, Gt.shape[2], simd.VECTOR_BYTES // W.itemsize)
        interleave(W, first, end, Wt)
        barrier(words, threads)
        rows, portion = bounds[-1], thread
        while portion < Gt.shape[0]:
            bad[portion] = add_up_rows(
                X, source, y, order, mean, bounds[portion], bounds[portion + 1], rows - 1, Wt, W.shape[1], hinge,
                scores[thread], labels[thread], later[thread], parts[thread], panels[thread], packed[thread],
                Gt[portion], totals[thread], sums[portion],
            )  # fmt: skip
            portion = next_portion(words)
        barrier(words, threads)
        sums[thread, 1] = _finish(Gt, W, rows, reg, first, min(end, W.shape[0]), dW)
        if not (leave(words, thread, threads) and same_kind(words, work, arguments)):
            return
        W, X, source, y, order, mean, bounds, reg, hinge, dW = received(words, thread, arguments)


@jit.internal
def interleave(W: NDArray[Any], first: int, end: int, Wt: NDArray[Any]) -> None:
    """Set features first..end of Wt, which `Workspace` describes, to rows of W (D, C), and to zero in the padding.

    first and end are multiples of the lanes.
    """
    features, classes = W.shape
    lanes = simd.VECTOR_BYTES // W.itemsize
    for vector in range(first, end, lanes):
        for c in range(CLASSES * Wt.shape[0]):
            place = CLASSES * vector + c % CLASSES * lanes
            target = Wt[c // CLASSES, place : place + lanes]
            known = min(lanes, features - vector) if c < classes else 0
            if known == lanes:
                for lane in range(lanes):
                    target[lane] = W[vector + lane, c]
            else:
                for lane in range(lanes):
                    target[lane] = W[vector + lane, c] if lane < known else 0


@jit.inlined
def add_up_rows(
    X: NDArray[Any], source: NDArray[Any], y: NDArray[Any], order: NDArray[Any], mean: NDArray[Any], start: int,
    stop: int, last: int, Wt: NDArray[Any], classes: int, hinge: bool, scores: NDArray[Any], labels: NDArray[Any],
    later: NDArray[Any], parts: NDArray[Any], panels: NDArray[Any], packed: NDArray[Any], Gt: NDArray[Any],
    totals: NDArray[Any], loss: NDArray[Any],
) -> int:  # fmt: skip
    """Set Gt (C', D') and loss[0] to the sums over positions start..stop. Return the first bad position, or -1.

    X and source are those of `readable`. packed (B, D''), totals (C', D') float64, later (B,), parts and panels are
    work memory. Later rows may be prefetched, up to position `last`.
    """
    Gt[:] = 0
    loss[0] = 0.0
    all_rows = max(X.shape[0], source.shape[0])
    fold_rows = FOLD_BLOCKS * labels.size
    for position in range(start, stop, labels.size):
        if position > start and (position - start) % fold_rows == 0:
            _fold(Gt, totals, position - start == fold_rows)
        rows = min(labels.size, stop - position)
        bad = look_up_labels(y, order, position, rows, all_rows, classes, labels)
        if bad >= 0:
            return bad
        block, indices, first, furthest = X, order, position, last
        if packed.shape[0] > 0:
            _pack(source, order, mean, position, rows, packed)
            block, indices, first, furthest = packed, order[:0], 0, rows - 1
        number = (position - start) // labels.size
        loss[0] += _block(
            block, indices, first, rows, furthest, labels, Wt, classes, hinge, number, scores, later, parts, panels, Gt
        )
    if stop - start > fold_rows:
        _add_totals(Gt, totals)
    return -1


@jit.internal
def _fold(Gt: NDArray[Any], totals: NDArray[Any], first: bool) -> None:
    """Add Gt (C', D') to totals (C', D'), or store it there if it is the first. Set Gt to zero."""
    for c in range(Gt.shape[0]):
        addend, total = Gt[c], totals[c]
        for f in range(addend.size):
            total[f] = addend[f] + (0.0 if first else total[f])
            addend[f] = 0


@jit.internal
def _add_totals(Gt: NDArray[Any], totals: NDArray[Any]) -> None:
    """Add totals (C', D') to Gt (C', D')."""
    for c in range(Gt.shape[0]):
        total, addend = Gt[c], totals[c]
        for f in range(total.size):
            total[f] = addend[f] + total[f]


@jit.internal
def _pack(
    source: NDArray[Any], order: NDArray[Any], mean: NDArray[Any], position: int, rows: int, packed: NDArray[Any]
) -> None:
    """Write the rows at position..position+rows of source, minus the mean, to the first rows and columns of packed."""
    for r in range(rows):
        row = source[order[position + r] if order.size > 0 else position + r]
        target = packed[r, : row.size]
        for f in range(row.size):
            target[f] = target.dtype.type(row[f]) - mean[f]


@jit.internal
def _block(
    X: NDArray[Any], order: NDArray[Any], position: int, rows: int, last: int, labels: NDArray[Any], Wt: NDArray[Any],
    classes: int, hinge: bool, number: int, scores: NDArray[Any], later: NDArray[Any], parts: NDArray[Any],
    panels: NDArray[Any], Gt: NDArray[Any],
) -> float:  # fmt: skip
    """Add the gradient of the rows at position..position+rows to Gt. Return their summed loss.

    Later rows may be prefetched, up to position `last`. number: that of the block, counted from the thread's first.
    """
    end = position + rows - 1
    features, lanes = X.shape[1], simd.VECTOR_BYTES // X.itemsize
    step = max(MIN_PASS_FEATURES, PASS_BYTES // (Gt.shape[0] * X.itemsize)) // lanes * lanes
    narrow = WIDE_CLASSES > CLASSES and Gt.shape[0] < WIDE_CLASSES
    first = CLASSES if narrow else WIDE_CLASSES
    half = (rows + 1) // 2
    others = rows - half
    for f in range(0, features, step):
        for r in range(0, rows, ROWS):
            for k in range(r, min(r + ROWS, rows), ROWS if narrow else WIDE_ROWS):
                fetched, place = position + half + k // 2 + AHEAD, f
                if fetched > end:
                    fetched, place = fetched - others, f + step
                if narrow:
                    simd.packing_score_tile(
                        X, order, position + k, end, Wt, f, f + step, scores, k, parts, panels, fetched, last, place
                    )  # fmt: skip
                else:
                    simd.wide_packing_score_tile(
                        X, order, position + k, end, Wt, f, f + step, scores, k, parts, panels, fetched, last, place
                    )  # fmt: skip
            for c in range(first, Gt.shape[0], CLASSES):
                simd.score_tile(panels, features, Wt, c, f, f + step, scores, r, parts)

    scale = 1.0
    if hinge:
        total = hinge_step(scores, rows, labels, classes)
        scale += number * HINGE_SCALE_STEP % HINGE_SCALES / HINGE_SCALES
        for r in range(rows):
            for c in range(classes):
                scores[r, c] *= scores.dtype.type(scale)
    else:
        total = softmax_step(scores, rows, labels, classes)
    weight = scores.dtype.type(1 / scale)
    tiles = -(-features // (VECTORS * lanes)) * (Gt.shape[0] // CLASSES)
    row_bytes = features * X.itemsize
    tile_bytes = row_bytes // tiles  # of a row, prefetched by one tile
    if last > end:
        for r in range(half):
            row = end + 1 + r
            later[r] = (order[min(row, last)] if order.size > 0 else row) * row_bytes
        for r in range(half, rows):
            later[r] = later[r - half] + tile_bytes // 2
    else:  # the rows of a converted block end with it
        later[:rows] = 0
    offset = 0
    for f in range(0, features, VECTORS * lanes):
        for c in range(0, Gt.shape[0], CLASSES):
            simd.gradient_tile(panels, rows, scores, weight, c, f, Gt, X, later, offset)
            offset += tile_bytes
    return total


@jit.inlined
def _finish(Gt: NDArray[Any], W: NDArray[Any], rows: int, reg: float, first: int, end: int, dW: NDArray[Any]) -> float:
    """Compute rows first..end of dW (D, C) from the gradients of the portions, in their order. Return sum(W * W)."""
    mean = W.dtype.type(1.0 / rows)
    twice_reg = W.dtype.type(2 * reg)
    classes = W.shape[1]
    squares = 0.0
    for f in range(first, end, FINISH_FEATURES):
        stop = min(f + FINISH_FEATURES, end)
        for c in range(classes):
            total, column = Gt[0, c, f:stop], dW[f:stop, c]
            for portion in range(1, Gt.shape[0]):
                addend = Gt[portion, c, f:stop]
                for k in range(total.size):
                    total[k] += addend[k]
            for k in range(total.size):
                column[k] = total[k]
        weights, gradient = W[f:stop].reshape((stop - f) * classes), dW[f:stop].reshape((stop - f) * classes)
        squares += regularise(gradient, weights, mean, twice_reg)
    return squares
