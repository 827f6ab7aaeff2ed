"""Every installed peer computes the losses correctly, for any layout and dtype of its arrays."""

from __future__ import annotations

import importlib
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numba import config

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import Implementation, Unavailable

PEERS = ["torch", "torch-compile", "jax", "sklearn", "torch-cuda", "torch-compile-cuda", "jax-cuda", "cupy"]
# torch.compile takes seconds for every new shape and dtype. Its row steps are compared with those of eager PyTorch.
NOT_COMPILED_BY_TORCH = [name for name in PEERS if "compile" not in name]

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def peer(name: str) -> Implementation:
    try:
        return catalog.load(name)
    except Unavailable as error:
        pytest.skip(f"{name}: {error}")


def problem(dtype="float32", rows=57, features=33, classes=10, scale=0.1):
    """Return W, X, y from a fixed seed."""
    rng = np.random.default_rng(7)
    W = (scale * rng.standard_normal((features, classes))).astype(dtype)
    X = rng.standard_normal((rows, features)).astype(dtype)
    return W, X, rng.integers(0, classes, rows)


def assert_agrees(implementation: Implementation, W, X, y, reg=0.05):
    """Assert that each loss agrees with the oracle and that no input has changed."""
    before = [array.copy() for array in (W, X, y)]
    for name in implementation.functions:
        loss, dW = implementation.loss(name, W, X, y, reg)
        expected = oracle.expected(name, W, X, y, reg)
        tolerance = TOLERANCE[W.dtype.name]
        assert isinstance(loss, float)
        assert loss == pytest.approx(expected.loss, rel=tolerance)
        assert isinstance(dW, np.ndarray)
        assert (dW.shape, dW.dtype) == (W.shape, W.dtype)
        assert np.linalg.norm(dW - expected.dW) <= tolerance * np.linalg.norm(expected.dW)
    for array, copy in zip((W, X, y), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_agrees_with_the_oracle(name, dtype):
    assert_agrees(peer(name), *problem(dtype))


@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_uint8_pixels(name):
    W, _, y = problem(scale=1e-3)
    assert_agrees(peer(name), W, np.random.default_rng(1).integers(0, 256, (len(y), len(W)), dtype=np.uint8), y)


@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_any_memory_layout(name):
    W, X, y = problem()
    wide = np.repeat(X, 2, axis=1)
    for images in (np.asfortranarray(X), wide[:, ::2], X[::-1]):
        assert_agrees(peer(name), W, images, y)
    assert_agrees(peer(name), np.asfortranarray(W), X, y[::-1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_read_only_arrays(name):
    arrays = problem()
    for array in arrays:
        array.flags.writeable = False
    assert_agrees(peer(name), *arrays)


@pytest.mark.parametrize("labels", ["int8", "uint8", "int32", "uint16"])
@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_any_integer_labels(name, labels):
    W, X, y = problem()
    assert_agrees(peer(name), W, X, y.astype(labels))


@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_all_labels_equal(name):
    W, X, y = problem()
    assert_agrees(peer(name), W, X, np.full_like(y, 3))


@pytest.mark.parametrize(("rows", "features", "classes"), [(1, 1, 2), (5, 3, 2), (3, 70, 11)])
@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_odd_shapes(name, rows, features, classes):
    assert_agrees(peer(name), *problem("float64", rows, features, classes))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_large_scores(name, dtype):
    W, X, y = problem(dtype, scale=2000.0)
    assert np.abs(X @ W).max() > 1e4
    assert_agrees(peer(name), W, X, y, reg=0.0)


@pytest.mark.parametrize("name", NOT_COMPILED_BY_TORCH)
def test_large_regularisation(name):
    assert_agrees(peer(name), *problem(), reg=2.5e4)


@pytest.mark.parametrize("name", [name for name in NOT_COMPILED_BY_TORCH if name != "sklearn"])
def test_gradient_at_the_kink_is_zero(name):
    # Every margin is exactly 0: the score of the label is 1, all others are 0.
    W = np.eye(4, dtype=np.float32)
    loss, dW = peer(name).svm_loss(W, np.eye(4, dtype=np.float32), np.arange(4), 0.0)
    assert loss == 0
    np.testing.assert_array_equal(dW, np.zeros_like(W))


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing of it depends on Numba's JIT")
@pytest.mark.parametrize("name", ["torch-compile", "torch-compile-cuda"])
def test_compiled_by_torch(name):
    implementation = peer(name)
    if name == "torch-compile" and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        pytest.skip("torch.compile needs a C++ compiler")
    assert_agrees(implementation, *problem())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_without_one_dnn(monkeypatch, dtype):
    implementation = peer("torch")
    monkeypatch.setattr(sys.modules["lcbench.losses.peers.torch"], "ONE_DNN", None)
    assert_agrees(implementation, *problem(dtype))


def test_torch_computes_float32_products_by_one_dnn(monkeypatch):
    implementation = peer("torch")
    module = sys.modules["lcbench.losses.peers.torch"]
    if module.ONE_DNN is None:
        pytest.skip("this PyTorch has no oneDNN")
    calls, product = [], module.ONE_DNN
    monkeypatch.setattr(module, "ONE_DNN", lambda *arguments: calls.append(arguments) or product(*arguments))
    assert_agrees(implementation, *problem("float64"))
    assert not calls
    assert_agrees(implementation, *problem("float32"))
    assert len(calls) == 2 * len(implementation.functions)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compilable_row_steps_agree_with_those_of_eager_torch(dtype):
    torch = pytest.importorskip("torch")
    module = importlib.import_module("lcbench.losses.peers.torch")
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.standard_normal((40, 7)).astype(dtype))
    labels = torch.from_numpy(rng.integers(0, 7, (40, 1)))
    for name in ("svm_rows", "softmax_rows"):
        for result, same in zip(
            getattr(module, f"compilable_{name}")(scores, labels),
            getattr(module, name)(scores.clone(), labels),
            strict=True,
        ):
            torch.testing.assert_close(result, same)


@pytest.mark.parametrize(
    ("version", "amx", "supported"),
    [("11", False, True), ("14.2.0", False, True), ("9", False, False), ("13", True, False)],
)
def test_inductor_skips_its_test_only_for_a_recent_compiler(monkeypatch, tmp_path, version, amx, supported):
    torch = pytest.importorskip("torch")
    module = importlib.import_module("lcbench.losses.peers.torch")
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\necho {version}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert module._compiler_supports_this_cpu() is supported


def test_scikit_learn_has_no_svm():
    assert set(peer("sklearn").functions) == {"softmax"}


@pytest.mark.parametrize("form", ["on_cuda", "compiled_on_cuda"])
def test_torch_without_cuda_is_unavailable(monkeypatch, form):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="PyTorch"):
        getattr(importlib.import_module("lcbench.losses.peers.torch"), form)()


@pytest.mark.parametrize("form", ["", "linear", "columns"])
def test_torch_on_cuda_waits_for_the_device(monkeypatch, form):
    torch = pytest.importorskip("torch")
    module = importlib.import_module("lcbench.losses.peers.torch")
    waits, devices, prepare = [], [], module.prepare

    def prepare_here(W, X, y, device, columns):
        devices.append(device)
        return prepare(W, X, y, columns=columns)

    monkeypatch.setattr(module, "prepare", prepare_here)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(True))
    on_cuda = module.on_cuda(form)
    W, X, y = problem()
    arrays = on_cuda.prepare(W, X, y)
    assert devices == ["cuda"]
    loss, dW = on_cuda.fetch(*on_cuda.svm_loss(*arrays, 0.1))
    assert len(waits) == 2
    assert oracle.expected("svm", W, X, y, 0.1).mismatch(loss, dW) is None
    queued = on_cuda.fetch(*on_cuda.svm_loss.__wrapped__(*arrays, 0.1))
    assert len(waits) == 2, "this one does not wait"
    assert queued[0] == loss


