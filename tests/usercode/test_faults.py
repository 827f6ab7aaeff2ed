"""Exceptions of a user's code as one line."""

import pytest

from lcbench.usercode.loading import describe


def fault_of(text):
    try:
        exec(compile(text, "student.py", "exec", dont_inherit=True), {})
    except (Exception, SystemExit) as error:
        return describe(error, "student.py")
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import numpy as np\nx = np.int(3)", "line 2: np.int is gone since NumPy 1.24; write int"),
        ("import numpy as np\nx = np.infty", "line 2: np.infty is gone since NumPy 2.0; write np.inf"),
        ("import numpy as np\nnp.product([1])", "line 2: np.product is gone since NumPy 2.0; write np.prod"),
        ("def f():\n    raise ValueError('a\\nb')\n\nf()", "line 2: ValueError: a"),
        ("raise KeyError", "line 1: KeyError"),
        ("import json\njson.loads('')", "line 2: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("from json import nothing", "line 1: ImportError: cannot import name 'nothing' from 'json'"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("\nreturn 3", "line 2: syntax error: 'return' outside function"),
        ("raise NotImplementedError", "line 1: unfinished: raises NotImplementedError"),
    ],
)
def test_one_line_with_its_place(text, line):
    assert str(fault_of(text)) == line


def test_an_unknown_numpy_name_has_no_replacement_to_offer():
    assert "np.nothing is not in NumPy" in str(fault_of("import numpy as np\nnp.nothing"))


def test_long_messages_are_cut():
    assert len(str(fault_of("raise ValueError('x' * 1000)"))) < 200


def test_kinds():
    assert fault_of("import numpy as np\nnp.int").kind == "removed-numpy-name"
    assert fault_of("raise NotImplementedError").kind == "unfinished"
    assert fault_of("1 / 0").kind == "raises"
