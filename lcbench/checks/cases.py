"""The problems of ``lcbench check``: the table of cases, from one row to a thousand classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """One problem.

    layout: how X lies in memory: "C", "F", "strided" (every other row and column of a larger array, backwards) or
        "uint8".
    labels: dtype of y; "equal" makes them all the last class, "each" has every class among them, "absent" has no label
        of the last two.
    shift: added to every score; spread: size of the scores' differences.
    demanding: beyond what the assignment asks of its readers, so that their code is told and not refused.
    """

    name: str
    rows: int
    features: int
    classes: int
    layout: str = "C"
    labels: str = "int64"
    shift: float = 0.0
    spread: float = 1.0
    demanding: bool = False

    @property
    def products(self) -> int:
        return self.rows * self.features * self.classes


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
    Case("1000 classes", 21, 33, 1000),
    Case("scores of 1e4", 29, 41, 10, shift=1e4),
    Case("scores 1e4 apart", 29, 41, 10, spread=1e4, demanding=True),
    Case("all labels equal", 50, 21, 10, labels="equal"),
    Case("X in Fortran order", 45, 70, 10, layout="F"),
    Case("X with gaps, backwards", 45, 70, 10, layout="strided"),
    Case("X of uint8 pixels", 45, 70, 10, layout="uint8", demanding=True),
    Case("int8 labels", 33, 21, 10, labels="int8"),
    Case("uint8 labels", 33, 21, 10, labels="uint8"),
)


def problem(case: Case, dtype: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]:
    """(W, X, y, reg) of a case in `dtype`, made anew, since what is checked may write to it."""
    rng = np.random.default_rng([case.rows, case.features, case.classes])
    shape = (case.rows, case.features)
    X: NDArray[Any] = rng.normal(0, 1, shape).astype(dtype)
    scale = 1.0
    if case.layout == "F":
        X = np.asfortranarray(X)
    elif case.layout == "strided":
        X = rng.normal(0, 1, (2 * case.rows, 2 * case.features)).astype(dtype)[::-2, ::2]
    elif case.layout == "uint8":
        X, scale = rng.integers(0, 256, shape).astype(np.uint8), 0.01
    W = case.spread * scale * rng.normal(0, 1, (case.features, case.classes))
    if case.shift:
        X[:, -1] = 1
        W[-1] += case.shift
    labels = "int64" if case.labels in ("equal", "each", "absent") else case.labels
    y = rng.integers(0, min(case.classes, np.iinfo(labels).max + 1), case.rows).astype(labels)
    if case.labels == "equal":
        y[:] = case.classes - 1
    elif case.labels == "each":
        y[:] = rng.permutation(np.arange(case.rows) % case.classes)
    elif case.labels == "absent":
        y[:] = rng.permutation(np.arange(case.rows) % (case.classes - 2))
    return W.astype(dtype), X, y, 0.3 / max(1.0, float(np.square(W).sum()))
