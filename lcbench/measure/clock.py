"""Timing of one function in one process: first call, warm-up and turns. The results of all calls are verified."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from math import ceil, inf, pi, sqrt
from os import times as os_times
from pathlib import Path
from statistics import median, median_low
from time import perf_counter, perf_counter_ns, sleep
from typing import Any, Protocol

import numpy as np

from lcbench.losses.implementation import LossFunction
from lcbench.measure.verification import WrongResult

SHORT_CALL_S = 0.02
"""Calls shorter than this (seconds) are preceded by an untimed call in each sample.

The untimed call wakes the threads and warms the caches. Waking threads takes up to a millisecond, and the time differs
between processes."""

LONG_CALL_S = 0.1
"""Calls longer than this (seconds) are not preceded by an untimed call: the caches are filled early in the call."""

SAMPLE_S = 0.005
"""Minimum length of a sample in seconds: 50,000 times the clock's resolution, and longer than most interrupts."""

CALLS_SPREAD = 0.25
"""Largest random increase of the number of calls in a sample of short calls, relative to the smallest number."""

DISTINCT_S = 0.001
FEWEST_DISTINCT = 3
MOST_DISTINCT = 50
"""Length in seconds, and minimum and maximum number, of the calls on distinct contents that end a turn of short calls.

The first half of them is not evaluated, as threads may still be waking."""

FEWEST_TURNS = 3
"""Minimum number of turns that can show a warm-up."""

FEWEST_COMPARED = 2
"""Minimum number of turns with calls on distinct contents that can raise the suspicion that results are cached."""

WARM_UP_S = 0.05
LONGEST_WARM_UP_S = 0.1
"""Additional time for functions that are still getting faster."""

WINDOW = 5
"""Number of calls over which the warm-up takes medians."""

LEAST_CHANGE = 0.05
"""Smallest relative speed-up that counts, however small the variance is."""

MOST_TIMES_SLOWER = 2.0
"""Largest allowed ratio between the times of calls on new and on repeated contents of W and y."""

FEWEST_PAIRS = 4
"""Minimum number of call pairs (new contents, same contents) before caching of results can be detected."""

CONFIRMING_PAIRS = 12
"""Number of additional pairs that must confirm that a function caches results."""

LONGEST_PAUSE_S = 0.005
"""Maximum random pause before each call of a confirming pair.

Without it, calls that are in step with the scheduler's time slices could look like caching: every second one is
interrupted."""

WAITING_COSTS = 3.0
"""Largest assumed delay of a call by other programs, relative to the time for which its threads wait for a core.

The sum over all threads is an upper bound of the waiting that delays a call, but other programs also use the caches."""

REST_S = 0.1
"""Pause in seconds after which the threads of libraries no longer wait actively."""

CLOCKS_APART_S = 0.03
"""Allowed absolute difference between two clocks: two to three ticks of the kernel's clock."""

CLOCKS_APART = 0.05
"""Allowed additional difference between two clocks, relative to the elapsed time."""

CLOCKS = {name: getattr(time, name) for name in ("perf_counter", "perf_counter_ns", "monotonic", "time")}
"""Python's clocks, saved before any measured code is imported."""


def _ticks() -> Callable[[], float]:
    """Return the clock of the kernel's ticks, in seconds, which is none of Python's clocks."""
    if os_times().elapsed:
        return lambda: os_times().elapsed
    if sys.platform == "win32":
        import ctypes

        count = ctypes.windll.kernel32.GetTickCount64
        count.restype = ctypes.c_uint64
        return lambda: float(count()) * 1e-3
    return CLOCKS["monotonic"]


ticks_s = _ticks()
"""Clock with which Python's are compared, saved before any measured code is imported."""


