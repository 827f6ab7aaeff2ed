"""PyTorch on the CPU, eager: the library's own losses, differentiated by autograd.

W is held as (C, D), the layout of ``torch.nn.Linear``: with (D, C), the matrix products take twice the time.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Objective = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""``(W, X, y, reg) -> loss``, on tensors as `prepare` returns them."""


def svm_objective(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> torch.Tensor:
    """Multiclass hinge loss alone. `multi_margin_loss` divides the sum over classes by C, so C undoes that."""
    return functional.multi_margin_loss(functional.linear(X.to(W.dtype), W), y) * len(W) + reg * (W * W).sum()


def softmax_objective(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> torch.Tensor:
    """Softmax cross-entropy loss alone."""
    return functional.cross_entropy(functional.linear(X.to(W.dtype), W), y) + reg * (W * W).sum()


def with_gradient(objective: Objective) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The function that returns the value of `objective` and its gradient by autograd, dW (C, D)."""

    @functools.wraps(objective)
    def loss(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> tuple[torch.Tensor, torch.Tensor]:
        value = objective(W, X, y, reg)
        (dW,) = torch.autograd.grad(value, W)
        return value.detach(), dW

    return loss


svm_loss = with_gradient(svm_objective)
softmax_loss = with_gradient(softmax_objective)


def to_tensors(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """W (C, D) ready for autograd, X (N, D) and y (N,) int64 on `device`; contiguous X on the CPU is not copied."""
    with warnings.catch_warnings():
        # Read-only arrays may be shared all the same: nothing here writes to an input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        weights = torch.from_numpy(np.ascontiguousarray(W.T)).to(device)
        images = torch.from_numpy(np.ascontiguousarray(X)).to(device)
        labels = torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64)).to(device)
    return weights.requires_grad_(), images, labels


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tensors on the CPU: W transposed to (C, D), X shared where it is contiguous, y as int64."""
    return to_tensors(W, X, y, "cpu")


def fetch(loss: torch.Tensor, dW: torch.Tensor) -> tuple[float, NDArray[Any]]:
    """The loss as a float and dW as a NumPy array (D, C)."""
    return float(loss), dW.T.contiguous().cpu().numpy()
