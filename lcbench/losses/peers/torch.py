"""PyTorch, eager or compiled, on the CPU or a CUDA device: closed-form gradients, W held as (C, D).

The module itself is the eager form on the CPU. `compiled`, `on_cuda` and `compiled_on_cuda` return the other forms.

The fastest form was chosen by measurement, on two cores of an AMD Zen 5 with PyTorch 2.13 (MKL and oneDNN),
X (N, 3073), 10 classes. Milliseconds of the best call, softmax / hinge:

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

PyTorch passes float32 products on x86 to MKL, which is slow on processors that are not made by Intel. oneDNN is part of
the same package and three times as fast there. It has no float64. The row steps work in place: autograd, and the losses
of the library, read and write the scores more often.

The compiled form on the CPU passes only the row steps to torch.compile, which fuses each into one pass over the scores,
since torch.compile would pass the matrix products to MKL. Compiling the whole loss, with oneDNN as a custom operation,
takes the same time. One compilation serves every number of rows: row steps compiled for one number are no faster.

On CUDA the products are computed by cuBLAS in float32: TF32, which keeps 10 bits of the mantissa, is off. Which form is
fastest there is not yet measured: `PRODUCTS` lists the candidates. uint8 pixels are converted to W's dtype in every
call. The eager forms write a copy of X then: four times the bytes of X in float32.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lcbench.losses.implementation import Unavailable

RowStep = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""``(scores (N, C), y (N, 1)) -> (mean loss of the rows, its gradient with respect to the scores)``."""

