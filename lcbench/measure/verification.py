"""Whether what was computed is right, and whether the inputs are as they were."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Implementation
from lcbench.losses.oracle import Expected


class WrongResult(Exception):  # noqa: N818
    """An implementation computed something else than it promises. One line."""


LATE_S = 1e-3
LATE_SHARE = 0.25
"""A batch's results are late where waiting for them takes longer than this, and this part of the batch's own time."""

FEWEST_LATE = 3
SHARE_LATE = 0.25
"""So many batches in a row, and this part of all, must be late: one may be for want of a processor, or since something
is compiled when the first result is fetched."""


class Answers(Protocol):
    """What is right for a batch of calls."""

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The right loss of each call, and the distance allowed from it."""
        ...

    def answer(self, call: int) -> Expected:
        """Loss and gradient of one call."""
        ...


class OneAnswer:
    """What is right for a batch of one call."""

    def __init__(self, right: Expected) -> None:
        self._right = right

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Its loss and the distance allowed from it."""
        return np.array([self._right.loss]), np.array([self._right.loss_tolerance])

    def answer(self, call: int) -> Expected:
        """Loss and gradient."""
        return self._right


class Verifier:
    """Holds the results of batches of calls against the right answers, and remembers the largest errors seen.

    fetch_s: how long the last result took to be brought back.

    A gradient is copied before anything else is looked at, so that one which is still being written to is seen as it
    was when the call returned. Then it is overwritten with NaN, so that a buffer handed out again without being filled
    is seen the next time.
    """

    def __init__(self, implementation: Implementation, answers: Answers) -> None:
        self._fetch = implementation.fetch
        self._answers = answers
        self._first: Expected | None = None
        self._before: Expected | None = None
        self._batches = self._late_in_a_row = self._most_late_in_a_row = 0
        self._waited_s = self._returned_s = 0.0
        self.error_loss = 0.0
        self.error_grad = 0.0
        self.fetch_s = 0.0

    def __call__(self, losses: list[Any], dW: Any, batch_s: float) -> None:
        """Holds the losses of a batch, and the last call's gradient, against the right ones.

        batch_s: seconds that the batch took. Raises WrongResult.
        """
        start = perf_counter()
        gradient, kept, found = self._taken(losses, dW)
        taking_s = perf_counter() - start
        self._batches += batch_s + taking_s > LATE_S  # a shorter one could not be late
        if taking_s > max(LATE_S, LATE_SHARE * batch_s):
            self._see_whether_late(losses, dW, batch_s, taking_s)
        else:
            self._late_in_a_row = 0
        if kept.dtype.kind != "f":
            raise WrongResult(f"gradient has dtype {kept.dtype}, not a floating-point one")

        last = self._answers.answer(-1)
        right, tolerance = self._answers.losses()
        off = np.flatnonzero(~(np.abs(found[:-1] - right[:-1]) <= tolerance[:-1]))
        if off.size:
            call = int(off[0])
            self._refuse(self._answers.answer(call).mismatch(float(found[call])), float(found[call]), right, None)
        self._refuse(last.mismatch(float(found[-1]), kept), float(found[-1]), right, kept)

        self.error_loss = max(self.error_loss, float((np.abs(found - right) / np.where(right, np.abs(right), 1)).max()))
        self.error_grad = max(self.error_grad, last.error_of_gradient(kept))
        if gradient.flags.writeable:
            gradient.fill(np.nan)
        self._first, self._before = self._first or last, last

    def _taken(self, losses: list[Any], dW: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """The last gradient, a copy of it, and all losses."""
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

    def _see_whether_late(self, losses: list[Any], dW: Any, batch_s: float, taking_s: float) -> None:
        """What takes as long the second time is a transfer. What does not was waiting for work that was not done."""
        start = perf_counter()
        self._taken(losses, dW)
        waited_s = taking_s - (perf_counter() - start)
        if waited_s > max(LATE_S, LATE_SHARE * batch_s):
            self._late_in_a_row += 1
            self._most_late_in_a_row = max(self._most_late_in_a_row, self._late_in_a_row)
            self._waited_s, self._returned_s = waited_s, batch_s
        else:
            self._late_in_a_row = 0

    def require_prompt(self) -> None:
        """Raises WrongResult where results were not there yet when the calls returned, batch after batch."""
        if self._most_late_in_a_row >= max(FEWEST_LATE, SHARE_LATE * self._batches):
            raise WrongResult(
                f"returns before its result is there: {1e3 * self._returned_s:.3g} ms until it returns, "
                f"{1e3 * self._waited_s:.3g} ms more until the result can be read; wait for it inside"
            )

    def _refuse(
        self, wrong: str | None, loss: float, right: NDArray[np.float64], gradient: NDArray[Any] | None
    ) -> None:
        if not wrong:
            return
        others = [other for other in (self._first, self._before) if other]
        known = np.concatenate([right, [other.loss for other in others]])
        of_another = bool(np.isclose(loss, known, rtol=1e-6, atol=0).any()) and "loss" in wrong
        if gradient is not None:
            of_another |= any(not other.mismatch(other.loss, gradient) for other in others)
        raise WrongResult(wrong + (": it is the result of another call's inputs" if of_another else ""))


def _as_float(loss: Any) -> float:
    """A number, or an array of one, as a float."""
    try:
        return float(loss.item() if hasattr(loss, "item") else loss)
    except (TypeError, ValueError, RuntimeError):
        raise WrongResult(f"loss is a {type(loss).__name__}, not a number") from None


class Unchanged:
    """Remembers input arrays and tells which of them were changed since."""

    def __init__(self, **arrays: NDArray[Any]) -> None:
        self._arrays = arrays
        self._sums = {name: _checksum(array) for name, array in arrays.items()}

    def verify(self) -> None:
        """Raises WrongResult where an array no longer holds what it held."""
        changed = [name for name, array in self._arrays.items() if _checksum(array) != self._sums[name]]
        if changed:
            raise WrongResult(f"changes its input {', '.join(changed)}")


def _checksum(array: NDArray[Any]) -> int:
    """Of the bytes in their order: a change shows, an exchange of two rows as well, at about the speed of reading."""
    return crc32(np.ascontiguousarray(array).view(np.uint8).data)
