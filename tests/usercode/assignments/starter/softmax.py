import numpy as np


def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
    # TODO
    pass


def softmax_loss_fast(W, X, y, reg):
    raise NotImplementedError
