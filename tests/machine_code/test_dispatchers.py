"""Compiled functions, found from the code that calls them."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from numba import config

from lcbench.losses import numba_njit, numba_parallel, vectorized
from lcbench.machine_code.cpu import compiled_functions

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is switched off")


def names(*functions):
    return [dispatcher.py_func.__name__ for dispatcher in compiled_functions(functions)]


def test_a_compiled_function_stands_for_itself():
    assert names(numba_njit.svm_loss, numba_njit.softmax_loss) == ["svm_loss", "softmax_loss"]


def test_those_of_numba_parallel_are_found_once():
    found = compiled_functions([numba_parallel.svm_loss, numba_parallel.softmax_loss])
    assert found
    assert len(found) == len(set(map(id, found)))


def test_numpy_has_none():
    assert names(vectorized.svm_loss) == []


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Imports files from a folder of the test's own."""
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


def test_through_modules_nested_functions_and_closures(load):
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


def test_functions_that_call_each_other_end(load):
    user = load(rounds="def a(W, X, y, reg):\n    return b(W)\ndef b(W):\n    return a(W, W, W, 0)\n")
    assert names(user.a) == []
