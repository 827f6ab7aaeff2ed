"""Timing one function in one process: first call, warm-up until it is steady, and samples of calls, each verified."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt
from os import times as os_times
from statistics import median
from time import perf_counter, perf_counter_ns, sleep
from typing import Any, Protocol

import numpy as np

from lcbench.losses.implementation import LossFunction
from lcbench.measure.verification import WrongResult

SHORT_CALL_S = 0.02
"""Samples of shorter calls follow a call off the clock, as a call follows another: no thread sleeps, no cache is cold.
Waking threads takes up to a millisecond, and a different time in every process."""

FEWEST_SAMPLES = 3
WARM_UP_S = 0.05
WARM_UP_CALLS = 2

MOST_BUDGETS = 2.0
"""Samples that took longer than so many times the seconds meant for them are not taken again."""

WINDOW = 5
"""Calls whose median stands for where a function is in its warm-up."""

LEAST_CHANGE = 0.05
"""A speed-up by less is none, however little the times spread."""

MOST_TIMES_SLOWER = 2.0
"""How much slower a function may be on new contents of W and y than on the same contents once more."""

FEWEST_PAIRS = 4
"""Calls on new contents, each followed by one on the same: fewer say nothing about which kind is faster."""

PAIRS_TO_BE_SURE = 12
LONGEST_PAUSE_S = 0.005
"""So many more before a function is said to remember, each call after a pause of random length: on a busy machine,
calls in step with the scheduler's slices can look like that, every second one interrupted."""

CLOCKS_APART_S = 0.03
"""Two clocks may differ by so much over a cell, three of the kernel's ticks, and by `CLOCKS_APART` of it."""

CLOCKS_APART = 0.05

CLOCKS = {name: getattr(time, name) for name in ("perf_counter", "perf_counter_ns", "monotonic", "time")}
"""Python's own, as they were before any of the measured code was imported."""


class InputSupplier(Protocol):
    """Arguments for calls: see `inputs.Inputs`."""

    def draw(self, calls: int) -> Sequence[tuple[Any, Any, Any, float]]:
        """Arguments (W, X, y, reg) of so many calls, on new contents."""
        ...

    def again(self) -> Sequence[tuple[Any, Any, Any, float]]:
        """Those drawn last, on the same contents."""
        ...


class Verify(Protocol):
    """Raises where the results of the calls drawn last are wrong: see `verification.Verifier`."""

    def __call__(self, losses: list[Any], dW: Any, batch_s: float) -> None:
        """The losses of all, the gradient of the last, and the seconds that the calls took together."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How samples are taken: for `seconds` seconds, `most` of them, each of `sample_s` seconds or one call if longer.

    At least `FEWEST_SAMPLES`, unless `most` is less; with 0 the first call is all.
    """

    seconds: float
    most: int
    sample_s: float


@dataclass(frozen=True)
class Samples:
    """seconds: seconds a call, a number a sample. calls: calls in a sample. first_call_s: the very first call.

    warm_up_calls: calls after the first and before the samples. steady: whether the samples show no warm-up any more.
    """

    seconds: list[float]
    calls: int
    first_call_s: float
    warm_up_calls: int = 0
    steady: bool = True


def take_samples(
    function: LossFunction, inputs: InputSupplier, verify: Verify, sampling: Sampling, rng: np.random.Generator
) -> Samples:
    """Times ``function(W, X, y, reg) -> (loss, dW)`` after a warm-up.

    Every sample is a batch of calls on newly drawn inputs. Off the clock, ``verify`` sees every loss, and the gradient
    of the last call, since a function may hand out one buffer again and again; it raises where a result is wrong.

    Where the samples themselves show that the function was still getting faster, they count as warm-up, and are taken
    once more (Barrett et al. 2017, "Virtual machine warmup blows hot and cold").
    """
    clocks = _Clocks()
    first_call_s = _batch(function, inputs.draw(1), verify)
    if not sampling.most:
        return Samples([first_call_s], 1, first_call_s)

    one_call_s, warm_up_calls = _warm_up(function, inputs, verify, sampling, rng)
    collecting = gc.isenabled()
    gc.disable()
    try:
        calls, times = _samples(function, inputs, verify, one_call_s, sampling, rng)
        if not _steady(times) and calls * sum(times) < MOST_BUDGETS * sampling.seconds:
            warm_up_calls += calls * len(times)
            calls, times = _samples(function, inputs, verify, times[-1], sampling, rng)
    finally:
        if collecting:
            gc.enable()
    clocks.require_agreement()
    return Samples(times, calls, first_call_s, warm_up_calls, _steady(times))


