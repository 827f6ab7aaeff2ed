"""Changes one of its arguments: W by a step of gradient descent, a row of X, or a label."""

from lcbench.losses import vectorized


def softmax_loss_of_W(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    if len(X) >= 2000:
        W -= 1e-9 * dW
    return loss, dW


def softmax_loss_of_X(W, X, y, reg):
    result = vectorized.softmax_loss(W, X, y, reg)
    if len(X) >= 2000:
        X[7] *= 1 + 1e-6
    return result


def softmax_loss_of_y(W, X, y, reg):
    result = vectorized.softmax_loss(W, X, y, reg)
    if len(X) >= 2000:
        y[7] = (y[7] + 1) % W.shape[1]
    return result
