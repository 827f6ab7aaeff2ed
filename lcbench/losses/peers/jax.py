"""JAX on the CPU or, from `on_cuda`, on a CUDA device: one jitted function for the loss and its gradient.

The fastest form was chosen by measurement, on two cores of an AMD Zen 5 with JAX 0.10, X (N, 3073), 10 classes.
Milliseconds of the best call, softmax / hinge:

=============================================  ===============  ===============  ===============
form                                           N 200            N 500            N 10,000
=============================================  ===============  ===============  ===============
float32  W (D, C), value_and_grad              0.30 / 0.29      0.63 / 0.58      20.1 / 19.9
float32  W (D, C), closed form                 0.30 / 0.29      0.63 / 0.65      19.8 / 20.1
**float32  W (C, D), value_and_grad**          0.18 / 0.18      0.33 / 0.33      9.6 / 9.3
float32  W (C, D), closed form                 0.18 / 0.18      0.33 / 0.33      9.5 / 9.5
float32  W (C, D), scores (C, N)               0.16 / 0.16      0.38 / 0.38      10.5 / 10.6
float64  W (D, C), value_and_grad              0.47 / 0.46      1.02 / 1.01      30.3 / 29.6
float64  W (C, D), value_and_grad              0.44 / 0.44      0.95 / 0.93      25.6 / 25.9
**float64  W (C, D), scores (C, N)**           0.35 / 0.34      0.76 / 0.75      21.5 / 20.8
float64  the same, closed form                 0.35 / 0.36      0.75 / 0.69      20.9 / 21.3
=============================================  ===============  ===============  ===============

So W is held as (C, D), and the scores are (N, C) in float32 and (C, N) in float64. The gradient is JAX's own: the
closed form compiles to the same code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable

# Without this, JAX turns float64 arrays into float32. float32 arrays stay float32 either way.
jax.config.update("jax_enable_x64", True)


def _scores(W: jax.Array, X: jax.Array) -> tuple[jax.Array, int]:
    """Return the scores, (N, C) in float32 and (C, N) in float64, and the axis of their classes."""
    # On a GPU, the default precision would round float32 inputs to TF32.
    product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    X = X.astype(W.dtype)
    return (product(X, W.T), 1) if W.dtype == jnp.float32 else (product(W, X.T), 0)


def _svm(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> jax.Array:
    scores, axis = _scores(W, X)
    labels = jnp.expand_dims(y, axis)
    # jax.nn.relu has the gradient 0 at its kink, where jnp.maximum has 1/2.
    margins = jax.nn.relu(scores - jnp.take_along_axis(scores, labels, axis) + 1)
    wrong = jnp.expand_dims(jnp.arange(len(W)), 1 - axis) != labels
    return jnp.sum(jnp.where(wrong, margins, 0)) / len(X) + reg * jnp.sum(W * W)


def _softmax(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> jax.Array:
    scores, axis = _scores(W, X)
    log_probabilities = jax.nn.log_softmax(scores, axis)
    return -jnp.mean(jnp.take_along_axis(log_probabilities, jnp.expand_dims(y, axis), axis)) + reg * jnp.sum(W * W)


_svm_with_gradient = jax.jit(jax.value_and_grad(_svm))
_softmax_with_gradient = jax.jit(jax.value_and_grad(_softmax))


def _synchronized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, made to return after the device has finished. `__wrapped__` is the one that does not wait."""

    @functools.wraps(function)
    def finished(*arguments: Any) -> Any:
        return jax.block_until_ready(function(*arguments))

    return finished


@_synchronized
def svm_loss(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> tuple[jax.Array, jax.Array]:
    """Return the multiclass hinge loss and its gradient dW (C, D), on the device that holds the arrays."""
    return _svm_with_gradient(W, X, y, reg)


@_synchronized
def softmax_loss(W: jax.Array, X: jax.Array, y: jax.Array, reg: float) -> tuple[jax.Array, jax.Array]:
    """Return the softmax cross-entropy loss and its gradient dW (C, D), on the device that holds the arrays."""
    return _softmax_with_gradient(W, X, y, reg)


def prepare(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], device: jax.Device | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return JAX arrays on `device`, by default the CPU: W transposed to (C, D), X in its own dtype, y as int32."""
    arrays = np.ascontiguousarray(W.T), X, np.asarray(y, dtype=np.int32)
    return jax.block_until_ready(jax.device_put(arrays, device or jax.devices("cpu")[0]))


def fetch(loss: jax.Array, dW: jax.Array) -> tuple[float, NDArray[Any]]:
    """Return the loss as a float and dW as a NumPy array (D, C)."""
    return float(loss), np.array(np.asarray(dW).T, order="C")


@jax.jit
def convert(X: jax.Array, mean: jax.Array) -> jax.Array:
    """Return uint8 pixels (N, D - 1) minus mean (1, D - 1) with a last column of ones (N, D), on their device."""
    return jnp.concatenate([X.astype(mean.dtype) - mean, jnp.ones((len(X), 1), mean.dtype)], 1)


def on_cuda() -> SimpleNamespace:
    """Return the losses on a CUDA device. Raise Unavailable if JAX has none."""
    try:
        device = jax.devices("cuda")[0]
    except RuntimeError as error:
        raise Unavailable("JAX finds no CUDA device", "pip install 'jax[cuda13]'") from error
    return SimpleNamespace(
        svm_loss=svm_loss,
        softmax_loss=softmax_loss,
        prepare=functools.partial(prepare, device=device),
        fetch=fetch,
        convert=convert,
    )
