"""Selection: names are resolved to targets."""

from __future__ import annotations

import pytest

from lcbench.losses import catalog
from lcbench.losses.implementation import LossError, Unavailable, UnknownImplementation
from lcbench.measure import selection
from lcbench.measure.selection import select_targets, split_names

BOTH = ["svm", "softmax"]


def test_repeated_and_comma_separated_names_are_unique():
    assert split_names(["numpy,naive", " naive ", "a.py:f,,"]) == ["numpy", "naive", "a.py:f"]


def test_targets_are_in_the_requested_order():
    chosen = select_targets(["numpy", "naive"], BOTH)
    assert [(target.name, target.device, target.losses, target.unavailable) for target in chosen] == [
        ("numpy", "cpu", ("svm", "softmax"), ""),
        ("naive", "cpu", ("svm", "softmax"), ""),
    ]


@pytest.fixture
def without_jax(monkeypatch):
    def why(entry):
        return Unavailable("jax is not installed", "pip install jax") if entry.name.startswith("jax") else None

    monkeypatch.setattr(catalog, "why_unavailable", why)


@pytest.mark.parametrize("names", [[], ["all"]])
def test_all_means_everything_that_runs_here(without_jax, names):
    chosen = select_targets(names, BOTH)
    assert {"naive", "numpy", "numba-njit", "numba-parallel", "numba-cuda"} <= {target.name for target in chosen}
    assert not {"jax", "jax-cuda"} & {target.name for target in chosen}


def test_an_unavailable_implementation_is_kept_if_it_was_named(without_jax):
    [target] = select_targets(["jax"], BOTH)
    assert target.unavailable == "jax is not installed; pip install jax"
    chosen = select_targets(["all", "jax"], BOTH)
    assert "jax" in [target.name for target in chosen]
    assert "jax-cuda" not in [target.name for target in chosen]


def test_a_target_that_does_not_offer_the_loss_is_unavailable(without_jax):
    [target] = select_targets(["sklearn"], ["svm"])
    assert (target.losses, target.unavailable) == ((), "offers softmax only")


def test_an_unknown_name_has_a_suggestion():
    with pytest.raises(UnknownImplementation, match="no implementation 'nunpy': did you mean 'numpy'"):
        select_targets(["nunpy"], BOTH)


