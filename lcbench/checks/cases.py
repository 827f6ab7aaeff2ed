"""Cases of ``lcbench check``: inputs from one row to a thousand classes, and ordinary to very large scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ORDINARY_SCORE = 2.0
"""Standard deviation of the scores in a case with spread 1, whatever its number of features.

Probabilities are then far above the smallest numbers with which code guards a logarithm."""

Demand = Literal["ordinary", "hard", "scores", "optional"]
"""What a failure means. ordinary: the function is wrong.

hard: so it is, but an exception of a user's function is a note: no assignment asks for such inputs.
scores: the function is unstable, if it is right otherwise: exp of such scores overflows, or is 0.
optional: a failure of a user's function is a note."""


@dataclass(frozen=True)
class Case:
    """Sizes and properties of the inputs of one check.

    layout: memory layout of X: "C", "F", "strided" (every other row and column of a larger array, the rows backwards)
        or "uint8", which is C order with that dtype.
    labels: dtype of y; or "equal": all labels are the last class, "each": every class occurs, "absent": the last two
        classes do not occur.
    shift: added to every score, or to those of one row if `one_row`. spread: scale of the differences between scores.
    remedy: what helps if a softmax fails.
    """

    name: str
    rows: int
    features: int
    classes: int
    layout: str = "C"
    labels: str = "int64"
    shift: float = 0.0
    one_row: bool = False
    spread: float = 1.0
    demand: Demand = "ordinary"
    remedy: str = ""

    @property
    def products(self) -> int:
        """Number of multiplications of X @ W."""
        return self.rows * self.features * self.classes

    def inputs(self, dtype: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]:
        """Return new arrays W, X and y, and reg; W and X, except uint8 pixels, have `dtype`."""
        rng = np.random.default_rng([self.rows, self.features, self.classes])
        shape = (self.rows, self.features)
        X: NDArray[Any] = rng.normal(0, 1, shape).astype(dtype)
        scale = 1.0
        if self.layout == "F":
            X = np.asfortranarray(X)
        elif self.layout == "strided":
            X = rng.normal(0, 1, (2 * self.rows, 2 * self.features)).astype(dtype)[::-2, ::2]
        elif self.layout == "uint8":
            X, scale = rng.integers(0, 256, shape).astype(np.uint8), 0.01
        scale *= self.spread * ORDINARY_SCORE / sqrt(self.features)
        W = scale * rng.normal(0, 1, (self.features, self.classes))
        if self.shift:
            X[:, -1] = 0 if self.one_row else 1
            X[self.rows // 2, -1] = 1
            W[-1] += self.shift
        labels = "int64" if self.labels in ("equal", "each", "absent") else self.labels
        y = rng.integers(0, min(self.classes, np.iinfo(labels).max + 1), self.rows).astype(labels)
        if self.labels == "equal":
            y[:] = self.classes - 1
        elif self.labels == "each":
            y[:] = rng.permutation(np.arange(self.rows) % self.classes)
        elif self.labels == "absent":
            y[:] = rng.permutation(np.arange(self.rows) % (self.classes - 2))
        return W.astype(dtype), X, y, 0.3 / max(1.0, float(np.square(W).sum()))


_EACH_ROW = "subtract the maximum of each row before exp"
_EACH_LOG = "compute log(sum(exp(s))) - s[y] from the shifted scores s, without the logarithm of a probability"

CASES = (
    Case("one row", 1, 20, 5),
    Case("one feature", 30, 1, 4),
    Case("two classes", 40, 30, 2),
    Case("one of everything", 1, 1, 2),
    Case("whole tiles", 64, 64, 10),
    Case("remainders of every tile", 67, 131, 13),
    Case("primes", 101, 37, 7),
    Case("many rows", 1033, 19, 10),
    Case("many features", 6, 3073, 10),
    Case("1000 classes", 21, 33, 1000, demand="hard"),
    Case("all labels equal", 50, 21, 10, labels="equal"),
    Case("X in Fortran order", 45, 70, 10, layout="F", demand="hard"),
    Case("X with gaps, backwards", 45, 70, 10, layout="strided", demand="hard"),
    Case("X of uint8 pixels", 45, 70, 10, layout="uint8", demand="optional"),
    Case("int8 labels", 33, 21, 10, labels="int8", demand="hard"),
    Case("uint8 labels", 33, 21, 10, labels="uint8", demand="hard"),
    Case("scores near 1e3", 29, 41, 10, shift=1e3, demand="scores", remedy=_EACH_ROW),
    Case("scores near -1e3", 29, 41, 10, shift=-1e3, demand="scores", remedy=f"{_EACH_ROW}, even if it is negative"),
    Case(
        "one row near -1e3",
        29,
        41,
        10,
        shift=-1e3,
        one_row=True,
        demand="scores",
        remedy=f"{_EACH_ROW}, not the maximum of all rows",
    ),
    Case("one row near 1e3", 29, 41, 10, shift=1e3, one_row=True, demand="scores", remedy=_EACH_ROW),
    Case("scores near 1e4", 29, 41, 10, shift=1e4, demand="scores", remedy=_EACH_ROW),
    Case("scores near -1e4", 29, 41, 10, shift=-1e4, demand="scores", remedy=_EACH_ROW),
    Case("scores 1e3 apart", 29, 41, 10, spread=5e2, demand="optional", remedy=_EACH_LOG),
    Case("scores 1e4 apart", 29, 41, 10, spread=5e3, demand="optional", remedy=_EACH_LOG),
)
