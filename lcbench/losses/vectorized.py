"""Vectorised NumPy: two matrix products with the row step between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    X = X.astype(W.dtype, copy=False)
    rows = np.arange(len(X))
    scores = X @ W
    margins = np.maximum(scores - scores[rows, y, None] + 1, 0)
    margins[rows, y] = 0
    loss = margins.sum(dtype=np.float64) / len(X) + reg * np.sum(W * W)

    dscores = (margins > 0).astype(W.dtype)
    dscores[rows, y] = -dscores.sum(axis=1)
    dscores /= len(X)
    return float(loss), X.T @ dscores + W.dtype.type(2 * reg) * W


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the softmax cross-entropy loss and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    X = X.astype(W.dtype, copy=False)
    rows = np.arange(len(X))
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    true_scores = scores[rows, y].sum(dtype=np.float64)
    probabilities = np.exp(scores, out=scores)
    totals = probabilities.sum(axis=1, keepdims=True)
    loss = (np.log(totals).sum(dtype=np.float64) - true_scores) / len(X) + reg * np.sum(W * W)

    dscores = np.divide(probabilities, totals, out=probabilities)
    dscores[rows, y] -= 1
    dscores /= len(X)
    return float(loss), X.T @ dscores + W.dtype.type(2 * reg) * W