def _batch(
    function: LossFunction, arguments: Sequence[tuple[Any, Any, Any, float]], verify: Verify, leading: int = 0
) -> float:
    """Seconds that the calls but for the `leading` ones took together; all are verified.

    Nothing but the calls, and keeping their losses, is on the clock.
    """
    losses = [None] * len(arguments)
    dW = None
    for i, (W, X, y, reg) in enumerate(arguments[:leading]):
        losses[i], dW = function(W, X, y, reg)
    timed = arguments[leading:]
    start = perf_counter_ns()
    for i, (W, X, y, reg) in enumerate(timed, leading):
        losses[i], dW = function(W, X, y, reg)
    batch_s = (perf_counter_ns() - start) * 1e-9
    verify(losses, dW, batch_s)
    return batch_s


def _samples(
    function: LossFunction,
    inputs: InputSupplier,
    verify: Verify,
    one_call_s: float,
    sampling: Sampling,
    rng: np.random.Generator,
) -> tuple[int, list[float]]:
    """The calls in a sample, and as many samples as the time holds, in seconds a call.

    At a random place, a batch of random length is verified and not timed: who has counted, and computes the gradient in
    the last call of a sample only, has none there.
    """
    calls = max(1, ceil(sampling.sample_s / one_call_s))
    leading = 1 if one_call_s < SHORT_CALL_S else 0
    count = min(sampling.most, max(FEWEST_SAMPLES, int(sampling.seconds / ((leading + calls) * one_call_s))))
    surprise = int(rng.integers(count)) if calls > 1 else None
    times = []
    for number in range(count):
        if number == surprise:
            _batch(function, inputs.draw(int(rng.integers(1, calls))), verify)
        times.append(_batch(function, inputs.draw(leading + calls), verify, leading) / calls)
    return calls, times


def _warm_up(
    function: LossFunction, inputs: InputSupplier, verify: Verify, sampling: Sampling, rng: np.random.Generator
) -> tuple[float, int]:
    """Calls until they get no faster. Returns seconds a call and the number of calls.

    They come in pairs, one on new contents and one on the same: what is much faster the second time remembers, and the
    samples, which call on the same contents several times, would show that.
    """
    new: list[float] = []
    again: list[float] = []
    start = perf_counter()
    while True:
        new.append(_batch(function, inputs.draw(1), verify))
        if new[-1] > sampling.seconds and len(new) == 1:
            return new[0], 1
        again.append(_batch(function, inputs.again(), verify))
        spent_s = perf_counter() - start
        one_call_s = median((new + again)[-WINDOW:])
        if one_call_s > sampling.sample_s:  # a sample is one call, on contents of its own
            if spent_s >= WARM_UP_S:
                break
        elif (
            len(new) >= FEWEST_PAIRS
            and spent_s >= WARM_UP_S
            and (_settled(again) or spent_s > WARM_UP_S + sampling.seconds)
        ):
            if _remembers(new[-2 * WINDOW :], again[-2 * WINDOW :]):
                _require_forgetful(function, inputs, verify, rng)
            break
    return median([*new[-WINDOW:], *again[-WINDOW:]]), 2 * len(new)


def _settled(times: list[float]) -> bool:
    """Whether the last calls are no faster than those before."""
    return len(times) < 2 * WINDOW or not _faster(times[-2 * WINDOW : -WINDOW], times[-WINDOW:])


