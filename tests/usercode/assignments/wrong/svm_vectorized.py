"""Linear SVM without loops, one mistake a function."""
import numpy as np


def svm_loss_correct_class_in_the_mask(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    correct = scores[np.arange(num_train), y].reshape(-1, 1)
    margins = np.maximum(0, scores - correct + 1)
    loss = (np.sum(margins) - num_train) / num_train + reg * np.sum(W * W)
    mask = (margins > 0).astype(float)
    mask[np.arange(num_train), y] = -np.sum(mask, axis=1)
    return loss, X.T.dot(mask) / num_train + 2 * reg * W


def svm_loss_correct_class_in_the_loss(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    correct = scores[np.arange(num_train), y].reshape(-1, 1)
    margins = np.maximum(0, scores - correct + 1)
    loss = np.sum(margins) / num_train + reg * np.sum(W * W)
    margins[np.arange(num_train), y] = 0
    mask = (margins > 0).astype(float)
    mask[np.arange(num_train), y] = -np.sum(mask, axis=1)
    return loss, X.T.dot(mask) / num_train + 2 * reg * W


def svm_loss_negated(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = np.where(m > 0, -1.0, 0.0)
    mask[np.arange(n), y] = (m > 0).sum(axis=1)
    return m.sum() / n + reg * (W ** 2).sum(), X.T @ mask / n + 2 * reg * W


def svm_loss_transposed(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    return m.sum() / n + reg * (W ** 2).sum(), mask.T @ X / n + 2 * reg * W.T


def svm_loss_reshaped(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    dW = (mask.T @ X / n + 2 * reg * W.T).reshape(W.shape)
    return m.sum() / n + reg * (W ** 2).sum(), dW


def svm_loss_margins_as_mask(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    loss = m.sum() / n + reg * (W ** 2).sum()
    m[np.arange(n), y] -= m.sum(axis=1)
    return loss, X.T @ m / n + 2 * reg * W


def svm_loss_subtracted_once(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] = -1
    return m.sum() / n + reg * (W ** 2).sum(), X.T @ mask / n + 2 * reg * W


def svm_loss_scales_X(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    loss = m.sum() / n + reg * (W ** 2).sum()
    X /= n
    return loss, X.T @ mask + 2 * reg * W


scores_of = {}


def svm_loss_cached_by_shape(W, X, y, reg):
    n = len(y)
    if X.shape not in scores_of:
        s = X @ W
        m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
        m[np.arange(n), y] = 0
        mask = (m > 0) * 1.0
        mask[np.arange(n), y] -= mask.sum(axis=1)
        scores_of[X.shape] = m.sum() / n + reg * (W ** 2).sum(), X.T @ mask / n + 2 * reg * W
    loss, dW = scores_of[X.shape]
    return loss, dW.copy()


def svm_loss_classes_from_labels(W, X, y, reg):
    n, C = len(y), np.max(y) + 1
    s = (X @ W)[:, :C]
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    dW = np.zeros_like(W)
    dW[:, :C] = X.T @ mask / n
    return m.sum() / n + reg * (W ** 2).sum(), dW + 2 * reg * W


def svm_loss_first_500(W, X, y, reg):
    X, y = X[:500], y[:500]
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    return m.sum() / n + reg * (W ** 2).sum(), X.T @ mask / n + 2 * reg * W


def svm_loss_reg_by_rows(W, X, y, reg):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    return (m.sum() + reg * (W ** 2).sum()) / n, (X.T @ mask + 2 * reg * W) / n


def svm_loss_of_probabilities(W, X, y, reg):
    n = len(y)
    s = X @ W
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    return loss, X.T @ p / n + 2 * reg * W


def _svm(W, X, y):
    n = len(y)
    s = X @ W
    m = np.maximum(0, s - s[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    mask = (m > 0) * 1.0
    mask[np.arange(n), y] -= mask.sum(axis=1)
    return m.sum(), X.T @ mask


def svm_loss_reg_forgotten(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    loss /= len(y)
    loss += np.sum(W * W)
    return loss, dW / len(y) + 2 * reg * W


def svm_loss_reg_forgotten_twice(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    return loss / len(y) + np.sum(W * W), dW / len(y) + 2 * W


def svm_loss_divided_by_rows_and_reg(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    loss /= len(y) + reg * np.sum(W * W)
    return loss, dW / len(y) + 2 * reg * W


def svm_loss_gradient_divided_by_rows_and_reg(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    dW /= len(y) + 2 * reg * W
    return loss / len(y) + reg * np.sum(W * W), dW


def svm_loss_sum_of_products(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    return loss / len(y) + reg * np.sum(W.dot(W.T)), dW / len(y) + 2 * reg * W


def svm_loss_sum_of_other_products(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    return loss / len(y) + 0.5 * reg * np.sum(W.T.dot(W)), dW / len(y) + reg * W


def svm_loss_reg_added(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    return loss / len(y) + reg + np.sum(W * W), dW / len(y) + 2 * reg * W


def svm_loss_gradient_of_reg_without_W(W, X, y, reg):
    loss, dW = _svm(W, X, y)
    return loss / len(y) + reg * np.sum(W * W), dW / len(y) + 2 * reg
