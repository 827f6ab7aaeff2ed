"""Innermost loops: of small functions that Numba compiles here, and of snippets of assembly for other machines."""

from __future__ import annotations

import platform

import numba
import numpy as np
import pytest
from numba import config

from lcbench.machine_code.loops import code_sizes, innermost_loops, loops, source_name, without_labels

compiles = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is disabled")


def assembly(function, *arguments, **options):
    compiled = numba.njit(**options)(function)
    compiled(*arguments)
    [text] = compiled.inspect_asm().values()
    return text


def dot(a, b):
    total = np.float32(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


ONES = np.ones(100, np.float32)


@compiles
def test_vector_loop_and_its_remainders():
    first, *others = loops(assembly(dot, ONES, ONES, fastmath=True))
    assert first.name == "dot"
    assert first.vector_bits >= 128
    assert first.loads == first.flops // (first.vector_bits // 32)  # one of a and one of b for each multiply-add
    assert (first.stack, first.stores, first.remainder) == (0, 0, False)
    assert first.verdict.startswith(f"{first.vector_bits}-bit, ")
    assert others
    assert all(loop.remainder and loop.vector_bits < first.vector_bits for loop in others)


@compiles
def test_sum_without_fastmath_is_scalar():
    found = loops(assembly(dot, ONES, ONES))
    assert {loop.vector_bits for loop in found} == {0}
    assert found[0].verdict.startswith("scalar: not vectorised, ")
    assert not found[0].remainder


@compiles
def test_loops_of_numba_wrappers_are_left_out():
    found = loops(assembly(dot, ONES, ONES))
    assert len(found) == len({without_labels(loop.code) for loop in found})


@compiles
def test_loop_without_floating_point_arithmetic_is_left_out():
    def count(a):
        total = 0
        for i in range(a.size):
            if a[i] > 0:
                total += 1
        return total

    assert loops(assembly(count, ONES)) == []


X86 = """
_ZN4mine4tileB2v2B1cE:
	movq	8(%rsp), %rax
	jmp	.LBB0_3
	.p2align	4
.LBB0_1:
	addq	$1, %rcx
.LBB0_2:
{body}
	cmpq	%rbx, %r12
	jl	.LBB0_2
.LBB0_3:
	cmpq	%rdx, %rcx
	jne	.LBB0_1
	vzeroupper
	retq
.Lfunc_end0:
"""
"""Nested loops. The outer one is entered at its condition, the last block."""


def x86_loop(body):
    [loop] = loops(X86.format(body=body), "x86_64")
    assert (loop.name, loop.label) == ("tile", ".LBB0_2")
    return loop


def test_avx2():
    loop = x86_loop("""\tvmovups	(%rax,%r12,4), %ymm8
	vbroadcastss	(%rsi), %ymm9
	prefetcht1	64(%rax,%r12,4)
	vfmadd231ps	%ymm8, %ymm9, %ymm0
	vfmadd231ps	32(%rax,%r12,4), %ymm9, %ymm1
	vaddps	%ymm0, %ymm1, %ymm2
	vmovups	%ymm2, (%rdi)
	addq	$8, %r12""")
    assert (loop.vector_bits, loop.fma, loop.arithmetic, loop.flops) == (256, 2, 1, 8 * (2 + 2 + 1))
    assert (loop.loads, loop.stores, loop.broadcasts, loop.prefetches) == (3, 1, 1, 1)
    assert (loop.stack, loop.calls, loop.vector_registers) == (0, 0, 5)
    assert loop.verdict == "256-bit, 2 FMAs, 1 other operation, 3 loads, no spills"


def test_avx512_embedded_broadcast_and_gather():
    loop = x86_loop("""\tvfmadd231ps	(%rsi){1to16}, %zmm20, %zmm0
	vgatherdps	(%r8,%zmm1,4), %zmm3 {%k1}
	vmulpd	%zmm0, %zmm3, %zmm4 {%k1} {z}
	vmovups	%zmm4, (%rdi) {%k1}""")
    assert (loop.vector_bits, loop.flops) == (512, 16 * 2 + 8)
    assert (loop.loads, loop.broadcasts, loop.gathers, loop.stores) == (2, 1, 1, 1)
    assert loop.verdict == "512-bit, 1 FMA, 1 other operation, 1 load, 1 gather, no spills"


@pytest.mark.parametrize(
    ("instruction", "bits", "operations"),
    [
        ("vpdpbusd\t%zmm16, %zmm19, %zmm13", 512, 128),
        ("{vex}\tvpdpbusd\t(%rsi), %ymm1, %ymm10", 256, 64),
        ("tdpbusd\t%tmm7, %tmm6, %tmm0", 8192, 32768),
        ("tdpbsud\t%tmm7, %tmm6, %tmm0", 8192, 32768),
    ],
)
def test_products_of_bytes(instruction, bits, operations):
    loop = x86_loop(f"\t{instruction}")
    assert (loop.vector_bits, loop.dots, loop.fma, loop.flops) == (bits, 1, 0, operations)
    assert loop.verdict.startswith(f"{bits}-bit, 1 dot product of bytes, ")


def test_sse_without_fma():
    loop = x86_loop("""\tmovups	(%rax,%r12,4), %xmm0
	mulps	(%rsi,%r12,4), %xmm0
	addps	%xmm0, %xmm1""")
    assert (loop.vector_bits, loop.fma, loop.arithmetic, loop.flops, loop.loads) == (128, 0, 2, 8, 2)
    assert loop.verdict == "128-bit, 2 operations, 2 loads, no spills"


def test_scalar_on_x86():
    loop = x86_loop("""\tvmovss	(%rax,%r12,4), %xmm0
	vfmadd231ss	(%rsi,%r12,4), %xmm0, %xmm1""")
    assert (loop.vector_bits, loop.flops) == (0, 2)
    assert loop.verdict == "scalar: not vectorised, 1 FMA, 2 loads, no spills"


def test_stack_accesses_are_neither_loads_nor_stores():
    spilling = """\tvmovups	64(%rsp), %zmm1
	vfmadd231ps	128(%rsp), %zmm1, %zmm0
	vmovups	%zmm0, 64(%rsp)"""
    loop = x86_loop(spilling)
    assert (loop.stack, loop.loads, loop.stores) == (3, 0, 0)
    assert loop.verdict == "512-bit, 1 FMA, no loads, 3 spills"
    with_call = x86_loop(f"{spilling}\n\tcallq	*%rax")
    assert with_call.verdict == "512-bit, 1 FMA, no loads, 1 call, 3 stack accesses"


def test_frame_pointer_counts_as_stack_only_if_it_is_set_up():
    body = "\tvaddps	-64(%rbp), %ymm1, %ymm0"
    assert (x86_loop(body).stack, x86_loop(body).loads) == (0, 1)
    [loop] = loops(X86.format(body=body).replace("jmp", "movq	%rsp, %rbp\n\tjmp", 1), "x86_64")
    assert (loop.stack, loop.loads) == (1, 0)


def test_addition_to_memory_is_a_load_and_a_store():
    loop = x86_loop("\taddss	%xmm0, %xmm1\n\taddq	$1, (%rax)\n\tcmpq	%rcx, (%rax)\n\tleaq	8(%rax), %rdx")
    assert (loop.loads, loop.stores) == (2, 1)


AARCH64 = """
	.globl	_ZN4mine4tileB2v2B1cE
_ZN4mine4tileB2v2B1cE:
	mov	x8, xzr
.LBB0_1:
{body}
	subs	x9, x9, #4
	b.ne	.LBB0_1
	ret
"""


def test_frame_pointer_of_aarch64_counts_as_stack_only_if_it_is_set_up():
    code = AARCH64.format(body="\tldr\tq0, [x29, #16]\n\tfadd\tv0.4s, v0.4s, v1.4s")
    [loop] = loops(code, "aarch64")
    assert (loop.stack, loop.loads) == (0, 1)
    [loop] = loops(code.replace("mov\tx8, xzr", "add\tx29, sp, #16"), "aarch64")
    assert (loop.stack, loop.loads) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        """\tldp	q0, q1, [x10], #32
	ld1r	{v2.4s}, [x11]
	fmla	v4.4s, v0.4s, v2.4s
	fmla	v5.4s, v1.4s, v3.s[1]
	fadd	v6.4s, v4.4s, v5.4s
	prfm	pldl2keep, [x12, x8]
	str	q6, [x13, x8, lsl #4]
	ldr	q7, [sp, #16]""",
        """\tldp	q0, q1, [x10], #32
	ld1r.4s	{ v2 }, [x11]
	fmla.4s	v4, v0, v2
	fmla.4s	v5, v1, v3[1]
	fadd.4s	v6, v4, v5
	prfm	pldl2keep, [x12, x8]
	str	q6, [x13, x8, lsl #4]
	ldr	q7, [sp, #16]""",
    ],
    ids=["ARM", "Apple"],
)
def test_neon(body):
    [loop] = loops(AARCH64.replace("{body}", body), "arm64")
    assert (loop.name, loop.vector_bits, loop.fma, loop.arithmetic) == ("tile", 128, 2, 1)
    assert loop.flops == 4 * (2 + 2 + 1)
    assert (loop.loads, loop.stores, loop.broadcasts, loop.prefetches, loop.stack) == (3, 1, 1, 1, 1)
    assert loop.vector_registers == 8
    assert loop.verdict == "128-bit, 2 FMAs, 1 other operation, 3 loads, 1 spill"


