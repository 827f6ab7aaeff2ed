"""PyTorch on the CPU, eager: closed-form gradients, the matrix products through oneDNN where it has the dtype.

What an expert would choose was measured, on two cores of an AMD Zen 5 with PyTorch 2.13 (MKL and oneDNN), X (N, 3073),
10 classes, milliseconds of the best call, softmax / hinge:

======================================================  ===============  ===============  ===============
form                                                    N 200            N 500            N 10,000
======================================================  ===============  ===============  ===============
float32  ``X @ W``, W (D, C), autograd                  0.75 / 0.76      1.82 / 1.75      62.7 / 62.1
float32  ``functional.linear``, W (C, D), autograd      0.44 / 0.43      0.99 / 0.94      26.1 / 25.3
float32  the same, closed form                          0.40 / 0.40      0.93 / 0.92      25.2 / 25.1
float32  oneDNN, W (C, D), autograd                     0.30 / -         0.45 / -         10.3 / -
**float32  oneDNN, W (C, D), closed form**              0.17 / 0.18      0.32 / 0.31      8.7 / 8.5
float64  ``X @ W``, W (D, C), autograd                  0.84 / 0.82      2.13 / 2.12      91.6 / 91.4
float64  ``functional.linear``, W (C, D), autograd      0.72 / 0.70      1.85 / 1.88      59.9 / 58.9
**float64  ``(W @ X.T).T``, W (C, D), closed form**     0.55 / -         1.33 / -         55.9 / -
======================================================  ===============  ===============  ===============

So W is held as (C, D). PyTorch gives float32 products on x86 to MKL, which is slow on processors that are not Intel's;
oneDNN, part of the same package, is three times as fast there, and has no float64. The row steps are written in place:
autograd, and the library's own losses, go over the scores more often.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RowStep = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""``(scores (N, C), y (N, 1)) -> (mean loss of the rows, its gradient with respect to the scores)``."""


def _one_dnn() -> Any:
    """oneDNN's ``A @ B.T``, or None where this PyTorch has none that works."""
    try:
        # Private, but what torch.compile itself turns a linear layer into; the public way, tensors of layout
        # torch.mkldnn, takes autograd with it and is a fifth slower.
        linear = torch.ops.mkldnn._linear_pointwise
        linear(torch.ones(1, 1), torch.ones(1, 1), None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return linear


ONE_DNN = _one_dnn()


def _by_one_dnn(tensor: torch.Tensor) -> bool:
    return ONE_DNN is not None and tensor.device.type == "cpu" and tensor.dtype == torch.float32


def scores(W: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """X W^T, (N, C), of W (C, D) and X (N, D)."""
    if _by_one_dnn(W):
        return ONE_DNN(X, W, None, "none", [], "")
    return (W @ X.T).T


def gradient(dscores: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """dscores^T X, (C, D), of dscores (N, C) and X (N, D)."""
    if _by_one_dnn(dscores):
        return ONE_DNN(dscores.T, X.T, None, "none", [], "")
    return dscores.T @ X


def svm_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiclass hinge loss of the rows."""
    margins = (scores - scores.gather(1, y)).add_(1).clamp_(min=0).scatter_(1, y, 0)
    dscores = (margins > 0).to(scores.dtype)
    dscores.scatter_(1, y, -dscores.sum(1, keepdim=True))
    return margins.sum() / len(y), dscores.div_(len(y))


def softmax_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax cross-entropy loss of the rows."""
    log_probabilities = torch.log_softmax(scores, 1)
    loss = -log_probabilities.gather(1, y).sum() / len(y)
    dscores = log_probabilities.exp_()
    dscores.scatter_add_(1, y, torch.full_like(dscores[:, :1], -1))
    return loss, dscores.div_(len(y))


def around(rows: RowStep) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The whole loss, on tensors as `prepare` returns them, around the row step `rows`: value and dW (C, D)."""

    @functools.wraps(rows)
    def loss(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            images = X.to(W.dtype)
            value, dscores = rows(scores(W, images), y)
            dW = gradient(dscores, images).add_(W, alpha=2 * reg)
            return value + reg * (W * W).sum(), dW

    return loss


svm_loss = around(svm_rows)
softmax_loss = around(softmax_rows)


def to_tensors(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """W (C, D), X (N, D) and y (N, 1) int64 on `device`; contiguous X on the CPU is not copied."""
    with warnings.catch_warnings():
        # Read-only arrays may be shared all the same: nothing here writes to an input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        weights = torch.from_numpy(np.ascontiguousarray(W.T)).to(device)
        images = torch.from_numpy(np.ascontiguousarray(X)).to(device)
        labels = torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64)[:, None]).to(device)
    return weights, images, labels


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tensors on the CPU: W transposed to (C, D), X shared where it is contiguous, y as int64 (N, 1)."""
    return to_tensors(W, X, y, "cpu")


def fetch(loss: torch.Tensor, dW: torch.Tensor) -> tuple[float, NDArray[Any]]:
    """The loss as a float and dW as a NumPy array (D, C)."""
    return float(loss), dW.T.contiguous().cpu().numpy()
