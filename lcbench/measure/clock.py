"""Timing of one function in one process: first call, warm-up, and samples. The results of all calls are verified."""

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
"""Calls shorter than this (seconds) are preceded by an untimed call in each sample.

The untimed call wakes the threads and warms the caches. Waking threads takes up to a millisecond, and the time differs
between processes."""

FEWEST_SAMPLES = 3
WARM_UP_S = 0.05

MOST_BUDGETS = 2.0
"""Samples are not repeated if they took more than this multiple of their time budget."""

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

CLOCKS_APART_S = 0.03
"""Allowed absolute difference between two clocks: three ticks of the kernel's clock."""

CLOCKS_APART = 0.05
"""Allowed additional difference between two clocks, relative to the elapsed time."""

CLOCKS = {name: getattr(time, name) for name in ("perf_counter", "perf_counter_ns", "monotonic", "time")}
"""Python's clocks, saved before any measured code is imported."""


class InputSupplier(Protocol):
    """Source of the arguments of calls; `inputs.Inputs` implements it."""

    def draw(self, calls: int) -> Sequence[tuple[Any, Any, Any, float]]:
        """Return the arguments (W, X, y, reg) of `calls` calls, with new contents."""
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


@dataclass(frozen=True)
class Sampling:
    """Parameters of sampling: at most `most` samples, for about `seconds` seconds in all.

    Each sample lasts `sample_s` seconds, or one call if that takes longer. At least `FEWEST_SAMPLES` samples are taken,
    unless `most` is smaller. With most = 0 the first call is the only sample.
    """

    seconds: float
    most: int
    sample_s: float


@dataclass(frozen=True)
class Samples:
    """Result of sampling.

    seconds: seconds per call, one number for each sample. calls: calls in a sample. first_call_s: time of the very
    first call. warm_up_calls: calls between the first call and the samples. steady: whether the samples show no
    warm-up.
    """

    seconds: list[float]
    calls: int
    first_call_s: float
    warm_up_calls: int = 0
    steady: bool = True


def take_samples(
    function: LossFunction, inputs: InputSupplier, verify: Verify, sampling: Sampling, rng: np.random.Generator
) -> Samples:
    """Time ``function(W, X, y, reg) -> (loss, dW)`` after a warm-up.

    Each sample is a batch of calls on newly drawn inputs. ``verify`` is called outside the timed region. It gets every
    loss, but only the gradient of the last call, since a function may return the same buffer every time.

    If the samples show that the function was still getting faster, they count as warm-up and are taken once more
    (Barrett et al. 2017, "Virtual machine warmup blows hot and cold").

    Raise WrongResult if a result is wrong, if the function caches results, or if a clock was replaced.
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


def _samples(
    function: LossFunction,
    inputs: InputSupplier,
    verify: Verify,
    one_call_s: float,
    sampling: Sampling,
    rng: np.random.Generator,
) -> tuple[int, list[float]]:
    """Return the number of calls in a sample, and the samples in seconds per call.

    One untimed batch of random length is verified at a random position. It detects a function that counts its calls and
    computes the gradient only in the last call of each sample.
    """
    calls = max(1, ceil(sampling.sample_s / one_call_s))
    leading = 1 if one_call_s < SHORT_CALL_S else 0
    count = min(sampling.most, max(FEWEST_SAMPLES, int(sampling.seconds / ((leading + calls) * one_call_s))))
    unexpected = int(rng.integers(count)) if calls > 1 else None
    times = []
    for number in range(count):
        if number == unexpected:
            _batch(function, inputs.draw(int(rng.integers(1, calls))), verify)
        times.append(_batch(function, inputs.draw(leading + calls), verify, leading) / calls)
    return calls, times


def _warm_up(
    function: LossFunction, inputs: InputSupplier, verify: Verify, sampling: Sampling, rng: np.random.Generator
) -> tuple[float, int]:
    """Call the function until it gets no faster; return the seconds per call and the number of calls.

    Calls come in pairs: the first on new contents, the second on the same contents. A function that is much faster the
    second time caches results. The samples would be affected, since each calls on the same contents several times.
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
        if one_call_s > sampling.sample_s:  # a sample is one call, always on new contents
            if spent_s >= WARM_UP_S:
                break
        elif (
            len(new) >= FEWEST_PAIRS
            and spent_s >= WARM_UP_S
            and (_settled(again) or spent_s > WARM_UP_S + sampling.seconds)
        ):
            if _caches_results(new[-2 * WINDOW :], again[-2 * WINDOW :]):
                _require_no_cache(function, inputs, verify, rng)
            break
    return median([*new[-WINDOW:], *again[-WINDOW:]]), 2 * len(new)


def _settled(times: list[float]) -> bool:
    """Return whether the last calls are no faster than those before."""
    return len(times) < 2 * WINDOW or not _faster(times[-2 * WINDOW : -WINDOW], times[-WINDOW:])


def _steady(times: list[float]) -> bool:
    """Return whether the samples show no warm-up: neither a step down after the first third, nor a trend."""
    first = ceil(len(times) / 3)
    return len(times) < FEWEST_SAMPLES or not (_faster(times[:first], times[first:]) or _declining(times))


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


def _require_no_cache(function: LossFunction, inputs: InputSupplier, verify: Verify, rng: np.random.Generator) -> None:
    """Raise WrongResult if calls on repeated contents are still much faster in `CONFIRMING_PAIRS` more pairs."""
    new: list[float] = []
    again: list[float] = []
    for _ in range(CONFIRMING_PAIRS):
        for times, contents in ((new, lambda: inputs.draw(1)), (again, inputs.again)):
            arguments = contents()
            sleep(rng.uniform(0, LONGEST_PAUSE_S))
            times.append(_batch(function, arguments, verify))
    if _caches_results(new, again):
        raise WrongResult(
            f"caches its results: {1e3 * median(new):.3g} ms on new W and y, "
            f"{1e3 * median(again):.3g} ms when called again with the same"
        )


class _Clocks:
    """Check that Python's clocks agree with the kernel's tick count, from the creation of this object on."""

    def __init__(self) -> None:
        self._start, self._start_ticks = self._read(), os_times().elapsed

    @staticmethod
    def _read() -> tuple[float, float]:
        return perf_counter(), perf_counter_ns() * 1e-9

    def require_agreement(self) -> None:
        """Raise WrongResult if the clocks disagree or were replaced, in this module or in `time`."""
        ticked = os_times().elapsed - self._start_ticks
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