class InputSupplier(Protocol):
    """Source of the arguments of calls; `inputs.Inputs` implements it."""

    def draw(self, calls: int, distinct: bool = False) -> Sequence[tuple[Any, Any, Any, float]]:
        """Return the arguments (W, X, y, reg) of `calls` calls, with new contents; if `distinct`, for each call."""
        ...

    def again(self) -> Sequence[tuple[Any, Any, Any, float]]:
        """Return the arguments drawn last, with the same contents."""
        ...


class Verify(Protocol):
    """Check of the results of the calls drawn last; `verification.Verifier` implements it."""

    def __call__(self, losses: list[Any], dW: Any, batch_s: float) -> None:
        """Raise WrongResult if a result is wrong.

        losses: one for each call. dW: gradient of the last call. batch_s: seconds that the calls took together.
        """
        ...


def calls_per_sample(one_call_s: float) -> int:
    """Return the number of calls in a sample if one call takes `one_call_s` seconds."""
    return max(1, ceil(SAMPLE_S / one_call_s))


def turn_seconds(one_call_s: float, samples: int) -> float:
    """Return the approximate length of a turn with `samples` samples, in seconds, with its untimed calls."""
    calls = calls_per_sample(one_call_s)
    if one_call_s >= SHORT_CALL_S:
        return one_call_s * (samples + (one_call_s < LONG_CALL_S))
    if calls == 1:
        return one_call_s * (2 * samples + 0.5)  # one of two turns ends with a further call
    return one_call_s * (1 + samples * (1 + (1 + CALLS_SPREAD / 2) * calls) + _distinct_calls(one_call_s))


def _distinct_calls(one_call_s: float) -> int:
    """Return the number of calls on distinct contents that end a turn of short calls."""
    if calls_per_sample(one_call_s) == 1:
        return 1
    return min(MOST_DISTINCT, max(FEWEST_DISTINCT, ceil(DISTINCT_S / one_call_s)))


