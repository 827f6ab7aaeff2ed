"""Any margin from a hinge loss whose margin is 1.

The hinge with margin m is the sum over j != y of max(0, s_j - s_y + m). With V = W / m, the scores of W are m times
those of V, so that

    max(0, s_j(W) - s_y(W) + m) = m max(0, s_j(V) - s_y(V) + 1),
    reg sum(W W) = m (reg m) sum(V V),

so loss_m(W, reg) = m loss_1(W / m, reg m). By the chain rule its gradient at W is m (1 / m) times that of loss_1 at
V: the gradient of loss_1 itself. Neither is an approximation, and no kernel needs a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.examples import Examples
from lcbench.datasets.preprocessing import Scaling
from lcbench.datasets.rows import blocks, in_memory, scattered_blocks
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe, Sampling
from lcbench.losses.streamed import Streamed
from lcbench.usercode.discovery import resolve

LossOfWeights = Callable[..., tuple[float, NDArray[Any]]]
"""``(W, ...) -> (loss, dW)``: W (D, C) first, whatever else it takes behind it."""


def with_margin(function: LossOfWeights, margin: float) -> LossOfWeights:
    """The loss with `margin`, from `function`, the same with margin 1: takes what that takes, and returns as much.

    dW has the shape (D, C) and the dtype of `function`'s. Where `function` adds a penalty reg sum(W W), it must be
    given reg * margin. Raises ValueError where the margin is not a finite number above 0.
    """
    if not (isfinite(margin) and margin > 0):
        raise ValueError(f"the margin is {margin}: it must be a finite number above 0")
    if margin == 1:
        return function

    def loss(W: NDArray[Any], *others: Any, **named: Any) -> tuple[float, NDArray[Any]]:
        value, dW = function(W / margin, *others, **named)
        return margin * value, dW

    return loss


# Which rows each step sees: known from the seed and the step alone, so that training can go on from any step.

STEPS_A_STREAM = 50
"""Steps whose rows come from one generator, with a seed of its own."""


def batches(sampling: Sampling, rows: int, batch: int, start: int, stop: int, seed: int) -> NDArray[np.int64]:
    """Row numbers of steps start..stop, (stop - start, batch) int64 in [0, rows).

    replacement: each row drawn by itself. shuffle: all rows in random order, then all in another; a batch may reach
    into the next epoch.
    """
    if sampling == "replacement":
        streams = range(start // STEPS_A_STREAM, -(-stop // STEPS_A_STREAM))
        drawn = [np.random.default_rng([seed, 1, k]).integers(0, rows, (STEPS_A_STREAM, batch)) for k in streams]
        return np.concatenate(drawn)[start - streams.start * STEPS_A_STREAM :][: stop - start]
    first, last = start * batch, stop * batch
    epochs = range(first // rows, -(-last // rows))
    parts = [_order(rows, epoch, seed)[max(0, first - epoch * rows) : max(0, last - epoch * rows)] for epoch in epochs]
    return np.concatenate(parts).reshape(stop - start, batch)


@lru_cache(2)
def _order(rows: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """All rows as an epoch sees them: of millions, too long a list to shuffle again for every few steps."""
    return np.random.default_rng([seed, 2, epoch]).permutation(rows)


# What training makes small: the loss of one implementation on scaled rows, as a function of the weights.

FUSED = "numba-parallel"
"""The implementation that reads pixels and rows in place and has a whole descent as one loop."""


LARGE = 2 << 30
"""Bytes. A pass over rows that are scaled as they are read takes half as long again: more than that is not copied."""

BLOCK_VALUES = 16_000_000
"""Of X. A sum over all rows is one over blocks of so many values, in memory as on disk, so that it is the same sum."""


class Memory:
    """Arrays that are made once and used again: what the system gives anew, it gives page by page, slowly."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str, rows: int, columns: int, dtype: DTypeLike) -> NDArray[Any]:
        """(rows, columns) uninitialised: the array of that name, or a new one where that was too small."""
        found = self._arrays.get(name)
        if found is None or len(found) < rows:
            found = self._arrays[name] = np.empty((rows, columns), dtype)
        return found[:rows]


