"""CuPy on a CUDA device: vectorised as in NumPy. Importing it raises Unavailable if CuPy finds no device.

The products are computed by cuBLAS in float32, not in TF32, which keeps 10 bits of the mantissa: importing this module
sets CUPY_TF32=0, which CuPy reads before its first product. uint8 pixels are converted to W's dtype in every call,
which writes a copy of X.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import cupy as cp
import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable

if not cp.cuda.is_available():
    raise Unavailable("CuPy finds no CUDA device")

os.environ["CUPY_TF32"] = "0"


def _synchronized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, made to return after the device has finished. `__wrapped__` is the one that does not wait."""

    @functools.wraps(function)
    def finished(*arguments: Any) -> Any:
        result = function(*arguments)
        cp.cuda.get_current_stream().synchronize()
        return result

    return finished


@_synchronized
def svm_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
    """Return the multiclass hinge loss (0-d) and its gradient dW (D, C), on the device."""
    X = X.astype(W.dtype, copy=False)
    rows = cp.arange(len(X))
    scores = X @ W
    margins = cp.maximum(scores - scores[rows, y][:, None] + 1, 0)
    margins[rows, y] = 0
    loss = margins.sum(dtype=np.float64) / len(X) + reg * cp.sum(W * W)

    dscores = (margins > 0).astype(W.dtype)
    dscores[rows, y] = -dscores.sum(axis=1)
    dscores /= len(X)
    return loss, X.T @ dscores + 2 * reg * W


@_synchronized
def softmax_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
    """Return the softmax cross-entropy loss (0-d) and its gradient dW (D, C), on the device."""
    X = X.astype(W.dtype, copy=False)
    rows = cp.arange(len(X))
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    probabilities = cp.exp(scores)
    totals = probabilities.sum(axis=1, keepdims=True)
    losses = cp.log(totals[:, 0]) - scores[rows, y]
    loss = losses.sum(dtype=np.float64) / len(X) + reg * cp.sum(W * W)

    dscores = probabilities / totals
    dscores[rows, y] -= 1
    dscores /= len(X)
    return loss, X.T @ dscores + 2 * reg * W


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any, Any]:
    """Return CuPy arrays on the device: W (D, C), X in its own dtype, y as int64."""
    arrays = cp.asarray(W), cp.asarray(X), cp.asarray(y, dtype=np.int64)
    cp.cuda.get_current_stream().synchronize()
    return arrays


def convert(X: Any, mean: Any) -> Any:
    """Return uint8 pixels (N, D - 1) minus mean (1, D - 1) with a last column of ones (N, D), on the device."""
    images = cp.empty((len(X), X.shape[1] + 1), mean.dtype)
    cp.subtract(X, mean, out=images[:, :-1])
    images[:, -1] = 1
    return images


def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """Return the loss as a float and dW as a NumPy array (D, C)."""
    return float(loss), cp.asnumpy(dW)
