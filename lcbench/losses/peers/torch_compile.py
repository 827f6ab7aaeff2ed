"""PyTorch on the CPU through torch.compile, which compiles the forward and the backward pass."""

from __future__ import annotations

import torch

from lcbench.losses.peers.torch import fetch, prepare, softmax_objective, svm_objective, with_gradient

__all__ = ["fetch", "prepare", "softmax_loss", "svm_loss"]

svm_loss = with_gradient(torch.compile(svm_objective))
softmax_loss = with_gradient(torch.compile(softmax_objective))
