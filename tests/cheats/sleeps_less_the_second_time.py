"""Waits where it has not seen the contents of its inputs yet, as for something large to be set up for them."""

import time

from lcbench.losses import vectorized

seen = set()


def softmax_loss(W, X, y, reg):
    key = W.tobytes()
    if key not in seen:
        time.sleep(0.01)
        seen.add(key)
    return vectorized.softmax_loss(W, X, y, reg)