class Objective:
    """Loss and gradient at W (D + 1, C), whose last row is the bias.

    Pixels stay uint8 where `FUSED` can take them so: the mean is subtracted as they are read, and what scaling divides
    by divides the weights instead. So does what is too large to be kept twice. Otherwise the design matrix is made,
    once; of rows on disk, that of each block or batch as it is read. Where the rows are makes no difference to what
    comes out, to the last bit. An implementation that takes rows and holds its data elsewhere, as a cluster does, is
    brought X and y once.

    Raises LcbenchError where the implementation lacks the recipe's loss.
    """

    def __init__(self, recipe: Recipe, examples: Examples, scaling: Scaling) -> None:
        self.recipe = recipe
        self.dtype = np.dtype(recipe.dtype)
        self.implementation = resolve(recipe.implementation)
        if recipe.loss not in self.implementation.functions:
            has = " and ".join(self.implementation.functions)
            raise LcbenchError(f"{recipe.implementation} has no {recipe.loss} loss; it has {has}")
        self.fused = recipe.implementation == FUSED
        readable = examples.X.dtype == np.uint8 or (examples.X.dtype == self.dtype and examples.X.nbytes > LARGE)
        elsewhere = self.implementation.takes_rows and not self.fused
        self.in_place = elsewhere or (self.fused and readable and (scaling.only_shifts or recipe.solver == "lbfgs"))
        self.scaling = scaling
        self.columns = len(scaling.mean)
        self.streamed = not (elsewhere or in_memory(examples.X))
        self.X: Any = examples.X if self.streamed else self._as_the_loss_takes_them(examples.X)
        self.y = examples.y
        self.mean = scaling.mean.astype(self.dtype) if self.in_place else None
        self.margin = recipe.margin if recipe.loss == "svm" else 1.0
        self.divisor = None if scaling.only_shifts or not self.in_place else np.append(scaling.deviation, 1.0)[:, None]
        self._brought = self._bring() if elsewhere else None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def row_bytes(self) -> int:
        """What a row takes in memory, as the loss takes it."""
        return self.columns * (self.X.dtype.itemsize if self.in_place else self.dtype.itemsize)

    @property
    def rows_a_block(self) -> int:
        """How many rows are summed at once."""
        return max(1, BLOCK_VALUES // self.columns)

    def among(self, rows: NDArray[np.int64], memory: Memory | None = None) -> Objective:
        """The objective on X[rows] alone, which are in memory then: its row k is our row rows[k].

        memory: where they are to lie, if they come from disk.
        """
        if self._brought:
            return Objective(self.recipe, Examples(self.X[rows], self.y[rows]), self.scaling)
        found = copy(self)
        found.y = self.y[rows]
        found.streamed = False
        if not self.streamed:
            found.X = self.X[rows]
            return found
        memory = memory or Memory()
        X = self.X.take(rows, memory.array("rows", len(rows), self.columns, self.X.dtype))
        design = None if self.in_place else memory.array("design", len(rows), self.columns + 1, self.dtype)
        found.X = self._as_the_loss_takes_them(X, out=design)
        return found

    def __call__(self, W: NDArray[Any], rows: NDArray[np.int64] | None = None) -> tuple[float, NDArray[Any]]:
        """Loss and gradient on X[rows], or on all rows. dW has W's dtype; the loss is computed in the recipe's."""
        weights = W if self.divisor is None else W / self.divisor
        loss, dW = with_margin(self._loss, self.margin)(weights, rows)
        # the penalty is on W itself, and in its own precision
        dW = dW.astype(W.dtype) if self.divisor is None else dW / self.divisor
        dW += 2 * self.recipe.reg * W
        return loss + self.recipe.reg * float(np.vdot(W, W)), dW

    def _loss(self, W: NDArray[Any], rows: NDArray[np.int64] | None) -> tuple[float, NDArray[Any]]:
        W = W.astype(self.dtype, copy=False)
        if self._brought:
            W, _, _ = self.implementation.prepare(W, np.zeros((1, len(W)), self.dtype), np.zeros(1, np.int64))
            chosen = {} if rows is None else {"rows": rows}
            result = self.implementation.functions[self.recipe.loss](W, *self._brought, 0.0, **chosen)
            return self.implementation.fetch(*result)
        if rows is None:
            return self._mean_over_blocks(W)
        if self.streamed:
            found = self.among(rows)
            return found._of(W, found.X, found.y)
        return self._of(W, self.X, self.y, rows) if self.fused else self._of(W, self.X[rows], self.y[rows])

    def _bring(self) -> tuple[Any, Any]:
        """X and y where the implementation wants them, the mean with them."""
        W = np.zeros((self.columns + 1, 2), self.dtype)
        _, X, y = self.implementation.prepare(W, Streamed(self.X, self.scaling.mean, self.dtype), self.y)
        return X, y

    def _mean_over_blocks(self, W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        loss, dW = 0.0, np.zeros(W.shape)
        for X, y, rows in self._blocks():
            of_block, gradient = self._of(W, X, y, rows)
            count = len(X) if rows is None else len(rows)
            if count == len(self):
                return of_block, gradient
            share = count / len(self)
            loss += share * of_block
            dW += np.multiply(share, gradient, dtype=np.float64)
        return loss, dW

    def _blocks(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64] | None]]:
        """All rows block by block: X and y, and which of them are meant where there are others between them."""
        if not self.in_place:
            for start, block in blocks(self.X, self.rows_a_block):
                X = self._as_the_loss_takes_them(block, start) if self.streamed else block
                yield X, self.y[start : start + len(X)], None
            return
        for start, X, places in scattered_blocks(self.X, self.rows_a_block):
            if places is None:
                yield X, self.y[start : start + len(X)], None
            else:
                y = np.zeros(len(X), self.y.dtype)
                y[places] = self.y[start : start + len(places)]
                yield X, y, places

    def _of(
        self, W: NDArray[Any], X: NDArray[Any], y: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> tuple[float, NDArray[Any]]:
        if self.fused:
            from lcbench.losses import numba_parallel

            fused = numba_parallel.svm_loss if self.recipe.loss == "svm" else numba_parallel.softmax_loss
            return fused(W, X, y, 0.0, rows=rows, mean=self.mean)
        return self.implementation.loss(self.recipe.loss, W, X, y, 0.0)

    def _as_the_loss_takes_them(self, X: Any, first_row: int = 0, out: NDArray[Any] | None = None) -> NDArray[Any]:
        return X if self.in_place else self.scaling.design_matrix(X, self.dtype, first_row, out)
