"""Any margin from a hinge loss whose margin is 1.

The hinge with margin m is the sum over j != y of max(0, s_j - s_y + m). With V = W / m, the scores of W are m times
those of V, so that

    max(0, s_j(W) - s_y(W) + m) = m max(0, s_j(V) - s_y(V) + 1),
    reg sum(W W) = m (reg m) sum(V V),

so loss_m(W, reg) = m loss_1(W / m, reg m). By the chain rule its gradient at W is m (1 / m) times that of loss_1 at
V: the gradient of loss_1 itself. Neither is an approximation, and no kernel needs a margin.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from numpy.typing import NDArray

LossOfWeights = Callable[..., tuple[float, NDArray[Any]]]
"""``(W, ...) -> (loss, dW)``: W (D, C) first, whatever else it takes behind it."""


def with_margin(function: LossOfWeights, margin: float) -> LossOfWeights:
    """The loss with `margin`, from `function`, the same with margin 1: takes what that takes, and returns as much.

    dW has the shape (D, C) and the dtype of `function`'s. Where `function` adds a penalty reg sum(W W), it must be
    given reg * margin. Raises ValueError where the margin is not a finite number above 0.
    """
    if not (isfinite(margin) and margin > 0):
        raise ValueError(f"the margin is {margin}: it must be a finite number above 0")
    if margin == 1:
        return function

    def loss(W: NDArray[Any], *others: Any, **named: Any) -> tuple[float, NDArray[Any]]:
        value, dW = function(W / margin, *others, **named)
        return margin * value, dW

    return loss
