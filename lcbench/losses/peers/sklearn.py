"""scikit-learn on the CPU: the loss class behind ``LogisticRegression``.

There is no `svm_loss`: scikit-learn has no multiclass hinge summed over classes (its own is one-versus-rest or
Crammer-Singer).

The layout of the coefficients makes no difference. A second thread for the row step makes it slower: 24 ms instead of
18 at 10,000 rows, 6 ms instead of 0.6 at 500.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable

try:
    # Private names, the only way to the loss and gradient without a solver around them.
    from sklearn._loss.loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss
except ImportError as error:
    raise Unavailable(
        "this scikit-learn has moved its private loss classes", "pip install 'scikit-learn>=1.5,<1.10'"
    ) from error


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[Any]]:
    """Softmax cross-entropy loss and its gradient.

    W (D, C) float, X (N, D) float or uint8, y (N,) of W's dtype as `prepare` returns it. Returns the loss and dW
    (D, C).
    """
    # Their penalty is 0.5 * l2 * sum(W * W), hence 2 * reg; their coefficients are (C, D) in Fortran order, hence W.T.
    model = LinearModelLoss(HalfMultinomialLoss(n_classes=W.shape[1]), fit_intercept=False)
    # One OpenMP thread, its default, for the row step: more would spin beside the threads of the matrix products.
    loss, dW = model.loss_gradient(W.T, X.astype(W.dtype, copy=False), y, l2_reg_strength=2 * reg, n_threads=1)
    return loss, dW.T


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The same arrays, but y as scikit-learn wants it: contiguous and of W's dtype."""
    return W, X, np.ascontiguousarray(y, dtype=W.dtype)
