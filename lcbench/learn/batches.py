"""Which rows each step sees: known from the seed and the step alone, so that training can go on from any step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcbench.learn.recipe import Sampling


def batches(sampling: Sampling, rows: int, batch: int, start: int, stop: int, seed: int) -> NDArray[np.int64]:
    """Row numbers of steps start..stop, (stop - start, batch) int64 in [0, rows).

    replacement: each row drawn by itself; a stretch of steps has a stream of its own, so the same stretches give the
    same rows. shuffle: all rows in random order, then all in another; a batch may reach into the next epoch.
    """
    steps = stop - start
    if sampling == "replacement":
        return np.random.default_rng([seed, 1, start]).integers(0, rows, (steps, batch))
    first, last = start * batch, stop * batch
    epochs = range(first // rows, -(-last // rows))
    order = np.concatenate([np.random.default_rng([seed, 2, epoch]).permutation(rows) for epoch in epochs])
    return order[first - epochs.start * rows :][: last - first].reshape(steps, batch)
