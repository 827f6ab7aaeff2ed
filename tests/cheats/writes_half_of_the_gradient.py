"""Returns the same buffer in every call, and writes only half of it."""

from lcbench.losses import vectorized

buffers = {}


def softmax_loss(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    buffer = buffers.setdefault(dW.shape, dW)
    buffer[: len(dW) // 2] = dW[: len(dW) // 2]
    return loss, buffer
