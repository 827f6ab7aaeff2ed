"""How often a classifier is right: predictions, accuracy, confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.preprocessing import Scaling
from lcbench.datasets.rows import Rows, blocks
from lcbench.progress import ProgressCallback, no_progress

_BLOCK_ROWS = 1024


def predict(
    W: NDArray[Any], scaling: Scaling, X: Rows, which: str = "", progress: ProgressCallback = no_progress
) -> NDArray[np.int64]:
    """The class of the highest score for each row of X (N, D), unscaled: (N,) int64. The first where several are equal.

    The scaling of pixels is folded into W (D + 1, C), so that they are read as they lie. Of other rows, whose columns
    may be far from 0, the mean is subtracted first, in X's own precision. Scores are float32 products, a block of rows
    at a time. progress: is told how far they have been predicted; `which` rows
    they are.
    """
    weights, offset = scaling.folded(W)
    pixels = X.dtype == np.uint8
    weights, offset = weights.astype(np.float32), (offset if pixels else W[-1]).astype(np.float32)
    mean = scaling.mean.astype(X.dtype)
    predicted = np.empty(len(X), np.int64)
    for start, block in blocks(X, _BLOCK_ROWS, f"predicting the {which} rows", progress):
        rows = (block if pixels else block - mean).astype(np.float32, copy=False)
        np.argmax(rows @ weights + offset, axis=1, out=predicted[start : start + len(block)])
    return predicted


def accuracy(predicted: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Share of rows whose class was predicted; NaN of no rows."""
    return float(np.mean(predicted == y)) if len(y) else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """How a classifier did on some rows.

    confusion (C, C) int64: how often class i (row) was taken for class j (column). as_trained: False where the data is
    no longer what the model was trained on, so that rows it was trained on may be among these.
    """

    source: str
    split: str
    class_names: tuple[str, ...]
    confusion: NDArray[np.int64]
    as_trained: bool = True

    @property
    def rows(self) -> int:
        """How many there were."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of rows whose class was predicted."""
        return float(np.trace(self.confusion)) / self.rows

    @property
    def standard_error(self) -> float:
        """Of the accuracy, as that of as many independent rows."""
        return float(np.sqrt(self.accuracy * (1 - self.accuracy) / self.rows))

    @property
    def class_accuracy(self) -> NDArray[np.float64]:
        """(C,) share of each class's rows that were predicted; NaN for a class without rows."""
        rows = self.confusion.sum(axis=1)
        return np.divide(np.diag(self.confusion), rows, out=np.full(len(rows), np.nan), where=rows > 0)


def confusion(predicted: NDArray[np.int64], y: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How often class i (row) was taken for class j (column): (classes, classes) int64."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)
