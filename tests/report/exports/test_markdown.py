"""Markdown tables as GitHub renders them."""

from __future__ import annotations

import re

import pytest

from lcbench.report.exports import export, tables
from lcbench.report.table import escaped
from results import record, row
from results_to_export import COMPARISONS, NOTHING_TIMED, RESULT

VERDICTS = """\
### lcbench: head against base

**1 wrong, 1 not measured, 1 slower, 2 inconclusive, 1 not slower; 5.0 % allowed**

softmax: 500 rows x 3,073 features, 10 classes, float32, synthetic

| implementation | verdict | base | new | change |
| --- | --- | ---: | ---: | --- |
| mistaken | **wrong** | 80.5 ms | - | loss is 1, right is 100 % |
| gone | **not measured** | 1.05 s | - | crashed: killed |
| grown | **slower** | 400 us | 500 us | +25.0 % (95 %: +22.2 % to +27.9 %) |
| \\_\\_init\\_\\_.py:f\\|g | **inconclusive** | 2.99 ms | 3.19 ms | +6.7 % (95 %: -14.4 % to +33.1 %) |
| once | **inconclusive** | 1.00 s | 2.00 s | +100.0 % (no interval: too few processes) |
| same | not slower | 2.00 ms | 2.00 ms | +0.0 % (95 %: -2.2 % to +2.3 %) |

seen on \\<this\\> machine

slower: by more than 5.0 %; inconclusive: the noise is too large to decide; change: change of the time per call, with its 95 % interval
"""  # noqa: E501


def test_verdicts_worst_first():
    assert tables.markdown_verdicts(COMPARISONS, 0.05, "head against base", ["seen on <this> machine"]) == VERDICTS


def tables_of(text):
    """Return the cells of every table, after checking that its lines have equally many."""
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE)
    cells = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in tables]
    for table in cells:
        assert len({len(line) for line in table}) == 1
        assert all(re.fullmatch(" ---:? ", cell) for cell in table[1])
    return [[[cell.strip() for cell in line] for line in table] for table in cells]


def test_a_result_holds_the_tables_of_a_run():
    ranking, simulated, before = tables_of(export(RESULT, "markdown"))
    assert [line[:2] for line in ranking[2:]] == [["numpy", "2.10 ms"], ["mine.py:softmax_loss", "3.00 ms"]]
    assert simulated[2][0] == "numba-cuda"
    assert "1.50 s" not in export(RESULT, "markdown")
    assert [line[0] for line in before[2:]] == ["numpy", "mine.py:softmax_loss"]
    assert "\nwrong.py:f wrong (softmax 500): loss is 1,\N{REPLACEMENT CHARACTER}[31m right \\| is \\<2\\>\n" in export(
        RESULT, "markdown"
    )


def test_numbers_are_right_aligned():
    table = tables_of(export(RESULT, "markdown"))[0]
    assert table[1][:2] == ["---", "---:"]


def test_a_result_of_no_time_says_why():
    text = export(NOTHING_TIMED, "markdown")
    assert "torch unavailable" in text
    assert len(tables_of(text)) == 1


def test_a_cell_stays_on_its_line():
    far = record(row("numpy", [1e-3, 1.0]), row("other", [1.0, 1e-3]))
    assert len(tables_of(export(far, "markdown"))[0]) == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("softmax_loss_vectorized", "softmax_loss_vectorized"),
        ("_private, __init__", r"\_private, \_\_init\_\_"),
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("<img src=x>&amp;", r"\<img src=x\>\&amp;"),
        ("[link](http://x)", r"[link\](http://x)"),
        ("*a* `b` ~c~ $d$", r"\*a\* \`b\` \~c\~ \$d\$"),
        ("two\nlines\t ", "two lines"),
        ("2.76 [2.52,3.03]", "2.76 [2.52,3.03]"),
        ("\x1b[31m", "\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_text_is_shown_as_it_stands(text, shown):
    assert escaped(text) == shown