def test_scalar_on_aarch64():
    [loop] = loops(AARCH64.replace("{body}", "\tldr	s1, [x10, x8]\n\tfmadd	s0, s1, s2, s0"), "aarch64")
    assert (loop.vector_bits, loop.fma, loop.flops, loop.loads) == (0, 1, 2, 1)


def consecutive_loops(*bodies):
    text = "mine:\n"
    for n, body in enumerate(bodies):
        text += f".LBB0_{n}:\n{body}\n\tjne	.LBB0_{n}\n"
    return text + "\tretq\n"


def test_narrower_loops_after_a_vector_loop_are_remainders():
    fma = ["\tvfmadd231ps	(%rax), %zmm1, %zmm0", "\tvfmadd231ps	(%rax), %ymm1, %ymm0"]
    scalar = "\tvfmadd231ss	(%rax), %xmm1, %xmm0"
    other = "\tvaddss	(%rax), %xmm1, %xmm0"
    in_order = sorted(loops(consecutive_loops(*fma, scalar, other, scalar), "x86_64"), key=lambda loop: loop.label)
    assert [loop.remainder for loop in in_order] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_ZN7lcbench6losses14numba_parallel14_cross_entropyB3v10B120c8tJTIeE", "_cross_entropy"),
        ("_ZN4mine5outer12_3clocals_3e5innerB2v1E", "inner"),
        ("__ZN4mine4tileE", "tile"),
        ("_ZN5numba2np9arraymath8npy_max_12_3clocals_3e8impl_maxB2v3E", "numba.impl_max"),
        ("_ZN13_3cdynamic_3e36__numba_parfor_gufunc_0x7f0a0b0c0d0eE", "prange"),
        ("NRT_decref", "NRT_decref"),
    ],
)
def test_source_name(symbol, name):
    assert source_name(symbol) == name