FILE = """
import os
from lcbench.losses import vectorized

def svm_right(W, X, y, reg):
    return vectorized.svm_loss(W, X, y, reg)

def svm_gone(W, X, y, reg):
    os._exit(3)

def my_loss(W, X, y, reg):
    os._exit(4)

def softmax_right(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)

def softmax_wrong(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return 2 * loss, dW
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """File of which two functions end the process that calls them, and the functions found in it."""
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return file, selection.discover(str(file))


def test_a_function_that_ends_the_process_does_not_affect_the_others(found):
    file, functions = found
    assert [(f.implementation.removeprefix(f"{file}:"), f.losses, f.kind, f.problem[:20]) for f in functions] == [
        ("svm_right", ["svm"], "", ""),
        ("svm_gone", ["svm"], "crashed", "exited with status 3"),
        ("my_loss", [], "crashed", "exited with status 4"),
        ("softmax_right", ["softmax"], "", ""),
        ("softmax_wrong", ["softmax"], "wrong", "in the loss, doubled"),
    ]


def targets_by_function(found, monkeypatch, losses):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions)
    return {target.name.removeprefix(f"{file}:"): target for target in select_targets([str(file)], losses)}


def test_functions_are_targets_for_the_losses_that_they_compute(found, monkeypatch):
    chosen = targets_by_function(found, monkeypatch, BOTH)
    assert [(name, each.losses, each.status if each.unavailable else "") for name, each in chosen.items()] == [
        ("svm_right", ("svm",), ""),
        ("svm_gone", ("svm",), "crashed"),
        ("my_loss", ("svm", "softmax"), "crashed"),
        ("softmax_right", ("softmax",), ""),
        ("softmax_wrong", ("softmax",), "wrong"),
    ]
    assert list(targets_by_function(found, monkeypatch, ["svm"])) == ["svm_right", "svm_gone", "my_loss"]


def test_a_file_without_the_requested_loss_is_an_error(found, monkeypatch):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions[:1])
    with pytest.raises(UnknownImplementation, match=r"no function for the requested loss \(softmax\)"):
        select_targets([str(file)], ["softmax"])


def test_a_function_named_twice_is_one_target(found, monkeypatch):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions[:1])
    assert len(select_targets([str(file), f"{file}:svm_right"], BOTH)) == 1


def test_a_file_that_ends_the_process_is_an_unavailable_target(tmp_path):
    file = tmp_path / "end.py"
    file.write_text("import os\nos._exit(0)\n")
    [target] = select_targets([str(file)], BOTH)
    assert (target.name, target.status, target.losses) == (str(file), "crashed", ("svm", "softmax"))
    assert target.unavailable == "exited with status 0, while it was loaded"


def test_a_missing_file_is_an_error_with_a_suggestion(tmp_path):
    (tmp_path / "softmax.py").write_text("")
    with pytest.raises(LossError, match=r"no such file; did you mean softmax\.py") as caught:
        select_targets([str(tmp_path / "sofmax.py")], BOTH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "baseline", "names"),
    [
        ([("a.py:f", ("svm",), "")], "numpy", [("numpy", ("svm",)), ("a.py:f", ("svm",))]),
        (
            [("a.py:f", ("softmax",), ""), ("a.py:g", ("svm",), "crashed")],
            "naive",
            [("naive", ("softmax",)), ("a.py:f", ("softmax",)), ("a.py:g", ("svm",))],
        ),
        ([("a.py:f", ("svm",), "crashed")], "numpy", [("a.py:f", ("svm",))]),
        ([("a.py:f", ("svm",), ""), ("numpy", ("svm",), "")], "numpy", [("a.py:f", ("svm",)), ("numpy", ("svm",))]),
        ([("a.py:f", ("svm",), ""), ("naive", ("svm",), "")], "numpy", [("a.py:f", ("svm",)), ("naive", ("svm",))]),
        ([("a.py:f", ("svm",), "")], "", [("a.py:f", ("svm",))]),
        ([("a.py:f", ("svm",), "")], "b.py:g", [("a.py:f", ("svm",))]),
    ],
)
def test_the_baseline_is_added_to_user_code_alone_for_its_losses(targets, baseline, names):
    resolved = [selection.ResolvedTarget(name, "cpu", losses, why) for name, losses, why in targets]
    assert [(each.name, each.losses) for each in selection.with_baseline(resolved, baseline)] == names


def test_row_names_have_no_folders_unless_they_are_ambiguous():
    names = ["numpy", "a/x.py:f", "b/x.py:f", "b/x.py:g", "package.module:f", "C:g"]
    assert selection.row_names([selection.ResolvedTarget(name) for name in names]) == {
        "numpy": "numpy",
        "a/x.py:f": "a/x.py:f",
        "b/x.py:f": "b/x.py:f",
        "b/x.py:g": "x.py:g",
        "package.module:f": "package.module:f",
        "C:g": "C:g",
    }


@pytest.mark.parametrize("empty", ["", " ", ",,"])
def test_an_empty_name_is_an_error(empty):
    with pytest.raises(UnknownImplementation, match="name is empty"):
        split_names(["numpy", empty])


@pytest.fixture
def no_scheduler(monkeypatch, tmp_path):
    file = str(tmp_path / "none.json")
    monkeypatch.setenv("LCBENCH_SCHEDULER", file)
    return f"no Dask scheduler file {file}"


def test_an_unreachable_cluster_is_an_error_if_nothing_else_is_requested(no_scheduler):
    with pytest.raises(Unavailable, match=no_scheduler):
        select_targets(["dask"], BOTH)


def test_an_unreachable_cluster_is_unavailable_beside_others(no_scheduler):
    numpy, dask = select_targets(["numpy", "dask"], BOTH)
    assert not numpy.unavailable
    assert dask.status == "unavailable"
    assert dask.unavailable.startswith(no_scheduler)
    assert dask.losses == ("svm", "softmax")


def test_no_cluster_is_contacted_if_no_scheduler_is_set(monkeypatch):
    monkeypatch.delenv("LCBENCH_SCHEDULER", raising=False)
    monkeypatch.setattr(selection.process, "work", None)  # a call would raise
    [target] = select_targets(["dask"], BOTH)
    assert not target.unavailable
