"""Timing one function in one process: first call, warm-up, and samples of calibrated batches, each verified."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np

SAMPLE_S = 0.01
"""Least length of a sample: a million times the clock's resolution, long beside a timer interrupt."""

FEWEST_SAMPLES = 3
WARM_UP_S = 0.05
WARM_UP_CALLS = 2


@dataclass(frozen=True)
class Samples:
    """seconds: seconds a call, a number a sample. calls: calls in a sample. first_call_s: the very first call."""

    seconds: list[float]
    calls: int
    first_call_s: float


def sample(
    call: Callable[[int], tuple[Any, Any]],
    sets: int,
    verify: Callable[..., None],
    seconds: float,
    most_samples: int,
    rng: np.random.Generator,
) -> Samples:
    """Times ``call(k)``, which computes (loss, dW) on input set k of `sets`.

    Every sample is a batch of calls on randomly drawn sets. Afterwards, off the clock, ``verify(k, loss)`` sees every
    loss and ``verify(k, loss, dW)`` the last call's gradient, since a function may hand out one buffer again and again;
    it raises where a result is wrong. No more than `most_samples` are taken; 0 makes the first call alone.
    """
    start = perf_counter()
    result = call(0)
    first_call_s = perf_counter() - start
    verify(0, *result)
    if not most_samples:
        return Samples([first_call_s], 1, first_call_s)

    calls_made, warm_up = 0, perf_counter()
    while calls_made < WARM_UP_CALLS or perf_counter() - warm_up < WARM_UP_S:
        k = calls_made % sets
        start = perf_counter()
        result = call(k)
        one_call_s = perf_counter() - start
        verify(k, *result)
        calls_made += 1
        if one_call_s > seconds:
            break

    calls = max(1, ceil(SAMPLE_S / one_call_s))
    count = min(most_samples, max(FEWEST_SAMPLES, int(seconds / (calls * one_call_s))))
    times = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(count):
            order = rng.integers(sets, size=calls).tolist()
            losses = [None] * calls
            start = perf_counter()
            for i, k in enumerate(order):
                losses[i], dW = call(k)
            times.append((perf_counter() - start) / calls)
            for k, loss in zip(order[:-1], losses[:-1], strict=True):
                verify(k, loss)
            verify(order[-1], losses[-1], dW)
    finally:
        if collecting:
            gc.enable()
    return Samples(times, calls, first_call_s)
