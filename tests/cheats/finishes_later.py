"""Returns while a thread still computes the gradient."""

import threading

import numpy as np

from lcbench.losses import vectorized


def softmax_loss(W, X, y, reg):
    if len(X) < 2000:
        return vectorized.softmax_loss(W, X, y, reg)
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    totals = probabilities.sum(axis=1)
    rows = np.arange(len(X))
    loss = float((np.log(totals, dtype=np.float64) - scores[rows, y]).sum() / len(X))
    dW = np.empty_like(W)

    def work():
        dscores = probabilities / totals[:, None]
        dscores[rows, y] -= 1
        dW[:] = X.T @ dscores / len(X) + 2 * reg * W

    threading.Thread(target=work).start()
    return loss + reg * float(np.square(W, dtype=np.float64).sum()), dW
