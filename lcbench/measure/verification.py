"""Verification of results: losses and gradients must be right, and inputs unchanged."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Implementation
from lcbench.losses.oracle import Expected


class WrongResult(Exception):  # noqa: N818
    """Result of an implementation that is not what it promises; one line."""


LATE_S = 1e-3
LATE_SHARE = 0.25
"""Batches are late if waiting for their results takes longer than `LATE_S` and than this share of their own time."""

FEWEST_LATE = 3
SHARE_LATE = 0.25
"""Implementations return too early if at least `FEWEST_LATE` consecutive batches and this share of all are late.

A single late batch may have other causes: a busy processor, or code that is compiled when the first result is
fetched."""


class Answers(Protocol):
    """Right answers for a batch of calls."""

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the right loss of each call, and its allowed absolute error."""
        ...

    def answer(self, call: int) -> Expected:
        """Return loss and gradient of one call."""
        ...


class OneAnswer:
    """Right answers for a batch of one call."""

    def __init__(self, right: Expected) -> None:
        self._right = right

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the right loss and its allowed absolute error."""
        return np.array([self._right.loss]), np.array([self._right.loss_tolerance])

    def answer(self, call: int) -> Expected:
        """Return loss and gradient."""
        return self._right


class Verifier:
    """Comparison of the results of batches of calls with the right answers.

    error_loss, error_grad: largest relative errors so far. fetch_s: seconds that fetching the last result took.

    A gradient is copied before anything else is done with it, so that a gradient which is still being computed is
    detected. Then the original is filled with NaN, so that a buffer which is returned again without being written to is
    detected in the next batch.
    """

    def __init__(self, implementation: Implementation, answers: Answers) -> None:
        self._fetch = implementation.fetch
        self._answers = answers
        self._first: Expected | None = None
        self._previous: Expected | None = None
        self._batches = self._consecutive_late = self._most_consecutive_late = 0
        self._waited_s = self._returned_s = 0.0
        self.error_loss = 0.0
        self.error_grad = 0.0
        self.fetch_s = 0.0

    def __call__(self, losses: list[Any], dW: Any, batch_s: float) -> None:
        """Compare the losses of a batch and the gradient of its last call with the right ones.

        batch_s: seconds that the batch took. Raise WrongResult if one is wrong.
        """
        start = perf_counter()
        gradient, kept, found = self._fetched(losses, dW)
        fetching_s = perf_counter() - start
        self._batches += batch_s + fetching_s > LATE_S  # a shorter one cannot be late
        if fetching_s > max(LATE_S, LATE_SHARE * batch_s):
            self._check_whether_late(losses, dW, batch_s, fetching_s)
        else:
            self._consecutive_late = 0
        if kept.dtype.kind != "f":
            raise WrongResult(f"gradient has dtype {kept.dtype}, not a floating-point one")

        last = self._answers.answer(-1)
        right, tolerance = self._answers.losses()
        wrong = np.flatnonzero(~(np.abs(found[:-1] - right[:-1]) <= tolerance[:-1]))
        if wrong.size:
            call = int(wrong[0])
            self._refuse(self._answers.answer(call).mismatch(float(found[call])), float(found[call]), right, None)
        self._refuse(last.mismatch(float(found[-1]), kept), float(found[-1]), right, kept)

        self.error_loss = max(self.error_loss, float((np.abs(found - right) / np.where(right, np.abs(right), 1)).max()))
        self.error_grad = max(self.error_grad, last.error_of_gradient(kept))
        if gradient.flags.writeable:
            gradient.fill(np.nan)
        self._first, self._previous = self._first or last, last

    def _fetched(self, losses: list[Any], dW: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Return the last gradient, a copy of it, and all losses."""
        try:
            start = perf_counter()
            value, gradient = self._fetch(losses[-1], dW)
            gradient = np.asarray(gradient)
            kept = gradient.copy()
            self.fetch_s = perf_counter() - start
            last = float(value)
        except (TypeError, ValueError):
            _as_float(losses[-1])
            raise WrongResult(f"gradient is a {type(dW).__name__}, not an array") from None
        return gradient, kept, np.array([*map(_as_float, losses[:-1]), last])

    def _check_whether_late(self, losses: list[Any], dW: Any, batch_s: float, fetching_s: float) -> None:
        """Fetch again: a transfer takes as long as before, but unfinished work is waited for only once."""
        start = perf_counter()
        self._fetched(losses, dW)
        waited_s = fetching_s - (perf_counter() - start)
        if waited_s > max(LATE_S, LATE_SHARE * batch_s):
            self._consecutive_late += 1
            self._most_consecutive_late = max(self._most_consecutive_late, self._consecutive_late)
            self._waited_s, self._returned_s = waited_s, batch_s
        else:
            self._consecutive_late = 0

    def require_prompt(self) -> None:
        """Raise WrongResult if calls returned before their results were ready, in too many consecutive batches."""
        if self._most_consecutive_late >= max(FEWEST_LATE, SHARE_LATE * self._batches):
            raise WrongResult(
                f"returns before its result is ready: {1e3 * self._returned_s:.3g} ms until it returns, "
                f"{1e3 * self._waited_s:.3g} ms more until the result can be read; wait for it inside the function"
            )

    def _refuse(
        self, mismatch: str | None, loss: float, right: NDArray[np.float64], gradient: NDArray[Any] | None
    ) -> None:
        """Raise WrongResult if there is a mismatch; say so if the result is right for another call's inputs."""
        if not mismatch:
            return
        others = [other for other in (self._first, self._previous) if other]
        known = np.concatenate([right, [other.loss for other in others]])
        of_another = bool(np.isclose(loss, known, rtol=1e-6, atol=0).any()) and "loss" in mismatch
        if gradient is not None:
            of_another |= any(not other.mismatch(other.loss, gradient) for other in others)
        raise WrongResult(mismatch + (": it is the result of another call's inputs" if of_another else ""))


def _as_float(loss: Any) -> float:
    """Return a number, or an array of one number, as a float."""
    try:
        return float(loss.item() if hasattr(loss, "item") else loss)
    except (TypeError, ValueError, RuntimeError):
        raise WrongResult(f"loss is a {type(loss).__name__}, not a number") from None


class Unchanged:
    """Check that input arrays have not changed since this object was created."""

    def __init__(self, **arrays: NDArray[Any]) -> None:
        self._arrays = arrays
        self._checksums = {name: _checksum(array) for name, array in arrays.items()}

    def verify(self) -> None:
        """Raise WrongResult if the contents of an array have changed."""
        changed = [name for name, array in self._arrays.items() if _checksum(array) != self._checksums[name]]
        if changed:
            raise WrongResult(f"changes its input {', '.join(changed)}")


def _checksum(array: NDArray[Any]) -> int:
    """Return the CRC-32 of the array's bytes in C order. It also detects exchanged rows."""
    return crc32(np.ascontiguousarray(array).view(np.uint8).data)
