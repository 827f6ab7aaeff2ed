"""Sleeps at the first call with new contents of W, like a function with an expensive setup for each input."""

import time

from lcbench.losses import vectorized

seen = set()


def softmax_loss(W, X, y, reg):
    key = W.tobytes()
    if key not in seen:
        time.sleep(0.015)
        seen.add(key)
    return vectorized.softmax_loss(W, X, y, reg)
