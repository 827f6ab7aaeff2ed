"""PyTorch on the CPU, the row steps through torch.compile, which fuses each into one pass over the scores.

The matrix products stay calls of a library: torch.compile hands them to MKL, `torch.scores` to oneDNN, which is three
times as fast where MKL is slow. Compiling the loss as a whole, with oneDNN as a custom operation, takes the same time.
One compilation serves every number of rows; compiled for each, the row steps are no faster.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import torch

from lcbench.losses.peers.torch import around, fetch, prepare

__all__ = ["fetch", "prepare", "softmax_loss", "softmax_rows", "svm_loss", "svm_rows"]


def _compiler_knows_the_vectors() -> bool:
    """Whether the C++ compiler is recent enough for every vector instruction of this processor, short of AMX."""
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None or amx():
        return False
    told = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=False)
    major = re.match(r"\d+", told.stdout)
    return major is not None and int(major.group()) >= 11


# Inductor tries the compiler on every instruction set, in every process: 5 s with an empty cache, 1 s with a full one.
# It is asked to only where it could find something.
if _compiler_knows_the_vectors():
    os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")


def _is_true(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.arange(scores.shape[1], device=scores.device) == y


def svm_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiclass hinge loss of the rows, and its gradient with respect to the scores."""
    true = _is_true(scores, y)
    margins = torch.where(true, 0, (scores - scores.gather(1, y) + 1).clamp(min=0))
    wrong = (margins > 0).to(scores.dtype)
    dscores = torch.where(true, -wrong.sum(1, keepdim=True), wrong)
    return margins.sum() / len(y), dscores / len(y)


def softmax_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax cross-entropy loss of the rows, and its gradient with respect to the scores."""
    true = _is_true(scores, y)
    log_probabilities = torch.log_softmax(scores, 1)
    loss = -torch.where(true, log_probabilities, 0).sum() / len(y)
    return loss, (log_probabilities.exp() - true.to(scores.dtype)) / len(y)


svm_loss = around(torch.compile(svm_rows, dynamic=True))
softmax_loss = around(torch.compile(softmax_rows, dynamic=True))
