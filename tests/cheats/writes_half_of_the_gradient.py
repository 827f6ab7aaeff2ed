"""Fills half of a buffer that it hands out again and again."""

from lcbench.losses import vectorized

buffers = {}


def softmax_loss(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    buffer = buffers.setdefault(dW.shape, dW)
    buffer[: len(dW) // 2] = dW[: len(dW) // 2]
    return loss, buffer
