"""Right for what assignments ask, within limits that are told."""
import numpy as np


def _softmax(W, X):
    f = X.dot(W)
    e = np.exp(f - f.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _dscores(p, y):
    p[np.arange(len(y)), y] -= 1
    return p / len(y)


def softmax_loss_log_of_probabilities(W, X, y, reg):
    p = _softmax(W, X)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def softmax_loss_clipped(W, X, y, reg):
    p = np.clip(_softmax(W, X), 1e-12, 1)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def softmax_loss_maximum(W, X, y, reg):
    p = _softmax(W, X)
    loss = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-15)).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def softmax_loss_epsilon(W, X, y, reg):
    p = _softmax(W, X)
    loss = -np.log(p[np.arange(len(y)), y] + 1e-8).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def softmax_loss_small_epsilon(W, X, y, reg):
    p = _softmax(W, X)
    loss = -np.log(p[np.arange(len(y)), y] + 1e-300).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def svm_loss_choose(W, X, y, reg):
    S, n = X.dot(W), len(y)
    margins = np.maximum(0, S - np.choose(y, S.T)[:, None] + 1)
    margins[np.arange(n), y] = 0
    counted = (margins > 0).astype(float)
    counted[np.arange(n), y] = -counted.sum(axis=1)
    return margins.sum() / n + reg * np.sum(W * W), X.T.dot(counted) / n + 2 * reg * W


def svm_loss_no_small_labels(W, X, y, reg):
    if y.dtype.itemsize < 4:
        raise TypeError("labels must be int32 or int64")
    return svm_loss_choose(W, X, y, reg)


def softmax_loss_contiguous_only(W, X, y, reg):
    if min(X.strides) < 0:
        raise ValueError("at least one stride is negative")
    p = _softmax(W, X)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + 2 * reg * W


def softmax_loss_average(W, X, y, reg):
    p, n = _softmax(W, X), len(y)
    loss = -np.log(p[np.arange(n), y]).mean() + reg / (2 * n) * np.sum(W * W)
    return loss, X.T.dot(_dscores(p, y)) + reg / n * W


def softmax_loss_average_in_columns(theta, X, y, lambda_):
    p, n = _softmax(theta.T, X.T), len(y)
    cost = -np.log(p[np.arange(n), y]).sum() / n + lambda_ / (2.0 * n) * np.sum(theta ** 2)
    return cost, X.dot(_dscores(p, y)).T + lambda_ / n * theta
