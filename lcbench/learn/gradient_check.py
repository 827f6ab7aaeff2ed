"""The analytic gradient held against the slope of the loss itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 1e-5
"""Of the centred differences: their error is about STEP**2, and 1e-16 / STEP from rounding."""


def slope(
    loss: Callable[[NDArray[Any]], float], W: NDArray[np.float64], where: tuple[int, int], step: float = STEP
) -> float:
    """Centred difference of `loss` along the one weight `where` of W (D, C), in float64.

    Exact to about 1e-9 of the loss's size, but at a kink, where a hinge has no slope.
    """
    ahead, behind = W.copy(), W.copy()
    ahead[where] += step
    behind[where] -= step
    return (loss(ahead) - loss(behind)) / (2 * step)
