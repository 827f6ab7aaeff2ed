"""Loss functions on an X that stays in its file, and on batches of rows of X.

An X in a file is computed block by block, and each block's result is weighted by its number of rows. The sums are
float64, so that the result for millions of rows is as accurate as the result for one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.losses.implementation import Implementation, Unavailable, as_numpy, as_they_are

ROWS_A_BLOCK = 1024
"""Block size for implementations that do not take pixels: 12 MB of float32 for CIFAR-10, which fit the L3 cache."""


@dataclass(frozen=True)
class Streamed:
    """X (N, D) of images in a file or an array: the images minus their mean, in `dtype`, with a last column of ones.

    images (N, D - 1): an array, or has `shape` and `dtype`; then ``images[rows]`` returns rows, and ``images.blocks()``
        iterates over (number of the first row, block).
    mean: (D - 1,).
    """

    images: Any
    mean: NDArray[Any]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (N, D)."""
        return self.images.shape[0], self.images.shape[1] + 1

    @property
    def ndim(self) -> int:
        """Number of dimensions, 2."""
        return 2

    def __len__(self) -> int:
        return self.shape[0]

    def first(self, rows: int) -> Streamed:
        """Return the first `rows` rows."""
        array = isinstance(self.images, np.ndarray)
        return replace(self, images=self.images[:rows] if array else self.images.first(rows))

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Return rows of X, given as a slice or by index, in a new array (n, D)."""
        images = self.images[rows]
        return self._less_mean(images, np.empty((len(images), self.shape[1]), self.dtype))

    def blocks(self, rows: int = ROWS_A_BLOCK, dtype: DTypeLike | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (number of the first row, block) for all of X. The next block overwrites the memory of a block."""
        out = np.empty((min(rows, len(self)), self.shape[1]), dtype or self.dtype)
        array = isinstance(self.images, np.ndarray)
        for first, images in [(0, self.images)] if array else self.images.blocks():
            for start in range(0, len(images), len(out)):
                part = images[start : start + len(out)]
                yield first + start, self._less_mean(part, out[: len(part)])

    def _less_mean(self, images: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        out[:, :-1] = images
        out[:, :-1] -= self.mean.astype(out.dtype)
        out[:, -1] = 1
        return out


def streamed(implementation: Implementation) -> Implementation:
    """Return the implementation for a `Streamed` X: on pixels and their mean if it takes them, else on blocks of X."""
    if implementation.streams:
        return implementation
    functions = {name: partial(_over_blocks, implementation, name) for name in implementation.functions}
    return replace(
        implementation, functions=functions, prepare=as_they_are, fetch=as_numpy, takes_rows=False, takes_mean=False
    )


def _over_blocks(
    implementation: Implementation, name: str, W: NDArray[Any], X: Streamed, y: NDArray[Any], reg: float
) -> tuple[float, NDArray[Any]]:
    function = implementation.functions[name]
    loss, dW = 0.0, np.zeros(W.shape)
    blocks = X.images.blocks() if implementation.takes_mean else X.blocks()
    for start, block in blocks:
        labels = y[start : start + len(block)].astype(np.int64)
        if implementation.takes_mean:
            part = function(W, block, labels, 0.0, mean=X.mean)  # type: ignore[call-arg]
        else:
            part = implementation.fetch(*function(*implementation.prepare(W, block, labels), 0.0))
        loss += len(block) * float(part[0])
        dW += len(block) * np.asarray(part[1], np.float64)
    weights = W.astype(np.float64)
    total = dW / len(X) + 2 * reg * weights
    return loss / len(X) + reg * float(np.square(weights).sum()), total.astype(W.dtype)


# Batches of rows of X, as a step of stochastic gradient descent computes them. Implementations that take ``rows=`` read
# the rows in place. All others gather them first, which is part of their time.


class Batch(NamedTuple):
    """X as `prepare` returned it, and the indices (B,) of the rows on which a call computes."""

    X: Any
    rows: NDArray[np.int64]


def batched(implementation: Implementation) -> Implementation:
    """Return the implementation for a `Batch` in place of X, with y of all rows.

    Its `prepare` raises Unavailable if rows cannot be selected from the X that the original `prepare` returns.
    """
    functions = {
        name: partial(_in_place if implementation.takes_rows else _gathered(implementation), function)
        for name, function in implementation.functions.items()
    }

    def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        prepared = implementation.prepare(W, X, y)
        if not implementation.takes_rows:
            _require_row_selection(implementation, prepared[1], prepared[2])
        return prepared

    return replace(implementation, functions=functions, prepare=prepare, takes_rows=False, takes_mean=False)


def _in_place(function: Any, W: Any, batch: Batch, y: Any, reg: float) -> tuple[Any, Any]:
    result: tuple[Any, Any] = function(W, batch.X, y, reg, rows=batch.rows)
    return result


def _gathered(implementation: Implementation) -> Any:
    columns = implementation.convention.columns

    def call(function: Any, W: Any, batch: Batch, y: Any, reg: float) -> tuple[Any, Any]:
        X = batch.X[:, batch.rows] if columns else batch.X[batch.rows]
        result: tuple[Any, Any] = function(W, X, y[batch.rows], reg)
        return result

    return call


def _require_row_selection(implementation: Implementation, X: Any, y: Any) -> None:
    try:
        first = np.zeros(1, np.int64)
        _ = X[:, first] if implementation.convention.columns else X[first], y[first]
    except Exception:
        raise Unavailable(
            f"rows cannot be selected from the {type(X).__name__} that {implementation.name} makes of X"
        ) from None
