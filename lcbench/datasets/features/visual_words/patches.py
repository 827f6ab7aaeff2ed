"""Square patches of an image, each brought to the same brightness and contrast.

A patch is read in the order of the image: red, green and blue plane, each row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features.square import PLANES, planes
from lcbench.losses import jit
from lcbench.progress import ProgressCallback, no_progress

SIZE = 6
"""Pixels along each side of a patch, the best of those that Coates, Lee & Ng (2011, section 4.2.4) tried."""

VALUES = PLANES * SIZE * SIZE
"""Numbers in a patch."""

CONTRAST_FLOOR = 10.0
"""Is added to a patch's variance (pixels from 0 to 255), so that the noise of an even one is not blown up."""


def sample(
    images: NDArray[np.uint8], count: int, seed: int, progress: ProgressCallback = no_progress
) -> NDArray[np.float32]:
    """`count` patches from random places of random images, normalised: (count, VALUES) float32, in random order."""
    coloured = planes(images)
    side = coloured.shape[2]
    stream = np.random.default_rng(seed)
    rows = np.sort(stream.integers(0, len(images), count))  # in order, so that neighbours lie in the same memory
    tops, lefts = stream.integers(0, side - SIZE + 1, (2, count))
    steps = np.arange(SIZE)
    found = np.empty((count, VALUES), np.float32)
    for start in range(0, count, 10_000):
        part = slice(start, start + 10_000)
        down = (tops[part, None] + steps)[:, None, :, None]
        right = (lefts[part, None] + steps)[:, None, None, :]
        raw = coloured[rows[part, None, None, None], np.arange(PLANES)[:, None, None], down, right]
        found[part] = normalised(raw.reshape(-1, VALUES))
        progress("patches", min(start + 10_000, count), count)
    stream.shuffle(found)
    return found


def normalised(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Patches (n, VALUES), each less its mean and divided by its deviation: sqrt(variance (n - 1) + CONTRAST_FLOOR).

    Coates, Lee & Ng (2011, section 3.2.1).
    """
    values = raw.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(values.var(axis=1, ddof=1, keepdims=True) + CONTRAST_FLOOR)
    return values.astype(np.float32)


@jit.compiled
def all_normalised(
    image: NDArray[np.uint8], side: int, centre: NDArray[np.float32], found: NDArray[np.float32]
) -> None:
    """Every patch of an image (pixels,), at stride 1, normalised, less `centre` (VALUES,): the columns of `found`.

    found (VALUES, at least places * places), places = side - SIZE + 1: the patches row by row of the image. What
    `normalised` does, written so that a loop goes along neighbouring patches.
    """
    places = side - SIZE + 1
    total, squares = np.empty(places, np.int64), np.empty(places, np.int64)
    mean, scale = np.empty(places, np.float32), np.empty(places, np.float32)
    for top in range(places):
        total[:] = 0
        squares[:] = 0
        for plane in range(PLANES):
            for down in range(SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(SIZE):
                    shifted = line[right : right + places]
                    for p in range(places):
                        pixel = np.int64(shifted[p])
                        total[p] += pixel
                        squares[p] += pixel * pixel
        for p in range(places):
            variance = (squares[p] - total[p] * total[p] / VALUES) / (VALUES - 1)
            mean[p] = total[p] / VALUES
            scale[p] = 1 / np.sqrt(variance + CONTRAST_FLOOR)
        value = 0
        for plane in range(PLANES):
            for down in range(SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(SIZE):
                    shifted = line[right : right + places]
                    target = found[value, top * places : (top + 1) * places]
                    for p in range(places):
                        target[p] = (np.float32(shifted[p]) - mean[p]) * scale[p] - centre[value]
                    value += 1
