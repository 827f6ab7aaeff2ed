"""Right for ordinary scores only: exp overflows, or all exponentials of a row are 0."""
import math

import numpy as np


def _with_gradient(p, W, X, y, reg):
    n = len(y)
    loss = np.sum(-np.log(p[np.arange(n), y])) / n + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, np.matmul(X.T, p) / n + 2 * reg * W


def softmax_loss_no_shift(W, X, y, reg):
    e = np.exp(X.dot(W))
    return _with_gradient(e / np.sum(e, axis=1, keepdims=True), W, X, y, reg)


def softmax_loss_global_shift(W, X, y, reg):
    f = X.dot(W)
    f -= np.max(f)
    e = np.exp(f)
    return _with_gradient(e / np.sum(e, axis=1).reshape(len(y), 1), W, X, y, reg)


def softmax_loss_maximum_from_zero(W, X, y, reg):
    f = X.dot(W)
    largest = np.zeros(len(y))
    for c in range(W.shape[1]):
        largest = np.maximum(largest, f[:, c])
    e = np.exp(f - largest[:, None])
    return _with_gradient(e / np.sum(e, axis=1, keepdims=True), W, X, y, reg)


def softmax_loss_mean_shift(W, X, y, reg):
    f = X.dot(W)
    e = np.exp(f - f.mean())
    return _with_gradient(e / np.sum(e, axis=1, keepdims=True), W, X, y, reg)


def softmax_loss_clipped_without_shift(W, X, y, reg):
    e = np.exp(X.dot(W))
    p = np.clip(e / (e.sum(axis=1, keepdims=True) + 1e-30), 1e-12, 1)
    return _with_gradient(p, W, X, y, reg)


def softmax_loss_clipped_scores(W, X, y, reg):
    f = np.clip(X.dot(W), -500, 500)
    e = np.exp(f)
    return _with_gradient(e / e.sum(axis=1, keepdims=True), W, X, y, reg)


def softmax_loss_math_exp(W, X, y, reg):
    n, C = len(y), W.shape[1]
    p = np.empty((n, C))
    for i in range(n):
        e = [math.exp(s) for s in X[i].dot(W)]
        p[i] = np.array(e) / sum(e)
    return _with_gradient(p, W, X, y, reg)


def softmax_loss_log_sum_exp_without_shift(W, X, y, reg):
    f, n = X.dot(W), len(y)
    total = np.exp(f).sum(axis=1)
    loss = (np.log(total) - f[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p = np.exp(f) / total[:, None]
    p[np.arange(n), y] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W
