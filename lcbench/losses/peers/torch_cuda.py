"""PyTorch on a CUDA device, eager. Importing this module raises Unavailable where PyTorch cannot reach one.

The form is that of `torch` on the CPU, the products by cuBLAS. float32 products are done in float32: TF32, which keeps
10 bits of the mantissa, is switched off, as PyTorch has it by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from lcbench.losses.implementation import Unavailable
from lcbench.losses.peers import torch as eager
from lcbench.losses.peers.torch import fetch, to_tensors

__all__ = ["fetch", "prepare", "softmax_loss", "svm_loss", "waited_for"]

if not torch.backends.cuda.is_built():
    raise Unavailable("this PyTorch build has no CUDA", "pip install --force-reinstall torch")
if not torch.cuda.is_available():
    raise Unavailable("PyTorch finds no CUDA device")

torch.backends.cuda.matmul.allow_tf32 = False

TensorLoss = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def waited_for(loss: TensorLoss) -> TensorLoss:
    """`loss`, returning when the device has finished."""

    @functools.wraps(loss)
    def finished(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> tuple[torch.Tensor, torch.Tensor]:
        result = loss(W, X, y, reg)
        torch.cuda.synchronize()
        return result

    return finished


svm_loss = waited_for(eager.svm_loss)
softmax_loss = waited_for(eager.softmax_loss)


def prepare(W: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tensors on the device: W transposed to (C, D), X in its own dtype, y as int64 (N, 1)."""
    tensors = to_tensors(W, X, y, "cuda")
    torch.cuda.synchronize()
    return tensors
