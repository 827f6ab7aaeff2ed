"""Inspection of CPU implementations: lcbench's own kernels compiled here, and the search for compiled functions."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
from numba import config

from commands import lcbench
from lcbench.errors import LcbenchError
from lcbench.losses import jit, numba_njit, numba_parallel, vectorized
from lcbench.losses.implementation import UnknownImplementation
from lcbench.machine_code.cpu import find_dispatchers, inspect_cpu

compiles = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is disabled")


def inspected(folder, *arguments):
    """Return the loops that a fresh process finds, which compiles everything itself."""
    return json.loads(lcbench(folder, "inspect", *arguments, "--json").stdout)["found"]


@compiles
@pytest.mark.parametrize(("dtype", "item_bits"), [("float32", 32), ("float64", 64)])
def test_hottest_loop_of_numba_parallel_uses_full_vectors(tmp_path, dtype, item_bits):
    found = inspected(tmp_path, "numba-parallel", "--dtype", dtype)
    assert found == sorted(found, key=lambda loop: -loop["flops"])
    hottest = found[0]
    assert "tile" in hottest["name"] or hottest["fma"] >= 20
    assert hottest["vector_bits"] == 8 * jit.vector_bytes()
    assert hottest["flops"] <= (2 * hottest["fma"] + hottest["arithmetic"]) * hottest["vector_bits"] // item_bits


@compiles
def test_both_losses_of_numba_njit_are_listed(tmp_path):
    names = {loop["name"] for loop in inspected(tmp_path, "numba-njit", "--pixels")}
    assert {"svm_loss", "softmax_loss"} <= names


def test_error_if_nothing_is_compiled():
    with pytest.raises(LcbenchError, match="nothing to inspect"):
        inspect_cpu("numpy", "float32", classes=10, pixels=False)
    with pytest.raises(UnknownImplementation):
        inspect_cpu("nunpy", "float32", classes=10, pixels=False)


def names(*functions):
    return [dispatcher.py_func.__name__ for dispatcher in find_dispatchers(functions)]


@compiles
def test_compiled_functions_are_their_own_dispatchers():
    assert names(numba_njit.svm_loss, numba_njit.softmax_loss) == ["svm_loss", "softmax_loss"]


@compiles
def test_dispatchers_of_numba_parallel_are_listed_once():
    found = find_dispatchers([numba_parallel.svm_loss, numba_parallel.softmax_loss])
    assert found
    assert len(found) == len(set(map(id, found)))


@compiles
def test_numpy_has_no_dispatchers():
    assert names(vectorized.svm_loss) == []


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import modules from a temporary folder."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@compiles
def test_search_follows_modules_nested_functions_and_closures(load):
    user = load(
        theirs_helper="from numba import njit\n"
        "@njit\ndef called_by_compiled_code(x):\n    return x\n"
        "@njit\ndef inner(x):\n    return called_by_compiled_code(x)\n"
        "@njit\ndef unused(x):\n    return x\n",
        theirs="import theirs_helper\nfrom numba import njit\n"
        "@njit\ndef held(x):\n    return x\n"
        "def make():\n    closed = njit(lambda x: x)\n    return lambda x: closed(x)\n"
        "inside = make()\n"
        "def loss(W, X, y, reg):\n"
        "    def part(x):\n        return theirs_helper.inner(held(x))\n"
        "    return inside(part(reg)), W\n",
    )
    assert sorted(names(user.loss)) == ["<lambda>", "held", "inner"]


@compiles
def test_search_ends_for_mutual_recursion(load):
    user = load(rounds="def a(W, X, y, reg):\n    return b(W)\ndef b(W):\n    return a(W, W, W, 0)\n")
    assert names(user.a) == []


PARALLEL = """
import numpy as np
from numba import njit, prange

@njit(parallel=True)
def softmax_loss(W, X, y, reg):
    scores = np.dot(X, W)
    losses = np.zeros(X.shape[0])
    for i in prange(X.shape[0]):
        highest = scores[i].max()
        total = 0.0
        for c in range(W.shape[1]):
            total += np.exp(scores[i, c] - highest)
        losses[i] = np.log(total) + highest - scores[i, y[i]]
        for c in range(W.shape[1]):
            scores[i, c] = np.exp(scores[i, c] - highest) / total / X.shape[0]
        scores[i, y[i]] -= 1.0 / X.shape[0]
    return losses.mean() + reg * np.sum(W * W), np.dot(X.T, scores) + 2 * reg * W
"""


@compiles
def test_a_loop_has_its_function_and_line(tmp_path):
    (tmp_path / "mine.py").write_text(PARALLEL)
    found = inspected(tmp_path, "mine.py:softmax_loss", "--dtype", "float64")
    inside = [loop for loop in found if loop["name"].startswith("softmax_loss: prange")]
    assert inside
    for loop in inside:
        lines = [int(line) for line in loop["line"].split("-")]
        assert lines[0] <= 9 <= lines[-1] <= 18
    assert {loop["line"] for loop in found if loop["name"] == "softmax_loss"} <= {"5", "6"}
