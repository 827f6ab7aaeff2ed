"""One mistake a function, each of a kind that is met in real assignments."""
import numpy as np
from softmax import softmax_loss_vectorized as right


def softmax_without_reg_gradient(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss, dW - 2 * reg * W


def softmax_with_two_factors(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss, dW - reg * W


def softmax_with_half_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss - 0.5 * reg * np.sum(W * W), dW


def softmax_summed(W, X, y, reg):
    loss, dW = right(W, X, y, 0)
    return loss * len(y), dW * len(y)


def softmax_wrong_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss + 1, dW


def softmax_that_is_not_finite(W, X, y, reg):
    return np.nan, W * np.nan


def softmax_that_changes_its_inputs(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    W *= 2
    X -= X.mean(axis=0)
    return loss, dW


def softmax_with_old_dtype(W, X, y, reg):
    y = y.astype(np.int)
    return right(W, X, y, reg)


def softmax_with_old_infinity(W, X, y, reg):
    smallest = np.infty
    return right(W, X, y, reg)


def softmax_that_raises(W, X, y, reg):
    scores = X.dot(W)
    return scores["loss"], scores


def softmax_with_undefined_name(W, X, y, reg):
    return right(W, X, y, reg) + undefined


def softmax_that_exits(W, X, y, reg):
    raise SystemExit("enough")


def softmax_loss_only(W, X, y, reg):
    return right(W, X, y, reg)[0]


def softmax_with_scores(W, X, y, reg):
    return (*right(W, X, y, reg), X.dot(W))


def softmax_without_gradient(W, X, y, reg):
    return right(W, X, y, reg)[0], None


def softmax_transposed_gradient(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss, dW.T


def softmax_of_scores(W, X, y, reg):
    return X.dot(W), W


def some_loss(W, X, y, reg):
    return 1.0, np.ones_like(W)
