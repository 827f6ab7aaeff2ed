"""Float64 oracle with which every result is compared, and the tolerances that allow for rounding errors.

The formulas are those of `vectorized`, in float64 and block by block, so that no float64 copy of the whole X is made.
The tests compare the oracle with plain loops and with numerical gradients. The tolerances of every comparison with the
oracle are derived here; `measure.inputs.TOLERANCE_GROWTH` scales them for shifted inputs. The numerical gradient
(`checks`) and the recognition of a user's function (`usercode`) have tolerances of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LossName

ROWS_A_BLOCK = 512


@dataclass(frozen=True)
class Expected:
    """Correct float64 loss and dW (D, C), with the allowed distance from each.

    The rounding error of a score grows as sqrt(D) units in the last place of its sum of magnitudes (Higham & Mary 2019,
    "A new approach to probabilistic rounding error analysis"). The sum over rows in the gradient gets the classical
    bound, N units of its largest partial sum (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section
    4.2): pixels minus their mean have the same fraction, so their rounding errors add up instead of cancelling. A hinge
    margin within its rounding error of the kink may fall on either side, which changes dW by that row. The tolerance
    includes each such row.
    """

    loss: float
    dW: NDArray[np.float64]
    loss_tolerance: float
    gradient_tolerance: float

    def error_of_loss(self, loss: float) -> float:
        """Return the relative error of a loss."""
        return abs(loss - self.loss) / (abs(self.loss) or 1.0)

    def error_of_gradient(self, dW: NDArray[Any]) -> float:
        """Return the relative error of a gradient in the Frobenius norm."""
        return _norm(dW - self.dW) / (_norm(self.dW) or 1.0)

    def mismatch(self, loss: float, dW: NDArray[Any] | None = None) -> str | None:
        """Return why a result, or a loss alone, is wrong, in a few words. Return None if it is correct."""
        wrong = []
        if not isfinite(loss):
            wrong.append(f"loss is {loss}")
        elif abs(loss - self.loss) > self.loss_tolerance:
            wrong.append(f"loss is {loss:.7g}, expected {self.loss:.7g}")
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
    # Not np.linalg.norm: it calls BLAS, whose threads keep spinning and would disturb the next timed sample.
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def expected(name: LossName, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> Expected:
    """Return loss `name` ("svm", "softmax") and its gradient in float64, with tolerances for computing in W's dtype.

    W (D, C), X (N, D) float or uint8, y (N,) integers in [0, C). Temporary arrays hold `ROWS_A_BLOCK` rows.
    """
    return expected_of_first([name], [(W, y)], X, reg, [len(X)])[0][name][0]


def expected_of_first(
    names: Sequence[LossName],
    sets: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    X: Any,
    reg: float,
    counts: Sequence[int],
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> list[dict[LossName, list[Expected]]]:
    """Return `expected` for each loss, each (W, y) of `sets` and each count of first rows, from one pass over X.

    names: losses.
    sets: pairs (W, y). All W have the same shape and dtype.
    counts: numbers of first rows of X, ascending.
    X: array, or an object with ``blocks(rows, dtype)``, an iterator over (number of the first row, block).
    progress: callback with stage, rows done and rows in total.

    Returns one dictionary per count. It holds, for each loss, a list with one `Expected` per pair of `sets`.
    """
    classes = sets[0][0].shape[1]
    W64 = np.concatenate([W.astype(np.float64) for W, _ in sets], axis=1)
    magnitude = np.abs(W64)
    sums = {name: [_Sums(name, W) for W, _ in sets] for name in names}
    absolute = np.empty((min(ROWS_A_BLOCK, counts[-1]), X.shape[1]))  # reused: new memory is slower
    results = []
    for start, x in _blocks(X, counts):
        end = start + len(x)
        scores, magnitudes = x @ W64, np.abs(x, out=absolute[: len(x)]) @ magnitude
        norms = np.sqrt(np.einsum("ij,ij->i", x, x))
        dscores = []
        for sums_of_loss in sums.values():
            for k, (_, y) in enumerate(sets):
                columns = slice(k * classes, (k + 1) * classes)
                labels = np.asarray(y[start:end]).astype(np.intp)
                dscores.append(sums_of_loss[k].add(scores[:, columns], labels, magnitudes[:, columns], norms))
        gradients = iter(np.split(x.T @ np.concatenate(dscores, axis=1), len(dscores), axis=1))
        for sums_of_loss in sums.values():
            for sums_of_set in sums_of_loss:
                sums_of_set.add_gradient(next(gradients))
        progress("expected results", end, counts[-1])
        if end in counts:
            results.append({name: [each.expected(end, reg) for each in of_loss] for name, of_loss in sums.items()})
    return results


def _blocks(X: Any, counts: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the first rows of X in float64, at most `ROWS_A_BLOCK` at a time; blocks also end at each of `counts`."""
    if isinstance(X, np.ndarray):
        blocks = _converted(X, range(0, counts[-1], ROWS_A_BLOCK))
    else:
        blocks = X.blocks(ROWS_A_BLOCK, np.float64)
    for start, block in blocks:
        end = min(start + len(block), counts[-1])
        for first, last in pairwise([start, *(count for count in counts if start < count < end), end]):
            if first < last:
                yield first, block[first - start : last - start]


