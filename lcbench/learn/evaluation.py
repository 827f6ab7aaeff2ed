"""Evaluation of a classifier: predictions, accuracy and confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
    """Return the class with the highest score for each row of X (N, D), which is not scaled yet: (N,) int64.

    Of equal scores, the first class is taken. Scores are float32 products, computed in blocks of rows. For pixels, the
    scaling is folded into W (D + 1, C), so that they are read as they are. For other rows, whose columns may be far
    from 0, the mean is subtracted first, in the dtype of X.

    progress: callback for the number of predicted rows, with `which` as the name of the rows.
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
    """Return the share of rows that are predicted correctly; NaN if there are no rows."""
    return float(np.mean(predicted == y)) if len(y) else float("nan")


def confusion(predicted: NDArray[np.int64], y: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix (classes, classes) int64: the number of rows of class i predicted as class j."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class Evaluation:
    """Result of evaluating a classifier on some rows."""

    source: str
    """Name of the data."""
    split: str
    class_names: tuple[str, ...]
    confusion: NDArray[np.int64]
    """Confusion matrix (C, C), as `confusion` returns it."""
    as_trained: bool = True
    """False if the data has changed since training, so that training rows may be among these rows."""
    model: Path | None = None
    """File of the model, None if the model was passed as an object."""
    written: str = ""
    """Time at which that file was written, UTC, ISO 8601; empty if it is unknown."""
    status: str = ""
    """Status of the model's training, one of `lcbench.learn.model.Status`."""
    steps: int = 0
    """Steps that the model was trained for."""
    iterations: int = 0
    """Steps that the recipe has."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of rows that are predicted correctly."""
        return float(np.trace(self.confusion)) / self.rows

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy, assuming independent rows."""
        return float(np.sqrt(self.accuracy * (1 - self.accuracy) / self.rows))

    @property
    def class_accuracy(self) -> NDArray[np.float64]:
        """Share of the rows of each class that are predicted correctly: (C,) float64, NaN for a class without rows."""
        rows = self.confusion.sum(axis=1)
        return np.divide(np.diag(self.confusion), rows, out=np.full(len(rows), np.nan), where=rows > 0)
