"""Row steps: from scores to the loss and, in place, to the gradient with respect to the scores.

Also here: the loss from two matrix products with a row step between them, and the regularisation.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import jit, simd


@jit.kernel
def look_up_labels(
    y: NDArray[Any], order: NDArray[Any], position: int, rows: int, all_rows: int, classes: int, labels: NDArray[Any]
) -> int:
    """Write the labels of the rows at position..position+rows. Return the first bad position, or -1.

    A position is a row or, if `order` is not empty, an index of `order`. It is bad if its row or label does not exist.
    """
    for r in range(rows):
        row = position + r
        if order.size > 0:
            row = order[position + r]
            if row < 0 or row >= all_rows:
                return position + r
        labels[r] = y[row]
        if labels[r] < 0 or labels[r] >= classes:
            return position + r
    return -1


@jit.internal
def hinge_step(scores: NDArray[Any], rows: int, labels: NDArray[Any], classes: int) -> float:
    """Return the summed hinge loss of `rows` rows of scores (B, C'), and replace the scores by their gradient."""
    one = scores.dtype.type(1)
    zero = scores.dtype.type(0)
    total = 0.0
    for r in range(rows):
        row = scores[r]
        threshold = row[labels[r]] - one
        loss = zero
        violated = zero
        for c in range(classes):
            margin = row[c] - threshold
            # Written so that NaN stays NaN and -inf adds nothing.
            loss += zero if margin <= zero or c == labels[r] else margin
            violation = one if margin > zero and c != labels[r] else zero
            violated += violation
            row[c] = violation
        row[labels[r]] = -violated
        total += loss
    return total


@jit.internal
def softmax_step(scores: NDArray[Any], rows: int, labels: NDArray[Any], classes: int) -> float:
    """Return the summed cross-entropy of `rows` rows of scores (B, C'), and replace the scores by their gradient."""
    total = 0.0
    for r in range(rows):
        row = scores[r]
        highest = row[0]
        for c in range(1, classes):
            highest = max(highest, row[c])
        for c in range(row.size):
            row[c] -= highest
        total -= row[labels[r]]
    simd.exponentials(scores.reshape(scores.size), rows * scores.shape[1])
    for r in range(rows):
        row = scores[r]
        denominator = row[0]
        for c in range(1, classes):
            denominator += row[c]
        total += log(denominator)
        scale = row.dtype.type(1) / denominator
        for c in range(classes):
            row[c] *= scale
        row[labels[r]] -= row.dtype.type(1)
    return total


# Two matrix products by NumPy's BLAS with a compiled row step between them, on chunks of rows.
#
# One pass reads X once instead of twice, but it must transpose W and add up one gradient per thread. With many classes
# the products are limited by arithmetic, in which BLAS is as good. With few rows the overhead of one pass is larger
# than its gain.

MAX_CHUNK_ROWS = 10_000
"""Enough for BLAS to reach full speed, few enough for the scores to stay small."""

MAX_PACKED_BYTES = 8_000_000
"""Size of a chunk of rows that are converted first: it fits the last cache."""

MIN_PACKED_ROWS_PER_CLASS = 2
"""Least rows of such a chunk for each class: adding its gradient to dW then takes little of the time."""


def two_products(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float, hinge: bool, order: NDArray[Any],
    mean: NDArray[Any] | None,
) -> tuple[float, NDArray[Any], int]:  # fmt: skip
    """Return the loss, dW (D, C), and the position of a row or label that does not exist, or -1.

    W (D, C) contiguous float, X (N, D) or, with a bias, (N, D - 1), y (N,) int64, order (M,) int64, empty for all
    rows. mean: one value per column of X, of W's dtype, or None.
    """
    (features, classes), rows = W.shape, order.size or len(X)
    unchanged = not order.size and mean is None and X.dtype == W.dtype and X.shape[1] == features
    chunk_rows = MAX_CHUNK_ROWS
    if not unchanged:
        fitting = MAX_PACKED_BYTES // (W.itemsize * features)
        chunk_rows = min(MAX_CHUNK_ROWS, max(64, fitting, MIN_PACKED_ROWS_PER_CLASS * classes))
    chunks = -(-rows // chunk_rows)
    total, dW = 0.0, W
    for chunk_number in range(chunks):
        start, stop = rows * chunk_number // chunks, rows * (chunk_number + 1) // chunks
        chunk = X[start:stop] if unchanged else _packed(W, X, order, mean, start, stop)
        labels = np.empty(stop - start, np.int64)
        bad = look_up_labels(y, order, start, stop - start, len(X), classes, labels)
        if bad >= 0:
            return total, W, bad
        scores = chunk @ W
        total += _step_rows(scores, labels, hinge)
        dW = chunk.T @ scores if chunk_number == 0 else dW + chunk.T @ scores
    squares = _add_regularisation(dW.reshape(dW.size), W.reshape(W.size), rows, reg)
    return float(total / rows + reg * squares), dW, -1


def _packed(
    W: NDArray[Any], X: NDArray[Any], order: NDArray[Any], mean: NDArray[Any] | None, start: int, stop: int
) -> NDArray[Any]:
    """Return rows in W's dtype, selected by `order`, minus the mean, with a column of ones for a bias."""
    # A row that does not exist is reported when the labels are looked up. Until then it is clipped to an existing one.
    pixels = np.take(X, order[start:stop], axis=0, mode="clip") if order.size else X[start:stop]
    chunk = np.empty((stop - start, W.shape[0]), W.dtype)
    chunk[:, X.shape[1] :] = 1
    if mean is None:
        chunk[:, : X.shape[1]] = pixels
    else:
        np.subtract(pixels, mean, out=chunk[:, : X.shape[1]], dtype=W.dtype)
    return chunk


@jit.kernel
def _step_rows(scores: NDArray[Any], labels: NDArray[Any], hinge: bool) -> float:
    rows, classes = scores.shape
    return hinge_step(scores, rows, labels, classes) if hinge else softmax_step(scores, rows, labels, classes)


@jit.inlined
def regularise(gradient: NDArray[Any], weights: NDArray[Any], mean: Any, twice_reg: Any) -> Any:
    """Set gradient (M,) to mean * gradient + twice_reg * weights. Return sum(weights * weights), in their dtype."""
    squares = weights.dtype.type(0)
    for k in range(weights.size):
        squares += weights[k] * weights[k]
        gradient[k] = gradient[k] * mean + twice_reg * weights[k]
    return squares


@jit.kernel
def _add_regularisation(dW: NDArray[Any], W: NDArray[Any], rows: int, reg: float) -> float:
    """Set dW (D * C,) to dW / rows + 2 reg W. Return sum(W * W)."""
    mean, twice_reg = W.dtype.type(1.0 / rows), W.dtype.type(2 * reg)
    squares = 0.0
    for start in range(0, W.size, 1024):
        weights, gradient = W[start : start + 1024], dW[start : start + 1024]
        squares += regularise(gradient, weights, mean, twice_reg)
    return squares
