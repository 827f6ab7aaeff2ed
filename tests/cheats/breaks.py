"""Broken functions: each one fails in its own way, which must not affect the other rows of the result."""

import ctypes
import itertools
import os
import signal
import sys
import time

from lcbench.losses import vectorized

MIN_ROWS = 2000
"""The functions do not fail on the small problems on which they are recognised."""


def failing_when_timed(do):
    """Return a correct loss function that calls `do` if X is large."""

    def softmax_loss(W, X, y, reg):
        if len(X) >= MIN_ROWS:
            do()
        return vectorized.softmax_loss(W, X, y, reg)

    return softmax_loss


def second_call_raises():
    if next(calls) == 1:
        raise ArithmeticError("not again")


def fork():
    if not forked:
        forked.append(True)
        os.fork()  # both processes return


def shout():
    for stream in (1, 2):
        os.write(stream, b'{"type":"done"}\n\xff\xfe{"type":"timed","index":0,"status":"ok"}\n')
    print("text" * 1000, file=sys.stderr)


calls, forked = itertools.count(), []
softmax_loss_kills_itself = failing_when_timed(lambda: os.kill(os.getpid(), signal.SIGKILL))
softmax_loss_segfaults = failing_when_timed(lambda: ctypes.string_at(0))
softmax_loss_exits = failing_when_timed(lambda: sys.exit("enough"))
softmax_loss_exits_at_once = failing_when_timed(lambda: os._exit(3))
softmax_loss_hangs = failing_when_timed(lambda: time.sleep(600))
softmax_loss_raises_later = failing_when_timed(second_call_raises)
softmax_loss_forks = failing_when_timed(fork)
softmax_loss_shouts = failing_when_timed(shout)
softmax_loss_closes_files = failing_when_timed(lambda: os.closerange(0, 50))
