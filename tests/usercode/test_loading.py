"""User's files run as modules: imports, placeholders for missing modules, and exceptions as one line."""

import sys
from textwrap import dedent

import numpy as np
import pytest

from lcbench.usercode.loading import MissingModule, UserModules, UsesMissingError, describe_error, why_missing


def write(folder, **files):
    """Write files named by their path with __ for /, for example classifiers__svm="..."."""
    for name, text in files.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))


def package(*folders):
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()


def run(file):
    user_module = UserModules().load(file)
    return vars(user_module.module), [str(note) for note in user_module.notes]


@pytest.fixture
def tree(tmp_path):
    """Create assignment1/cs231n/classifiers/, where cs231n and classifiers are packages."""
    package(tmp_path / "assignment1/cs231n", tmp_path / "assignment1/cs231n/classifiers")
    return tmp_path / "assignment1"


def test_statements_that_raise_are_skipped(tmp_path):
    write(
        tmp_path,
        a="""
        first = 1
        data = open("no such file")
        second = 2
        raise SystemExit
        third = 3
        """,
    )
    namespace, notes = run(tmp_path / "a.py")
    assert [namespace[name] for name in ("first", "second", "third")] == [1, 2, 3]
    assert notes == [
        "line 3: FileNotFoundError: [Errno 2] No such file or directory: 'no such file', skipped",
        "line 5: SystemExit, skipped",
    ]


def test_name_is_never_main(tmp_path):
    for name in ("a", "__main__"):
        file = tmp_path / f"{name}.py"
        file.write_text("ran = __name__ == '__main__'\n")
        assert run(file)[0]["ran"] is False


def test_missing_module_raises_only_when_it_is_used(tmp_path):
    write(
        tmp_path,
        a="""
        import nowhere.at.all as nowhere
        import other.thing
        from gone import something, xrange
        from gone.altogether import *

        class Net(other.thing.Module):
            pass

        def use():
            return something(3)

        def late():
            import gone.late
            return gone.late.x[3]
        """,
    )
    namespace, notes = run(tmp_path / "a.py")
    assert notes == []
    assert namespace["xrange"] is range
    with pytest.raises(ImportError, match="uses gone, which is neither installed nor found next to the file"):
        namespace["use"]()
    with pytest.raises(ImportError, match="uses gone"):
        namespace["late"]()


def test_xrange_is_builtin_and_importable_from_missing_packages(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "past", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "six", None)
    write(
        tmp_path,
        a="""
        bare = xrange
        from past.builtins import xrange as past
        try:
            from six.moves import xrange as six
        except ImportError:
            six = None
        same = basestring, unicode, long, raw_input, reduce
        """,
    )
    namespace, notes = run(tmp_path / "a.py")
    assert notes == []
    assert [namespace[name] for name in ("bare", "past", "six")] == [range] * 3


def test_fallback_in_a_try_statement_runs(tmp_path):
    write(
        tmp_path,
        a="""
        try:
            import nowhere as chosen
        except ImportError:
            import json as chosen
        try:
            from six_or_so.moves import cPickle as pickle
        except ModuleNotFoundError:
            import pickle
        try:
            from . import nothing_here
            from .nothing_here import x
        except ImportError:
            x = "fallback"

        def later():
            try:
                import nowhere
            except ImportError:
                return "fallback"
        """,
    )
    namespace, notes = run(tmp_path / "a.py")
    assert notes == []
    assert (namespace["chosen"].__name__, namespace["pickle"].__name__) == ("json", "pickle")
    assert namespace["x"] == namespace["later"]() == "fallback"


def test_missing_six_in_a_try_statement_provides_range_only(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "six", None)
    write(
        tmp_path,
        a="""
        try:
            from six.moves import cPickle as chosen
        except ImportError:
            chosen = "fallback"
        """,
    )
    assert run(tmp_path / "a.py")[0]["chosen"] == "fallback"


def test_installed_package_without_the_submodule(tmp_path):
    write(
        tmp_path,
        a="""
        from scipy.nothing import gone
        import scipy.nothing
        from numpy import infty, exp

        def use():
            gone()
        """,
    )
    namespace, notes = run(tmp_path / "a.py")
    assert namespace["exp"](0) == 1
    assert len(notes) == 1
    assert "infty" in notes[0]
    with pytest.raises(ImportError, match=r"uses scipy\.nothing, which the installed scipy does not have"):
        namespace["use"]()
    assert namespace["scipy"] is sys.modules["scipy"]
    assert not hasattr(namespace["scipy"], "nothing")


