"""Not dishonest, but broken: each way costs its own row, and nothing else."""

import ctypes
import itertools
import os
import signal
import sys
import time

from lcbench.losses import vectorized

LEAST_ROWS = 2000
"""Not on the small problems on which a function is recognised."""


def when_timed(do):
    def softmax_loss(W, X, y, reg):
        if len(X) >= LEAST_ROWS:
            do()
        return vectorized.softmax_loss(W, X, y, reg)

    return softmax_loss


def second_call_raises():
    if next(calls) == 1:
        raise ArithmeticError("not again")


def fork():
    if not forked:
        forked.append(True)
        os.fork()  # and both return


def shout():
    for stream in (1, 2):
        os.write(stream, b'{"type":"done"}\n\xff\xfe{"type":"timed","index":0,"status":"ok"}\n')
    print("text" * 1000, file=sys.stderr)


calls, forked = itertools.count(), []
softmax_loss_kills_itself = when_timed(lambda: os.kill(os.getpid(), signal.SIGKILL))
softmax_loss_segfaults = when_timed(lambda: ctypes.string_at(0))
softmax_loss_exits = when_timed(lambda: sys.exit("enough"))
softmax_loss_exits_at_once = when_timed(lambda: os._exit(3))
softmax_loss_hangs = when_timed(lambda: time.sleep(600))
softmax_loss_raises_later = when_timed(second_call_raises)
softmax_loss_forks = when_timed(fork)
softmax_loss_shouts = when_timed(shout)
softmax_loss_closes_files = when_timed(lambda: os.closerange(0, 50))