# Control flow


def bodies(text):
    """Return the letters of the instructions `op LETTER` of each innermost loop, in order."""
    lines = text.splitlines()
    found = []
    for blocks in innermost_loops(lines):
        body = [line for block in blocks for line in lines[block.first : block.last]]
        found.append("".join(line.split()[1] for line in body if line.startswith("\top")))
    return found


def test_no_loop():
    assert bodies("\top\ta\n\tjne\t.LBB0_1\n\top\tb\n.LBB0_1:\n\top\tc\n\tretq") == []


def test_empty_function():
    assert bodies("") == []


def test_only_the_inner_of_two_nested_loops():
    assert bodies(".LBB0_1:\n\top\ta\n.LBB0_2:\n\top\tb\n\tjne\t.LBB0_2\n\top\tc\n\tjl\t.LBB0_1\n\tretq") == ["b"]


def test_two_jumps_to_one_header_are_one_loop():
    assert bodies(".LBB0_1:\n\top\ta\n\tje\t.LBB0_1\n\top\tb\n\tjne\t.LBB0_1\n\tretq") == ["ab"]


def test_block_placed_outside_belongs_to_its_loop():
    text = (
        "\tjmp\t.LBB0_2\n"
        ".LBB0_3:\n\top\tz\n\tjmp\t.LBB0_4\n"
        ".LBB0_2:\n\top\ta\n\tje\t.LBB0_3\n"
        ".LBB0_4:\n\top\tb\n\tjne\t.LBB0_2"
    )
    assert bodies(text) == ["zab"]


