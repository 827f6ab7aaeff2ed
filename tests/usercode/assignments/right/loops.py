"""Right, in loops of every kind."""
from builtins import range
from math import exp, log

import numpy as np


def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    num_classes, num_train = W.shape[1], X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct_class_score = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss /= num_train
    dW /= num_train
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


def softmax_loss_without_numpy_inside(W, X, y, reg):
    D, C = len(W), len(W[0])
    loss, dW = 0.0, [[2 * reg * float(W[d][c]) for c in range(C)] for d in range(D)]
    for row, label in zip(X, y):
        f = [sum(float(row[d]) * float(W[d][c]) for d in range(D)) for c in range(C)]
        top = max(f)
        e = [exp(each - top) for each in f]
        total = sum(e)
        loss += log(total) - (f[label] - top)
        for c in range(C):
            g = (e[c] / total - (1 if c == label else 0)) / len(y)
            for d in range(D):
                dW[d][c] += g * float(row[d])
    squares = sum(float(w) ** 2 for line in W for w in line)
    return loss / len(y) + reg * squares, np.array(dW)


def svm_loss_correct_class_taken_back(W, X, y, reg):
    """ counts the correct class and takes the 1 back afterwards """
    loss, dW = 0.0, np.zeros_like(W)
    for i, label in enumerate(y):
        margins = np.maximum(0, X[i] @ W - X[i] @ W[:, label] + 1)
        loss += np.sum(margins) - 1
        active = (margins > 0).astype(W.dtype)
        active[label] -= np.sum(active)
        dW += np.outer(X[i], active)
    return loss / len(y) + reg * np.sum(W ** 2), dW / len(y) + 2 * reg * W
