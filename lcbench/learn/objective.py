"""Objective of a training: loss and gradient of an implementation on scaled rows, as a function of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.control_groups import memory_available
from lcbench.datasets.examples import Examples
from lcbench.datasets.preprocessing import Scaling
from lcbench.datasets.rows import Rows, blocks, in_memory, scattered_blocks
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import FUSED, Recipe
from lcbench.losses.implementation import Implementation
from lcbench.losses.streamed import Streamed
from lcbench.usercode.recognition import resolve

MAX_COPY_BYTES = 2 << 30
"""Larger rows are not copied to a design matrix. Scaling them while reading takes 1.5 times as long per pass."""

BLOCK_VALUES = 16_000_000
"""Values of X per block. A sum over all rows is a sum over such blocks, in memory as on disk, so that both give the
same bits."""


class Buffers:
    """Arrays by name that are allocated once and reused. Fresh memory is slow, as the system maps it page by page."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str, rows: int, columns: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an uninitialised array (rows, columns): part of the named array, or a new one if that is too small."""
        found = self._arrays.get(name)
        if found is None or len(found) < rows:
            found = self._arrays[name] = np.empty((rows, columns), dtype)
        return found[:rows]


class Objective:
    """Regularised loss and its gradient at W (D + 1, C), whose last row is the bias.

    How the rows are read depends on the data and the implementation:

    - `FUSED` reads pixels in place as uint8: it subtracts the mean while reading, and the divisor of the scaling is
      applied to the weights instead. Rows larger than `MAX_COPY_BYTES` are also read in place.
    - Otherwise the scaled design matrix is computed once. For rows on disk, and if it does not fit in the free memory,
      it is computed per block or batch.
    - An implementation that holds its data elsewhere, as a cluster does, is sent X and y once.

    The result is the same for rows in memory and on disk, bit for bit. implementation: that of the recipe, if it is
    loaded already.

    Raise LcbenchError if the implementation lacks the loss of the recipe.
    """

    def __init__(
        self, recipe: Recipe, examples: Examples, scaling: Scaling, implementation: Implementation | None = None
    ) -> None:
        self.recipe = recipe
        self.dtype = np.dtype(recipe.dtype)
        self.implementation = implementation or resolve(recipe.implementation)
        if recipe.loss not in self.implementation.functions:
            has = " and ".join(self.implementation.functions)
            raise LcbenchError(f"{recipe.implementation} has no {recipe.loss} loss; it has {has}")
        self.fused = recipe.implementation == FUSED
        readable = examples.X.dtype == np.uint8 or (
            examples.X.dtype == self.dtype and examples.X.nbytes > MAX_COPY_BYTES
        )
        remote = self.implementation.takes_rows and not self.fused
        self.in_place = remote or (self.fused and readable and (scaling.only_shifts or recipe.solver == "lbfgs"))
        self.scaling = scaling
        self.columns = len(scaling.mean)
        copied = len(examples) * (self.columns + 1) * self.dtype.itemsize
        self.streamed = not remote and not (in_memory(examples.X) and (self.in_place or copied <= memory_available()))
        self.X: Any = examples.X if self.streamed else self._scaled_unless_in_place(examples.X)
        self.y = examples.y
        self.mean = scaling.mean.astype(self.dtype) if self.in_place else None
        self.margin = recipe.margin if recipe.loss == "svm" else 1.0
        self.divisor = None if scaling.only_shifts or not self.in_place else np.append(scaling.deviation, 1.0)[:, None]
        self._remote_data = self._send_data() if remote else None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    @property
    def row_bytes(self) -> int:
        """Bytes per row in memory, in the form that the loss reads."""
        return self.columns * (self.X.dtype.itemsize if self.in_place else self.dtype.itemsize)

    @property
    def block_rows(self) -> int:
        """Number of rows per block of a sum."""
        return max(1, BLOCK_VALUES // self.columns)

    def subset(self, rows: NDArray[np.int64], buffers: Buffers | None = None) -> Objective:
        """Return the objective on X[rows], in memory: its row k is row rows[k] of this one.

        buffers: arrays to read the rows into, if they are streamed.
        """
        if self._remote_data:
            return Objective(self.recipe, Examples(self.X[rows], self.y[rows]), self.scaling, self.implementation)
        found = copy(self)
        found.y = self.y[rows]
        found.streamed = False
        if not self.streamed:
            found.X = self.X[rows]
            return found
        buffers = buffers or Buffers()
        X = _take(self.X, rows, buffers.array("rows", len(rows), self.columns, self.X.dtype))
        design = None if self.in_place else buffers.array("design", len(rows), self.columns + 1, self.dtype)
        found.X = self._scaled_unless_in_place(X, out=design)
        return found

    def __call__(self, W: NDArray[Any], rows: NDArray[np.int64] | None = None) -> tuple[float, NDArray[Any]]:
        """Return loss and dW on X[rows], or on all rows. dW has the dtype of W; the recipe's dtype is used inside."""
        weights = W if self.divisor is None else W / self.divisor
        loss, dW = with_margin(self._loss, self.margin)(weights, rows)
        # The penalty applies to W itself, not to the scaled weights, and in the dtype of W.
        dW = dW.astype(W.dtype) if self.divisor is None else dW / self.divisor
        dW += 2 * self.recipe.reg * W
        return loss + self.recipe.reg * float(np.vdot(W, W)), dW

    def mismatch(self, W: NDArray[Any]) -> str | None:
        """Return in what the loss and the gradient at W, on the first rows, differ from the oracle's, or None.

        In float64, results in single precision are accepted, too.
        """
        from lcbench.losses import oracle

        rows = np.arange(min(len(self), self.recipe.batch))
        found = self.subset(rows)
        W = W.astype(self.dtype)
        loss, dW = found._loss_on(W, found.X, found.y)
        wrong: str | None = None
        for dtype in (self.dtype, np.float32):
            right = oracle.expected(self.recipe.loss, W.astype(dtype), found.X.astype(dtype), found.y, 0.0)
            wrong = right.mismatch(loss, dW)
            if not wrong:
                return None
        return wrong

    def _loss(self, W: NDArray[Any], rows: NDArray[np.int64] | None) -> tuple[float, NDArray[Any]]:
        """Return loss and dW without the penalty, for the margin 1."""
        W = W.astype(self.dtype, copy=False)
        if self._remote_data:
            W, _, _ = self.implementation.prepare(W, np.zeros((1, len(W)), self.dtype), np.zeros(1, np.int64))
            chosen = {} if rows is None else {"rows": rows}
            result = self.implementation.functions[self.recipe.loss](W, *self._remote_data, 0.0, **chosen)
            return self.implementation.fetch(*result)
        if rows is None:
            return self._mean_over_blocks(W)
        if self.streamed:
            found = self.subset(rows)
            return found._loss_on(W, found.X, found.y)
        return self._loss_on(W, self.X, self.y, rows) if self.fused else self._loss_on(W, self.X[rows], self.y[rows])

    def _mean_over_blocks(self, W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        loss, dW = 0.0, np.zeros(W.shape)
        for X, y, rows in self._blocks():
            block_loss, block_dW = self._loss_on(W, X, y, rows)
            count = len(X) if rows is None else len(rows)
            if count == len(self):
                return block_loss, block_dW
            share = count / len(self)
            loss += share * block_loss
            dW += np.multiply(share, block_dW, dtype=np.float64)
        return loss, dW

    def _blocks(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64] | None]]:
        """Yield all rows in blocks: X, y, and the numbers of the rows to use if the block has others between them."""
        if not self.in_place:
            for start, block in blocks(self.X, self.block_rows):
                X = self._scaled_unless_in_place(block, start) if self.streamed else block
                yield X, self.y[start : start + len(X)], None
            return
        for start, X, places in scattered_blocks(self.X, self.block_rows):
            if places is None:
                yield X, self.y[start : start + len(X)], None
            else:
                y = np.zeros(len(X), self.y.dtype)
                y[places] = self.y[start : start + len(places)]
                yield X, y, places

    def _loss_on(
        self, W: NDArray[Any], X: NDArray[Any], y: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> tuple[float, NDArray[Any]]:
        if self.fused:
            from lcbench.losses import numba_parallel

            fused = numba_parallel.svm_loss if self.recipe.loss == "svm" else numba_parallel.softmax_loss
            return fused(W, X, y, 0.0, rows=rows, mean=self.mean)
        return self.implementation.loss(self.recipe.loss, W, X, y, 0.0)

    def _scaled_unless_in_place(self, X: Any, first_row: int = 0, out: NDArray[Any] | None = None) -> NDArray[Any]:
        return X if self.in_place else self.scaling.design_matrix(X, self.dtype, first_row, out)

    def _send_data(self) -> tuple[Any, Any]:
        """Return X, with the mean subtracted, and y in the form that the implementation holds them."""
        W = np.zeros((self.columns + 1, 2), self.dtype)
        _, X, y = self.implementation.prepare(W, Streamed(self.X, self.scaling.mean, self.dtype), self.y)
        return X, y


def _take(X: Rows, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
    """Write X[rows] to `out` (n, D) and return it."""
    return np.take(X, rows, axis=0, out=out, mode="clip") if isinstance(X, np.ndarray) else X.take(rows, out)


LossOfWeights = Callable[..., tuple[float, NDArray[Any]]]
"""``(W, ...) -> (loss, dW)``: W (D, C) is the first argument, the others depend on the function."""


def with_margin(function: LossOfWeights, margin: float) -> LossOfWeights:
    """Return the hinge loss with the given margin, computed by `function`, which has the margin 1.

    The result takes the arguments of `function`; dW has the same shape (D, C) and dtype. If `function` adds a penalty
    reg sum(W W), pass it reg * margin.

    The hinge loss with margin m is the sum over j != y of max(0, s_j - s_y + m). With V = W / m, the scores of W are m
    times those of V, so that

        max(0, s_j(W) - s_y(W) + m) = m max(0, s_j(V) - s_y(V) + 1),
        reg sum(W W) = m (reg m) sum(V V),

    and loss_m(W, reg) = m loss_1(W / m, reg m). By the chain rule, its gradient at W is the gradient of loss_1 at V.
    Both equations are exact, so no kernel needs a margin.

    Raise ValueError if the margin is not a finite number above 0.
    """
    if not (isfinite(margin) and margin > 0):
        raise ValueError(f"the margin is {margin}: it must be a finite number above 0")
    if margin == 1:
        return function

    def loss(W: NDArray[Any], *others: Any, **named: Any) -> tuple[float, NDArray[Any]]:
        value, dW = function(W / margin, *others, **named)
        return margin * value, dW

    return loss