def test_jax_without_cuda_is_unavailable(monkeypatch):
    jax = pytest.importorskip("jax")

    def no_such_backend(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "devices", no_such_backend)
    with pytest.raises(Unavailable, match="JAX"):
        importlib.import_module("lcbench.losses.peers.jax").on_cuda()


def test_scikit_learn_without_the_private_names_is_unavailable(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "sklearn._loss.loss", None)
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.sklearn", raising=False)
    with pytest.raises(Unavailable, match="private"):
        importlib.import_module("lcbench.losses.peers.sklearn")


class NumpyAsCupy(SimpleNamespace):
    """NumPy under the name of CuPy, to test the formulas without a GPU."""

    def __init__(self, device: bool = True) -> None:
        stream = SimpleNamespace(synchronize=lambda: None)
        cuda = SimpleNamespace(is_available=lambda: device, get_current_stream=lambda: stream)
        super().__init__(cuda=cuda, asnumpy=np.asarray)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cupy_formulas(monkeypatch, dtype):
    monkeypatch.setitem(sys.modules, "cupy", NumpyAsCupy())
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy", raising=False)
    module = importlib.import_module("lcbench.losses.peers.cupy")
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy")
    implementation = Implementation("cupy", "cuda", catalog.functions_of(module), **catalog.data_movers(module))
    assert_agrees(implementation, *problem(dtype))
    assert_agrees(implementation, *problem(dtype, scale=2000.0), reg=0.0)


def test_cupy_without_a_device_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", NumpyAsCupy(device=False))
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy", raising=False)
    with pytest.raises(Unavailable, match="no CUDA device"):
        importlib.import_module("lcbench.losses.peers.cupy")
