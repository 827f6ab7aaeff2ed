"""Arguments of calls, which differ every time, and the right answers for them without calling the oracle again.

A function that caches its results would be fast and right on inputs that it has seen before. Therefore no two calls get
the same inputs. The right answers are computed from those of the original problem, using three transformations whose
effect on loss and gradient is known:

- The classes are permuted: the columns of W and dW, and the labels y.
- A small multiple of one column of W is added to all columns. All scores of a row change by the same amount, which
  neither loss depends on, so only the regularisation term changes.
- The regularisation strength differs from call to call.

The first two change the contents of W and y; they are applied once per batch of calls, or for each call of a batch,
outside the timed region. The third is a number, so it differs in every call. X, the largest array, never changes and
is never moved.
"""

from __future__ import annotations

from copy import copy
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Implementation
from lcbench.losses.oracle import Expected
from lcbench.measure.verification import WrongResult
from lcbench.measure.workload import Problem

LARGEST_SHIFT = 0.125
"""Largest multiple of a column of W that is added to all columns."""

LEAST_REG = 0.5
"""Smallest regularisation strength, relative to that of the problem, which is the largest."""

LABELS_AT_ONCE = 1 << 20

TOLERANCE_GROWTH = 1.3
"""Factor on the tolerances of an answer: (1 + LARGEST_SHIFT) ** 2, by which sum(W * W) may grow, and rounding of W."""


class Arguments(NamedTuple):
    """Arguments of a loss function, as `Implementation.prepare` returns them."""

    W: Any
    X: Any
    y: Any
    reg: float


class _InputSet:
    """Pair (W, y) of the problem, transformed, with its right answers: a single one, or one for each batch.

    place: index among the pairs of the problem. W and y are the present contents. `handed` are the arrays that the
    implementation gets. If it takes NumPy arrays as they are, these stay in the same memory: the address of W can
    affect the speed, and a function that caches results by address returns wrong ones.
    """

    def __init__(self, place: int, W: NDArray[Any], y: NDArray[Any], answers: list[Expected], reg: float) -> None:
        self.place = place
        self._first_W, self._first_y, self._reg = W, y, reg
        self.answers, self._first_square_sum = answers, _square_sum(W)
        self._order = np.arange(W.shape[1])
        self.W, self.y = W, y
        self.square_sum = _square_sum(W)
        self.handed = W.copy(), y.copy()

    def renew(self, rng: np.random.Generator, keep: bool = True) -> None:
        """Transform W and y anew; without `keep`, discard the result and only spend the same time."""
        column = self._first_W[:, rng.integers(len(self._order))]
        order = rng.permutation(len(self._order))
        W = np.take(self._first_W, order, axis=1)
        W += (rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT) * column).astype(column.dtype)[:, None]
        y = _renumbered(self._first_y, np.argsort(order))
        square_sum = _square_sum(W)
        if keep:
            self._order, self.W, self.y, self.square_sum = order, W, y, square_sum

    def another(self, rng: np.random.Generator) -> _InputSet:
        """Return the pair, transformed anew."""
        other = copy(self)
        other.renew(rng)
        return other

    def hand_over(self, in_place: bool) -> None:
        """Copy the contents into the arrays of the implementation, or into new ones."""
        if in_place:
            np.copyto(self.handed[0], self.W)
            np.copyto(self.handed[1], self.y)
        else:
            self.handed = self.W.copy(), self.y.copy()

    def changed(self) -> list[str]:
        """Return the names of the arrays that the implementation has changed."""
        own = {"W": self.W, "y": self.y}
        return [name for name, given in zip(own, self.handed, strict=True) if not np.array_equal(given, own[name])]

    def loss(self, number: int, reg: float) -> float:
        """Return the right loss of answer `number`."""
        return self.answers[number].loss - self._reg * self._first_square_sum + reg * self.square_sum

    def loss_tolerance(self, number: int) -> float:
        """Return the allowed absolute error of the loss of answer `number`."""
        return TOLERANCE_GROWTH * self.answers[number].loss_tolerance

    def answer(self, number: int, reg: float) -> Expected:
        """Return loss and gradient of answer `number`, with their tolerances."""
        first = self.answers[number]
        data_term = first.dW - 2 * self._reg * self._first_W.astype(np.float64)
        return Expected(
            self.loss(number, reg),
            data_term[:, self._order] + 2 * reg * self.W.astype(np.float64),
            self.loss_tolerance(number),
            TOLERANCE_GROWTH * first.gradient_tolerance,
        )


