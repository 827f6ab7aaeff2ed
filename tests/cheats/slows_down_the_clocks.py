"""Replaces Python's clocks by slower ones, in the module `time` or in every module that has imported one."""

import sys
import time

from lcbench.losses import vectorized

CLOCKS = ("perf_counter", "monotonic", "time", "perf_counter_ns", "monotonic_ns")


def slower(clock):
    start = clock()
    return lambda: start + type(start)((clock() - start) / 4)


def softmax_loss_of_time(W, X, y, reg):
    if len(X) >= 2000:
        for name in CLOCKS:
            if type(getattr(time, name)).__name__.startswith("builtin"):
                setattr(time, name, slower(getattr(time, name)))
    return vectorized.softmax_loss(W, X, y, reg)


def softmax_loss_of_everyone(W, X, y, reg):
    if len(X) >= 2000:
        originals = {getattr(time, name): name for name in CLOCKS}
        for module in list(sys.modules.values()):
            if module is not time:
                for name, value in list(vars(module).items()):
                    if type(value).__name__.startswith("builtin") and value in originals:
                        setattr(module, name, slower(value))
    return vectorized.softmax_loss(W, X, y, reg)


def softmax_loss_of_ours(W, X, y, reg):
    """Replaces the clock that times the calls by a slower one."""
    measuring = sys.modules.get("lcbench.measure.clock")
    if len(X) >= 2000 and measuring.perf_counter_ns is time.perf_counter_ns:
        measuring.perf_counter_ns = lambda: time.perf_counter_ns() // 3
    return vectorized.softmax_loss(W, X, y, reg)
