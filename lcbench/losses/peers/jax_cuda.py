"""JAX on a CUDA device. Importing this module raises Unavailable where JAX cannot reach one."""

from __future__ import annotations

from typing import Any

import jax
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable
from lcbench.losses.peers.jax import fetch, softmax_loss, svm_loss, to_device

__all__ = ["fetch", "prepare", "softmax_loss", "svm_loss"]

try:
    _DEVICE = jax.devices("cuda")[0]
except RuntimeError as error:
    raise Unavailable("JAX finds no CUDA device", "pip install 'jax[cuda13]'") from error


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """JAX arrays on the device: W transposed to (C, D), X in its own dtype, y as int32."""
    return to_device(W, X, y, _DEVICE)