def test_inner_loop_placed_after_the_end_of_the_outer_loop():
    """LLVM places the end of the outer loop before the inner loop, which jumps back to it."""
    text = (
        "\tjmp\t.LBB0_3\n"
        ".LBB0_1:\n\top\tx\n\tjle\t.LBB0_9\n"
        ".LBB0_3:\n\top\ty\n\tje\t.LBB0_1\n"
        ".LBB0_5:\n\top\ta\n\tjl\t.LBB0_5\n\tjmp\t.LBB0_1\n"
        ".LBB0_9:\n\tretq"
    )
    assert bodies(text) == ["a"]


def test_jump_back_to_a_block_that_does_not_dominate_is_no_loop():
    text = "\tje\t.LBB0_2\n.LBB0_1:\n\top\ta\n\tretq\n.LBB0_2:\n\top\tb\n\tjmp\t.LBB0_1"
    assert bodies(text) == []


def test_aarch64_jumps():
    text = ".LBB0_1:\n\top\ta\n\tcbz\tx1, .LBB0_2\n\top\tb\n\ttbnz\tw0, #3, .LBB0_1\n.LBB0_2:\n\tret"
    assert bodies(text) == ["ab"]


def test_unreachable_code_is_ignored():
    assert bodies("\tretq\n.LBB0_1:\n\top\ta\n\tjmp\t.LBB0_1") == []


# Code size


@compiles
@pytest.mark.skipif(platform.system() != "Linux", reason="code sizes are read from ELF object files")
def test_code_bytes_of_a_compiled_loop():
    found = loops(assembly(dot, ONES, ONES, fastmath=True))
    assert all(loop.code_bytes for loop in found)
    widest = max(found, key=lambda loop: len(loop.code))
    instructions = [line for line in widest.code.splitlines() if line.startswith("\t") and line[1] != "."]
    assert len(instructions) <= (widest.code_bytes or 0) <= 15 * len(instructions) + 64


x86_elf = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the lines are x86 assembly for ELF"
)

LINES = [
    "mine:",
    "\tnop",  # 1 byte
    ".LBB0_1:",
    "\tvfmadd231ps\t%zmm24, %zmm20, %zmm19",  # 6 bytes
    "\tjne\t.LBB0_1",  # 2 bytes
    "\tretq",
    '".const.a \\"quoted\\" name":',
    '\t.asciz\t"\\001\\"text"',
]


@x86_elf
def test_code_size_of_one_range():
    assert code_sizes(LINES, [[(2, 5)]]) == [8]


@x86_elf
def test_code_size_is_the_sum_of_the_ranges_of_a_loop():
    assert code_sizes(LINES, [[(1, 2), (3, 4)], [(0, 6)], [(4, 5)]]) == [7, 10, 2]


@x86_elf
def test_code_size_includes_padding_between_blocks():
    padded = [*LINES[:4], "\t.p2align\t4", *LINES[4:]]
    [whole] = code_sizes(padded, [[(0, 5)]]) or []
    assert whole == 16


@x86_elf
def test_code_size_is_none_if_llvm_cannot_assemble():
    assert code_sizes(["mine:", "\tvfmadd231ps\tnonsense"], [[(1, 2)]]) is None
