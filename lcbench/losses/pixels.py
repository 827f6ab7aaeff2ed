"""Losses on uint8 pixels by products of bytes: single pass over X on all cores, with float32's accuracy.

Pixels are exact in 8 bits. A weight is cut into three signed digits of 8 bits, whose sum is the weight to 24 bits of
the largest weight of its class::

    W[f, c] = scale[c] (d0 + d1 / 254 + d2 / 254^2)      scale[c] = max |W[:, c]| / 127,  |d| <= 127

All products and their sums are then exact integers (the splitting of Ozaki et al. 2012, "Error-free transformations of
matrix multiplication by using fast routines of matrix multiplication and its applications"). The gradient with respect
to the scores is cut in the same way, with scale 1/127; that of the hinge loss is a small integer and has one digit. The
mean image and the bias become one constant of each class.

Each thread processes rows block by block, in the layouts of `int8`; many rows portion by portion, as in
`numba_parallel`::

    X (N, F)       a block of rows                                                   held in
    +---------+    0. quads     four rows interleaved                                L2
    |  block  |    1. scores    S = rows Wq, a column for each digit and class       registers, Wq in L2,
    +---------+                                                                      next block on its way to L2
    |  ...    |    2. row step  s (C, B) from S; the loss; digits dq of ds           L1
    +---------+    3. gradient  G += dq quads                                        registers, quads in L2

    G holds exact sums over all rows of a thread, whichever these are. Before they can overflow they are added to sums
    in int64.

The threads wait for each other at three barriers: after the largest weights are known, after Wq is complete, and after
all gradients are complete. The gradient of the hinge loss is exact up to the rounding of dW, so that it does not depend
on the number of threads.
"""

from __future__ import annotations

from math import isfinite, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import int8, jit, simd
from lcbench.losses.int8 import COLUMNS, GROUP, NARROW, TILE_FEATURES, TILE_ROWS, WIDE
from lcbench.losses.row_steps import look_up_labels, regularise
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

Array = NDArray[Any]

DIGITS = 3
BASE = 254.0
LARGEST = 127.0
"""Number of digits, their base, and the largest absolute value of a digit.

The latter is half the base, so that a remainder of half a unit is still a digit.
"""

LAST_DIGITS = LARGEST * BASE * BASE
"""Largest number of three digits, in units of the last one."""

PRODUCTS = {"svm": (DIGITS + 1) / 2, "softmax": DIGITS}
"""Products of digits by loss for each product of numbers, on average over scores and gradient."""

MAX_FEATURES = 65_536
"""Most features, and most rows between two additions to int64, for which sums of 255 * 127 fit int32."""

FLUSH_ROWS = MAX_FEATURES - 2 * int8.BLOCK_ROWS
"""Number of rows at whose multiples, to within a block, the sums are added to those in int64."""

MIN_PRODUCTS_PER_THREAD = 20_000_000
"""About what a core computes while another thread wakes up. For less work the calling thread alone is faster."""

