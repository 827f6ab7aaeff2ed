"""Lengths of code, by assembling it."""

from __future__ import annotations

import platform

import pytest

from lcbench.machine_code.loops import code_sizes

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="x86 in ELF is what these lines are"
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


def test_one_piece():
    assert code_sizes(LINES, [[(2, 5)]]) == [8]


def test_pieces_of_one_place_are_added():
    assert code_sizes(LINES, [[(1, 2), (3, 4)], [(0, 6)], [(4, 5)]]) == [7, 10, 2]


def test_padding_that_is_run_through_counts():
    padded = [*LINES[:4], "\t.p2align\t4", *LINES[4:]]
    [whole] = code_sizes(padded, [[(0, 5)]]) or []
    assert whole == 16


def test_what_llvm_cannot_read_has_no_size():
    assert code_sizes(["mine:", "\tvfmadd231ps\tnonsense"], [[(1, 2)]]) is None
