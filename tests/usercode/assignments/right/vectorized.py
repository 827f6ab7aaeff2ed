"""Right, without loops, in the ways that NumPy and SciPy offer."""
import numpy as np
from scipy import sparse
from scipy.special import log_softmax, logsumexp


def softmax_loss_einsum(W, X, y, reg):
    scores = np.einsum("nd,dc->nc", X, W)
    scores = scores - scores.max(axis=1)[:, np.newaxis]
    p = np.exp(scores)
    p = p / np.einsum("nc->n", p)[:, np.newaxis]
    n = X.shape[0]
    loss = np.mean(-np.log(p[range(n), y])) + reg * np.einsum("dc,dc->", W, W)
    p[range(n), y] -= 1
    return loss, np.einsum("nd,nc->dc", X, p) / n + 2 * reg * W


def softmax_loss_one_hot(W, X, y, reg):
    truth = np.eye(W.shape[1])[y]
    f = X.dot(W)
    f -= np.max(f, axis=1, keepdims=True)
    log_p = f - np.log(np.sum(np.exp(f), axis=1, keepdims=True))
    loss = -np.sum(truth * log_p) / len(X) + reg * np.sum(np.square(W))
    return loss, X.T.dot(np.exp(log_p) - truth) / len(X) + 2 * reg * W


def softmax_loss_logsumexp(W, X, y, reg):
    f = X @ W
    rows = np.arange(len(y))
    d = np.exp(log_softmax(f, axis=1))
    np.add.at(d, (rows, y), -1)
    return np.mean(logsumexp(f, axis=1) - f[rows, y]) + reg * np.linalg.norm(W) ** 2, X.T @ d / len(y) + 2 * reg * W


def softmax_loss_sparse_labels(W, X, y, reg):
    n, C = len(y), W.shape[1]
    truth = sparse.csr_matrix((np.ones(n), (np.arange(n), y)), shape=(n, C))
    f = X @ W
    p = np.exp(f - logsumexp(f, axis=1, keepdims=True))
    loss = -truth.multiply(f - logsumexp(f, axis=1, keepdims=True)).sum() / n + reg * np.sum(W * W)
    return loss, (X.T @ p - (truth.T @ X).T) / n + 2 * reg * W


def svm_loss_add_at(W, X, y, reg):
    n = len(y)
    scores = X @ W
    margins = scores - np.take_along_axis(scores, np.asarray(y, dtype=np.int64)[:, None], axis=1) + 1
    i, j = np.nonzero((margins > 0) & (np.arange(W.shape[1]) != np.asarray(y)[:, None]))
    dWT = np.zeros((W.shape[1], W.shape[0]))
    np.add.at(dWT, j, X[i])
    np.subtract.at(dWT, y[i], X[i])
    return margins[i, j].sum() / n + reg * np.vdot(W, W), dWT.T / n + 2 * reg * W


def svm_loss_clip(W, X, y, reg):
    n = X.shape[0]
    scores = X.dot(W)
    margins = np.clip(scores - np.choose(y, scores.T[:32])[:, None] + 1, 0, None) if W.shape[1] <= 32 else (
        np.clip(scores - scores[range(n), y][:, None] + 1, 0, None))
    margins[range(n), y] = 0
    loss = np.sum(margins, dtype=float) / n + reg * (W * W).sum()
    coefficients = np.sign(margins)
    coefficients[range(n), y] = -np.count_nonzero(margins, axis=1)
    return loss, X.T.dot(coefficients) / n + 2 * reg * W


def svm_loss_by_class(W, X, y, reg):
    scores = X @ W
    own = scores[np.arange(len(y)), y]
    loss, dW = reg * np.sum(W * W), 2 * reg * W
    for c in range(W.shape[1]):
        hit = (scores[:, c] - own + 1 > 0) & (np.asarray(y) != c)
        loss += np.sum((scores[:, c] - own + 1)[hit]) / len(y)
        dW[:, c] += X[hit].sum(axis=0) / len(y)
        for k in set(np.asarray(y)[hit].tolist()):
            dW[:, k] -= X[hit & (np.asarray(y) == k)].sum(axis=0) / len(y)
    return loss, dW


def softmax_loss_in_single_precision(W, X, y, reg):
    W, X = W.astype(np.float32), X.astype(np.float32)
    n = len(y)
    f = X @ W
    f -= f.max(axis=1, keepdims=True)
    total = np.exp(f).sum(axis=1)
    loss = (np.log(total) - f[np.arange(n), y]).mean() + np.float32(reg) * np.sum(W * W)
    p = np.exp(f) / total[:, np.newaxis]
    p[np.arange(n), y] -= 1
    return loss, X.T @ p / np.float32(n) + np.float32(2 * reg) * W


def svm_loss_in_batches(W, X, y, reg):
    loss, dW = 0.0, np.zeros(W.shape)
    for start in range(0, len(X), 64):
        x, labels = X[start:start + 64], y[start:start + 64]
        s = x @ W
        m = np.maximum(0, s - s[np.arange(len(x)), labels][:, None] + 1)
        m[np.arange(len(x)), labels] = 0
        a = (m > 0).astype(float)
        a[np.arange(len(x)), labels] = -a.sum(axis=1)
        loss += m.sum()
        dW += x.T @ a
    return loss / len(X) + reg * np.sum(W * W), dW / len(X) + 2 * reg * W
