"""Whether what was computed is right, and whether the inputs are as they were."""

from __future__ import annotations

from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Implementation
from lcbench.losses.oracle import Expected


class WrongResult(Exception):  # noqa: N818
    """An implementation computed something else than it promises. One line."""


class Verifier:
    """Holds results against the right answers, one a set of inputs, and remembers the largest errors seen.

    fetch_s: how long the last result took to be brought back.

    A gradient that was looked at is overwritten with NaN, so that a buffer handed out again without being filled is
    seen the next time.
    """

    def __init__(self, implementation: Implementation, answers: list[Expected]) -> None:
        self._fetch = implementation.fetch
        self._answers = answers
        self.error_loss = 0.0
        self.error_grad = 0.0
        self.fetch_s = 0.0

    def __call__(self, k: int, loss: Any, *dW: Any) -> None:
        """Holds one result on input set `k`, loss and dW or the loss alone, against the right one."""
        right = self._answers[k]
        value, gradient = self._fetched(loss, *dW) if dW else (_as_float(loss), None)
        if gradient is not None and gradient.dtype.kind != "f":
            raise WrongResult(f"gradient has dtype {gradient.dtype}, not a floating-point one")
        wrong = right.mismatch(value, gradient)
        if wrong:
            others = [other for other in self._answers if other is not right]
            of_another = any(not other.mismatch(value) for other in others)
            if gradient is not None:
                of_another |= any(not other.mismatch(other.loss, gradient) for other in others)
            if of_another:
                wrong += ": it is the result of another call's inputs"
            raise WrongResult(wrong)
        self.error_loss = max(self.error_loss, right.error_of_loss(value))
        if gradient is not None:
            self.error_grad = max(self.error_grad, right.error_of_gradient(gradient))
            if gradient.flags.writeable:
                gradient.fill(np.nan)

    def _fetched(self, loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
        try:
            start = perf_counter()
            value, gradient = self._fetch(loss, dW)
            self.fetch_s = perf_counter() - start
            return float(value), np.asarray(gradient)
        except (TypeError, ValueError):
            _as_float(loss)
            raise WrongResult(f"gradient is a {type(dW).__name__}, not an array") from None


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
