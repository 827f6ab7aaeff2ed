"""Softmax without loops, one mistake a function."""
import numpy as np


def probabilities(X, W):
    f = X.dot(W)
    f -= f.max(axis=1, keepdims=True)
    e = np.exp(f)
    return e / e.sum(axis=1, keepdims=True)


def softmax_loss_reg_missing_from_loss(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).sum() / n
    p[np.arange(n), y] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_not_averaged_in_loss(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).sum() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_gradient_averaged_twice(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    p /= n
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_mean_over_everything(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    truth = np.zeros_like(p)
    truth[np.arange(n), y] = 1
    loss = -np.mean(truth * np.log(p)) + reg * np.sum(W * W)
    return loss, X.T.dot(p - truth) / n + 2 * reg * W


def softmax_loss_wrong_axis(W, X, y, reg):
    n = len(y)
    e = np.exp(X.dot(W))
    p = e / e.sum(axis=0)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_negated_gradient(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    truth = np.eye(W.shape[1])[y]
    return loss, X.T.dot(truth - p) / n + 2 * reg * W


def softmax_loss_every_class_less_one(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_of_the_predicted_class(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), p.argmax(axis=1)] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


last = None


def softmax_loss_of_the_call_before(W, X, y, reg):
    global last
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    before, last = last, (loss, X.T.dot(p) / n + 2 * reg * W)
    return before if before is not None else (0.0, np.zeros_like(W))


seen = {}


def softmax_loss_cached_by_identity(W, X, y, reg):
    if id(W) == seen.get("W") and id(X) == seen.get("X"):
        return seen["result"]
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    seen.update(W=id(W), X=id(X), keep=(W, X), result=(loss, X.T.dot(p) / n + 2 * reg * W))
    return seen["result"]


def softmax_loss_updates_W(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    dW = X.T.dot(p) / n + 2 * reg * W
    W -= 1e-3 * dW
    return loss, dW


def softmax_loss_half_precision(W, X, y, reg):
    n = len(y)
    W, X = W.astype(np.float16), X.astype(np.float16)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, (X.T.dot(p) / n + 2 * reg * W).astype(np.float16)


def softmax_loss_labels_from_one(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y - 1]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y - 1] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_one_hot_of_seen_labels(W, X, y, reg):
    n = len(y)
    classes = np.unique(y)
    truth = (y[:, None] == classes).astype(float)
    p = probabilities(X, W)
    loss = -np.sum(truth * np.log(p)) / n + reg * np.sum(W * W)
    return loss, X.T.dot(p - truth) / n + 2 * reg * W


def softmax_loss_whole_batches(W, X, y, reg):
    n = len(y)
    size = 100
    loss, dW = 0.0, np.zeros_like(W)
    batches = n // size if n > size else 1
    for b in range(batches):
        rows = slice(b * size, (b + 1) * size)
        p = probabilities(X[rows], W)
        m = len(p)
        loss -= np.log(p[np.arange(m), y[rows]]).sum()
        p[np.arange(m), y[rows]] -= 1
        dW += X[rows].T.dot(p)
    return loss / n + reg * np.sum(W * W), dW / n + 2 * reg * W


def softmax_loss_bias_not_regularised(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W[:-1] ** 2)
    p[np.arange(n), y] -= 1
    dW = X.T.dot(p) / n
    dW[:-1] += 2 * reg * W[:-1]
    return loss, dW


def softmax_loss_log2(W, X, y, reg):
    n = len(y)
    p = probabilities(X, W)
    loss = -np.log2(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, X.T.dot(p) / n + 2 * reg * W


def softmax_loss_2015_summed(W, X, y, reg):
    # W is C x D, X is D x N
    n = X.shape[1]
    f = W.dot(X)
    f -= f.max(axis=0)
    p = np.exp(f) / np.exp(f).sum(axis=0)
    loss = -np.log(p[y, np.arange(n)]).sum() + 0.5 * reg * np.sum(W * W)
    p[y, np.arange(n)] -= 1
    return loss, p.dot(X.T) + reg * W
