"""Where the hinge has no slope: the margins that cross 0 as one weight moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kinks:
    """Kinks of the SVM's loss along one weight, nearest first, all arrays (K,).

    rows, classes: whose hinge max(0, s_j - s_y + margin) it is: row of X, and the wrong class j.
    distances: how far the weight moves until that hinge begins or ends, at least 0.
    jumps: by how much the slope of the loss changes there, more than 0.
    """

    rows: NDArray[np.intp]
    classes: NDArray[np.intp]
    distances: NDArray[np.float64]
    jumps: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Kinks:
        """Those of a smooth loss."""
        return cls(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0))

    def within(self, step: float) -> Kinks:
        """Those between W - step and W + step."""
        near = slice(0, int(np.searchsorted(self.distances, step, side="right")))
        return Kinks(self.rows[near], self.classes[near], self.distances[near], self.jumps[near])

    def explain(self, step: float) -> float:
        """How far they may take a centred difference with `step` from the slope at W.

        A jump J at a distance t adds J (step - t) / (2 step), to one side or the other; at W itself that is the
        distance from the middle of its two slopes to either.
        """
        near = self.within(step)
        return float((near.jumps * (1 - near.distances / step)).sum()) / 2


class Hinges:
    """All hinges of a problem: W (D, C), X (N, D), y (N,) in [0, C), in float64."""

    def __init__(self, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], margin: float) -> None:
        self._X, self._y = X, np.asarray(y, np.intp)
        every = np.arange(len(X))
        scores = X @ W
        self._margins = scores - scores[every, self._y, None] + margin

    def kinks(self, feature: int, klass: int) -> Kinks:
        """The kinks on the line along which W[feature, klass] alone moves, however far away.

        A move by t changes the score of `klass` by t X[i, feature], and no other. So it moves one margin of each row
        with another label, and of a row with this label all of them, the other way.
        """
        x = self._X[:, feature]
        slopes = np.zeros_like(self._margins)
        slopes[:, klass] = x
        slopes[self._y == klass] = -x[self._y == klass, None]
        slopes[np.arange(len(x)), self._y] = 0  # the true class has no hinge
        rows, classes = np.nonzero(slopes)
        rates = np.abs(slopes[rows, classes])
        distances = np.abs(self._margins[rows, classes]) / rates
        nearest_first = np.argsort(distances, kind="stable")
        return Kinks(
            rows[nearest_first], classes[nearest_first], distances[nearest_first], rates[nearest_first] / len(x)
        )
