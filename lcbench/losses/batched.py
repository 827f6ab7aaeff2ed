"""Loss functions on a batch of rows of X, as a step of stochastic gradient descent computes them.

Whoever takes ``rows=`` reads the rows where they lie; all others gather them first, which is part of their time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.errors import Unavailable
from lcbench.losses.implementation import Implementation


class Batch(NamedTuple):
    """X as an implementation has it, and which of its rows (B,) a call computes on."""

    X: Any
    rows: NDArray[np.int64]


def batched(implementation: Implementation) -> Implementation:
    """The implementation, on a `Batch` in place of X, and y of all rows.

    Its `prepare` raises Unavailable where rows cannot be chosen from what it makes of X.
    """
    functions = {
        name: partial(_in_place if implementation.takes_rows else _gathered(implementation), function)
        for name, function in implementation.functions.items()
    }

    def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        prepared = implementation.prepare(W, X, y)
        if not implementation.takes_rows:
            _require_choice(implementation, prepared[1], prepared[2])
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


def _require_choice(implementation: Implementation, X: Any, y: Any) -> None:
    try:
        first = np.zeros(1, np.int64)
        _ = X[:, first] if implementation.convention.columns else X[first], y[first]
    except Exception:
        raise Unavailable(
            f"rows cannot be chosen from the {type(X).__name__} that {implementation.name} makes of X"
        ) from None
