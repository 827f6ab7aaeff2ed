"""PyTorch on a CUDA device through torch.compile. Raises Unavailable on import where `torch_cuda` does."""

from __future__ import annotations

from lcbench.losses.peers import torch_compile as compiled
from lcbench.losses.peers.torch_cuda import fetch, prepare, waited_for

__all__ = ["fetch", "prepare", "softmax_loss", "svm_loss"]

svm_loss = waited_for(compiled.svm_loss)
softmax_loss = waited_for(compiled.softmax_loss)
