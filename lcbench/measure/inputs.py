"""Inputs that a function has not seen before, and what is right for them, without asking the oracle again.

A function that remembers its results would be fast and right on inputs that come back. So no call is like another, and
the right answer is known all the same, since three changes act on loss and gradient in a known way:

- the classes are renamed: W's columns change places and y its labels, dW's columns change places with them;
- one column of W, times a small number, is added to all columns: scores move alike within a row, which neither loss
  sees, and only the regularisation changes;
- the regularisation differs from call to call.

The first two need new contents in W and y, so they come once a batch of calls, off the clock; the third is a number, so
it comes with every call. X, the large one, stays: neither the caches nor a device see it move.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Implementation
from lcbench.losses.oracle import Expected
from lcbench.measure.verification import WrongResult
from lcbench.measure.workload import Problem

LARGEST_SHIFT = 0.125
"""Of a column of W, the part that is added to all columns at most."""

LEAST_REG = 0.5
"""The regularisation is drawn between this part of the problem's own and the whole."""

LABELS_AT_ONCE = 1 << 20

TOLERANCE_GROWTH = 1.3
"""On an answer's tolerances: (1 + LARGEST_SHIFT) ** 2, as sum(W * W) may grow, and W's own rounding."""


class Arguments(NamedTuple):
    """What a loss function is called with, as `prepare` returns it."""

    W: Any
    X: Any
    y: Any
    reg: float


class _Set:
    """One (W, y) of the problem in its present contents, and what is right for them: an answer, or one a batch.

    W and y are what the contents should be; `handed` what the implementation got, in the same memory each time where it
    takes NumPy arrays as they are: where W lies can matter for speed, and a result remembered for an address is wrong.
    """

    def __init__(self, W: NDArray[Any], y: NDArray[Any], answers: list[Expected], reg: float) -> None:
        self._first_W, self._first_y, self._reg = W, y, reg
        self.answers, self._first_square_sum = answers, _square_sum(W)
        self._order = np.arange(W.shape[1])
        self.W, self.y = W, y
        self.square_sum = _square_sum(W)
        self.handed = W.copy(), y.copy()

    def renew(self, rng: np.random.Generator, keep: bool = True) -> None:
        """Makes new contents; without `keep`, for nothing but the time that it takes."""
        column = self._first_W[:, rng.integers(len(self._order))]
        order = rng.permutation(len(self._order))
        W = np.take(self._first_W, order, axis=1)
        W += (rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT) * column).astype(column.dtype)[:, None]
        y = _renamed(self._first_y, np.argsort(order))
        square_sum = _square_sum(W)
        if keep:
            self._order, self.W, self.y, self.square_sum = order, W, y, square_sum

    def hand_over(self, in_place: bool) -> None:
        if in_place:
            np.copyto(self.handed[0], self.W)
            np.copyto(self.handed[1], self.y)
        else:
            self.handed = self.W.copy(), self.y.copy()

    def changed(self) -> list[str]:
        own = {"W": self.W, "y": self.y}
        return [name for name, given in zip(own, self.handed, strict=True) if not np.array_equal(given, own[name])]

    def loss(self, number: int, reg: float) -> float:
        """Of answer number `number`."""
        return self.answers[number].loss - self._reg * self._first_square_sum + reg * self.square_sum

    def loss_tolerance(self, number: int) -> float:
        return TOLERANCE_GROWTH * self.answers[number].loss_tolerance

    def answer(self, number: int, reg: float) -> Expected:
        first = self.answers[number]
        of_data = first.dW - 2 * self._reg * self._first_W.astype(np.float64)
        return Expected(
            self.loss(number, reg),
            of_data[:, self._order] + 2 * reg * self.W.astype(np.float64),
            self.loss_tolerance(number),
            TOLERANCE_GROWTH * first.gradient_tolerance,
        )


