"""What is read of a file, and what is left out of it."""

import ast
from pathlib import Path

import pytest

from lcbench.losses.implementation import CannotLoad
from lcbench.usercode.source import Definition, parse_source, read_source

FILE = Path("/home/student/softmax.py")

GOOD = "def good(W, X, y, reg):\n    return 0.0, W\n"


def names(source):
    return [statement.name for statement in source.statements if isinstance(statement, ast.FunctionDef)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('print "loss", loss', "print statement"),
        ("if loss: print loss", "print statement"),
        ('exec "x = 1"', "exec statement"),
        ("try: pass\n    except ValueError, e: pass", "except X, e"),
        ('raise ValueError, "no"', "raise X, message"),
        ("return `loss`", "backticks"),
        ("return loss <> 0", "the operator <>"),
        ("mode = 0777", "octal number without 0o"),
        ("n = 10L", "long integer"),
        ('s = ur"x"', "ur string"),
        ("f = lambda (a, b): a", "tuple parameter"),
    ],
)
def test_python_2_syntax_is_named_and_costs_only_its_function(line, reason):
    source = parse_source(
        f"{GOOD}\ndef old(W, X, y, reg):\n    loss = 1\n    {line}\n\n{GOOD.replace('good', 'fine')}", FILE
    )
    assert names(source) == ["good", "fine"]
    [note] = source.notes
    assert note.reason == f"Python 2 syntax: {reason}"
    assert note.line == 6 + line.count("\n")
    assert [definition.name for definition in note.definitions] == ["old"]


def test_mixed_tabs_are_named():
    [note] = parse_source("def f(x):\n        if x:\n\t    y = 1\n        return x\n", FILE).notes
    assert note.reason == "Python 2 syntax: tabs and spaces mixed in the indentation"


@pytest.mark.parametrize("line", ["%matplotlib inline", "!pip install future"])
def test_a_notebook_line_costs_only_itself(line):
    source = parse_source(f"import numpy as np\n{line}\n{GOOD}", FILE)
    assert names(source) == ["good"]
    assert str(source.notes[0]) == f"line 2: IPython magic: {line}, skipped"


@pytest.mark.parametrize(
    "broken",
    [
        "def broken(W, X, y, reg):\n    scores = X.dot(W\n",
        "def broken(W, X, y, reg):\n    # nothing yet\n",
        "def broken(W, X, y, reg)\n    return 0\n",
        'def broken(W, X, y, reg):\n    """never closed\n    return 0\n',
        "@decorated\n@twice\ndef broken(W, X, y, reg):\n    return 0 1\n",
    ],
)
def test_a_syntax_error_costs_no_neighbour(broken):
    source = parse_source(f"{GOOD}\n{broken}\n{GOOD.replace('good', 'fine')}", FILE)
    assert names(source) == ["good", "fine"]
    assert source.notes[0].reason.startswith("syntax error: ")


def test_text_at_the_left_margin_inside_a_string_starts_nothing():
    source = parse_source(
        'def good(x):\n    """\ndef not_me(x):\nprint x\n    """\n    return x\n\nprint "old"\n', FILE
    )
    assert names(source) == ["good"]
    assert len(source.notes) == 1


def test_branches_stay_with_their_statement():
    source = parse_source('try:\n    a = 1\nexcept ValueError:\n    a = 2\nelse:\n    a = 3\nprint "old"\n', FILE)
    assert isinstance(source.statements[0], ast.Try)
    assert [note.line for note in source.notes] == [7]


def test_line_numbers_survive_a_cut():
    source = parse_source(f'print "old"\n\n\n{GOOD}', FILE)
    assert source.statements[0].lineno == 4


def test_a_lost_function_keeps_its_parameters():
    [note] = parse_source("def f(W, X, y, reg=1,\n      fast=False):\n    print W\n", FILE).notes
    assert note.definitions == (Definition("f", 1, ("W", "X", "y", "reg", "fast"), 3),)


def test_lines_in_the_body_of_a_try_with_handlers_are_guarded():
    with_handler = "try:\n    import b\nexcept ImportError:\n    import c\n"
    source = parse_source(f"import a\n{with_handler}try:\n    import d\nfinally:\n    pass\n", FILE)
    assert source.guarded == {3}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("x = 'é'\n".encode("utf-8-sig"), "é"),
        ("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), "é"),
        ("x = 'é'\r\n\r\n".encode(), "é"),
        (b"x = 'old mac'\ry = 1\r", "old mac"),
        (b"# caf\xe9, undeclared\nx = 'fine'", "fine"),
    ],
)
def test_encodings_and_line_ends(tmp_path, raw, text):
    file = tmp_path / "file.py"
    file.write_bytes(raw)
    source = read_source(file)
    assert source.statements[0].value.value == text
    assert source.notes == ()


@pytest.mark.parametrize(
    ("raw", "as_it_stands"),
    [(b"x = 1\n", True), (b"x = 1\r\n", True), ("\ufeffx = 1\n".encode(), False), (b"print 1\n", False)],
)
def test_code_bears_the_file_name_where_the_file_is_what_was_compiled(tmp_path, raw, as_it_stands):
    file = tmp_path / "file.py"
    file.write_bytes(raw)
    assert (read_source(file).filename == str(file)) is as_it_stands


def test_binary_data_is_refused(tmp_path):
    file = tmp_path / "softmax.py"
    file.write_bytes(b"\x89PNG\0\0")
    with pytest.raises(CannotLoad, match=r"softmax.py: not a Python source file"):
        read_source(file)
