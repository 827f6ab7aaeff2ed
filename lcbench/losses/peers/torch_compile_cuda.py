"""PyTorch on a CUDA device through torch.compile, each loss as a whole. Unavailable where `torch_cuda` is."""

from __future__ import annotations

import torch

from lcbench.losses.peers.torch import around
from lcbench.losses.peers.torch_compile import softmax_rows, svm_rows
from lcbench.losses.peers.torch_cuda import fetch, prepare, waited_for

__all__ = ["fetch", "prepare", "softmax_loss", "svm_loss"]

svm_loss = waited_for(torch.compile(around(svm_rows), dynamic=False))
softmax_loss = waited_for(torch.compile(around(softmax_rows), dynamic=False))