class Inputs:
    """Arguments for batches of calls of one implementation, and the right answers of the batch drawn last.

    prepare_s: seconds that bringing W, X and y to where the implementation wants them took.
    """

    def __init__(
        self, implementation: Implementation, problem: Problem, answers: list[Expected], rng: np.random.Generator
    ) -> None:
        """`answers` are the oracle's, one for each of the problem's sets, or of its batches where it has any."""
        self._prepare, self._images, self._reg, self._rng = implementation.prepare, problem.X, problem.reg, rng
        count = len(problem.sets)
        self._sets = [_Set(W, y, answers[k::count], problem.reg) for k, (W, y) in enumerate(problem.sets)]
        self._batches = problem.batches
        given = self._sets[0].handed
        start = perf_counter()
        W, self._X, y = self._prepare(given[0], problem.X, given[1])
        self.prepare_s = perf_counter() - start
        self._in_place = W is given[0] and y is given[1]
        self._which: list[tuple[int, int]] = []
        """Of each call drawn, the set and which of its answers."""
        self._regs: list[float] = []

    def draw(self, calls: int) -> list[Arguments]:
        """Arguments of so many calls, among the sets at random, W and y holding what no call has seen.

        Raises WrongResult where a call has changed the contents before.
        """
        self.require_unchanged()
        for each in self._sets:
            each.renew(self._rng)
        drawn = self._rng.integers(sum(len(each.answers) for each in self._sets), size=calls)
        self._which = [(k % len(self._sets), k // len(self._sets)) for k in drawn.tolist()]
        return self._handed_over()

    def again(self) -> list[Arguments]:
        """Those drawn last once more: W and y are handed over anew, but hold the same. The regularisation differs.

        Takes as long as `draw`, so that a thread is as likely to be asleep afterwards, and a cache to be cold.
        """
        self.require_unchanged()
        for each in self._sets:
            each.renew(self._rng, keep=False)
        return self._handed_over()

    def _handed_over(self) -> list[Arguments]:
        prepared: list[tuple[Any, Any]] = []
        for each in self._sets:
            each.hand_over(self._in_place)
            prepared.append(each.handed if self._in_place else self._brought(*each.handed))
        self._regs = (self._reg * self._rng.uniform(LEAST_REG, 1, size=len(self._which))).tolist()
        drawn = zip(self._which, self._regs, strict=True)
        return [Arguments(prepared[k][0], self._handed_X(k, number), prepared[k][1], reg) for (k, number), reg in drawn]

    def _handed_X(self, k: int, number: int) -> Any:
        """X, or those of its rows that belong to answer `number` of set `k`."""
        if not self._batches:
            return self._X
        from lcbench.losses.streamed import Batch

        return Batch(self._X, self._batches[number * len(self._sets) + k])

    def _brought(self, W: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any]:
        """W and y as prepared, each beside so little of X that nothing large is moved, but that the shapes fit."""
        try:
            prepared_W, _, _ = self._prepare(W, self._images[:1], y[:1])
            _, _, prepared_y = self._prepare(W[:1], np.zeros((len(y), 1), self._images.dtype), y)
        except Exception:  # it knows the one shape that it was written for
            prepared_W, _, prepared_y = self._prepare(W, self._images, y)
        return prepared_W, prepared_y

    def require_unchanged(self) -> None:
        """Raises WrongResult where W or y no longer hold what they were handed over with."""
        changed = sorted({name for each in self._sets for name in each.changed()})
        if changed:
            raise WrongResult(f"changes its input {', '.join(changed)}")

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The right loss of each call drawn, and the distance allowed from it."""
        drawn = [(self._sets[k], number) for k, number in self._which]
        return (
            np.array([each.loss(number, reg) for (each, number), reg in zip(drawn, self._regs, strict=True)]),
            np.array([each.loss_tolerance(number) for each, number in drawn]),
        )

    def answer(self, call: int) -> Expected:
        """What is right for call number `call` of those drawn."""
        k, number = self._which[call]
        return self._sets[k].answer(number, self._regs[call])


def _renamed(y: NDArray[Any], names: NDArray[Any]) -> NDArray[Any]:
    """``names[y]`` in y's type, without a copy of y in the type of an index."""
    names = names.astype(y.dtype)
    renamed = np.empty_like(y)
    for start in range(0, len(y), LABELS_AT_ONCE):
        renamed[start : start + LABELS_AT_ONCE] = names[y[start : start + LABELS_AT_ONCE]]
    return renamed


def _square_sum(W: NDArray[Any]) -> float:
    return float(np.square(W, dtype=np.float64).sum())
