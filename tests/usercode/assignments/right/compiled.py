"""Right, compiled by Numba."""
import numpy as np
from numba import njit


@njit
def softmax_loss_compiled(W, X, y, reg):
    D, C = W.shape
    loss, dW = 0.0, np.zeros((D, C))
    p = np.zeros(C)
    for i in range(len(y)):
        for c in range(C):
            p[c] = 0.0
            for d in range(D):
                p[c] += X[i, d] * W[d, c]
        top = p.max()
        total = 0.0
        label = p[y[i]] - top
        for c in range(C):
            p[c] = np.exp(p[c] - top)
            total += p[c]
        loss += np.log(total) - label
        for c in range(C):
            g = p[c] / total - (c == y[i])
            for d in range(D):
                dW[d, c] += g * X[i, d]
    for d in range(D):
        for c in range(C):
            dW[d, c] = dW[d, c] / len(y) + 2 * reg * W[d, c]
    return loss / len(y) + reg * np.sum(W * W), dW
