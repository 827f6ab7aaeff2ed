"""Has a child process in a session of its own that works while this process is stopped."""

import ctypes
import mmap
import os
import signal
import threading
import time
from pathlib import Path

from lcbench.losses import vectorized

WORK_S = 0.01
TICK_S = 0.001

WORTHWHILE_S = 0.1
"""A pause of this length is enough to do the work of a turn."""

LONGEST_LIFE_S = 300.0

ticks = memoryview(mmap.mmap(-1, 8)).cast("Q")
"""Ticks of the child, which it shares with this process."""

children = {}
state = {"end": 0.0, "ticks": 0, "done": False}


def start(work):
    """Return the id of a process that calls `work`. Its parent has ended, and it has a session of its own."""
    reading, writing = os.pipe()
    if not (parent := os.fork()):
        os.setsid()
        if not (child := os.fork()):
            work()
            os._exit(0)
        os.write(writing, b"%d" % child)
        os._exit(0)
    os.waitpid(parent, 0)
    child = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    return child


def tick():
    end = time.perf_counter() + LONGEST_LIFE_S
    while time.perf_counter() < end:
        until = time.perf_counter() + TICK_S
        while time.perf_counter() < until:
            pass
        ticks[0] += 1


def on_continue(*_):
    """Find out whether the child has been working during a pause."""
    pause_s = time.perf_counter() - state["end"]
    state["done"] = pause_s > WORTHWHILE_S and (ticks[0] - state["ticks"]) * TICK_S > pause_s / 4


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGCONT, on_continue)


def softmax_loss_in_a_child(W, X, y, reg):
    if len(X) < 2000:
        return vectorized.softmax_loss(W, X, y, reg)
    if not children:
        children["worker"] = start(tick)
    if not state["done"]:
        time.sleep(WORK_S)
    result = vectorized.softmax_loss(W, X, y, reg)
    state.update(end=time.perf_counter(), ticks=ticks[0])
    return result


def adopt_orphans(adopt):
    """Become, or cease to be, the parent of descendants whose parent ends."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, int(adopt))


def keep_going(pid):
    """Continue a process again and again, as long as it lives."""
    end = time.perf_counter() + LONGEST_LIFE_S
    while time.perf_counter() < end:
        try:
            if b") Z " in Path(f"/proc/{pid}/stat").read_bytes():
                return
            os.kill(pid, signal.SIGCONT)
        except OSError:
            return
        time.sleep(0.02)


def softmax_loss_in_a_child_that_is_continued(W, X, y, reg):
    """Has another process continue the child, which is no descendant of this process any more."""
    if len(X) >= 2000 and "accomplice" not in children:
        child = start(tick)
        adopt_orphans(False)
        children["accomplice"] = start(lambda: keep_going(child))
        adopt_orphans(True)
    return softmax_loss_in_a_child(W, X, y, reg)
