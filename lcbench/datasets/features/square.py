"""Square images of three colour planes, as CIFAR-10 stores them: red, green, blue, each row by row."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANES = 3


def side_of(pixels: int) -> int:
    """Rows and columns of a square image of three planes, `pixels` numbers in all. Raises ValueError where none is."""
    side = isqrt(pixels // PLANES)
    if side < 1 or PLANES * side * side != pixels:
        raise ValueError(f"{pixels} numbers are no square image of three planes")
    return side


def planes(images: NDArray[np.uint8]) -> NDArray[Any]:
    """images (N, 3 * side * side) as (N, 3, side, side), without a copy where they are contiguous."""
    side = side_of(images.shape[1])
    return images.reshape(-1, PLANES, side, side)
