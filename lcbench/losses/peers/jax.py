"""JAX on the CPU: one jitted function for the loss and its gradient.

W is held as (C, D): XLA's matrix products on the CPU take twice the time with (D, C).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

# Without this, JAX turns float64 arrays into float32. float32 arrays stay float32 either way.
jax.config.update("jax_enable_x64", True)


def _scores(W: jax.Array, X: jax.Array) -> jax.Array:
    # On a GPU, the default precision would round float32 inputs to TF32.
    return jnp.matmul(X.astype(W.dtype), W.T, precision=jax.lax.Precision.HIGHEST)


def _svm(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> jax.Array:
    scores = _scores(W, X)
    true_scores = jnp.take_along_axis(scores, y[:, None], axis=1)
    # jax.nn.relu has the gradient 0 at its kink, where jnp.maximum has 1/2.
    margins = jax.nn.relu(scores - true_scores + 1)
    wrong = jnp.arange(scores.shape[1]) != y[:, None]
    return jnp.sum(jnp.where(wrong, margins, 0)) / len(X) + reg * jnp.sum(W * W)


def _softmax(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> jax.Array:
    log_probabilities = jax.nn.log_softmax(_scores(W, X))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1)) + reg * jnp.sum(W * W)


_svm_with_gradient = jax.jit(jax.value_and_grad(_svm))
_softmax_with_gradient = jax.jit(jax.value_and_grad(_softmax))


def svm_loss(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> tuple[jax.Array, jax.Array]:
    """Multiclass hinge loss and its gradient dW (C, D), on the device that holds the arrays."""
    return jax.block_until_ready(_svm_with_gradient(W, X, y, reg))


def softmax_loss(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> tuple[jax.Array, jax.Array]:
    """Softmax cross-entropy loss and its gradient dW (C, D), on the device that holds the arrays."""
    return jax.block_until_ready(_softmax_with_gradient(W, X, y, reg))


def to_device(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], device: jax.Device
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """W (C, D), X (N, D) and y (N,) int32 on `device`."""
    arrays = np.ascontiguousarray(W.T), X, np.asarray(y, dtype=np.int32)
    return jax.block_until_ready(jax.device_put(arrays, device))


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """JAX arrays on the CPU: W transposed to (C, D), X in its own dtype, y as int32."""
    return to_device(W, X, y, jax.devices("cpu")[0])


def fetch(loss: jax.Array, dW: jax.Array) -> tuple[float, NDArray[Any]]:
    """The loss as a float and dW as a NumPy array (D, C)."""
    return float(loss), np.array(np.asarray(dW).T, order="C")
