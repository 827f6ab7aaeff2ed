"""The CUDA kernels on a device, against float64 matrix products on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lcbench.losses import numba_cuda, vectorized
from lcbench.losses.cuda_backend import gpu_name

pytestmark = pytest.mark.gpu

LOSSES = ("svm_loss", "softmax_loss")
SIZES = [
    (1, 1, 2),
    (1, 3073, 10),
    (33, 1, 3),
    (127, 255, 7),
    (200, 3073, 10),
    (1000, 257, 17),
    (300, 65, 1000),
    (70_001, 5, 2),
    (49_000, 3073, 10),
]


def _draw(N: int, D: int, C: int, dtype: type) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(N + D + C)
    W = (rng.standard_normal((D, C)) / np.sqrt(D)).astype(dtype)
    return W, rng.standard_normal((N, D), dtype=np.float32).astype(dtype, copy=False), rng.integers(0, C, N)


def _loss(module: Any, name: str) -> Callable[..., tuple[Any, Any]]:
    function: Callable[..., tuple[Any, Any]] = getattr(module, name)
    return function


def _assert_close(got: tuple[Any, Any], W: Any, X: Any, y: Any, reg: float, loss: str, tolerance: float) -> None:
    expected_loss, expected = _loss(vectorized, loss)(W.astype(np.float64), X.astype(np.float64), y, reg)
    assert got[0] == pytest.approx(expected_loss, rel=tolerance)
    assert got[1].shape == W.shape
    assert got[1].dtype == W.dtype
    assert np.linalg.norm(got[1] - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_float32(loss: str, size: tuple[int, int, int]) -> None:
    W, X, y = _draw(*size, np.float32)
    got = _loss(numba_cuda, loss)(W, X, y, 0.1)
    # a margin within rounding of zero may fall on either side: one row of the gradient, in many
    _assert_close(got, W, X, y, 0.1, loss, 1e-4 if loss == "svm_loss" else 1e-5)


@pytest.mark.parametrize("size", SIZES[:-1], ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_float64(loss: str, size: tuple[int, int, int]) -> None:
    W, X, y = _draw(*size, np.float64)
    _assert_close(_loss(numba_cuda, loss)(W, X, y, 0.1), W, X, y, 0.1, loss, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES)
def test_uint8_pixels(loss: str, dtype: type) -> None:
    W, _, y = _draw(5000, 3072, 10, dtype)
    X = np.random.default_rng(0).integers(0, 256, (5000, 3072)).astype(np.uint8)
    W /= 256
    tolerance = {np.float32: 1e-3 if loss == "svm_loss" else 1e-5, np.float64: 1e-11}[dtype]
    _assert_close(_loss(numba_cuda, loss)(W, X, y, 0.0), W, X, y, 0.0, loss, tolerance)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_bits_every_time(loss: str) -> None:
    arrays = numba_cuda.prepare(*_draw(49_000, 3073, 10, np.float32))
    first_loss, first = numba_cuda.fetch(*_loss(numba_cuda, loss)(*arrays, 0.1))
    for _ in range(5):
        again_loss, again = numba_cuda.fetch(*_loss(numba_cuda, loss)(*arrays, 0.1))
        assert again_loss == first_loss
        assert np.array_equal(again, first)


@pytest.mark.parametrize("loss", LOSSES)
def test_arrays_on_the_device_stay_there(loss: str) -> None:
    W, X, y = _draw(1000, 257, 10, np.float32)
    on_device = numba_cuda.prepare(W, X, y)
    value, dW = _loss(numba_cuda, loss)(*on_device, 0.1)
    assert hasattr(dW, "copy_to_host")
    from_host = _loss(numba_cuda, loss)(W, X, y, 0.1)
    assert value == from_host[0]
    assert np.array_equal(numba_cuda.fetch(value, dW)[1], from_host[1])
    for before, after in zip((W, X, y), on_device, strict=True):
        assert np.array_equal(before, after.copy_to_host())


def test_two_sizes_in_turn_keep_apart() -> None:
    small, large = _draw(100, 33, 5, np.float64), _draw(999, 65, 11, np.float64)
    for W, X, y in (small, large, small):
        _assert_close(numba_cuda.softmax_loss(W, X, y, 0.1), W, X, y, 0.1, "softmax_loss", 1e-12)


def test_the_device_has_a_name() -> None:
    assert gpu_name()
