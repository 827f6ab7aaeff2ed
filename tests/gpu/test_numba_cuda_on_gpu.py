"""The CUDA kernels on a device agree with float64 matrix products on the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from lcbench.losses import numba_cuda, vectorized
from lcbench.losses.cuda import matrix as cuda_matrix
from lcbench.losses.cuda.backend import gpu_name, limits
from lcbench.losses.cuda.one_pass import OnePass

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
    (1000, 3073, 100),
    (3000, 784, 10),
    (3000, 1024, 3),
    (3000, 2000, 7),
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
    # a margin within its rounding error of zero may fall on either side, which changes the gradient by one row
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
def test_repeated_calls_return_the_same_bits(loss: str) -> None:
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
    for before, after in zip((W.T, X, y), on_device, strict=True):
        assert np.array_equal(before, after.copy_to_host())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("loss", LOSSES)
def test_host_fed_equals_resident(loss: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    W, X, y = _draw(5000, 3073, 10, np.float64 if dtype is np.float64 else np.float32)
    if dtype is np.uint8:
        X = np.random.default_rng(0).integers(0, 256, X.shape, np.uint8)
        W /= 256
    resident = numba_cuda.fetch(*_loss(numba_cuda, loss)(*numba_cuda.prepare(W, X, y), 0.1))
    # eight chunks of 700 rows, the last one smaller
    monkeypatch.setattr(cuda_matrix, "CHUNK_BYTES", 700 * X.shape[1] * X.itemsize)
    arrays = numba_cuda.prepare(W, X, y, resident=False)
    assert isinstance(arrays[1], cuda_matrix.HostMatrix)
    calls = [numba_cuda.fetch(*_loss(numba_cuda, loss)(*arrays, 0.1)) for _ in range(3)]
    # the order of the additions differs
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert calls[0][0] == pytest.approx(resident[0], rel=tolerance)
    assert np.linalg.norm(calls[0][1] - resident[1]) <= tolerance * np.linalg.norm(resident[1])
    for value, dW in calls[1:]:
        assert value == calls[0][0]
        assert np.array_equal(dW, calls[0][1])


def test_x_larger_than_the_device_stays_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    W, X, y = _draw(3000, 257, 10, np.float32)
    expected = numba_cuda.softmax_loss(W, X, y, 0.1)
    monkeypatch.setattr(numba_cuda, "limits", lambda: replace(limits(), free_memory=X.nbytes))
    assert isinstance(numba_cuda.prepare(W, X, y)[1], cuda_matrix.HostMatrix)
    value, dW = numba_cuda.softmax_loss(W, X, y, 0.1)
    assert value == pytest.approx(expected[0], rel=1e-6)
    assert np.linalg.norm(dW - expected[1]) <= 1e-5 * np.linalg.norm(expected[1])


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_million_rows(loss: str, pixels: bool) -> None:
    # X repeats 10,000 rows, so loss and gradient are theirs. Its last rows are beyond 2^31 numbers.
    repeats = 100
    W, X, y = _draw(10_000, 3073, 10, np.float32)
    if pixels:
        X = np.random.default_rng(0).integers(0, 256, X.shape, np.uint8)
        W /= 256
    needed = repeats * X.nbytes
    if 2 * needed > limits().free_memory or 2 * needed > psutil.virtual_memory().available:
        pytest.skip(f"{2 * needed / 1e9:.0f} GB of memory are needed on the device and on the host")
    many = np.tile(X, (repeats, 1))
    assert pixels or many.size > 2**31
    arrays = numba_cuda.prepare(W, many, np.tile(y, repeats), resident=True)
    del many
    got = numba_cuda.fetch(*_loss(numba_cuda, loss)(*arrays, 0.1))
    _assert_close(got, W, X, y, 0.1, loss, 1e-3 if loss == "svm_loss" else 1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_cifar10_is_computed_in_one_pass(loss: str) -> None:
    # More and fewer rows than a tile, more and fewer tiles than blocks.
    for rows in (*range(1, 10), 200, 2000):
        W, X, y = _draw(rows, 3073, 10, np.float32)
        _assert_close(_loss(numba_cuda, loss)(W, X, y, 0.1), W, X, y, 0.1, loss, 1e-4)
    plan = numba_cuda.LaunchPlan(np.float32, False, 2000, 3073, 10)
    assert isinstance(plan.kernels, OnePass)


def test_alternating_sizes() -> None:
    small, large = _draw(100, 33, 5, np.float64), _draw(999, 65, 11, np.float64)
    for W, X, y in (small, large, small):
        _assert_close(numba_cuda.softmax_loss(W, X, y, 0.1), W, X, y, 0.1, "softmax_loss", 1e-12)


def test_name_of_the_device() -> None:
    assert gpu_name()
