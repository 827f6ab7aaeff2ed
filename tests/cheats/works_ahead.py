"""Has threads that watch W and do the expensive part of a call as soon as it changes, before the call is timed."""

import signal
import threading
import time

from lcbench.losses import vectorized

WORK_S = 0.008
POLL_S = 0.0002

ORDERS_BEFORE_TURNS = 2
"""The process is continued to load the problem and to warm up. Afterwards a continuation begins a turn."""

state = {"continued": 0}
watched = {}
done = {}


def on_continue(*_):
    state["continued"] += 1


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGCONT, on_continue)


def work():
    """Take time, but none of the processor's, so that the cores which are free do not matter."""
    time.sleep(WORK_S)


def watch(W):
    key = id(W)
    while True:
        contents = W.tobytes()
        if contents != done.get(key):
            work()
            done[key] = contents
        time.sleep(POLL_S)


def working_ahead(orders_before):
    def softmax_loss(W, X, y, reg):
        if len(X) < 2000:
            return vectorized.softmax_loss(W, X, y, reg)
        ahead = state["continued"] > orders_before
        if ahead and id(W) not in watched:
            watched[id(W)] = W  # keeps its address
            threading.Thread(target=watch, args=(W,), daemon=True).start()
        if not (ahead and done.get(id(W)) == W.tobytes()):
            work()
        return vectorized.softmax_loss(W, X, y, reg)

    return softmax_loss


softmax_loss_always = working_ahead(0)
softmax_loss_in_turns = working_ahead(ORDERS_BEFORE_TURNS)
