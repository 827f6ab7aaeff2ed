"""Between the two products: a row of scores becomes its loss and, in place, the gradient with respect to it."""

from __future__ import annotations

from math import log
from typing import Any

from numpy.typing import NDArray

from lcbench.losses import jit, simd


@jit.compiled
def look_up_labels(
    y: NDArray[Any], order: Any, position: int, rows: int, all_rows: int, classes: int, labels: NDArray[Any]
) -> int:
    """labels[:rows] = those of the rows at position..position+rows. Returns a position whose row or label is bad."""
    for r in range(rows):
        row = position + r
        if order is not None:
            row = order[position + r]
            if row < 0 or row >= all_rows:
                return position + r
        labels[r] = y[row]
        if labels[r] < 0 or labels[r] >= classes:
            return position + r
    return -1


@jit.compiled
def hinge_step(scores: NDArray[Any], rows: int, labels: NDArray[Any], classes: int) -> float:
    """Hinge loss: `rows` rows of scores (B, C') become their gradients. Returns the summed loss."""
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
            # So that a NaN stays one and -inf counts for nothing.
            loss += zero if margin <= zero or c == labels[r] else margin
            violation = one if margin > zero and c != labels[r] else zero
            violated += violation
            row[c] = violation
        row[labels[r]] = -violated
        total += loss
    return total


@jit.compiled
def softmax_step(scores: NDArray[Any], rows: int, labels: NDArray[Any], classes: int) -> float:
    """Cross-entropy: `rows` rows of scores (B, C') become their gradients. Returns the summed loss."""
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