class Timing:
    """Timing of ``function(W, X, y, reg) -> (loss, dW)`` in one process: the first call, the warm-up, then turns.

    ``verify`` is called outside the timed region. It gets every loss, but only the gradient of the last call of a
    batch, since a function may return the same buffer every time.

    first_call_s: time of the very first call. one_call_s: seconds per call after the warm-up. warm_up_calls: calls
    between the first call and the first turn.
    """

    def __init__(self, function: LossFunction, inputs: InputSupplier, verify: Verify, rng: np.random.Generator) -> None:
        self._function, self._inputs, self._verify, self._rng = function, inputs, verify, rng
        self._clocks = _Clocks()
        self._turns: list[float] = []
        self._calls = 1
        self._fastest: list[float] = []
        self._distinct: list[float] = []
        """Seconds per call: the fastest sample of each turn of short calls, and the calls on distinct contents."""
        self.first_call_s = self.one_call_s = 0.0
        self.warm_up_calls = 0

    def first_call(self) -> None:
        """Make the first call. Raise WrongResult if its result is wrong."""
        self.first_call_s = self.one_call_s = self._batch(self._inputs.draw(1))

    def warm_up(self, thorough: bool = False) -> None:
        """Call the function until it gets no faster.

        thorough: also test whether the function works between its calls. Raise WrongResult if a result is wrong, or if
        the function caches results or works between its calls.
        """
        self.one_call_s, self.warm_up_calls = self._warm_up()
        if thorough and self.one_call_s < LONG_CALL_S:
            self._require_no_work_between_calls()

    def turn(self, samples: int, calls: int, one_call_s: float | None = None) -> tuple[list[float], int]:
        """Return `samples` samples in seconds per call, and the number of calls in each.

        The first call of a turn is not timed: it fetches the data into the caches that other processes have used
        meanwhile. Calls that take longer than `LONG_CALL_S` are an exception. Short calls are timed in batches; the
        number of calls in a batch is drawn from `calls` to ``(1 + CALLS_SPREAD) * calls``, so that a function cannot
        know which call is the last one, whose gradient is verified. Garbage is not collected during a turn.

        Turns of short calls end with calls for which nothing can be prepared: each has contents of its own, in arrays
        of its own. `finish` compares them with the samples.

        Raise WrongResult if a result is wrong.
        """
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._turn(samples, calls, one_call_s or self.one_call_s)
        finally:
            if collecting:
                gc.enable()

    def _turn(self, samples: int, calls: int, one_call_s: float) -> tuple[list[float], int]:
        if calls > 1:
            calls = int(self._rng.integers(calls, calls + ceil(CALLS_SPREAD * calls), endpoint=True))
        if calls > 1 or SHORT_CALL_S <= one_call_s < LONG_CALL_S:
            self._batch(self._inputs.draw(1))
        leading = 1 if one_call_s < SHORT_CALL_S else 0
        times = [self._batch(self._inputs.draw(leading + calls), leading) / calls for _ in range(samples)]
        if leading:
            self._fastest.append(min(times))
            self._calls = calls
        # A turn of few calls would take much longer with one more. Every other turn is enough, even if a function knows
        # which: nothing makes these calls faster, and the samples of all turns are compared with them.
        if leading and (calls > 1 or len(self._turns) % 2 == 0):
            self._distinct.append(self._on_distinct_contents(_distinct_calls(one_call_s)))
        self._turns.append(median(times))
        return times, calls

    def finish(self) -> bool:
        """End the turns and return whether their times show no warm-up.

        Raise WrongResult if the function caches results or works ahead, or if a clock was replaced.
        """
        self._require_honest_samples()
        self._clocks.require_agreement()
        return _steady(self._turns)

    def _batch(self, arguments: Sequence[tuple[Any, Any, Any, float]], leading: int = 0) -> float:
        return _batch(self._function, arguments, self._verify, leading)

    def _warm_up(self) -> tuple[float, int]:
        """Call the function until it gets no faster; return the seconds per call and the number of calls.

        Calls come in pairs: the first on new contents, the second on the same contents. A function that is much faster
        the second time caches results. The samples would be affected, since each calls on the same contents several
        times.
        """
        new: list[float] = []
        again: list[float] = []
        start = perf_counter()
        while True:
            new.append(self._batch(self._inputs.draw(1)))
            if new[-1] > LONG_CALL_S and len(new) == 1:
                return new[0], 1
            again.append(self._batch(self._inputs.again()))
            spent_s = perf_counter() - start
            one_call_s = median((new + again)[-WINDOW:])
            if one_call_s > SAMPLE_S:  # a sample is one call, always on new contents
                if spent_s >= WARM_UP_S:
                    break
            elif (
                len(new) >= FEWEST_PAIRS
                and spent_s >= WARM_UP_S
                and (_settled(again) or spent_s > WARM_UP_S + LONGEST_WARM_UP_S)
            ):
                if _caches_results(new[-2 * WINDOW :], again[-2 * WINDOW :]):
                    self._require_no_cache()
                break
        return median([*new[-WINDOW:], *again[-WINDOW:]]), 2 * len(new)

    def _require_no_cache(self) -> None:
        """Raise WrongResult if calls on repeated contents are still much faster in `CONFIRMING_PAIRS` more pairs."""
        new: list[float] = []
        again: list[float] = []
        for _ in range(CONFIRMING_PAIRS):
            for times, contents in ((new, lambda: self._inputs.draw(1)), (again, self._inputs.again)):
                arguments = contents()
                sleep(self._rng.uniform(0, LONGEST_PAUSE_S))
                times.append(self._batch(arguments))
        if _caches_results(new, again):
            raise WrongResult(
                f"caches its results: {1e3 * median(new):.3g} ms on new W and y, "
                f"{1e3 * median(again):.3g} ms when called again with the same"
            )

    def _require_honest_samples(self) -> None:
        """Raise WrongResult if samples took much less time than calls for which nothing could be prepared.

        Samples of short calls repeat contents, which a cache makes faster. They also follow an untimed call, during
        which other threads could work on the inputs of the timed ones. The warm-up tests for both, but a function can
        notice that its turns have begun, or that a call follows another one at once.

        The comparison is strict, since a busy machine must not look like a cache: even the fastest calls on distinct
        contents, including many more that are made if this is suspected, must be slower than the samples of half of
        the turns.
        """
        limit_s = MOST_TIMES_SLOWER * median_low(self._fastest) if self._fastest else inf
        if len(self._distinct) < FEWEST_COMPARED or min(self._distinct) <= limit_s:
            return
        called_s = waited_s = 0.0
        for _ in range(CONFIRMING_PAIRS):
            # A turn begins after a rest, with which the scheduler prefers its threads to those of other programs.
            sleep(REST_S + self._rng.uniform(0, LONGEST_PAUSE_S))
            self._batch(self._inputs.draw(1))
            # As in a sample, several short calls follow an untimed one. A single call must not: its inputs exist then.
            leading = int(self._calls > 1)
            before_s = _waited_for_cores_s()
            arguments = self._inputs.draw(leading + self._calls, distinct=self._calls > 1)
            self._distinct.append(self._batch(arguments, leading) / self._calls)
            waited_s += (_waited_for_cores_s() - before_s) / self._calls
            called_s += self._distinct[-1]
            if self._distinct[-1] <= limit_s:
                return
        if called_s - WAITING_COSTS * waited_s <= CONFIRMING_PAIRS * limit_s:
            return  # other programs use the cores, which makes calls slow at random
        raise WrongResult(
            f"caches its results, or works ahead: {1e3 * min(self._distinct):.3g} ms or more on W and y that no other "
            f"call gets, {1e3 * limit_s / MOST_TIMES_SLOWER:.3g} ms in samples"
        )

    def _on_distinct_contents(self, count: int) -> float:
        """Return the seconds of a call whose contents no other call gets, from `count` calls in a row."""
        times = _each(self._function, self._inputs.draw(count, distinct=count > 1), self._verify)
        return median(times[count // 2 :])

    def _require_no_work_between_calls(self) -> None:
        """Raise WrongResult if calls are much faster when there was time to work on their inputs before.

        A thread that reads W and y as soon as they change could begin before the call, which is not timed.
        """
        at_once: list[float] = []
        later: list[float] = []
        waited_s = 0.0
        for _ in range(CONFIRMING_PAIRS // 2):
            before_s = _waited_for_cores_s()
            at_once.append(self._batch(self._inputs.draw(1)))
            waited_s += _waited_for_cores_s() - before_s
            arguments = self._inputs.draw(1)
            sleep(1.5 * self.one_call_s)
            later.append(self._batch(arguments))
            if min(at_once) < MOST_TIMES_SLOWER * max(later) and len(later) >= 2:
                return  # most functions pass after two pairs
        busy = sum(at_once) - WAITING_COSTS * waited_s <= MOST_TIMES_SLOWER * len(at_once) * median(later)
        if not busy and _caches_results(at_once, later):
            raise WrongResult(
                f"works between its calls: {1e3 * median(at_once):.3g} ms when called at once, "
                f"{1e3 * median(later):.3g} ms when called a little after its inputs have changed"
            )


def _batch(
    function: LossFunction, arguments: Sequence[tuple[Any, Any, Any, float]], verify: Verify, leading: int = 0
) -> float:
    """Return the seconds that all calls but the first `leading` ones took together; verify all of them.

    The timed region contains only the calls and the assignments of their results.
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


def _each(function: LossFunction, arguments: Sequence[tuple[Any, Any, Any, float]], verify: Verify) -> list[float]:
    """Return the seconds that each of several calls took, which follow one another at once; verify all of them."""
    losses = [None] * len(arguments)
    dW = None
    ends = [perf_counter_ns()]
    for i, (W, X, y, reg) in enumerate(arguments):
        losses[i], dW = function(W, X, y, reg)
        ends.append(perf_counter_ns())
    verify(losses, dW, (ends[-1] - ends[0]) * 1e-9)
    return [(end - start) * 1e-9 for start, end in pairwise(ends)]


def _settled(times: list[float]) -> bool:
    """Return whether the last calls are no faster than those before."""
    return len(times) < 2 * WINDOW or not _faster(times[-2 * WINDOW : -WINDOW], times[-WINDOW:])


def _steady(times: list[float]) -> bool:
    """Return whether the times show no warm-up: neither a step down after the first third, nor a trend."""
    first = ceil(len(times) / 3)
    return len(times) < FEWEST_TURNS or not (_faster(times[:first], times[first:]) or _declining(times))


def _declining(times: list[float]) -> bool:
    """Return whether times decrease: Mann's trend test (1945) at 2.5 standard deviations."""
    n = len(times)
    pairs = np.sign(np.subtract.outer(times, times))  # 1 where the sample of the row is slower than that of the column
    excess = float(np.triu(pairs, 1).sum())
    third = ceil(n / 3)
    decline = median(times[:third]) - median(times[-third:])
    return excess > 2.5 * sqrt(n * (n - 1) * (2 * n + 5) / 18) and decline > LEAST_CHANGE * median(times)


def _faster(before: list[float], after: list[float]) -> bool:
    """Return whether the median of `after` is lower by more than three standard errors of the difference."""
    variance = sum(pi / 2 * _deviation(times) ** 2 / len(times) for times in (before, after))
    return median(before) - median(after) > max(LEAST_CHANGE * median(before), 3 * sqrt(variance))


def _deviation(times: list[float]) -> float:
    """Return a robust standard deviation, computed from the median absolute deviation."""
    middle = median(times)
    return 1.4826 * median([abs(seconds - middle) for seconds in times])


def _caches_results(new: list[float], again: list[float]) -> bool:
    """Return whether every call on new contents took much longer than the following call on the same contents."""
    ratios = [first / second for first, second in zip(new, again, strict=True)]
    return min(ratios) > sqrt(MOST_TIMES_SLOWER) and median(ratios) > MOST_TIMES_SLOWER


def _waited_for_cores_s() -> float:
    """Return the time for which threads of this process were ready and waited for a core; 0 if it is unknown."""
    waited_ns = 0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError, IndexError):
            waited_ns += int(file.read_text("utf-8").split()[1])
    return waited_ns * 1e-9


class _Clocks:
    """Check that Python's clocks agree with the kernel's tick count, from the creation of this object on."""

    def __init__(self) -> None:
        self._start, self._start_ticks = self._read(), ticks_s()

    @staticmethod
    def _read() -> tuple[float, float]:
        return perf_counter(), perf_counter_ns() * 1e-9

    def require_agreement(self) -> None:
        """Raise WrongResult if the clocks disagree or were replaced, in this module or in `time`."""
        ticked = ticks_s() - self._start_ticks
        for start, now in zip(self._start, self._read(), strict=True):
            timed = now - start
            if abs(timed - ticked) > CLOCKS_APART_S + CLOCKS_APART * max(timed, ticked):
                raise WrongResult(f"tampers with the clock: one shows {timed:.2f} s, another {ticked:.2f} s")
        replaced = [name for name, clock in CLOCKS.items() if getattr(time, name) is not clock]
        if replaced:
            raise WrongResult(f"tampers with the clock: replaces time.{replaced[0]}")


def with_injected_slowdown(function: Callable[..., Any], share: float) -> Callable[..., Any]:
    """Return `function` with every call made slower by `share` of its own time, by busy waiting.

    The self-test of a gate uses it: the injected slowdown must be detected.
    """
    if not share:
        return function

    def slowed(*arguments: Any) -> Any:
        start = perf_counter()
        result = function(*arguments)
        end = start + (perf_counter() - start) * (1 + share)
        while perf_counter() < end:
            pass
        return result

    return slowed