class Inputs:
    """Arguments for batches of calls of one implementation, and the right answers of the batch drawn last.

    prepare_s: seconds that `Implementation.prepare` took for W, X and y.
    """

    def __init__(
        self, implementation: Implementation, problem: Problem, answers: list[Expected], rng: np.random.Generator
    ) -> None:
        """Prepare the problem; `answers` are the oracle's, one for each input set or, if there are any, each batch."""
        self._prepare, self._X_here, self._reg, self._rng = implementation.prepare, problem.X, problem.reg, rng
        count = len(problem.sets)
        self._sets = [_InputSet(k, W, y, answers[k::count], problem.reg) for k, (W, y) in enumerate(problem.sets)]
        self._present = self._sets
        """Sets of the calls drawn last."""
        self._batches = problem.batches
        given = self._sets[0].handed
        start = perf_counter()
        W, self._X, y = self._prepare(given[0], problem.X, given[1])
        self.prepare_s = perf_counter() - start
        self._in_place = W is given[0] and y is given[1]
        self._drawn: list[tuple[int, int]] = []
        """Index of the set in `_present` and index of the answer within the set, for each call drawn."""
        self._regs: list[float] = []

    def draw(self, calls: int, distinct: bool = False) -> list[Arguments]:
        """Return the arguments of `calls` calls with new contents of W and y, which none of the earlier calls had.

        The calls are on randomly chosen sets, on different ones if there are as many. distinct: each call has contents
        of its own, in arrays of its own.

        Raise WrongResult if an earlier call has changed its inputs.
        """
        self.require_unchanged()
        if distinct:
            chosen = self._rng.integers(len(self._sets), size=calls).tolist()
            self._present = [self._sets[k].another(self._rng) for k in chosen]
            self._drawn = [(k, int(self._rng.integers(len(each.answers)))) for k, each in enumerate(self._present)]
            return self._hand_over(in_place=False)
        self._present = self._sets
        for each in self._sets:
            each.renew(self._rng)
        if calls <= len(self._sets):
            chosen = self._rng.permutation(len(self._sets))[:calls].tolist()
            self._drawn = [(k, int(self._rng.integers(len(self._sets[k].answers)))) for k in chosen]
        else:
            drawn = self._rng.integers(sum(len(each.answers) for each in self._sets), size=calls)
            self._drawn = [(k % len(self._sets), k // len(self._sets)) for k in drawn.tolist()]
        return self._hand_over(self._in_place)

    def again(self) -> list[Arguments]:
        """Return the arguments drawn last: W and y are handed over again with the same contents, but reg differs.

        This takes as long as `draw`, so that threads and caches are in the same state afterwards.
        """
        self.require_unchanged()
        for each in self._present:
            each.renew(self._rng, keep=False)
        return self._hand_over(self._in_place)

    def _hand_over(self, in_place: bool) -> list[Arguments]:
        prepared: list[tuple[Any, Any]] = []
        for each in self._present:
            each.hand_over(in_place)
            prepared.append(each.handed if self._in_place else self._prepared(*each.handed))
        self._regs = (self._reg * self._rng.uniform(LEAST_REG, 1, size=len(self._drawn))).tolist()
        drawn = zip(self._drawn, self._regs, strict=True)
        return [Arguments(prepared[k][0], self._X_of(k, number), prepared[k][1], reg) for (k, number), reg in drawn]

    def _X_of(self, k: int, number: int) -> Any:
        """Return X, or the rows of it that belong to answer `number` of present set `k`."""
        if not self._batches:
            return self._X
        from lcbench.losses.streamed import Batch

        return Batch(self._X, self._batches[number * len(self._sets) + self._present[k].place])

    def _prepared(self, W: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any]:
        """Return W and y as `Implementation.prepare` returns them, without preparing all of X again.

        Each is prepared together with a small part of X whose shape fits.
        """
        try:
            prepared_W, _, _ = self._prepare(W, self._X_here[:1], y[:1])
            _, _, prepared_y = self._prepare(W[:1], np.zeros((len(y), 1), self._X_here.dtype), y)
        except Exception:  # it may accept only the problem's own shape
            prepared_W, _, prepared_y = self._prepare(W, self._X_here, y)
        return prepared_W, prepared_y

    def require_unchanged(self) -> None:
        """Raise WrongResult if a call has changed W or y."""
        changed = sorted({name for each in self._present for name in each.changed()})
        if changed:
            raise WrongResult(f"changes its input {', '.join(changed)}")

    def losses(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the right losses of the calls drawn, and their allowed absolute errors."""
        drawn = [(self._present[k], number) for k, number in self._drawn]
        return (
            np.array([each.loss(number, reg) for (each, number), reg in zip(drawn, self._regs, strict=True)]),
            np.array([each.loss_tolerance(number) for each, number in drawn]),
        )

    def answer(self, call: int) -> Expected:
        """Return the right answer of call number `call` of those drawn."""
        k, number = self._drawn[call]
        return self._present[k].answer(number, self._regs[call])


def _renumbered(y: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Return ``numbers[y]`` with the dtype of y, in chunks, to avoid a copy of y as intp."""
    numbers = numbers.astype(y.dtype)
    renumbered = np.empty_like(y)
    for start in range(0, len(y), LABELS_AT_ONCE):
        renumbered[start : start + LABELS_AT_ONCE] = numbers[y[start : start + LABELS_AT_ONCE]]
    return renumbered


def _square_sum(W: NDArray[Any]) -> float:
    return float(np.square(W, dtype=np.float64).sum())
