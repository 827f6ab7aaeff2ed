"""The small problems that a user's function is called with, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """W (D, C), X (N, D), y (N,) in [0, C) and the strength of the regularisation, as the losses take them."""

    W: FloatArray
    X: FloatArray
    y: NDArray[np.int64]
    reg: float

    @classmethod
    def small(cls) -> Problem:
        """Rows, features and classes all differ, so that no wrong layout fits by chance. Ten classes, since files that
        have their number written into them have CIFAR-10's, and each among the labels, since others count those.
        `reg` makes the regularisation a large part of both losses."""
        return cls._random(231, rows=17, reg=0.3)

    @classmethod
    def other(cls) -> Problem:
        """A second one: what fits both fits neither by chance. W is as large, for an answer that is an earlier one."""
        return cls._random(232, rows=23, reg=0.7)

    @classmethod
    def _random(cls, seed: int, rows: int, reg: float) -> Problem:
        rng = np.random.default_rng(seed)
        features, classes = 13, 10
        return cls(
            rng.normal(scale=0.5, size=(features, classes)),
            rng.normal(size=(rows, features)),
            rng.permutation(np.arange(rows) % classes),
            reg,
        )


@dataclass(frozen=True)
class Answer:
    """What a call returned: the loss and dW (D, C), in float64.

    changed: the inputs that it wrote to, by name.
    dtype: of dW as it was returned.
    """

    loss: float
    gradient: FloatArray
    changed: str = ""
    dtype: str = "float64"
