"""How the learning rate changes over training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcbench.learn.recipe import Recipe, ScheduleName
from lcbench.settings import defaults

_STEP = defaults(Recipe)


def learning_rates(
    schedule: ScheduleName,
    first: float,
    iterations: int,
    decay: float = _STEP["decay"],
    decay_every: int = _STEP["decay_every"],
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
