import numpy as np
from random import shuffle


def svm_loss_vectorized(W, X, y, reg):
    n = X.shape[0]
    scores = X.dot(W)
    margins = np.maximum(0, scores - scores[range(n), y].reshape(-1, 1) + 1)
    margins[range(n), y] = 0
    loss = margins.sum() / n + 0.5 * reg * np.sum(W * W)
    d = (margins > 0).astype(float)
    d[range(n), y] -= d.sum(axis=1)
    return loss, X.T.dot(d) / n + reg * W


def cross_entropy(W, X, y, reg):
    n = X.shape[0]
    e = np.exp(X.dot(W))
    p = e / e.sum(1)[:, None]
    loss = -np.log(p[range(n), y]).sum() / n + 0.5 * reg * np.sum(W * W)
    p[range(n), y] -= 1
    return loss, X.T.dot(p) / n + reg * W
