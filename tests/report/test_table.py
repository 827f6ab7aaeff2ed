"""Tables in wide and narrow terminals, as CSV, and their consoles."""

from __future__ import annotations

import re
from operator import itemgetter

import pytest
from rich.console import Console
from rich.text import Text

from lcbench.errors import LcbenchError, printable
from lcbench.report import style
from lcbench.report.table import (
    LATE,
    NAME,
    NUMBER,
    SECONDS,
    WORD,
    Arrangement,
    Cell,
    Column,
    Table,
    pairs,
    without_common_file,
)
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
        "functions of mine.py",
        "implementation       median  what it is   verdict",
        "────────────────────────────────────────────────────",
        "numba-parallel      4.37 ms  one pass     not slower",
        "                             over X",
        "softmax_loss    1.00 [0.98,  -            wrong",
        "                      1.02]",
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


def times(*names):
    return Table(
        "times",
        [{"name": name, "time": 1e-3 * place} for place, name in enumerate(names, 1)],
        Column("implementation", "name", NAME),
        Column("time", "time", SECONDS),
        Column("GFLOP/s", lambda row: "149.9", NUMBER, leaves=2),
        Column("GB/s", lambda row: "15.0", NUMBER, leaves=1),
        Column("error", lambda row: "2e-07", NUMBER, leaves=LATE),
    )


def test_a_narrow_terminal_first_strips_the_common_file_then_columns_then_breaks_names():
    table = times("numpy", "softmax.py:softmax_loss_vectorized")
    assert printed([table], 80)[-1] == "softmax.py:softmax_loss_vectorized  2.00 ms    149.9  15.0  2e-07"
    assert printed([table], 60)[1] == "functions of softmax.py"
    assert printed([table], 60)[-1] == "softmax_loss_vectorized  2.00 ms    149.9  15.0  2e-07"
    assert printed([table], 50)[-2:] == ["softmax_loss_vectorized  2.00 ms    149.9  2e-07", "no room for GB/s"]
    assert printed([table], 40)[-2:] == ["softmax_loss_vectorized  2.00 ms  2e-07", "no room for GFLOP/s, GB/s"]
    assert printed([table], 36)[-3:-1] == ["softmax_loss_         2.00 ms  2e-07", "vectorized"]
    assert printed([table], 26)[-4:-2] == ["softmax_loss_      2.00 ms", "vectorized"]
    assert printed([table], 20)[1:4] == ["numpy", "  time    1.00 ms", "  GFLOP/s 149.9"]


@pytest.mark.parametrize(
    "names",
    [
        ("a.py:loss", "b.py:loss"),  # of two files
        ("softmax.py:numpy", "numpy"),  # the function would have the name of another row
        ("numpy", "numba-parallel"),
    ],
)
def test_names_that_would_be_ambiguous_keep_their_file(names):
    assert without_common_file(names) == ([*names], "")


def test_the_side_of_a_gate_stays_with_a_name():
    found = without_common_file(["hw/softmax.py:loss (base)", "hw/softmax.py:loss (head)"])
    assert found == (["loss (base)", "loss (head)"], "hw/softmax.py")


def test_a_matrix_is_printed_in_groups_of_columns():
    heads = [str(number) for number in range(10)]
    rows = [{"class": name, **dict.fromkeys(heads, "1000")} for name in ("airplane", "automobile")]
    matrix = Table(
        "", rows, Column("class", "class", WORD), *(Column(head, head, NUMBER) for head in heads), repeated=1
    )
    assert len(printed([matrix], 80)) == 4
    lines = printed([matrix], 60)
    assert len(lines) == 9
    assert lines[2] == "airplane    1000  1000  1000  1000  1000"
    assert lines[7] == lines[2]


def test_columns_and_rows_are_arranged_as_asked():
    table = times("numpy", "naive").arranged(Arrangement(("gb", "time"), "-time"))
    assert [column.heading for column in table.columns] == ["implementation", "GB/s", "time"]
    assert [row["name"] for row in table.rows] == ["naive", "numpy"]
    assert [row["name"] for row in times("b", "a").arranged(Arrangement(sort="impl")).rows] == ["a", "b"]
    assert "GB/s" in printed([times("numpy").arranged(Arrangement(("GB/s",)))], 26)[1]


def test_rows_without_a_value_come_last_in_both_directions():
    rows = [{"name": "a", "time": None}, {"name": "b", "time": 2.0}, {"name": "c", "time": 1.0}]
    table = Table("", rows, Column("name", "name"), Column("time", "time", SECONDS))
    assert [row["name"] for row in table.arranged(Arrangement(sort="time")).rows] == ["c", "b", "a"]
    assert [row["name"] for row in table.arranged(Arrangement(sort="-time")).rows] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Arrangement(("tme",)), "no column 'tme': did you mean 'time'?"),
        (Arrangement(sort="-memory"), "no column 'memory': "),
        (Arrangement(("g",)), "'g' is the beginning of several columns"),
    ],
)
def test_an_unknown_column_is_named(asked, told):
    with pytest.raises(LcbenchError, match=re.escape(told)):
        asked.require_known(times().columns)


def test_csv_has_exact_values():
    rows = [{"name": 'a,"b"', "median": 0.02}, {"name": "c", "median": None}]
    table = Table("", rows, Column("name", "name"), Column("median", "median", SECONDS))
    assert table.csv() == 'name,median\n"a,""b""",0.02\nc,\n'


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+1", "-1+cmd", "\t=1"])
def test_csv_has_no_formulas(text):
    table = Table("", [{"name": text, "median": -0.02}], Column("name", "name"), Column("median", "median", SECONDS))
    assert table.csv().splitlines()[1] == f"'{printable(text)},-0.02"


def test_square_brackets_are_not_markup():
    table = pairs("Install", [("dask", "pip install 'lcbench[dask]'")])
    assert printed([table])[-1] == "dask  pip install 'lcbench[dask]'"


def test_consoles_write_to_stdout_or_stderr():
    assert isinstance(style.console(), Console)
    assert style.console(stderr=True).stderr
    assert not style.console().stderr


def test_control_characters_are_visible_in_a_terminal(capsys):
    style.console().print(Table("title \x1b]0;x\x07", [{"name": "a\x1b[2J"}], Column("name", "name")))
    style.console().print(Text("reason: \x1b[31m\u202e"))
    shown = capsys.readouterr().out
    assert not set("\x1b\x07\u202e") & set(shown)
    assert r"title \x1b]0;x" in shown
    assert r"a\x1b[2J" in shown
    assert r"reason: \x1b[31m\u202e" in shown
