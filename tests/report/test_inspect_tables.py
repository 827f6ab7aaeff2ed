"""Tables of ``lcbench inspect`` in a terminal of 80 columns."""

from __future__ import annotations

from dataclasses import replace

from lcbench.machine_code.gpu import Kernel, KernelUsage, PtxCounts, occupancy
from lcbench.machine_code.loops import Loop
from lcbench.report.tables import inspect as inspect_tables
from printed import printed

TILE = Loop(
    name="_block", label=".LBB0_1", vector_bits=512, fma=20, dots=0, arithmetic=0, flops=640, loads=9, stores=0,
    broadcasts=5, gathers=0, prefetches=4, calls=0, stack=0, vector_registers=27, remainder=False, code_bytes=210,
    code=".LBB0_1:\n\tjne\t.LBB0_1",
)  # fmt: skip
SCALAR = replace(TILE, name="_cross_entropy", vector_bits=0, fma=0, arithmetic=32, flops=32, stack=2, code_bytes=None)
REMAINDER = replace(SCALAR, remainder=True)
KERNEL = Kernel(
    "gradient_slabs",
    128,
    KernelUsage(80, 1280, 0, 0),
    occupancy((9, 0), 128, 80, 1280),
    PtxCounts(80, 0, 0, {1: 8, 4: 7}, 0),
    "ret",
)


def test_loops():
    assert printed(
        inspect_tables.tables("mine: float32", [TILE, replace(TILE, label=".LBB0_2"), SCALAR, REMAINDER])
    ) == [
        "mine: float32",
        "function          bits  FMA  other  load  store  pref  call  stack  regs  bytes",
        "───────────────────────────────────────────────────────────────────────────────",
        "_block x2          512   20      0     9      0     4     0      0    27    210",
        "_cross_entropy  scalar    0     32     9      0     4     0      2    27      -",
        "_block: 512-bit, 20 FMAs, 9 loads, no spills",
        "_cross_entropy: scalar: not vectorised, 32 operations, 9 loads, 2 spills",
        "instructions in one iteration of each innermost loop, x2 for two equal loops;",
        "other: unfused arithmetic; stack: stack accesses, which are spills if there is",
        "no call; regs: vector registers; remainder loops (--json only): 1",
    ]


def test_products_of_bytes_have_a_column():
    dots = replace(TILE, fma=0, dots=20)
    table = printed(inspect_tables.tables("mine: float32", [dots, SCALAR]))
    assert table[1].split()[:6] == ["function", "bits", "FMA", "dot", "other", "load"]
    assert table[3].split()[:5] == ["_block", "512", "0", "20", "0"]
    assert "_block: 512-bit, 20 dot products of bytes, 9 loads, no spills" in table


def test_no_loops():
    assert printed(inspect_tables.tables("mine: float32", [])) == ["mine: float32: no loop computes"]


def test_kernels():
    assert printed(inspect_tables.tables("numba-cuda for sm_90", [KERNEL])) == [
        "numba-cuda for sm_90",
        "kernel          threads  regs    shared  spills  FMA  loads    blocks  warps",
        "────────────────────────────────────────────────────────────────────────────",
        "gradient_slabs      128    80  1.25 KiB     0 B   80  8 x 1 B       6  24/64",
        "                                                      7 x 4 B",
        "gradient_slabs: 24 of 64 warps, limited by registers, no spills",
        "regs, shared, spills: from NVIDIA's linker; FMA, loads from global memory:",
        "static counts in the PTX; blocks, warps: resident on a multiprocessor",
    ]


def test_code_follows_its_verdict_and_remainders_are_left_out():
    assert list(inspect_tables.code([TILE, REMAINDER])) == [
        "\n# _block: 512-bit, 20 FMAs, 9 loads, no spills\n.LBB0_1:\n\tjne\t.LBB0_1"
    ]
    assert list(inspect_tables.code([KERNEL])) == [f"\n// gradient_slabs: {KERNEL.verdict}\nret"]
