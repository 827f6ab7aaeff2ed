"""Parsing of user's files and notebooks, and recognition of loss functions by their signature."""

import ast
import json
import os
from pathlib import Path

import pytest

from lcbench.losses.implementation import CannotLoad
from lcbench.usercode import source
from lcbench.usercode.source import (
    Binding,
    Definition,
    Note,
    loss_binding,
    loss_in_name,
    parse_source,
    place,
    positional_parameters,
    read_source,
    summarised,
)

FILE = Path("/home/student/softmax.py")

GOOD = "def good(W, X, y, reg):\n    return 0.0, W\n"


def names(source):
    return [statement.name for statement in source.statements if isinstance(statement, ast.FunctionDef)]


@pytest.mark.parametrize(
    ("line", "mended", "name"),
    [
        ('print "loss", loss  # shown', 'print("loss", loss) # shown', "print statement"),
        ("if loss: print loss; loss = 2", "if loss: print(loss); loss = 2", "print statement"),
        ('print "a %d" % (\n        loss)', 'print("a %d" % (\n        loss))', "print statement"),
        ('print "a", ', "print(\"a\", end=' ')", "print statement"),
        ('exec "x = 1"', 'exec("x = 1")', "exec statement"),
        ('exec "x = 1" in {}', 'exec("x = 1", {})', "exec statement"),
        ('raise ValueError, "no"', 'raise ValueError("no")', "raise X, message"),
        ("return `loss`", "return repr(loss)", "backticks"),
        ("return loss <> 0", "return loss != 0", "the operator <>"),
        ("mode = 0777", "mode = 0o777", "octal number without 0o"),
        ("n = 10L", "n = 10", "long integer"),
        ("n = 0xFFL", "n = 0xFF", "long integer"),
        ('s = ur"x"', 's = r"x"', "ur string"),
    ],
)
def test_python_2_syntax_is_read_as_python_3(line, mended, name):
    text = f"{GOOD}\ndef old(W, X, y, reg):\n    loss = 1\n    %s\n\n{GOOD.replace('good', 'fine')}"
    source = parse_source(text % line, FILE)
    expected = ast.parse(text % mended)
    assert [ast.unparse(each) for each in source.statements] == [ast.unparse(each) for each in expected.body]
    assert [str(note) for note in source.notes] == [f"line 6: Python 2 syntax ({name}), read as Python 3"]


def test_old_exception_handlers_are_read_as_python_3():
    """They are no syntax error on the Pythons that accept several exceptions without parentheses."""
    source = parse_source("def old():\n    print 1\n    try: f()\n    except ValueError, error: print error\n", FILE)
    assert names(source) == ["old"]
    assert "print" in str(source.notes[0])


def test_a_file_full_of_python_2_has_one_note():
    text = "".join(f"def f{number}(x):\n    print x\n    return 0{number}L\n" for number in range(1, 8))
    source = parse_source(text, FILE)
    assert len(names(source)) == 7
    [note] = source.notes
    places = "line 2, line 3, line 5 and 11 more"
    assert str(note).startswith(f"{places}: Python 2 syntax (print statement, ")
    assert str(note).endswith("), read as Python 3")


@pytest.mark.parametrize("line", ["f = lambda (a, b): a", "def inner((a, b), c): pass"])
def test_what_cannot_be_read_as_python_3_skips_only_its_function(line):
    source = parse_source(
        f"{GOOD}\ndef old(W, X, y, reg):\n    loss = 1\n    {line}\n\n{GOOD.replace('good', 'fine')}", FILE
    )
    assert names(source) == ["good", "fine"]
    [note] = source.notes
    assert note.reason == "Python 2 syntax: tuple parameter; unpack it inside the function"
    assert note.line == 6
    assert [definition.name for definition in note.definitions] == ["old"]


def test_tabs_are_eight_columns_as_in_python_2():
    source = parse_source("def f(x):\n        if x:\n\t    y = 1\n        return x\n", FILE)
    assert names(source) == ["f"]
    assert "tabs of eight columns" in str(source.notes[0])


def test_mixed_tabs_that_fit_no_width():
    [note] = parse_source("def f(x):\n    if x:\n\ty = 1\n      z = 2\n    return x\n", FILE).notes
    assert note.reason == "tabs and spaces are mixed in the indentation: use spaces"