def _converted(X: NDArray[Any], starts: range) -> Iterator[tuple[int, NDArray[np.float64]]]:
    block = np.empty((min(starts.step, len(X)), X.shape[1]))
    for start in starts:
        part = X[start : start + starts.step]
        block[: len(part)] = part
        yield start, block[: len(part)]


class _Sums:
    """Sums over blocks of rows, for one loss and one W (D, C)."""

    def __init__(self, name: LossName, W: NDArray[Any]) -> None:
        self._row_step = _hinge if name == "svm" else _cross_entropy
        self._W = W.astype(np.float64)
        self._unit = float(np.finfo(W.dtype).eps)
        self._rounding = self._unit * (8 + sqrt(len(W)))
        self._loss = self._largest_score = self._squared_norms = self._largest_sum = self._undecided = 0.0
        self._dW = np.zeros(W.shape)

    def add(
        self,
        scores: NDArray[np.float64],
        labels: NDArray[np.intp],
        magnitudes: NDArray[np.float64],
        norms: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Add rows with these scores (n, C) and sums of magnitudes (n, C). Return the gradient of the scores (n, C)."""
        losses, dscores, distances = self._row_step(scores, labels)
        self._loss += float(losses.sum())
        largest = magnitudes.max(axis=1)
        self._largest_score = max(self._largest_score, float(largest.max()))
        row_gradients = norms * np.maximum(1, np.linalg.norm(dscores, axis=1))
        self._squared_norms += float((row_gradients**2).sum())
        near_kink = distances <= self._rounding * (1 + largest[:, None])
        self._undecided += float((near_kink.sum(axis=1) * norms).sum()) * sqrt(2)
        return dscores

    def add_gradient(self, dW: NDArray[np.float64]) -> None:
        """Add the gradient of a block."""
        self._dW += dW
        self._largest_sum = max(self._largest_sum, float(np.linalg.norm(self._dW)))

    def expected(self, rows: int, reg: float) -> Expected:
        """Return the loss, gradient and tolerances for all `rows` rows."""
        loss = self._loss / rows + reg * float(np.sum(self._W * self._W))
        of_scores = self._rounding * (1 + self._largest_score)
        of_sums = self._unit * (8 + (rows + self._W.shape[1]) / 2)
        gradient_tolerance = of_scores * sqrt(self._squared_norms) + of_sums * self._largest_sum + self._undecided
        return Expected(
            loss,
            self._dW / rows + 2 * reg * self._W,
            loss_tolerance=of_scores * (1 + abs(loss)),
            gradient_tolerance=gradient_tolerance / rows + 8 * self._unit * 2 * reg * float(np.linalg.norm(self._W)),
        )


def _hinge(
    scores: NDArray[np.float64], labels: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return row losses (N,), gradient of the scores (N, C) and distances of the margins from their kink (N, C)."""
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
    """Return row losses (N,), gradient of the scores (N, C) and infinite distances (N, C), since there are no kinks."""
    rows = np.arange(len(scores))
    scores = scores - scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    totals = probabilities.sum(axis=1)
    losses = np.log(totals) - scores[rows, labels]
    dscores = probabilities / totals[:, None]
    dscores[rows, labels] -= 1
    return losses, dscores, np.full(scores.shape, np.inf)


def svm_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[np.float64]]:
    """Return the multiclass hinge loss and its gradient in float64."""
    result = expected("svm", W, X, y, reg)
    return result.loss, result.dW


def softmax_loss(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> tuple[float, NDArray[np.float64]]:
    """Return the softmax cross-entropy loss and its gradient in float64."""
    result = expected("softmax", W, X, y, reg)
    return result.loss, result.dW
