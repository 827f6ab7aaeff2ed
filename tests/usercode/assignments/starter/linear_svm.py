import numpy as np
from random import shuffle


def svm_loss_naive(W, X, y, reg):
    """The loss is given; the gradient is the student's to write."""
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j != y[i]:
                loss += max(0, scores[j] - scores[y[i]] + 1)
    loss /= X.shape[0]
    loss += reg * np.sum(W * W)
    # TODO: the gradient
    pass
    return loss, dW


def svm_loss_vectorized(W, X, y, reg):
    loss = 0.0
    dW = np.zeros(W.shape)
    # TODO: both
    pass
    return loss, dW
