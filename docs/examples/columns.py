"""Softmax loss of X (D, N): the columns of X are the rows of the data."""

import numpy as np


def prepare(W, X, y):
    """Return W, X and y as softmax_loss takes them. It may be called with one row, to convert W alone."""
    return W, np.ascontiguousarray(X.T), y


def softmax_loss(W, X, y, reg):
    """Return the loss and its gradient, for X (D, N)."""
    n = X.shape[1]
    p = W.T @ X
    p -= p.max(axis=0)
    loss = -p[y, np.arange(n)].mean()
    p = np.exp(p)
    sums = p.sum(axis=0)
    p /= sums
    p[y, np.arange(n)] -= 1
    return loss + np.log(sums).mean() + reg * (W * W).sum(), X @ p.T / n + 2 * reg * W


def fetch(loss, dW):
    """Return the loss as a number and dW as an array of NumPy."""
    return float(loss), dW
