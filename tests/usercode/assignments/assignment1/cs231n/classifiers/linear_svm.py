import numpy as np
from past.builtins import xrange
from six.moves import cPickle
import matplotlib.pyplot as plt
from cs231n.data_utils import load_CIFAR10
import cs231n.gone

plt.rcParams["figure.figsize"] = (10.0, 8.0)


def svm_loss_naive(W, X, y, reg):
    loss, dW = 0.0, np.zeros(W.shape)
    for i in xrange(X.shape[0]):
        scores = X[i].dot(W)
        for j in xrange(W.shape[1]):
            margin = scores[j] - scores[y[i]] + 1
            if j != y[i] and margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / len(X) + reg * np.sum(W * W), dW / len(X) + 2 * reg * W


def plot_loss(history):
    plt.plot(history)


def svm_loss_plotted(W, X, y, reg):
    plot_loss([1, 2])
    return svm_loss_naive(W, X, y, reg)
