"""Which rows each step sees: known from the seed and the step alone, so that training can go on from any step."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lcbench.learn.recipe import Sampling

STEPS_A_STREAM = 50
"""Steps whose rows come from one generator, with a seed of its own."""


def batches(sampling: Sampling, rows: int, batch: int, start: int, stop: int, seed: int) -> NDArray[np.int64]:
    """Row numbers of steps start..stop, (stop - start, batch) int64 in [0, rows).

    replacement: each row drawn by itself. shuffle: all rows in random order, then all in another; a batch may reach
    into the next epoch.
    """
    if sampling == "replacement":
        streams = range(start // STEPS_A_STREAM, -(-stop // STEPS_A_STREAM))
        drawn = [np.random.default_rng([seed, 1, k]).integers(0, rows, (STEPS_A_STREAM, batch)) for k in streams]
        return np.concatenate(drawn)[start - streams.start * STEPS_A_STREAM :][: stop - start]
    first, last = start * batch, stop * batch
    epochs = range(first // rows, -(-last // rows))
    parts = [_order(rows, epoch, seed)[max(0, first - epoch * rows) : max(0, last - epoch * rows)] for epoch in epochs]
    return np.concatenate(parts).reshape(stop - start, batch)


@lru_cache(2)
def _order(rows: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """All rows as an epoch sees them: of millions, too long a list to shuffle again for every few steps."""
    return np.random.default_rng([seed, 2, epoch]).permutation(rows)