def test_every_form_of_import_of_neighbouring_files(tree):
    write(
        tree / "cs231n",
        data_utils="names = ['plane']",
        classifiers__svm="margin = 1",
        classifiers__main="""
            import svm
            import cs231n.data_utils
            import cs231n.classifiers.svm as absolute
            from cs231n.classifiers import svm as member
            from cs231n.data_utils import names
            from . import svm as relative
            from .svm import *
            from ..data_utils import names as two_up
            from .. import data_utils
            """,
    )
    namespace, notes = run(tree / "cs231n/classifiers/main.py")
    assert notes == []
    assert namespace["svm"] is namespace["absolute"] is namespace["member"] is namespace["relative"]
    assert namespace["margin"] == 1
    assert namespace["names"] is namespace["two_up"] is namespace["cs231n"].data_utils.names
    assert namespace["data_utils"].__name__ == "cs231n.data_utils"


def test_folders_without_init_and_parent_folders(tmp_path):
    write(
        tmp_path,
        cs231n__data_utils="found = True",
        shared="found = True",
        work__mine__a="from cs231n.data_utils import found\nimport shared\n",
    )
    namespace, notes = run(tmp_path / "work/mine/a.py")
    assert notes == []
    assert namespace["found"] is namespace["shared"].found is True


def test_neighbouring_files_take_precedence_over_installed_packages(tree):
    write(tree, scipy="local = 'root'")
    write(tree / "cs231n/classifiers", a="import scipy, h5py", h5py="local = 'beside'")
    namespace, _ = run(tree / "cs231n/classifiers/a.py")
    assert (namespace["scipy"].local, namespace["h5py"].local) == ("root", "beside")


def test_standard_library_and_numpy_are_never_shadowed(tmp_path):
    write(tmp_path, random="local = True", numpy="local = True", a="import random, numpy")
    namespace, _ = run(tmp_path / "a.py")
    assert namespace["random"] is sys.modules["random"]
    assert namespace["numpy"] is sys.modules["numpy"]


def test_installed_packages_take_precedence_over_plain_folders_and_the_file_itself(tmp_path):
    write(tmp_path, numba__mine="x = 1", scipy="import scipy", a="import numba")
    assert hasattr(run(tmp_path / "a.py")[0]["numba"], "njit")
    assert run(tmp_path / "scipy.py")[0]["scipy"] is sys.modules["scipy"]


def test_circular_import(tmp_path):
    write(tmp_path, a="before = 1\nfrom b import *\nafter = 2\n", b="import a\nseen = a.before, hasattr(a, 'after')\n")
    namespace, notes = run(tmp_path / "a.py")
    assert notes == []
    assert namespace["seen"] == (1, False)


def test_package_whose_init_fails_in_parts(tree):
    (tree / "cs231n/__init__.py").write_text("from cs231n.gone import *\nprint 'hello'\nraise ValueError('no')\n")
    write(tree, cs231n__layers="x = 1", a="from cs231n import layers\nimport cs231n.nothing\n")
    namespace, notes = run(tree / "a.py")
    assert notes == []
    assert namespace["layers"].x == 1
    with pytest.raises(ImportError, match=r"uses cs231n\.nothing"):
        namespace["cs231n"].nothing.f()


def test_import_error_inside_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "broken_library.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    write(tmp_path, work__a="import broken_library\n")
    _, notes = run(tmp_path / "work/a.py")
    assert notes == ["line 1: ModuleNotFoundError: No module named 'what_it_needs', skipped"]


def test_no_global_state_changes(tree):
    import builtins

    before = dict(vars(builtins)), set(sys.modules), list(sys.path)
    write(tree, cs231n__classifiers__a="import nowhere, cs231n\nfrom past.builtins import xrange\n")
    run(tree / "cs231n/classifiers/a.py")
    assert (dict(vars(builtins)), set(sys.modules), list(sys.path)) == before


def test_future_annotations_of_the_file_only(tmp_path):
    function = "def f(x: undefined): pass\n"
    write(tmp_path, now=function, later=f"from __future__ import annotations\n{function}")
    # Since Python 3.14, annotations are evaluated when they are asked for, and the function is defined.
    with pytest.raises(KeyError if sys.version_info < (3, 14) else NameError):
        print(run(tmp_path / "now.py")[0]["f"].__annotations__)
    assert run(tmp_path / "later.py")[0]["f"].__annotations__ == {"x": "undefined"}


# Placeholders for missing modules

plt = MissingModule("matplotlib.pyplot", why_missing("matplotlib.pyplot"))


