"""Innermost loops of a function's jumps."""

from __future__ import annotations

from lcbench.machine_code.loops import innermost_loops


def bodies(text):
    """Each innermost loop as the letters of its instructions `op LETTER`, in their order."""
    lines = text.splitlines()
    found = []
    for blocks in innermost_loops(lines):
        body = [line for block in blocks for line in lines[block.first : block.last]]
        found.append("".join(line.split()[1] for line in body if line.startswith("\top")))
    return found


def test_no_loop():
    assert bodies("\top\ta\n\tjne\t.LBB0_1\n\top\tb\n.LBB0_1:\n\top\tc\n\tretq") == []


def test_an_empty_function():
    assert bodies("") == []


def test_only_the_inner_one_of_two():
    assert bodies(".LBB0_1:\n\top\ta\n.LBB0_2:\n\top\tb\n\tjne\t.LBB0_2\n\top\tc\n\tjl\t.LBB0_1\n\tretq") == ["b"]


def test_two_ways_back_make_one_loop():
    assert bodies(".LBB0_1:\n\top\ta\n\tje\t.LBB0_1\n\top\tb\n\tjne\t.LBB0_1\n\tretq") == ["ab"]


def test_a_block_that_lies_elsewhere_belongs_to_its_loop():
    text = (
        "\tjmp\t.LBB0_2\n"
        ".LBB0_3:\n\top\tz\n\tjmp\t.LBB0_4\n"
        ".LBB0_2:\n\top\ta\n\tje\t.LBB0_3\n"
        ".LBB0_4:\n\top\tb\n\tjne\t.LBB0_2"
    )
    assert bodies(text) == ["zab"]


def test_a_loop_that_is_laid_out_behind_its_outer_one_is_still_inside():
    """As LLVM lays out a tile: the outer loop's end stands before the inner loop, which jumps back to it."""
    text = (
        "\tjmp\t.LBB0_3\n"
        ".LBB0_1:\n\top\tx\n\tjle\t.LBB0_9\n"
        ".LBB0_3:\n\top\ty\n\tje\t.LBB0_1\n"
        ".LBB0_5:\n\top\ta\n\tjl\t.LBB0_5\n\tjmp\t.LBB0_1\n"
        ".LBB0_9:\n\tretq"
    )
    assert bodies(text) == ["a"]


def test_a_jump_back_into_the_middle_of_what_was_entered_elsewhere_is_no_loop():
    text = "\tje\t.LBB0_2\n.LBB0_1:\n\top\ta\n\tretq\n.LBB0_2:\n\top\tb\n\tjmp\t.LBB0_1"
    assert bodies(text) == []


def test_arms_jumps():
    text = ".LBB0_1:\n\top\ta\n\tcbz\tx1, .LBB0_2\n\top\tb\n\ttbnz\tw0, #3, .LBB0_1\n.LBB0_2:\n\tret"
    assert bodies(text) == ["ab"]


def test_code_that_nothing_leads_to_is_passed_over():
    assert bodies("\tretq\n.LBB0_1:\n\top\ta\n\tjmp\t.LBB0_1") == []
