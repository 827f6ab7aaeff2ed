"""What training makes small: the loss of one implementation on scaled rows, as a function of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.examples import Examples
from lcbench.datasets.scaling import Scaling
from lcbench.errors import LcbenchError
from lcbench.learn.margin import with_margin
from lcbench.learn.recipe import Recipe
from lcbench.losses import numba_parallel
from lcbench.losses.resolve import resolve

FUSED = "numba-parallel"
"""The implementation that reads pixels and rows in place and has a whole descent as one loop."""


LARGE = 2 << 30
"""Bytes. A pass over rows that are scaled as they are read takes half as long again: more than that is not copied."""


class Objective:
    """Loss and gradient at W (D + 1, C), whose last row is the bias.

    Pixels stay uint8 where `FUSED` can take them so: the mean is subtracted as they are read, and what scaling divides
    by divides the weights instead. So does what is too large to be kept twice. Otherwise the design matrix is made,
    once.

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
        in_place = self.fused and readable and (scaling.only_shifts or recipe.solver == "lbfgs")
        self.X = examples.X if in_place else scaling.design_matrix(examples.X, self.dtype)
        self.y = examples.y
        self.mean = scaling.mean.astype(self.dtype) if in_place else None
        self.margin = recipe.margin if recipe.loss == "svm" else 1.0
        self.divisor = None if scaling.only_shifts or not in_place else np.append(scaling.deviation, 1.0)[:, None]

    def __len__(self) -> int:
        return len(self.y)

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
        if self.fused:
            fused = numba_parallel.svm_loss if self.recipe.loss == "svm" else numba_parallel.softmax_loss
            return fused(W, self.X, self.y, 0.0, rows=rows, mean=self.mean)
        X, y = (self.X, self.y) if rows is None else (self.X[rows], self.y[rows])
        return self.implementation.loss(self.recipe.loss, W, X, y, 0.0)
