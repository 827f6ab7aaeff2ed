"""Tables in wide and narrow terminals, as CSV, and their consoles."""

from __future__ import annotations

from operator import itemgetter

import pytest
from rich.console import Console

from lcbench.report import style
from lcbench.report.table import NAME, NUMBER, SECONDS, WORD, Cell, Column, Table, pairs
from printed import printed


def example():
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


def test_a_table_in_a_wide_terminal():
    assert printed([example()], 52) == [
        "a title that is longer than a narrow line",
        "                               what it",
        "implementation         median  is        verdict",
        "───────────────────────────────────────────────────",
        "numba-parallel        4.37 ms  one pass  not slower",
        "                               over X",
        "mine.py:softmax_  1.00 [0.98,  -         wrong",
        "loss                    1.02]",
    ]


def test_a_list_in_a_narrow_terminal():
    assert printed([example()], 24) == [
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
    lines = printed([example()], width)
    for whole in ("4.37 ms", "wrong"):  # numbers and verdicts are never broken in a table
        assert any(whole in line for line in lines)
    assert "".join("".join(lines).split()).count("slower") == 1 or width < 21


def test_a_list_wraps_long_words():
    lines = printed([example()], 18)
    assert "mine.py:softmax_lo" in lines
    assert lines[lines.index("mine.py:softmax_lo") + 1] == "ss"


def test_pairs_wrap_long_words():
    lines = printed([pairs("machine", [("folder", "/a/very/long/path/of/somebody/to/results")])], 30)
    assert "".join("".join(lines).split()) == "machinefolder/a/very/long/path/of/somebody/to/results"


def test_numbers_are_right_aligned():
    rows = [{"name": "numpy", "median": "20.0 ms"}, {"name": "numba-parallel", "median": "402 us"}]
    lines = printed([Table("Times", rows, Column("implementation", "name"), Column("median", "median", NUMBER))])
    assert lines[0] == "Times"
    assert lines[-2] == "numpy           20.0 ms"
    assert lines[-1] == "numba-parallel   402 us"


def test_csv_has_exact_values():
    rows = [{"name": 'a,"b"', "median": 0.02}, {"name": "c", "median": None}]
    table = Table("", rows, Column("name", "name"), Column("median", "median", SECONDS))
    assert table.csv() == 'name,median\n"a,""b""",0.02\nc,\n'


def test_square_brackets_are_not_markup():
    table = pairs("Install", [("dask", "pip install 'lcbench[dask]'")])
    assert printed([table])[-1] == "dask  pip install 'lcbench[dask]'"


def test_consoles_write_to_stdout_or_stderr():
    assert isinstance(style.console(), Console)
    assert style.console(stderr=True).stderr
    assert not style.console().stderr
