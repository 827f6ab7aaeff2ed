"""scikit-learn on the CPU: the loss class behind ``LogisticRegression``.

There is no `svm_loss`: scikit-learn has no multiclass hinge loss that is summed over classes. Its own are
one-versus-rest and Crammer-Singer.

The layout of the coefficients makes no difference. With two threads for the row step a call is slower: 24 ms instead of
18 ms at 10,000 rows, 6 ms instead of 0.6 ms at 500.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable

try:
    # Private names: nothing public returns loss and gradient without a solver.
    from sklearn._loss.loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss
except ImportError as error:
    raise Unavailable(
        "this scikit-learn has moved its private loss classes", "pip install 'scikit-learn>=1.5,<1.10'"
    ) from error


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Return the softmax cross-entropy loss and its gradient dW (D, C).

    W (D, C) float, X (N, D) float or uint8, y (N,) of W's dtype as `prepare` returns it.
    """
    # scikit-learn's penalty is 0.5 * l2 * sum(W * W), so l2 is 2 * reg. Its coefficients are (C, D) in Fortran order.
    model = LinearModelLoss(HalfMultinomialLoss(n_classes=W.shape[1]), fit_intercept=False)
    # One OpenMP thread for the row step, the default: more would compete with the threads of the matrix products.
    loss, dW = model.loss_gradient(W.T, X.astype(W.dtype, copy=False), y, l2_reg_strength=2 * reg, n_threads=1)
    return loss, dW.T


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the same arrays, with y contiguous and of W's dtype, as scikit-learn needs it."""
    return W, X, np.ascontiguousarray(y, dtype=W.dtype)