ABSOLUTE = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign."""

FINISH_FEATURES = 8 * GROUP
"""Rows of dW that are completed at a time, while they are in L1."""

NOT_FINITE = -2
"""Result of a pass for weights with NaN or infinity, which have no digits."""


def suits(W: Array, X: Array) -> bool:
    """Return whether this module can compute the losses of X with W, on this processor."""
    fits = X.dtype == np.uint8 and W.dtype == np.float32 and X.shape[1] <= MAX_FEATURES and W.shape[1] <= LARGEST
    return int8.UNIT is not None and fits and (X.strides[1] == 1 or X.shape[1] == 1)


class Workspace:
    """Number of threads, and work arrays, of a pass. Their size does not grow with N.

    number: that of this work memory in the process.
    `int8` describes rows, quads, Wq, S, dq and G. Each thread has its own, except Wq.
    Wt (C, F'): W transposed, with the features of each group in the order of G. digits (3 C, F') int8: its digits.
    most (threads, C) int32: bits of the largest absolute weights, and products (threads, C) float64: products of the
    digits with the mean, of the features of each thread.
    constants (threads, 2, C) float64: scale and constant of the scores of each class. counts (threads, C) float64: sums
    of the gradient with respect to the scores. sums (threads, F') float64: gradient of a class.
    s (threads, C + 2, B): scores, and two rows of work space. labels (threads, B).
    counted (threads, K') int64: sums of dq over all rows. exact (threads, K', F') int64: what was flushed from G.
    loss (P, 2) and bad (P,): sums and bad of `numba_parallel`, where bad can be NOT_FINITE.
    """

    def __init__(self, W: Array, X: Array, rows: int, hinge: bool, threads: int, portions: int = 0) -> None:
        features, classes = X.shape[1], W.shape[1]
        self.number, self.threads = new_number(), threads
        block = int8.BLOCK_ROWS
        wide = simd.up_to(max(features, 1), GROUP)
        # Rows an odd number of cache lines apart do not share few sets of the caches.
        row_bytes = wide + (GROUP if wide // GROUP % 2 == 0 else 0)
        columns, gradients = (
            simd.up_to(DIGITS * classes, COLUMNS),
            simd.up_to((1 if hinge else DIGITS) * classes, NARROW),
        )
        byte, int32 = np.dtype(np.int8), np.dtype(np.int32)
        self.Wt = simd.aligned((classes, wide), np.dtype(np.float32))
        self.digits = simd.aligned((DIGITS * classes, wide), byte)
        self.Wq = simd.aligned((wide // 4, 4 * columns), byte)
        self.most, self.products = np.empty((threads, classes), np.int32), np.empty((threads, classes))
        self.constants, self.counts = np.empty((threads, 2, classes)), np.empty((threads, classes))
        self.sums = simd.aligned((threads, wide), np.dtype(np.float64))
        self.rows = simd.aligned((threads, block, row_bytes), np.dtype(np.uint8))
        self.rows[:] = 0
        self.quads = simd.aligned((threads, block // 4, 4 * wide + simd.CACHE_LINE), np.dtype(np.uint8))
        self.S = simd.aligned((threads, block, columns), int32)
        self.s = simd.aligned((threads, classes + 2, block), np.dtype(np.float32))
        self.dq = simd.aligned((threads, gradients, block), byte)
        self.G = simd.aligned((threads, gradients, wide + simd.CACHE_LINE // 4), int32)
        self.exact = np.empty((threads, gradients, wide) if _flushes(rows) else (threads, 0, 0), np.int64)
        self.labels = np.zeros((threads, block), np.int64)
        self.counted = np.empty((threads, gradients), np.int64)
        self.loss = np.zeros((portions or threads, 2))
        self.bad = np.full(portions or threads, -1)


def in_gradient_order(columns: Array, wide: int) -> Array:
    """Return a copy of columns (K, F), padded with zeros to `wide` columns, with those of each group in G's order."""
    padded = np.zeros((len(columns), wide), columns.dtype)
    padded[:, : columns.shape[1]] = columns
    return padded.reshape(-1, GROUP)[:, int8.FEATURE_ORDER].reshape(len(columns), wide)


_RESERVE = Reserve()


def _threads(W: Array, X: Array, rows: int) -> int:
    """Return the number of threads for a call."""
    useful = 2 * rows * X.shape[1] * W.shape[1] // MIN_PRODUCTS_PER_THREAD
    return max(1, min(jit.thread_count(), rows // TILE_ROWS, useful))


def _flushes(rows: int) -> bool:
    """Return whether the int32 sums of a thread may have to be flushed to int64."""
    return rows > FLUSH_ROWS


def one_pass(
    W: Array, X: Array, y: Array, reg: float, hinge: bool, order: Array, mean: Array | None
) -> tuple[float, Array, int]:  # fmt: skip
    """Return the loss, dW (D, C), and the position of a row or label that does not exist, or -1, or NOT_FINITE.

    W (D, C) contiguous float32, X (N, F) uint8 with D = F, or D = F + 1 for a bias, y (N,) int64, order (M,) int64,
    empty for all rows. mean (F,) float32 or None.
    """
    rows = order.size or len(X)
    threads = _threads(W, X, rows)
    bounds = portions(threads, rows, int8.BLOCK_ROWS)
    kind = (W.shape, X.shape[1], hinge, threads, bounds.size, _flushes(rows))
    work = _RESERVE.take(kind, lambda: Workspace(W, X, rows, hinge, threads, bounds.size - 1))
    work.bad[:] = -1
    crew = team(threads)
    words = crew.words
    dW = np.empty_like(W)
    centre = ordered_mean(mean, work)

    def part(thread: int) -> None:
        _pass(
            thread, threads, words, W, X, y, order, centre, bounds, reg, hinge, dW, work.number, work.Wt, work.digits,
            work.Wq, work.most, work.products, work.constants, work.rows, work.quads, work.S, work.s, work.dq, work.G,
            work.exact, work.labels, work.counted, work.counts, work.sums, work.loss, work.bad,
        )  # fmt: skip

    crew.run(part)
    bad = [position for position in work.bad.tolist() if position != -1]
    losses, squares = work.loss.T.tolist()
    _RESERVE.keep(kind, work)
    return sum(losses) / rows + reg * sum(squares), dW, min(bad, default=-1)


def ordered_mean(mean: Array | None, work: Workspace) -> Array:
    """Return the mean (F'), in the order of G, or zeros."""
    wide = work.Wt.shape[1]
    return np.zeros(wide, np.float32) if mean is None else in_gradient_order(mean[None], wide)[0]


@jit.kernel
def _pass(
    thread: int, threads: int, words: Array, W: Array, X: Array, y: Array, order: Array, mean: Array, bounds: Array,
    reg: float, hinge: bool, dW: Array, work: int, Wt: Array, digits: Array, Wq: Array, most: Array, products: Array,
    constants: Array, block: Array, quads: Array, S: Array, s: Array, dq: Array, G: Array, exact: Array, labels: Array,
    counted: Array, counts: Array, sums: Array, loss: Array, bad: Array,
) -> None:  # fmt: skip
    """Compute a thread's share of Wq, then of the rows, then of dW, with a barrier after each."""
    while True:
        arguments = W, X, y, order, mean, bounds, reg, hinge, dW
        if thread == 0:
            publish(words, work, arguments)
        begin(words, thread)
        if thread == 0:
            begin_portions(words, threads)
        first, end = share(thread, threads, Wt.shape[1], GROUP)
        transpose(W, X.shape[1], first, end, Wt)
        measure(Wt, first, end, most[thread])
        barrier(words, threads)
        cut(Wt, mean, first, end, most, digits, Wq, products[thread])
        barrier(words, threads)
        finite = True
        for c in range(W.shape[1]):
            finite = finite and isfinite(largest_of(most, c))
        if finite:
            clear(dq[thread], G[thread], exact[thread], counted[thread])
            done, portion = 0, thread
            while portion < bounds.size - 1:
                start, stop = bounds[portion], bounds[portion + 1]
                bad[portion] = add_up_rows(
                    X, y, order, start, stop, stop - 1, done, W[X.shape[1] :], hinge, Wq, most, products,
                    constants[thread], block[thread], quads[thread], S[thread], s[thread], dq[thread], G[thread],
                    exact[thread], labels[thread], counted[thread], loss[portion],
                )  # fmt: skip
                done += stop - start
                portion = next_portion(words)
            barrier(words, threads)
            loss[thread, 1] = _finish(
                G, exact, counted, hinge, W, mean, X.shape[1], bounds[-1], reg, first, min(end, X.shape[1]),
                end == Wt.shape[1], counts[thread], sums[thread], dW,
            )  # fmt: skip
        else:
            bad[thread] = NOT_FINITE
        if not (leave(words, thread, threads) and same_kind(words, work, arguments)):
            return
        W, X, y, order, mean, bounds, reg, hinge, dW = received(words, thread, arguments)


@jit.inlined
def exchanged(f: int) -> int:
    """Return the position of feature f in the order of G, or the feature at position f: `int8.FEATURE_ORDER`."""
    return f & ~60 | f >> 2 & 12 | f << 2 & 48


@jit.internal
def transpose(W: Array, features: int, first: int, end: int, Wt: Array) -> None:
    """Set columns first..end of Wt (C, F') to the first `features` rows of W (D, C), and to zero behind them."""
    for c in range(W.shape[1]):
        row = Wt[c]
        for f in range(first, min(end, features)):
            row[exchanged(f)] = W[f, c]
        for f in range(max(first, features), end):
            row[exchanged(f)] = 0


@jit.internal
def measure(Wt: Array, first: int, end: int, most: Array) -> None:
    """Set most (C,) int32 to the bits of the largest absolute values in columns first..end of Wt (C, F').

    Bits of positive numbers are in the order of the numbers. Those of infinity and NaN are the largest.
    """
    for c in range(Wt.shape[0]):
        row, largest = Wt[c, first:end].view(np.int32), np.int32(0)
        for f in range(row.size):
            largest = max(largest, row[f] & ABSOLUTE)
        most[c] = largest


@jit.internal
def largest_of(most: Array, c: int) -> float:
    """Return the largest absolute weight of class c from the bits most (threads, C), or inf or NaN."""
    largest = 0
    for thread in range(1, most.shape[0]):
        if most[thread, c] > most[largest, c]:
            largest = thread
    return float(most.view(np.float32)[largest, c])


@jit.internal
def cut(Wt: Array, mean: Array, first: int, end: int, most: Array, digits: Array, Wq: Array, products: Array) -> None:
    """Write the digits of columns first..end of Wt (C, F') to `digits` and, in the order of `int8`, to Wq.

    products (C,) becomes the product of these columns with the mean, in units of the last digit. It is that of the
    digits and not of the weights, so that pixels equal to the mean add exactly nothing.
    """
    classes = Wt.shape[0]
    base, square = np.float32(BASE), np.float32(BASE * BASE)
    per_base, per_square = np.float32(1 / BASE), np.float32(1 / (BASE * BASE))
    for c in range(classes):
        largest = largest_of(most, c)
        units = LAST_DIGITS / largest if largest > 0 else 0.0
        row, centre = Wt[c, first:end], mean[first:end]
        d0, d1, d2 = digits[c, first:end], digits[classes + c, first:end], digits[2 * classes + c, first:end]
        product = 0.0
        for p in range(row.size):
            # An integer of 23 bits, and so are the remainders: exact in float32.
            number = np.rint(np.float64(row[p]) * units)
            product += number * np.float64(centre[p])
            rest = np.float32(number)
            digit = np.rint(rest * per_square)
            d0[p] = np.int8(digit)
            rest -= digit * square
            digit = np.rint(rest * per_base)
            d1[p] = np.int8(digit)
            d2[p] = np.int8(rest - digit * base)
        products[c] = product
    fours, target = digits.view(np.int32), Wq.view(np.int32)
    for group in range(first // 4, end // 4):
        row = target[exchanged(4 * group) // 4]
        for k in range(fours.shape[0]):
            row[k] = fours[k, group]
        row[fours.shape[0] :] = 0


@jit.internal
def clear(dq: Array, G: Array, exact: Array, counted: Array) -> None:
    """Set the sums of a thread, and the padding of dq, to zero."""
    dq[:] = 0
    G[:] = 0
    exact[:] = 0
    counted[:] = 0


@jit.inlined
def add_up_rows(
    X: Array, y: Array, order: Array, start: int, stop: int, last: int, done: int, bias: Array, hinge: bool, Wq: Array,
    most: Array, products: Array, constants: Array, block: Array, quads: Array, S: Array, s: Array, dq: Array, G: Array,
    exact: Array, labels: Array, counted: Array, loss: Array,
) -> int:  # fmt: skip
    """Add the sums over positions start..stop to G, exact and counted. Return the first bad position, or -1.

    loss[0] becomes the loss of these rows. done: number of rows that the sums contain already. bias (0 or 1, C). Later
    rows may be prefetched, up to position `last`.
    """
    loss[0] = 0.0
    classes = s.shape[0] - 2
    scale, constant = constants[0], constants[1]
    for c in range(classes):
        product = 0.0
        for other in range(products.shape[0]):
            product += products[other, c]
        scale[c] = largest_of(most, c) / LAST_DIGITS
        constant[c] = -scale[c] * product
        for k in range(bias.shape[0]):
            constant[c] += bias[k, c]
    int8.begin_tiles()
    for position in range(start, stop, labels.size):
        rows = min(labels.size, stop - position)
        bad = look_up_labels(y, order, position, rows, X.shape[0], classes, labels)
        if bad >= 0:
            int8.end_tiles()
            return bad
        if (done + labels.size) // FLUSH_ROWS > done // FLUSH_ROWS:
            _flush(G, exact)
        done += rows
        # The score tiles read whole groups of features, and whole tiles of rows.
        in_place = order.size == 0 and X.shape[1] % GROUP == 0 and rows % TILE_ROWS == 0
        _interleave(X, order, position, rows, block, quads, not in_place)
        ahead = position + rows
        furthest = min(last, ahead + rows - 1)  # in a descent, the next batch has as many rows
        if in_place:
            _scores(X, position, rows, X, order, ahead, furthest, Wq, S)
        else:
            _scores(block, np.int64(0), rows, X, order, ahead, furthest, Wq, S)
        _combine(S, scale, constant, s)
        loss[0] += _hinge_step(s, rows, labels, dq) if hinge else _softmax_step(s, rows, labels, dq)
        _count(dq, counted)
        _gradient(quads, rows, 4 * Wq.shape[0], dq, G)
    int8.end_tiles()
    return -1


@jit.internal
def _flush(G: Array, exact: Array) -> None:
    for k in range(exact.shape[0]):
        total, source = exact[k], G[k]
        for f in range(total.size):
            total[f] += source[f]
        source[:] = 0


@jit.internal
def _interleave(X: Array, order: Array, position: int, rows: int, block: Array, quads: Array, copy: bool) -> None:
    """Write the rows at position..position+rows of X to `quads`, and with `copy` to `block`."""
    last = position + rows - 1
    for r in range(0, rows, 4):
        int8.interleave(X, order, position + r, last, block, r, quads, copy)


@jit.internal
def _scores(
    source: Array, first: int, rows: int, X: Array, order: Array, ahead: int, last: int, Wq: Array, S: Array
) -> None:
    """Set S to the products of the rows first..first+rows of `source` with all columns of Wq.

    Rows of X from position `ahead` on may be prefetched, up to position `last`.
    """
    for r in range(0, rows, TILE_ROWS):
        int8.score_tile_fetching(source, first + r, Wq, 0, S, r, X, order, ahead + r, last)
        for k in range(COLUMNS, S.shape[1], COLUMNS):
            int8.score_tile(source, first + r, Wq, k, S, r, X, order, ahead + r, last)


@jit.internal
def _combine(S: Array, scale: Array, constant: Array, s: Array) -> None:
    """Set s (C, B) to the scores from those of their digits, S (B, K), which are exact in float64."""
    classes = scale.size
    for c in range(classes):
        row = s[c]
        high, middle, low = S[:, c], S[:, classes + c], S[:, 2 * classes + c]
        for r in range(row.size):
            number = (np.float64(high[r]) * BASE + np.float64(middle[r])) * BASE + np.float64(low[r])
            row[r] = number * scale[c] + constant[c]


@jit.internal
def _hinge_step(s: Array, rows: int, labels: Array, dq: Array) -> float:
    """Return the summed hinge loss of the first `rows` scores s (C + 2, B), and write their gradient to dq.

    The last two rows of s are work space.
    """
    classes = s.shape[0] - 2
    one, zero = s.dtype.type(1), s.dtype.type(0)
    threshold, violations = s[classes], s[classes + 1]
    for r in range(rows):
        threshold[r] = s[labels[r], r] - one
        violations[r] = zero
        s[labels[r], r] = -np.inf  # adds nothing
    total = 0.0
    for c in range(classes):
        row, digit = s[c], dq[c]
        for r in range(rows):
            margin = row[r] - threshold[r]
            # Written so that NaN stays NaN.
            total += zero if margin <= zero else margin
            violation = one if margin > zero else zero
            violations[r] += violation
            digit[r] = np.int8(violation)
        digit[rows:] = 0
    for r in range(rows):
        dq[labels[r], r] = np.int8(-violations[r])
    return total


@jit.internal
def _softmax_step(s: Array, rows: int, labels: Array, dq: Array) -> float:
    """Return the summed cross-entropy of the first `rows` scores s (C + 2, B), and write their gradient to dq.

    The last two rows of s are work space.
    """
    classes, block = s.shape[0] - 2, s.shape[1]
    number = s.dtype.type
    highest, denominator = s[classes], s[classes + 1]
    highest[:] = -np.inf
    for c in range(classes):
        row = s[c]
        for r in range(block):
            highest[r] = max(highest[r], row[r])
    for c in range(classes):
        row = s[c]
        for r in range(block):
            row[r] -= highest[r]
    total = 0.0
    for r in range(rows):
        total -= s[labels[r], r]
    simd.exponentials(s[:classes].reshape(classes * block), classes * block)
    denominator[:] = 0
    for c in range(classes):
        row = s[c]
        for r in range(block):
            denominator[r] += row[r]
    for r in range(rows):
        total += log(denominator[r])
        s[labels[r], r] -= denominator[r]
    for r in range(block):
        denominator[r] = number(LARGEST) / denominator[r]
    for c in range(classes):
        row, d0, d1, d2 = s[c], dq[c], dq[classes + c], dq[2 * classes + c]
        for r in range(rows):
            scaled = row[r] * denominator[r]
            unit = np.rint(scaled)
            rest = (scaled - unit) * number(BASE)
            digit = np.rint(rest)
            d0[r] = np.int8(unit)
            d1[r] = np.int8(digit)
            d2[r] = np.int8(np.rint((rest - digit) * number(BASE)))
        d0[rows:] = 0
        d1[rows:] = 0
        d2[rows:] = 0
    return total


@jit.internal
def _count(dq: Array, counted: Array) -> None:
    """Add the sums of the rows of dq (K', B) to counted (K',)."""
    for k in range(counted.size):
        row, total = dq[k], np.int32(0)
        for r in range(row.size):
            total += np.int32(row[r])
        counted[k] += total


@jit.internal
def _gradient(quads: Array, rows: int, features: int, dq: Array, G: Array) -> None:
    """Add the gradients of the digits dq of `rows` rows to G."""
    columns = dq.shape[0]
    wide = columns // WIDE * WIDE
    for f in range(0, features, TILE_FEATURES):
        for k in range(0, wide, WIDE):
            int8.wide_gradient_tile(quads, rows, dq, k, f, G)
        for k in range(wide, columns, NARROW):
            int8.narrow_gradient_tile(quads, rows, dq, k, f, G)


@jit.inlined
def _finish(
    G: Array, exact: Array, counted: Array, hinge: bool, W: Array, mean: Array, features: int, rows: int, reg: float,
    first: int, end: int, last: bool, counts: Array, sums: Array, dW: Array,
) -> float:  # fmt: skip
    """Compute rows first..end of dW (D, C) and, if `last`, that of the bias. Return sum(W * W) of these rows.

    counts (C,) and sums (F',) are work memory.
    """
    classes = W.shape[1]
    one_over_rows, twice_reg = W.dtype.type(1.0 / rows), W.dtype.type(2 * reg)
    squares = 0.0
    count(counted, hinge, counts)
    for start in range(first, end, FINISH_FEATURES):
        stop = min(start + FINISH_FEATURES, end)
        for c in range(classes):
            add_threads(G, exact, c, classes, start, -(-stop // GROUP) * GROUP, hinge, sums)
            for f in range(start, stop):
                p = exchanged(f)
                dW[f, c] = sums[p] - mean[p] * counts[c]
        gradient, weights = dW[start:stop], W[start:stop]
        squares += regularise(gradient.reshape(gradient.size), weights.reshape(weights.size), one_over_rows, twice_reg)
    if last and features < W.shape[0]:
        for c in range(classes):
            dW[features, c] = counts[c]
        squares += regularise(dW[features], W[features], one_over_rows, twice_reg)
    return squares


@jit.internal
def count(counted: Array, hinge: bool, counts: Array) -> None:
    """Set counts (C,) to the sums of the gradient with respect to the scores, from those of its digits and threads."""
    classes = counts.size
    for c in range(classes):
        total = 0.0
        for digit in range(1 if hinge else DIGITS):
            total *= BASE
            for thread in range(counted.shape[0]):
                total += counted[thread, digit * classes + c]
        counts[c] = total if hinge else total / LAST_DIGITS


@jit.internal
def add_threads(
    G: Array, exact: Array, c: int, classes: int, first: int, end: int, hinge: bool, sums: Array
) -> None:  # fmt: skip
    """Set sums[first:end] to the gradient of class c, in the order of G, from those of its digits and threads.

    The sums of a digit are integers below 2^53, which are exact in float64.
    """
    total = sums[first:end]
    total[:] = 0
    for digit in range(1 if hinge else DIGITS):
        k = digit * classes + c
        for thread in range(G.shape[0]):
            kept = 1.0 if thread > 0 else BASE
            addend = G[thread, k, first:end]
            for p in range(total.size):
                total[p] = kept * total[p] + addend[p]
            if exact.size > 0:
                flushed = exact[thread, k, first:end]
                for p in range(total.size):
                    total[p] += flushed[p]
    if not hinge:
        for p in range(total.size):
            total[p] *= 1 / LAST_DIGITS
