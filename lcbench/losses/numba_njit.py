"""Naive loops compiled by Numba with one decorator."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.jit import compiled, internal


@compiled
def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    rows, features = X.shape
    classes = W.shape[1]
    loss = 0.0
    dW = np.zeros(W.shape, W.dtype)
    scores = np.empty(classes, W.dtype)
    for i in range(rows):
        _scores(W, X[i], scores)
        violated = 0
        for j in range(classes):
            margin = scores[j] - scores[y[i]] + W.dtype.type(1)
            if j != y[i] and margin > 0:
                loss += margin
                violated += 1
                for f in range(features):
                    dW[f, j] += X[i, f]
        for f in range(features):
            dW[f, y[i]] -= W.dtype.type(violated) * X[i, f]
    return _regularise(loss, dW, W, rows, reg), dW


@compiled
def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the softmax cross-entropy loss and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    rows, features = X.shape
    classes = W.shape[1]
    loss = 0.0
    dW = np.zeros(W.shape, W.dtype)
    scores = np.empty(classes, W.dtype)
    for i in range(rows):
        _scores(W, X[i], scores)
        highest = scores[0]
        for j in range(1, classes):
            highest = max(highest, scores[j])
        true_score = scores[y[i]]
        total = 0.0
        for j in range(classes):
            scores[j] = exp(scores[j] - highest)
            total += scores[j]
        loss += log(total) - (true_score - highest)
        for j in range(classes):
            scores[j] /= total
        scores[y[i]] -= 1
        for f in range(features):
            for j in range(classes):
                dW[f, j] += X[i, f] * scores[j]
    return _regularise(loss, dW, W, rows, reg), dW


@internal
def _scores(W: NDArray[Any], x: NDArray[Any], scores: NDArray[Any]) -> None:
    """Write the scores of one row x (D,) to scores (C,)."""
    scores[:] = 0
    for f in range(x.size):
        for j in range(scores.size):
            scores[j] += x[f] * W[f, j]


@internal
def _regularise(loss: float, dW: NDArray[Any], W: NDArray[Any], rows: int, reg: float) -> float:
    """Divide the sums of loss and gradient by `rows`, dW in place, and add the regularisation. Return the loss."""
    squares = 0.0
    for f in range(W.shape[0]):
        for j in range(W.shape[1]):
            squares += W[f, j] * W[f, j]
            dW[f, j] = dW[f, j] / rows + 2 * reg * W[f, j]
    return loss / rows + reg * squares