@pytest.mark.parametrize(
    "use",
    [
        lambda: plt.plot([1]),
        lambda: plt.cm.jet(3),
        lambda: plt.rcParams["figure.figsize"],
        lambda: plt.rcParams.update(a=1),
        lambda: list(plt),
        lambda: len(plt),
        lambda: plt.a + 1,
        lambda: 1 - plt.a,
        lambda: np.ones(3) * plt.a,
        lambda: isinstance(3, plt.Figure),
        lambda: plt.a < 3,
        lambda: plt.figure().__enter__(),
    ],
)
def test_use_of_a_placeholder_raises(use):
    with pytest.raises(UsesMissingError) as caught:
        use()
    assert str(caught.value) == "uses matplotlib.pyplot, which is not installed: pip install matplotlib"


def test_class_derived_from_a_placeholder_fails_when_it_is_instantiated():
    class Net(plt.Figure, plt.Axes):
        pass

    with pytest.raises(UsesMissingError, match=r"matplotlib\.pyplot"):
        Net(3)


def test_range_of_a_placeholder():
    moves = MissingModule("six", "").moves
    assert moves.xrange is range
    assert moves.range is range


def test_import_star_from_a_placeholder():
    assert plt.__all__ == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("past.builtins", "which is not installed: pip install future"),
        ("cPickle", "which exists in Python 2 only"),
        ("cs231n.layers", "which is neither installed nor found next to the file"),
    ],
)
def test_why_missing(name, reason):
    assert why_missing(name) == reason


# Exceptions


def fault_of(text):
    try:
        exec(compile(text, "student.py", "exec", dont_inherit=True), {})
    except (Exception, SystemExit) as error:
        return describe_error(error, "student.py")
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import numpy as np\nx = np.int(3)", "line 2: np.int was removed in NumPy 1.24; write int"),
        ("import numpy as np\nx = np.infty", "line 2: np.infty was removed in NumPy 2.0; write np.inf"),
        ("import numpy as np\nnp.product([1])", "line 2: np.product was removed in NumPy 2.0; write np.prod"),
        ("def f():\n    raise ValueError('a\\nb')\n\nf()", "line 2: ValueError: a"),
        ("raise KeyError", "line 1: KeyError"),
        ("import json\njson.loads('')", "line 2: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("from json import nothing", "line 1: ImportError: cannot import name 'nothing' from 'json'"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("\nreturn 3", "line 2: syntax error: 'return' outside function"),
        ("raise NotImplementedError", "line 1: unfinished: raises NotImplementedError"),
    ],
)
def test_fault_is_one_line_with_line_number(text, line):
    assert str(fault_of(text)) == line


def test_unknown_numpy_name_is_no_removed_one():
    fault = fault_of("import numpy as np\nnp.nothing")
    assert (fault.kind, str(fault)) == ("raises", "line 2: AttributeError: NumPy has no nothing")
    misspelt = fault_of("import numpy as np\nnp.zero_like")
    assert str(misspelt) == "line 2: AttributeError: NumPy has no zero_like; did you mean np.zeros_like?"


UNREADABLE = """
class Odd(Exception):
    def __str__(self):
        raise ValueError
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{UNREADABLE}raise Odd", "line 5: Odd: its message cannot be shown"),
        ("raise ValueError('a\\udcffb')", "line 1: ValueError: a\\udcffb"),
        ("raise ValueError('a\\x1b[2Jb')", "line 1: ValueError: a?[2Jb"),
        ("raise KeyboardInterrupt", "line 1: KeyboardInterrupt"),
        ("raise GeneratorExit('end')", "line 1: GeneratorExit: end"),
        ("class Stop(BaseException): pass\nraise Stop", "line 2: Stop"),
    ],
)
def test_exceptions_of_any_class_are_notes_that_can_be_printed(tmp_path, text, line):
    (tmp_path / "a.py").write_text(f"{text}\nafter = 1\n")
    namespace, notes = run(tmp_path / "a.py")
    assert notes == [f"{line}, skipped"]
    assert namespace["after"] == 1
    notes[0].encode()


def test_an_interrupt_by_the_user_is_no_note(tmp_path):
    (tmp_path / "a.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor i in range(10**9): pass\n"
    )
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.py")


def test_long_message_is_shortened():
    assert len(str(fault_of("raise ValueError('x' * 1000)"))) < 200


def test_kinds_of_faults():
    assert fault_of("import numpy as np\nnp.int").kind == "removed-numpy-name"
    assert fault_of("raise NotImplementedError").kind == "unfinished"
    assert fault_of("1 / 0").kind == "raises"