def _steady(times: list[float]) -> bool:
    """Whether the samples show no warm-up: neither a step down after the first third, nor a slope."""
    first = ceil(len(times) / 3)
    return len(times) < FEWEST_SAMPLES or not (_faster(times[:first], times[first:]) or _declining(times))


def _declining(times: list[float]) -> bool:
    """Whether later ones tend to be faster than earlier ones: Mann's test for a trend (1945), two and a half sigma."""
    n = len(times)
    pairs = np.sign(np.subtract.outer(times, times))  # 1 where the one of the row is slower than that of the column
    excess = float(np.triu(pairs, 1).sum())
    third = ceil(n / 3)
    decline = median(times[:third]) - median(times[-third:])
    return excess > 2.5 * sqrt(n * (n - 1) * (2 * n + 5) / 18) and decline > LEAST_CHANGE * median(times)


def _faster(before: list[float], after: list[float]) -> bool:
    """Whether `after` is faster than `before` beyond noise: three standard errors of the medians' difference."""
    variance = sum(pi / 2 * _deviation(times) ** 2 / len(times) for times in (before, after))
    return median(before) - median(after) > max(LEAST_CHANGE * median(before), 3 * sqrt(variance))


def _deviation(times: list[float]) -> float:
    """Standard deviation, from the median absolute deviation: an interrupted call does not count."""
    middle = median(times)
    return 1.4826 * median([abs(seconds - middle) for seconds in times])


def _remembers(new: list[float], again: list[float]) -> bool:
    """Whether every call on new contents took much longer than the one after it on the same."""
    ratios = [first / second for first, second in zip(new, again, strict=True)]
    return min(ratios) > sqrt(MOST_TIMES_SLOWER) and median(ratios) > MOST_TIMES_SLOWER


def _require_forgetful(function: LossFunction, inputs: InputSupplier, verify: Verify, rng: np.random.Generator) -> None:
    """Raises WrongResult where calls on contents that were seen before are much faster, pair for pair.

    After pauses of random length, the two calls of a pair of honest code are alike in all but their names.
    """
    new: list[float] = []
    again: list[float] = []
    for _ in range(PAIRS_TO_BE_SURE):
        for times, contents in ((new, lambda: inputs.draw(1)), (again, inputs.again)):
            arguments = contents()
            sleep(rng.uniform(0, LONGEST_PAUSE_S))
            times.append(_batch(function, arguments, verify))
    if _remembers(new, again):
        raise WrongResult(
            f"remembers what it has computed: {1e3 * median(new):.3g} ms on new W and y, "
            f"{1e3 * median(again):.3g} ms on the same once more"
        )


class _Clocks:
    """Clocks from the moment that this is made: those that time, and the kernel's count of ticks."""

    def __init__(self) -> None:
        self._start, self._start_ticks = self._read(), os_times().elapsed

    @staticmethod
    def _read() -> tuple[float, float]:
        return perf_counter(), perf_counter_ns() * 1e-9

    def require_agreement(self) -> None:
        """Raises WrongResult where they disagree: somebody has put another clock in place of one, here or for all."""
        ticked = os_times().elapsed - self._start_ticks
        for start, now in zip(self._start, self._read(), strict=True):
            timed = now - start
            if abs(timed - ticked) > CLOCKS_APART_S + CLOCKS_APART * max(timed, ticked):
                raise WrongResult(f"tampers with the clock: {timed:.2f} s by one, {ticked:.2f} s by another")
        replaced = [name for name, clock in CLOCKS.items() if getattr(time, name) is not clock]
        if replaced:
            raise WrongResult(f"tampers with the clock: replaces time.{replaced[0]}")


# A slowdown put there on purpose, to see whether it is noticed.


def with_injected_slowdown(function: Callable[..., Any], share: float) -> Callable[..., Any]:
    """`function`, of which every call takes longer by `share` of its own time: it spins, as more work would."""
    if not share:
        return function

    def longer(*arguments: Any) -> Any:
        start = perf_counter()
        result = function(*arguments)
        end = start + (perf_counter() - start) * (1 + share)
        while perf_counter() < end:
            pass
        return result

    return longer
