"""Parsing of user's files, and recognition of loss functions by their signature."""

import ast
from pathlib import Path

import pytest

from lcbench.losses.implementation import CannotLoad
from lcbench.usercode.source import (
    Definition,
    has_signature,
    loss_in_name,
    parse_source,
    positional_parameters,
    read_source,
)

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
def test_python_2_syntax_is_named_and_skips_only_its_function(line, reason):
    source = parse_source(
        f"{GOOD}\ndef old(W, X, y, reg):\n    loss = 1\n    {line}\n\n{GOOD.replace('good', 'fine')}", FILE
    )
    assert names(source) == ["good", "fine"]
    [note] = source.notes
    assert note.reason == f"Python 2 syntax: {reason}"
    assert note.line == 6 + line.count("\n")
    assert [definition.name for definition in note.definitions] == ["old"]


def test_mixed_tabs_and_spaces():
    [note] = parse_source("def f(x):\n        if x:\n\t    y = 1\n        return x\n", FILE).notes
    assert note.reason == "Python 2 syntax: tabs and spaces mixed in the indentation"


@pytest.mark.parametrize("line", ["%matplotlib inline", "!pip install future"])
def test_ipython_magic_skips_only_its_line(line):
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
def test_syntax_error_skips_only_its_block(broken):
    source = parse_source(f"{GOOD}\n{broken}\n{GOOD.replace('good', 'fine')}", FILE)
    assert names(source) == ["good", "fine"]
    assert source.notes[0].reason.startswith("syntax error: ")


def test_unindented_text_inside_a_string_starts_no_block():
    source = parse_source(
        'def good(x):\n    """\ndef not_me(x):\nprint x\n    """\n    return x\n\nprint "old"\n', FILE
    )
    assert names(source) == ["good"]
    assert len(source.notes) == 1


def test_except_and_else_belong_to_their_statement():
    source = parse_source('try:\n    a = 1\nexcept ValueError:\n    a = 2\nelse:\n    a = 3\nprint "old"\n', FILE)
    assert isinstance(source.statements[0], ast.Try)
    assert [note.line for note in source.notes] == [7]


def test_line_numbers_after_a_skipped_block():
    source = parse_source(f'print "old"\n\n\n{GOOD}', FILE)
    assert source.statements[0].lineno == 4


def test_definition_of_a_skipped_function():
    [note] = parse_source("def f(W, X, y, reg=1,\n      fast=False):\n    print W\n", FILE).notes
    assert note.definitions == (Definition("f", 1, ("W", "X", "y", "reg", "fast"), 3),)


def test_guarded_lines():
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
    ("raw", "unchanged"),
    [(b"x = 1\n", True), (b"x = 1\r\n", True), ("\ufeffx = 1\n".encode(), False), (b"print 1\n", False)],
)
def test_filename_is_the_path_if_the_file_is_parsed_unchanged(tmp_path, raw, unchanged):
    file = tmp_path / "file.py"
    file.write_bytes(raw)
    assert (read_source(file).filename == str(file)) is unchanged


def test_binary_data_is_refused(tmp_path):
    file = tmp_path / "softmax.py"
    file.write_bytes(b"\x89PNG\0\0")
    with pytest.raises(CannotLoad, match=r"softmax.py: not a Python source file"):
        read_source(file)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("anything(W, X, y, reg)", True),
        ("anything(theta, X_train, y_train, lam)", True),
        ("anything(w, x, labels, regularization)", True),
        ("anything(W, X, y, reg=0.1)", True),
        ("anything(W, X, y, reg, fast=False)", True),
        ("softmax_fast(a, b, c, d)", True),
        ("hinge(a, b, c, d, verbose=True)", True),
        ("my_loss(a, b, c, d)", True),
        ("anything(a, b, c, d)", False),
        ("affine_backward(x, w, b, cache)", False),
        ("svm_loss(x, y)", False),
        ("svm_loss(a, b, c=1, d=2)", False),
        ("two_layer_net(X, model, y=None, reg=0.0)", False),
        ("softmax_loss(W, X, y, reg, step)", False),
        ("softmax_loss(W, X, y, reg, *, step)", False),
        ("softmax_loss(W, X, y, reg, *, step=1)", True),
        ("train(W, X, y, reg, step)", False),
    ],
)
def test_signature(header, expected):
    namespace = {}
    exec(f"def {header}: pass", namespace)
    name = header.partition("(")[0]
    assert has_signature(name, *positional_parameters(namespace[name])) is expected


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("svm_loss_naive", "svm"),
        ("multiclass_hinge", "svm"),
        ("softmax_loss_vectorized", "softmax"),
        ("CrossEntropy", "softmax"),
        ("cross_entropy_loss", "softmax"),
        ("xent", "softmax"),
        ("loss_fn", None),
        ("svm_or_softmax", None),
    ],
)
def test_loss_in_name(name, loss):
    assert loss_in_name(name) == loss
