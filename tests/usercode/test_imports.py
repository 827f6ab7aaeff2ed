"""A user's modules: imports that forgive, and nothing global that changes."""

import sys
from textwrap import dedent

import pytest

from lcbench.usercode.loading import UserModules


def write(folder, **files):
    """Files by their path with __ for /, as in classifiers__svm="..."; an empty name is __init__."""
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
    """assignment1/cs231n/classifiers/, both inner folders packages."""
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


def test_the_main_part_never_runs(tmp_path):
    for name in ("a", "__main__"):
        file = tmp_path / f"{name}.py"
        file.write_text("ran = __name__ == '__main__'\n")
        assert run(file)[0]["ran"] is False


def test_a_missing_module_is_harmless_until_it_is_used(tmp_path):
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
    with pytest.raises(ImportError, match="uses gone, which is neither installed nor found beside the file"):
        namespace["use"]()
    with pytest.raises(ImportError, match="uses gone"):
        namespace["late"]()


def test_xrange_comes_from_bridges_that_are_not_installed_and_from_nowhere(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "past", None)  # as if not installed, on every machine
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


def test_a_fallback_in_a_try_is_taken(tmp_path):
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


def test_a_bridge_in_a_try_gives_nothing_but_range(tmp_path, monkeypatch):
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


def test_an_installed_module_without_that_part(tmp_path):
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


def test_siblings_by_every_form_of_import(tree):
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


def test_folders_without_init_and_folders_further_up(tmp_path):
    write(
        tmp_path,
        cs231n__data_utils="found = True",
        shared="found = True",
        work__mine__a="from cs231n.data_utils import found\nimport shared\n",
    )
    namespace, notes = run(tmp_path / "work/mine/a.py")
    assert notes == []
    assert namespace["found"] is namespace["shared"].found is True


def test_what_lies_beside_the_file_wins_over_what_is_installed(tree):
    write(tree, scipy="local = 'root'")
    write(tree / "cs231n/classifiers", a="import scipy, h5py", h5py="local = 'beside'")
    namespace, _ = run(tree / "cs231n/classifiers/a.py")
    assert (namespace["scipy"].local, namespace["h5py"].local) == ("root", "beside")


def test_the_standard_library_and_numpy_are_never_shadowed(tmp_path):
    write(tmp_path, random="local = True", numpy="local = True", a="import random, numpy")
    namespace, _ = run(tmp_path / "a.py")
    assert namespace["random"] is sys.modules["random"]
    assert namespace["numpy"] is sys.modules["numpy"]


def test_installed_packages_win_over_mere_folders_and_the_file_itself(tmp_path):
    write(tmp_path, numba__mine="x = 1", scipy="import scipy", a="import numba")
    assert hasattr(run(tmp_path / "a.py")[0]["numba"], "njit")
    assert run(tmp_path / "scipy.py")[0]["scipy"] is sys.modules["scipy"]


def test_circles_see_what_is_there_so_far(tmp_path):
    write(tmp_path, a="before = 1\nfrom b import *\nafter = 2\n", b="import a\nseen = a.before, hasattr(a, 'after')\n")
    namespace, notes = run(tmp_path / "a.py")
    assert notes == []
    assert namespace["seen"] == (1, False)


def test_a_package_that_fails_in_parts_still_serves(tree):
    (tree / "cs231n/__init__.py").write_text("from cs231n.gone import *\nprint 'hello'\nraise ValueError('no')\n")
    write(tree, cs231n__layers="x = 1", a="from cs231n import layers\nimport cs231n.nothing\n")
    namespace, notes = run(tree / "a.py")
    assert notes == []
    assert namespace["layers"].x == 1
    with pytest.raises(ImportError, match=r"uses cs231n\.nothing"):
        namespace["cs231n"].nothing.f()


def test_errors_inside_an_installed_package_stay_its_own(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "broken_library.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    write(tmp_path, work__a="import broken_library\n")
    _, notes = run(tmp_path / "work/a.py")
    assert notes == ["line 1: ModuleNotFoundError: No module named 'what_it_needs', skipped"]


def test_nothing_global_changes(tree):
    import builtins

    before = dict(vars(builtins)), set(sys.modules), list(sys.path)
    write(tree, cs231n__classifiers__a="import nowhere, cs231n\nfrom past.builtins import xrange\n")
    run(tree / "cs231n/classifiers/a.py")
    assert (dict(vars(builtins)), set(sys.modules), list(sys.path)) == before


def test_only_the_file_itself_decides_on_postponed_annotations(tmp_path):
    function = "def f(x: undefined): pass\n"
    write(tmp_path, now=function, later=f"from __future__ import annotations\n{function}")
    assert "f" not in run(tmp_path / "now.py")[0]
    assert "f" in run(tmp_path / "later.py")[0]
