"""The repository's own kernels, as this machine's compiler makes them."""

from __future__ import annotations

import json

import pytest
from numba import config

from commands import lcbench
from lcbench.errors import LcbenchError
from lcbench.losses import jit
from lcbench.losses.implementation import UnknownImplementation
from lcbench.machine_code import cpu

compiles = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is switched off")


def inspected(folder, *arguments):
    """Loops as a process sees them that has compiled everything itself."""
    return json.loads(lcbench(folder, "inspect", *arguments, "--json").stdout)["found"]


@compiles
@pytest.mark.parametrize(("dtype", "item_bits"), [("float32", 32), ("float64", 64)])
def test_the_hottest_loop_of_numba_parallel_computes_in_whole_registers(tmp_path, dtype, item_bits):
    found = inspected(tmp_path, "numba-parallel", "--dtype", dtype)
    assert found == sorted(found, key=lambda loop: -loop["flops"])
    hottest = found[0]
    assert "tile" in hottest["name"] or hottest["fma"] >= 20
    assert hottest["vector_bits"] == 8 * jit.vector_bytes()
    assert hottest["flops"] <= (2 * hottest["fma"] + hottest["arithmetic"]) * hottest["vector_bits"] // item_bits


@compiles
def test_each_loss_of_numba_njit_is_there(tmp_path):
    names = {loop["name"] for loop in inspected(tmp_path, "numba-njit", "--pixels")}
    assert {"svm_loss", "softmax_loss"} <= names


def test_nothing_compiled_is_one_line():
    with pytest.raises(LcbenchError, match="nothing to inspect"):
        cpu.inspect_cpu("numpy", "float32", classes=10, pixels=False)
    with pytest.raises(UnknownImplementation):
        cpu.inspect_cpu("nunpy", "float32", classes=10, pixels=False)
