"""A table where it fits, a list where it does not; nothing is ever cut off."""

from __future__ import annotations

from operator import itemgetter

import pytest

from lcbench.report.table import NAME, NUMBER, WORD, Cell, Column, Table, pairs
from printed import printed


def made():
    rows = [
        ("numba-parallel", "4.37 ms", "one pass over X", Cell("not slower", mood="bad")),
        ("mine.py:softmax_loss", "1.00 [0.98,\n1.02]", "-", "wrong"),
    ]
    return Table(
        "a title that is longer than a narrow line",
        rows,
        Column("implementation", itemgetter(0), NAME),
        Column("median", itemgetter(1), NUMBER),
        Column("what it is", itemgetter(2)),
        Column("verdict", itemgetter(3), WORD),
    )


def test_it_is_a_table_where_it_fits():
    assert printed([made()], 52) == [
        "a title that is longer than a narrow line",
        "                               what it",
        "implementation         median  is        verdict",
        "───────────────────────────────────────────────────",
        "numba-parallel        4.37 ms  one pass  not slower",
        "                               over X",
        "mine.py:softmax_  1.00 [0.98,  -         wrong",
        "loss                    1.02]",
    ]


def test_it_is_a_list_where_it_does_not():
    assert printed([made()], 24) == [
        "a title that is longer",
        "than a narrow line",
        "numba-parallel",
        "  median     4.37 ms",
        "  what it is one pass",
        "             over X",
        "  verdict    not slower",
        "mine.py:softmax_loss",
        "  median     1.00 [0.98,",
        "             1.02]",
        "  what it is -",
        "  verdict    wrong",
    ]


@pytest.mark.parametrize("width", range(18, 70))
def test_nothing_is_cut_off_at_any_width(width):
    lines = printed([made()], width)
    for whole in ("4.37 ms", "wrong"):  # numbers and verdicts are never broken in a table
        assert any(whole in line for line in lines)
    assert "".join("".join(lines).split()).count("slower") == 1 or width < 21


def test_a_list_has_all_of_the_longest_words():
    lines = printed([made()], 18)
    assert "mine.py:softmax_lo" in lines
    assert lines[lines.index("mine.py:softmax_lo") + 1] == "ss"


def test_pairs_fold_where_a_value_is_one_long_word():
    lines = printed([pairs("machine", [("folder", "/a/very/long/path/of/somebody/to/results")])], 30)
    assert "".join("".join(lines).split()) == "machinefolder/a/very/long/path/of/somebody/to/results"
