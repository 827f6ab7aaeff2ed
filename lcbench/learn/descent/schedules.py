"""How the learning rate changes over training."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ScheduleName = Literal["constant", "step", "linear", "cosine"]


def learning_rates(
    schedule: ScheduleName, first: float, iterations: int, decay: float = 0.95, decay_every: int = 250
) -> NDArray[np.float64]:
    """The learning rate of each step: (iterations,) float64, `first` at the beginning.

    step: times `decay` after every `decay_every` steps. linear: down to nothing after the last step. cosine: the same
    along half a cosine (Loshchilov & Hutter, "SGDR", 2017, without restarts).
    """
    step = np.arange(iterations)
    if schedule == "step":
        return np.asarray(first * decay ** (step // decay_every), np.float64)
    done = step / iterations
    if schedule == "linear":
        return first * (1 - done)
    if schedule == "cosine":
        return first * (1 + np.cos(np.pi * done)) / 2
    return np.full(iterations, first, np.float64)
