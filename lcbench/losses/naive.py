"""Explicit Python loops over rows and classes: the form in which the losses are taught."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray


def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    rows, classes = X.shape[0], W.shape[1]
    loss = 0.0
    dW = np.zeros_like(W)
    for i in range(rows):
        x = X[i].astype(W.dtype, copy=False)
        scores = x.dot(W)
        for j in range(classes):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += float(margin)
                dW[:, j] += x
                dW[:, y[i]] -= x
    return loss / rows + reg * float(np.sum(W * W)), dW / W.dtype.type(rows) + W.dtype.type(2 * reg) * W


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the softmax cross-entropy loss and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) integers in [0, C).
    The loss is a float, dW (D, C) has W's dtype.
    """
    rows, classes = X.shape[0], W.shape[1]
    loss = 0.0
    dW = np.zeros_like(W)
    for i in range(rows):
        x = X[i].astype(W.dtype, copy=False)
        scores = x.dot(W)
        highest = scores.max()
        exponentials = [exp(scores[j] - highest) for j in range(classes)]
        total = sum(exponentials)
        loss += log(total) - float(scores[y[i]] - highest)
        for j in range(classes):
            dW[:, j] += W.dtype.type(exponentials[j] / total - (j == y[i])) * x
    return loss / rows + reg * float(np.sum(W * W)), dW / W.dtype.type(rows) + W.dtype.type(2 * reg) * W