CONFLICT = """def whole(x):
    return x

def half(x):
    a = 1
<<<<<<< HEAD
    b = 2
=======
    b = 3
>>>>>>> theirs
    return a + b

<<<<<<< HEAD
def mine(x):
    return 1
=======
def theirs(x):
    return 2
>>>>>>> theirs
"""


def test_merge_conflicts_are_one_note_and_leave_no_part_of_a_function():
    source = parse_source(CONFLICT, FILE)
    assert names(source) == ["whole", "mine", "theirs"]
    assert summarised(source.notes) == [
        "line 6, line 13, line 16 and 1 more: unresolved merge conflict, skipped (defines half)"
    ]


def test_notes_of_one_reason_are_one_line():
    def undefined(line, name):
        return Note(line, f"NameError: name '{name}' is not defined")

    notes = [
        undefined(3, "data"),
        undefined(4, "model"),
        undefined(9, "data"),
        Note(12, "SystemExit"),
        undefined(20, "x"),
    ]
    assert summarised(notes) == [
        "line 3, line 4, line 9 and 1 more: NameError: name 'data' is not defined, and 2 more of this kind, skipped",
        "line 12: SystemExit, skipped",
    ]


def written_notebook(folder, *cells, **content):
    """Write a notebook with these code cells, after a cell of text."""
    text = {"cell_type": "markdown", "source": ["# Softmax\n"]}
    cells = [{"cell_type": "code", "source": code.splitlines(keepends=True), "outputs": []} for code in cells]
    file = folder / "notebook.ipynb"
    file.write_text(json.dumps({"cells": [text, *cells], "nbformat": 4, "metadata": {}} | content))
    return file


NOTEBOOK_CELLS = (
    "%matplotlib inline\nimport numpy as np\n!pip install thing\nx = !ls\nprint('start')",
    "%%time\ndelta, (rows, columns) = 1.0, (3, np.float32)\ndata = np.load('gone.npy')\nplot.size = 3\ndelta += 1",
    "%%bash\nrm -rf /",
    "if True:\n    %load_ext autoreload\n    def svm_loss(W, X, y, reg): return undefined\nsvm_loss(1, 2, 3, 4)",
    "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')\nscale = lambda x: x / len(data)\nnp.zeros?",
    "try:\n    import cupy\nexcept ImportError:\n    cupy = None\nclass Net: pass\nfor i in range(3):\n    train()",
)


def test_only_definitions_of_a_notebook_are_kept(tmp_path):
    source = read_source(written_notebook(tmp_path, *NOTEBOOK_CELLS))
    kept = [ast.unparse(statement).partition("\n")[0] for statement in source.statements]
    assert kept == [
        "import numpy as np",
        "delta, (rows, columns) = (1.0, (3, np.float32))",
        "if True:",
        "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "scale = lambda x: x / len(data)",
        "try:",
        "class Net:",
    ]
    [note] = source.notes
    assert str(note) == (
        "from code cell 2 line 3: 4 statements are not run: of a notebook, only imports, definitions and constants are"
    )
    assert place(source.filename, source.statements[-1].lineno) == "code cell 6 line 5"


def test_a_cell_that_is_no_python_is_left_out_alone(tmp_path):
    source = read_source(written_notebook(tmp_path, "def a(x):\n    return (x\n", GOOD))
    assert names(source) == ["good"]
    assert str(source.notes[0]).startswith("code cell 1 line 2: syntax error: ")


