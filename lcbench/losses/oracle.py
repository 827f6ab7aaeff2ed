"""The float64 oracle that every result is held against, and how far rounding alone may take a result from it.

The formulas are those of `vectorized`, in float64 and over blocks of rows, so that no float64 copy of X is ever held.
The tests hold the oracle against plain loops and numerical gradients. All tolerances are decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LossName

ROWS_A_BLOCK = 1024


@dataclass(frozen=True)
class Expected:
    """What a right implementation returns: the float64 loss and dW (D, C), and the distance allowed from each.

    A score's rounding error grows as sqrt(D) units in the last place of its sum of magnitudes (Higham & Mary 2019,
    "A new approach to probabilistic rounding error analysis"). The gradient's sum over rows gets the classical bound, N
    units of its largest partial sum (Higham 2002, section 4.2), since pixels less their mean share their fraction, so
    that their rounding errors add up instead of cancelling. A hinge margin within rounding of its kink may fall on
    either side, which moves dW by that row: such rows are counted one by one.
    """

    loss: float
    dW: NDArray[np.float64]
    loss_tolerance: float
    gradient_tolerance: float

    def error_of_loss(self, loss: float) -> float:
        """Relative error of a loss."""
        return abs(loss - self.loss) / (abs(self.loss) or 1.0)

    def error_of_gradient(self, dW: NDArray[Any]) -> float:
        """Relative error of a gradient in the Frobenius norm."""
        return _norm(dW - self.dW) / (_norm(self.dW) or 1.0)

    def mismatch(self, loss: float, dW: NDArray[Any] | None = None) -> str | None:
        """Why a result, or a loss alone, is wrong, in a few words; None where it is right."""
        wrong = []
        if not isfinite(loss):
            wrong.append(f"loss is {loss}")
        elif abs(loss - self.loss) > self.loss_tolerance:
            wrong.append(f"loss is {loss:.7g}, right is {self.loss:.7g}")
        if dW is None:
            pass
        elif np.shape(dW) != self.dW.shape:
            wrong.append(f"gradient has shape {np.shape(dW)}, not {self.dW.shape}")
        elif not np.isfinite(dW).all():
            wrong.append("gradient holds NaN or infinity")
        elif _norm(dW - self.dW) > self.gradient_tolerance:
            wrong.append(f"gradient is off by {self.error_of_gradient(dW):.1e} of its norm")
        return "; ".join(wrong) or None


def _norm(array: NDArray[Any]) -> float:
    # Not np.linalg.norm: it calls BLAS, whose threads spin for a while afterwards, into the next timed sample.
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def expected(name: LossName, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> Expected:
    """Loss `name` ("svm", "softmax") and its gradient in float64, with tolerances for a computation in W's dtype.

    W (D, C), X (N, D) float or uint8, y (N,) integers in [0, C). Temporaries hold `ROWS_A_BLOCK` rows.
    """
    rows, features = X.shape
    unit = float(np.finfo(W.dtype).eps)
    rounding = unit * (8 + sqrt(features))
    W64 = W.astype(np.float64)
    magnitude = np.abs(W64)
    row_step = _hinge if name == "svm" else _cross_entropy
    total = largest_score = squared_norms = largest_sum = undecided = 0.0
    dW = np.zeros(W.shape)
    for start in range(0, rows, ROWS_A_BLOCK):
        x = X[start : start + ROWS_A_BLOCK].astype(np.float64)
        labels = np.asarray(y[start : start + ROWS_A_BLOCK]).astype(np.intp)
        losses, dscores, distances = row_step(x @ W64, labels)
        total += float(losses.sum())
        dW += x.T @ dscores
        largest_sum = max(largest_sum, float(np.linalg.norm(dW)))

        magnitudes = (np.abs(x) @ magnitude).max(axis=1)
        norms = np.linalg.norm(x, axis=1)
        largest_score = max(largest_score, float(magnitudes.max()))
        row_gradients = norms * np.maximum(1, np.linalg.norm(dscores, axis=1))
        squared_norms += float((row_gradients**2).sum())
        near_kink = distances <= rounding * (1 + magnitudes[:, None])
        undecided += float((near_kink.sum(axis=1) * norms).sum()) * sqrt(2)

    loss = total / rows + reg * float(np.sum(W64 * W64))
    of_scores = rounding * (1 + largest_score)
    of_sums = unit * (8 + (rows + W.shape[1]) / 2)
    gradient_tolerance = of_scores * sqrt(squared_norms) + of_sums * largest_sum + undecided
    return Expected(
        loss,
        dW / rows + 2 * reg * W64,
        loss_tolerance=of_scores * (1 + abs(loss)),
        gradient_tolerance=gradient_tolerance / rows + 8 * unit * 2 * reg * float(np.linalg.norm(W64)),
    )


def _hinge(
    scores: NDArray[np.float64], labels: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row losses (N,), gradient with respect to the scores (N, C), distances of the margins from their kink (N, C)."""
    rows = np.arange(len(scores))
    margins = scores - scores[rows, labels, None] + 1
    margins[rows, labels] = -np.inf
    violated = margins > 0
    dscores = violated.astype(np.float64)
    dscores[rows, labels] = -violated.sum(axis=1)
    return np.where(violated, margins, 0.0).sum(axis=1), dscores, np.abs(margins)


def _cross_entropy(
    scores: NDArray[np.float64], labels: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row losses (N,), gradient with respect to the scores (N, C); no kinks, so infinite distances (N, C)."""
    rows = np.arange(len(scores))
    scores = scores - scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    totals = probabilities.sum(axis=1)
    losses = np.log(totals) - scores[rows, labels]
    dscores = probabilities / totals[:, None]
    dscores[rows, labels] -= 1
    return losses, dscores, np.full(scores.shape, np.inf)


def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[np.float64]]:
    """Multiclass hinge loss in float64, in the one signature."""
    result = expected("svm", W, X, y, reg)
    return result.loss, result.dW


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[np.float64]]:
    """Softmax cross-entropy in float64, in the one signature."""
    result = expected("softmax", W, X, y, reg)
    return result.loss, result.dW
