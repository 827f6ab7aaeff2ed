"""The losses compiled for other processors than that of this machine.

For x86-64 with AVX-512, with AVX2 and with neither, the losses are computed in one process each. For aarch64 the code
is only compiled and inspected.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from numba import config

from lcbench.losses import jit
from lcbench.machine_code.loops import loops

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled where the JIT is off")

HERE = Path(__file__).parent
DTYPES = ("float32", "float64")

X86 = {  # NUMBA_CPU_NAME, required features of the host, bytes and names of the vector registers
    "neither": ("generic", (), 16, "x"),
    "AVX2": ("haswell", ("avx2", "fma", "bmi2"), 32, "xy"),
    "AVX-512": ("skylake-avx512", ("avx512f", "avx512bw", "avx512dq", "avx512vl"), 64, "xyz"),
}

# By vector registers: tiles, and those that pack rows and prefetch. With 32 registers: packing score tiles of ten and
# of five classes, the score tile of later classes, and the gradient tile. With 16: one packing score tile, and the
# others.
TILES = {32: (4, 2), 16: (3, 1)}


def output_of(program, cpu, *arguments, **variables):
    """Return the JSON printed by a program in this folder, which compiles for `cpu` only."""
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = os.environ | target | variables
    environment.pop("NUMBA_CACHE_DIR", None)  # code from the cache cannot be inspected
    command = [sys.executable, HERE / program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=X86)
def x86(request):
    cpu, needs, vector_bytes, registers = X86[request.param]
    host = llvm.get_host_cpu_features() if jit.is_x86() else {}
    missing = [feature for feature in needs if not host.get(feature)]
    if not jit.is_x86() or missing:
        pytest.skip(f"this processor has no {', '.join(missing) or 'x86-64 instructions'}")
    # AVX-512 machines run all other tests with AVX-512, so one form is enough for it here.
    forms = ["in-order"] if cpu == "skylake-avx512" else ["in-order", "by-index", "pixels", "descent"]
    return output_of("on_this_target.py", cpu, *forms) | {"vector_bytes": vector_bytes, "registers": set(registers)}


X86_64 = "+sse4.2,+popcnt,+lzcnt,+f16c,+bmi,+bmi2,+fma,+avx2"
AVX512 = f"{X86_64},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx512vnni"

UNITS = {  # NUMBA_CPU_NAME, NUMBA_CPU_FEATURES, dot products of a score tile, of a wide and of a narrow gradient tile
    "amx": ("sapphirerapids", f"{AVX512},+amx-tile,+amx-int8", 4, 4, 2),
    "vnni": ("znver4", AVX512, 16, 20, 10),
    "avx-vnni": ("alderlake", f"{X86_64},+avxvnni", 12, 10, 10),
}


@pytest.mark.parametrize("unit", UNITS)
def test_inner_loops_on_bytes(unit):
    cpu, features, scores, *gradients = UNITS[unit]
    variables = {"NUMBA_CPU_FEATURES": features, "LCBENCH_INT8": unit}
    found = loops(output_of("for_bytes.py", cpu, **variables)["assembly"], "x86_64")
    tiles = [loop for loop in found if loop.dots]
    assert {loop.vector_bits for loop in tiles} == {{"amx": 8192, "vnni": 512, "avx-vnni": 256}[unit]}
    assert {loop.calls + loop.stores for loop in tiles} == {0}
    assert max(len(vectors_on_the_stack(loop)) for loop in tiles) <= (4 if unit == "avx-vnni" else 0)
    for products in (scores, *gradients):
        assert any(loop.dots % products == 0 for loop in tiles)
    assert any(loop.prefetches for loop in tiles) or unit == "amx"


@pytest.fixture(scope="module")
def neon():
    llvm.initialize_all_targets()
    try:
        llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError as error:
        pytest.skip(f"llvmlite cannot compile for aarch64: {error}")
    return output_of("for_aarch64.py", "generic")


def test_every_loss_is_correct(x86):
    assert x86["compared"] > 0
    assert x86["wrong"] == {}


@pytest.mark.parametrize("dtype", DTYPES)
def test_code_uses_the_widest_registers(x86, dtype):
    assert set(re.findall(r"%([xyz])mm\d", x86["assembly"][dtype])) == x86["registers"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_inner_loops_use_full_vectors(x86, dtype):
    accumulators = 20 if x86["vector_bytes"] == 64 else 10
    assert_inner_loops(x86["assembly"][dtype], "x86_64", dtype, x86["vector_bytes"], accumulators)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inner_loops_for_aarch64(neon, dtype):
    assembly = neon["assembly"][dtype]
    found = assert_inner_loops(assembly, "aarch64", dtype, 16, accumulators=20)
    assert all(2 * loop.fma * 16 // itemsize(dtype) == loop.flops for loop in found)
    assert re.search(rf"\bfmla\s+v\d+\.{'4s' if dtype == 'float32' else '2d'}\b", assembly)


@pytest.mark.parametrize("dtype", DTYPES)
def test_barrier_orders_memory_on_aarch64(neon, dtype):
    # Memory is weakly ordered there: a barrier needs acquire loads and release stores.
    mnemonics = set(re.findall(r"^\t(\w+)\t", neon["assembly"][dtype], re.MULTILINE))
    assert {"ldar", "stlr"} <= mnemonics
    assert {"ldaxr", "stlxr"} <= mnemonics or "ldaddal" in mnemonics


def assert_inner_loops(assembly, machine, dtype, vector_bytes, accumulators):
    """Assert that tiles and exponentials use full vectors. Return the loops of the tiles."""
    found = loops(assembly, machine)
    lanes = vector_bytes // itemsize(dtype)
    # A packing tile stores the vectors of its rows, and prefetches. A gradient tile prefetches.
    tiles = [
        loop for loop in found
        if loop.flops >= 2 * accumulators * lanes and loop.stores in ((0, 2, 4) if loop.prefetches else (0,))
    ]  # fmt: skip
    assert {(loop.vector_bits, loop.calls) for loop in tiles} == {(8 * vector_bytes, 0)}
    # Remainder loops may use the stack; they are a small part of the work. A packing tile has addresses of rows, and of
    # rows to prefetch: with few registers, one may be on the stack.
    few_registers = accumulators == 10
    least, least_packing = TILES[16 if few_registers else 32]
    in_registers = [
        loop for loop in tiles
        if not vectors_on_the_stack(loop) and loop.stack <= (few_registers and loop.prefetches > 0 and loop.stores > 0)
    ]  # fmt: skip
    assert len(in_registers) >= least
    assert sum(loop.prefetches > 0 and loop.stores > 0 for loop in tiles) >= least_packing
    assert any(loop.prefetches and not loop.stores for loop in in_registers)

    exponentials = [loop for loop in found if loop.loads == loop.stores > 0 and loop.flops >= 20 * lanes * loop.stores]
    assert {(loop.vector_bits, loop.calls) for loop in exponentials} == {(8 * vector_bytes, 0)}
    assert not re.search(r"\bexpf?\b", assembly)
    return tiles


def vectors_on_the_stack(loop):
    """Return the loads and stores of vectors on the stack in a loop. Addresses may be there."""
    return re.findall(r"%rsp\).*%[xyz]mm|%[xyz]mm.*%rsp\)|\b[qv]\d+\b.*\[sp\b", loop.code)


def itemsize(dtype):
    return 4 if dtype == "float32" else 8