def test_notebooks_of_format_3(tmp_path):
    cells = [{"cell_type": "code", "input": [GOOD], "language": "python"}]
    file = tmp_path / "old.ipynb"
    file.write_text(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3, "metadata": {"name": ""}}))
    assert names(read_source(file)) == ["good"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a notebook"),
        ("[]", "not a notebook"),
        ("{}", "not a notebook"),
        ('{"cells": 3}', "not a notebook"),
        ('{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "is a notebook in R, not in Python"),
        ("[" * 100_000, "not a notebook"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path, text, message):
    file = tmp_path / "notebook.ipynb"
    file.write_text(text)
    with pytest.raises(CannotLoad, match=message):
        read_source(file)


@pytest.mark.parametrize("mark", ["# In[3]:\n", "# %%\n", '"""Automatically generated by Colab."""\n'])
def test_scripts_made_from_notebooks_are_read_like_notebooks(tmp_path, mark):
    file = tmp_path / "file.py"
    file.write_text(f"{mark}import json\njson.dumps(3)\nhistory = train()\n{GOOD}")
    assert [type(each) for each in read_source(file).statements] == [ast.Import, ast.FunctionDef]


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
    source = parse_source('def good(x):\n    """\ndef not_me(x):\nprint x\n    """\n    return x\n\nexec = 1 2\n', FILE)
    assert names(source) == ["good"]
    assert len(source.notes) == 1


def test_except_and_else_belong_to_their_statement():
    source = parse_source("try:\n    a = 1\nexcept ValueError:\n    a = 2\nelse:\n    a = 3\n1 2\n", FILE)
    assert isinstance(source.statements[0], ast.Try)
    assert [note.line for note in source.notes] == [7]


def test_line_numbers_after_a_skipped_block():
    source = parse_source(f"1 2\n\n\n{GOOD}", FILE)
    assert source.statements[0].lineno == 4


def test_definition_of_a_skipped_function():
    [note] = parse_source("def f(W, X, y, reg=1,\n      fast=False):\n    W W\n", FILE).notes
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


USUAL = Binding()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("anything(W, X, y, reg)", USUAL),
        ("anything(theta, X_train, y_train, lam)", USUAL),
        ("anything(w, x, labels, regularization)", USUAL),
        ("anything(W, X, y, reg=0.1)", USUAL),
        ("anything(W, X, y, reg, fast=False)", USUAL),
        ("softmax_fast(a, b, c, d)", USUAL),
        ("hinge(a, b, c, d, verbose=True)", USUAL),
        ("my_loss(a, b, c, d)", USUAL),
        ("my_loss(W, X, y, r)", USUAL),
        ("anything(X, y, W, reg)", Binding(("X", "y", "W", "reg"))),
        ("anything(X, W, y, reg)", Binding(("X", "W", "y", "reg"))),
        ("anything(theta, X, y, lambda_)", USUAL),
        ("anything(reg, labels, data, weights)", Binding(("reg", "y", "X", "W"))),
        ("softmax(x, w, y, r)", Binding(("X", "W", "y", "reg"))),
        ("svm(W, X, Y_onehot, l2_reg)", USUAL),
        ("svm(X, y, W, delta=1.0, reg=0.1)", Binding(("X", "y", "W"), (("reg", "reg"),))),
        ("anything(a, b, c, d)", None),
        ("affine_backward(x, w, b, cache)", None),
        ("svm_loss(x, y)", None),
        ("svm_loss(a, b, c=1, d=2)", None),
        ("two_layer_net(X, model, y=None, reg=0.0)", None),
        ("softmax_loss(W, X, y, reg, step)", None),
        ("softmax_loss(W, X, y, reg, *, step)", None),
        ("softmax_loss(W, X, y, reg, *, step=1)", USUAL),
        ("train(W, X, y, reg, step)", None),
        ("train_softmax(X_tr, y_tr, X_te, y_te)", None),
        ("softmax_scores(X_tr, y_tr, X_te, y_te)", None),
        ("ComputeAccuracySVM(W, b, X, y)", None),
        ("svm_of(W, b, X, y)", None),
        ("svm_step(W, X, y, learning_rate)", None),
        ("softmax_predict(W, X, y, reg)", None),
        ("softmax_loss(scores, labels, mode, cache)", None),
        ("softmax_regression(X, y, epochs, lr)", None),
    ],
)
def test_signature(header, expected):
    namespace = {}
    exec(f"def {header}: pass", namespace)
    name = header.partition("(")[0]
    assert loss_binding(name, *positional_parameters(namespace[name])) == expected


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


def test_files_stay_as_they_were_first_read(tmp_path, monkeypatch):
    monkeypatch.delenv(source.COPIES, raising=False)
    changed, vanished, same, new = (tmp_path / f"{name}.py" for name in ("changed", "vanished", "same", "new"))
    for file in (changed, vanished, same):
        file.write_text("a = 1\n")
    with source.unchanging() as changes:
        assert not source.is_file(new)
        for file in (changed, vanished, same):
            source.read_source(file)
        assert list(changes()) == []
        changed.write_text("a = 2\n")
        vanished.unlink()
        new.write_text("a = 3\n")
        for file, value in ((changed, 1), (vanished, 1), (same, 1), (new, 3)):
            assert source.is_file(file)
            assert source.read_source(file).statements[0].value.value == value
        assert source.read_once(changed, keep=False) == b"a = 1\n"
        assert {line.partition(" since")[0] for line in changes()} == {
            f"{changed} has changed",
            f"{vanished} has vanished",
        }
    assert source.COPIES not in os.environ
    assert source.read_source(changed).statements[0].value.value == 2