TensorLoss = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""``(W, X, y, reg) -> (loss, dW)``, on tensors as `prepare` returns them."""


def _one_dnn() -> Any:
    """Return oneDNN's ``A @ B.T``, or None if this PyTorch has none that works."""
    try:
        # A private operation, to which torch.compile converts linear layers. The public way, tensors of layout
        # torch.mkldnn, needs autograd and is slower by a fifth.
        linear = torch.ops.mkldnn._linear_pointwise
        linear(torch.ones(1, 1), torch.ones(1, 1), None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return linear


ONE_DNN = _one_dnn()


def _by_one_dnn(tensor: torch.Tensor) -> bool:
    return ONE_DNN is not None and tensor.device.type == "cpu" and tensor.dtype == torch.float32


def scores(W: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """Return X W^T, (N, C), for W (C, D) and X (N, D)."""
    if _by_one_dnn(W):
        return ONE_DNN(X, W, None, "none", [], "")
    return (W @ X.T).T


def gradient(dscores: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """Return dscores^T X, (C, D), for dscores (N, C) and X (N, D)."""
    if _by_one_dnn(dscores):
        return ONE_DNN(dscores.T, X.T, None, "none", [], "")
    return dscores.T @ X


@dataclass(frozen=True)
class Products:
    """Products of a form of the losses. columns: W and dW are (D, C), as in NumPy, and not (C, D)."""

    scores: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = scores
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = gradient
    columns: bool = False


PRODUCTS: dict[str, Products] = {
    "": Products(),
    "linear": Products(lambda W, X: functional.linear(X, W)),
    "columns": Products(lambda W, X: X @ W, lambda dscores, X: X.T @ dscores, columns=True),
}
"""Forms of the products that ``tests/benchmarks/bench_cuda.py`` compares on a GPU. Elsewhere, "" is measured."""


def with_row_step(row_step: RowStep, products: Products = PRODUCTS[""]) -> TensorLoss:
    """Return the loss function with this row step and these products."""

    @functools.wraps(row_step)
    def loss(W: torch.Tensor, X: torch.Tensor, y: torch.Tensor, reg: float) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            images = X.to(W.dtype)
            value, dscores = row_step(products.scores(W, images), y)
            dW = products.gradient(dscores, images).add_(W, alpha=2 * reg)
            return value + reg * (W * W).sum(), dW

    return loss


# Eager form on the CPU


def svm_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the multiclass hinge loss of the rows and its gradient with respect to the scores."""
    margins = (scores - scores.gather(1, y)).add_(1).clamp_(min=0).scatter_(1, y, 0)
    dscores = (margins > 0).to(scores.dtype)
    dscores.scatter_(1, y, -dscores.sum(1, keepdim=True))
    return margins.sum() / len(y), dscores.div_(len(y))


def softmax_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the softmax cross-entropy loss of the rows and its gradient with respect to the scores."""
    log_probabilities = torch.log_softmax(scores, 1)
    loss = -log_probabilities.gather(1, y).sum() / len(y)
    dscores = log_probabilities.exp_()
    dscores.scatter_add_(1, y, torch.full_like(dscores[:, :1], -1))
    return loss, dscores.div_(len(y))


svm_loss = with_row_step(svm_rows)
softmax_loss = with_row_step(softmax_rows)


def prepare(
    W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], device: str = "cpu", columns: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tensors on `device`: W transposed to (C, D) unless `columns`, X in its own dtype, y as int64 (N, 1).

    On the CPU, a contiguous X is shared and not copied.
    """
    with warnings.catch_warnings():
        # Read-only arrays can be shared: nothing here writes to an input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        weights = torch.from_numpy(np.ascontiguousarray(W if columns else W.T)).to(device)
        images = torch.from_numpy(np.ascontiguousarray(X)).to(device)
        labels = torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64)[:, None]).to(device)
    return weights, images, labels


def fetch(loss: torch.Tensor, dW: torch.Tensor, columns: bool = False) -> tuple[float, NDArray[Any]]:
    """Return the loss as a float and dW as a NumPy array (D, C). columns: dW is (D, C), and not (C, D)."""
    return float(loss), (dW if columns else dW.T).contiguous().cpu().numpy()


def convert(X: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Return uint8 pixels (N, D - 1) minus mean (1, D - 1) with a last column of ones, in a new tensor (N, D)."""
    # Two passes are faster than torch.sub on pixels and floats: 87 ms instead of 140 at 10,000 rows of CIFAR-10.
    images = mean.new_empty((len(X), X.shape[1] + 1))
    images[:, :-1] = X
    images[:, :-1] -= mean
    images[:, -1] = 1
    return images


# Compiled form on the CPU


def compiled() -> SimpleNamespace:
    """Return the losses on the CPU with their row steps compiled."""
    _skip_compiler_test()
    return SimpleNamespace(
        svm_loss=with_row_step(torch.compile(compilable_svm_rows, dynamic=True)),
        softmax_loss=with_row_step(torch.compile(compilable_softmax_rows, dynamic=True)),
        prepare=prepare,
        fetch=fetch,
        convert=convert,
    )


def _skip_compiler_test() -> None:
    """Make Inductor skip its test of the compiler with each instruction set, if the result is known.

    Each process would run it: 5 s with an empty cache, 1 s with a full one.
    """
    if _compiler_supports_this_cpu():
        os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")


def _compiler_supports_this_cpu() -> bool:
    """Return True if the C++ compiler knows every vector instruction of this processor, and it has no AMX."""
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None or amx():
        return False
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, encoding="utf-8", check=False).stdout
    major = re.match(r"\d+", version)
    return major is not None and int(major.group()) >= 11


def _is_true_class(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.arange(scores.shape[1], device=scores.device) == y


def compilable_svm_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `svm_rows` returns, without operations in place."""
    true = _is_true_class(scores, y)
    margins = torch.where(true, 0, (scores - scores.gather(1, y) + 1).clamp(min=0))
    wrong = (margins > 0).to(scores.dtype)
    dscores = torch.where(true, -wrong.sum(1, keepdim=True), wrong)
    return margins.sum() / len(y), dscores / len(y)


def compilable_softmax_rows(scores: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `softmax_rows` returns, without operations in place."""
    true = _is_true_class(scores, y)
    log_probabilities = torch.log_softmax(scores, 1)
    loss = -torch.where(true, log_probabilities, 0).sum() / len(y)
    return loss, (log_probabilities.exp() - true.to(scores.dtype)) / len(y)


# Forms on a CUDA device


def on_cuda(form: str = "") -> SimpleNamespace:
    """Return the eager losses on a CUDA device, with the products PRODUCTS[form].

    Raise Unavailable if PyTorch has none.
    """
    _require_cuda()
    products = PRODUCTS[form]
    return _namespace_on_cuda(with_row_step(svm_rows, products), with_row_step(softmax_rows, products), products)


def compiled_on_cuda(mode: str | None = None) -> SimpleNamespace:
    """Return the losses on a CUDA device, each compiled as a whole. Raise Unavailable if PyTorch has none.

    mode: of torch.compile. "reduce-overhead" and "max-autotune" replay a CUDA graph, which costs the host less, but
    write the results of each call to the same memory. So no measured implementation has them.
    """
    _require_cuda()
    _skip_compiler_test()
    return _namespace_on_cuda(
        torch.compile(with_row_step(compilable_svm_rows), dynamic=False, mode=mode),
        torch.compile(with_row_step(compilable_softmax_rows), dynamic=False, mode=mode),
        PRODUCTS[""],
    )


def _require_cuda() -> None:
    if not torch.backends.cuda.is_built():
        raise Unavailable("this PyTorch build has no CUDA", "pip install --force-reinstall torch")
    if not torch.cuda.is_available():
        raise Unavailable("PyTorch finds no CUDA device")


def _namespace_on_cuda(svm: TensorLoss, softmax: TensorLoss, products: Products) -> SimpleNamespace:
    torch.backends.cuda.matmul.allow_tf32 = False
    return SimpleNamespace(
        svm_loss=_synchronized(svm),
        softmax_loss=_synchronized(softmax),
        prepare=_synchronized(functools.partial(prepare, device="cuda", columns=products.columns)),
        fetch=functools.partial(fetch, columns=products.columns),
        convert=convert,
    )


def _synchronized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, made to return after the device has finished. `__wrapped__` is the one that does not wait."""

    @functools.wraps(function, updated=())
    def finished(*arguments: Any) -> Any:
        result = function(*arguments)
        torch.cuda.synchronize()
        return result

    return finished
