"""Every peer that is installed computes lcbench's losses, whatever the arrays look like."""

from __future__ import annotations

import importlib
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import Implementation, Unavailable

PEERS = ["torch", "torch-compile", "jax", "sklearn", "torch-cuda", "torch-compile-cuda", "jax-cuda", "cupy"]
# torch.compile takes seconds for every new shape and dtype: it shares its formulas with eager PyTorch, tested in full.
QUICK = [name for name in PEERS if "compile" not in name]

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def peer(name: str) -> Implementation:
    try:
        return catalog.load(name)
    except Unavailable as why:
        pytest.skip(f"{name}: {why}")


def problem(dtype="float32", rows=57, features=33, classes=10, scale=0.1):
    """W, X, y from a fixed seed."""
    rng = np.random.default_rng(7)
    W = (scale * rng.standard_normal((features, classes))).astype(dtype)
    X = rng.standard_normal((rows, features)).astype(dtype)
    return W, X, rng.integers(0, classes, rows)


def agrees(implementation: Implementation, W, X, y, reg=0.05):
    """Each loss that `implementation` has, held against the oracle; no input may have changed."""
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
@pytest.mark.parametrize("name", QUICK)
def test_agrees_with_the_oracle(name, dtype):
    agrees(peer(name), *problem(dtype))


@pytest.mark.parametrize("name", QUICK)
def test_pixels_may_be_uint8(name):
    W, _, y = problem(scale=1e-3)
    agrees(peer(name), W, np.random.default_rng(1).integers(0, 256, (len(y), len(W)), dtype=np.uint8), y)


