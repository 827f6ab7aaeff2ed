import numpy as np
from .linear_svm import *
from . import helpers
from ..data_utils import one_hot


def softmax_loss_vectorized(W, X, y, reg):
    p = helpers.softmax(X.dot(W))
    n = X.shape[0]
    loss = -np.log(p[np.arange(n), y]).sum() / n + reg * np.sum(W * W)
    return loss, X.T.dot(p - one_hot(y, W.shape[1])) / n + 2 * reg * W
