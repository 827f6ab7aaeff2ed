"""How a row becomes a row of the design matrix: what is subtracted, what it is divided by, the ones column last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lcbench.datasets.preprocessing import mean_image, standardisation
from lcbench.datasets.rows import Rows
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress
from lcbench.settings import ScalingName

HALF_RANGE = 128.0
"""Half of what a pixel can be."""

_BLOCK_VALUES = 2**17
"""Scaled together: in float64 they stay in the cache."""


@dataclass(frozen=True)
class Scaling:
    """x -> ((x - mean) / deviation, 1). mean and deviation (D,) float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @property
    def only_shifts(self) -> bool:
        """Whether nothing is divided."""
        return bool((self.deviation == 1).all())

    def design_matrix(
        self, X: NDArray[Any], dtype: DTypeLike = np.float32, first_row: int = 0, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """X (N, D) of any type -> (N, D + 1) of `dtype`, the ones column last. Computed in float64, rounded once.

        out: memory for it, of that shape and type. Raises LcbenchError where a value is beyond the range of `dtype`;
        its row is counted from `first_row`.
        """
        rows, columns = X.shape
        design = np.empty((rows, columns + 1), dtype) if out is None else out
        block_rows = max(1, _BLOCK_VALUES // max(1, columns))
        scaled = np.empty((block_rows, columns))
        for start in range(0, rows, block_rows):
            block = slice(start, start + block_rows)
            part = scaled[: len(X[block])]
            with np.errstate(over="ignore", invalid="ignore"):
                part[:] = X[block]
                part -= self.mean
                if not self.only_shifts:
                    part /= self.deviation
                design[block, :columns] = part
            finite = X.dtype.kind != "f" or np.isfinite(design[block, :columns])
            if not np.all(finite):
                row, column = np.argwhere(~finite)[0] + (start, 0)
                raise LcbenchError(
                    f"X[{first_row + row}, {column}] is {X[row, column]:g}, which leaves the range of {design.dtype}: "
                    "divide such columns, or choose scaling standard or dtype float64"
                )
        design[:, columns] = 1
        return design

    def folded(self, W: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (D, C) and offset (C,), float64, that give raw rows the scores of W (D + 1, C)."""
        weights = W[:-1] / self.deviation[:, None]
        return weights, W[-1] - self.mean @ weights


def scaling(name: ScalingName, X: Rows, progress: ProgressCallback = no_progress) -> Scaling:
    """The scaling of that name, from the training rows X (N, D). progress: is told how far they have been read."""
    columns = X.shape[1]
    if name == "none":
        return Scaling(np.zeros(columns), np.ones(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = (
            standardisation(X, progress=progress) if name == "standard" else (mean_image(X, progress), np.ones(columns))
        )
    return Scaling(mean, deviation * HALF_RANGE if name == "halved" else deviation)