@pytest.mark.parametrize("name", QUICK)
def test_arrays_may_lie_anyhow(name):
    W, X, y = problem()
    wide = np.repeat(X, 2, axis=1)
    for images in (np.asfortranarray(X), wide[:, ::2], X[::-1]):
        agrees(peer(name), W, images, y)
    agrees(peer(name), np.asfortranarray(W), X, y[::-1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", QUICK)
def test_arrays_may_be_read_only(name):
    arrays = problem()
    for array in arrays:
        array.flags.writeable = False
    agrees(peer(name), *arrays)


@pytest.mark.parametrize("labels", ["int8", "uint8", "int32", "uint16"])
@pytest.mark.parametrize("name", QUICK)
def test_labels_may_be_any_integers(name, labels):
    W, X, y = problem()
    agrees(peer(name), W, X, y.astype(labels))


@pytest.mark.parametrize("name", QUICK)
def test_all_labels_equal(name):
    W, X, y = problem()
    agrees(peer(name), W, X, np.full_like(y, 3))


@pytest.mark.parametrize(("rows", "features", "classes"), [(1, 1, 2), (5, 3, 2), (3, 70, 11)])
@pytest.mark.parametrize("name", QUICK)
def test_odd_shapes(name, rows, features, classes):
    agrees(peer(name), *problem("float64", rows, features, classes))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", QUICK)
def test_scores_of_ten_thousand(name, dtype):
    W, X, y = problem(dtype, scale=2000.0)
    assert np.abs(X @ W).max() > 1e4
    agrees(peer(name), W, X, y, reg=0.0)


@pytest.mark.parametrize("name", QUICK)
def test_a_large_regularisation_is_counted_once(name):
    agrees(peer(name), *problem(), reg=2.5e4)


@pytest.mark.parametrize("name", [name for name in QUICK if name != "sklearn"])
def test_the_hinge_is_flat_at_its_kink(name):
    """X and W such that every margin is exactly 0: s_y = 1, all others 0."""
    W = np.eye(4, dtype=np.float32)
    loss, dW = peer(name).svm_loss(W, np.eye(4, dtype=np.float32), np.arange(4), 0.0)
    assert loss == 0
    np.testing.assert_array_equal(dW, np.zeros_like(W))


@pytest.mark.parametrize("name", ["torch-compile", "torch-compile-cuda"])
def test_compiled_by_torch(name):
    implementation = peer(name)
    if name == "torch-compile" and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        pytest.skip("torch.compile needs a C++ compiler")
    agrees(implementation, *problem())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_without_one_dnn_computes_the_same(monkeypatch, dtype):
    implementation = peer("torch")
    monkeypatch.setattr(sys.modules["lcbench.losses.peers.torch"], "ONE_DNN", None)
    agrees(implementation, *problem(dtype))


def test_torch_takes_float32_products_to_one_dnn_where_it_has_it(monkeypatch):
    implementation = peer("torch")
    module = sys.modules["lcbench.losses.peers.torch"]
    if module.ONE_DNN is None:
        pytest.skip("this PyTorch has no oneDNN")
    calls, product = [], module.ONE_DNN
    monkeypatch.setattr(module, "ONE_DNN", lambda *arguments: calls.append(arguments) or product(*arguments))
    agrees(implementation, *problem("float64"))
    assert not calls
    agrees(implementation, *problem("float32"))
    assert len(calls) == 2 * len(implementation.functions)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_steps_for_the_compiler_are_those_of_eager_torch(dtype):
    torch = pytest.importorskip("torch")
    eager = importlib.import_module("lcbench.losses.peers.torch")
    compiled = importlib.import_module("lcbench.losses.peers.torch_compile")
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.standard_normal((40, 7)).astype(dtype))
    labels = torch.from_numpy(rng.integers(0, 7, (40, 1)))
    for name in ("svm_rows", "softmax_rows"):
        for result, same in zip(
            getattr(compiled, name)(scores, labels), getattr(eager, name)(scores.clone(), labels), strict=True
        ):
            torch.testing.assert_close(result, same)


@pytest.mark.parametrize(
    ("version", "amx", "knows"),
    [("11", False, True), ("14.2.0", False, True), ("9", False, False), ("13", True, False)],
)
def test_only_a_recent_compiler_is_taken_for_granted(monkeypatch, tmp_path, version, amx, knows):
    torch = pytest.importorskip("torch")
    module = importlib.import_module("lcbench.losses.peers.torch_compile")
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\necho {version}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert module._compiler_knows_the_vectors() is knows


def test_scikit_learn_offers_no_svm():
    assert set(peer("sklearn").functions) == {"softmax"}


def test_torch_without_cuda_says_so(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.torch_cuda", raising=False)
    with pytest.raises(Unavailable, match="PyTorch"):
        importlib.import_module("lcbench.losses.peers.torch_cuda")


def test_jax_without_cuda_says_so(monkeypatch):
    jax = pytest.importorskip("jax")

    def no_such_backend(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "devices", no_such_backend)
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.jax_cuda", raising=False)
    with pytest.raises(Unavailable, match="JAX"):
        importlib.import_module("lcbench.losses.peers.jax_cuda")


def test_scikit_learn_whose_private_names_have_moved_says_so(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "sklearn._loss.loss", None)
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.sklearn", raising=False)
    with pytest.raises(Unavailable, match="private"):
        importlib.import_module("lcbench.losses.peers.sklearn")


class NumpyAsCupy(SimpleNamespace):
    """NumPy under CuPy's name: tests the formulas where there is no GPU, and nothing about one."""

    def __init__(self, device: bool = True) -> None:
        stream = SimpleNamespace(synchronize=lambda: None)
        cuda = SimpleNamespace(is_available=lambda: device, get_current_stream=lambda: stream)
        super().__init__(cuda=cuda, asnumpy=np.asarray)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formulas_of_cupy(monkeypatch, dtype):
    monkeypatch.setitem(sys.modules, "cupy", NumpyAsCupy())
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy", raising=False)
    module = importlib.import_module("lcbench.losses.peers.cupy")
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy")
    implementation = Implementation("cupy", "cuda", catalog.functions_of(module), **catalog.data_movers(module))
    agrees(implementation, *problem(dtype))
    agrees(implementation, *problem(dtype, scale=2000.0), reg=0.0)


def test_cupy_without_a_device_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", NumpyAsCupy(device=False))
    monkeypatch.delitem(sys.modules, "lcbench.losses.peers.cupy", raising=False)
    with pytest.raises(Unavailable, match="no CUDA device"):
        importlib.import_module("lcbench.losses.peers.cupy")
