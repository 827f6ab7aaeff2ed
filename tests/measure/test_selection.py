"""From names to contenders."""

from __future__ import annotations

import pytest

from lcbench.losses import catalog
from lcbench.losses.implementation import LossError, Unavailable, UnknownImplementation
from lcbench.measure import selection
from lcbench.measure.selection import select_targets, split_names

BOTH = ["svm", "softmax"]


def test_names_repeated_and_separated_by_commas_count_measure_process():
    assert split_names(["numpy,naive", " naive ", "a.py:f,,"]) == ["numpy", "naive", "a.py:f"]


def test_names_in_the_order_asked_for():
    chosen = select_targets(["numpy", "naive"], BOTH)
    assert [(c.name, c.device, c.losses, c.unavailable) for c in chosen] == [
        ("numpy", "cpu", ("svm", "softmax"), ""),
        ("naive", "cpu", ("svm", "softmax"), ""),
    ]


@pytest.fixture
def without_jax(monkeypatch):
    def why(entry):
        return Unavailable("jax is not installed", "pip install jax") if entry.name.startswith("jax") else None

    monkeypatch.setattr(catalog, "why_unavailable", why)


@pytest.mark.parametrize("names", [[], ["all"]])
def test_everything_is_what_runs_here(without_jax, names):
    chosen = select_targets(names, BOTH)
    assert {"naive", "numpy", "numba-njit", "numba-parallel", "numba-cuda"} <= {c.name for c in chosen}
    assert not {"jax", "jax-cuda"} & {c.name for c in chosen}


def test_what_was_asked_for_by_name_is_told_and_not_left_out(without_jax):
    [candidate] = select_targets(["jax"], BOTH)
    assert candidate.unavailable == "jax is not installed; pip install jax"
    chosen = select_targets(["all", "jax"], BOTH)
    assert "jax" in [c.name for c in chosen]
    assert "jax-cuda" not in [c.name for c in chosen]


def test_a_loss_that_is_not_offered(without_jax):
    [candidate] = select_targets(["sklearn"], ["svm"])
    assert (candidate.losses, candidate.unavailable) == ((), "offers softmax only")


def test_an_unknown_name_gets_the_nearest():
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
    """What a file holds of which two functions end the process that tries them."""
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return file, selection.discover(str(file))


def test_a_function_that_ends_the_process_costs_the_others_nothing(found):
    file, functions = found
    assert [(f.implementation.removeprefix(f"{file}:"), f.losses, f.kind, f.problem[:36]) for f in functions] == [
        ("svm_right", ["svm"], "", ""),
        ("svm_gone", ["svm"], "crashed", "exited with status 3"),
        ("my_loss", [], "crashed", "exited with status 4"),
        ("softmax_right", ["softmax"], "", ""),
        ("softmax_wrong", ["softmax"], "wrong", "in the loss, doubled, the regularisa"),
    ]


def candidates(found, monkeypatch, losses):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions)
    return {c.name.removeprefix(f"{file}:"): c for c in select_targets([str(file)], losses)}


def test_functions_become_candidates_for_the_losses_that_they_are(found, monkeypatch):
    chosen = candidates(found, monkeypatch, BOTH)
    assert [(name, c.losses, c.status if c.unavailable else "") for name, c in chosen.items()] == [
        ("svm_right", ("svm",), ""),
        ("svm_gone", ("svm",), "crashed"),
        ("my_loss", ("svm", "softmax"), "crashed"),
        ("softmax_right", ("softmax",), ""),
        ("softmax_wrong", ("softmax",), "wrong"),
    ]
    assert list(candidates(found, monkeypatch, ["svm"])) == ["svm_right", "svm_gone", "my_loss"]


def test_a_file_without_the_loss_asked_for(found, monkeypatch):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions[:1])
    with pytest.raises(UnknownImplementation, match=r"no function for the requested loss \(softmax\)"):
        select_targets([str(file)], ["softmax"])


def test_a_function_named_twice_takes_part_measure_process(found, monkeypatch):
    file, functions = found
    monkeypatch.setattr(selection, "discover", lambda spec, timeout_s, place=None: functions[:1])
    assert len(select_targets([str(file), f"{file}:svm_right"], BOTH)) == 1


def test_a_file_that_ends_the_process_is_a_row_that_says_so(tmp_path):
    file = tmp_path / "end.py"
    file.write_text("import os\nos._exit(0)\n")
    [candidate] = select_targets([str(file)], BOTH)
    assert (candidate.name, candidate.status, candidate.losses) == (str(file), "crashed", ("svm", "softmax"))
    assert candidate.unavailable == "exited with status 0, while it was loaded"


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "softmax.py").write_text("")
    with pytest.raises(LossError, match=r"no such file; did you mean softmax\.py") as caught:
        select_targets([str(tmp_path / "sofmax.py")], BOTH)
    assert "\n" not in str(caught.value)


def test_rows_are_called_by_the_file_without_its_folders_unless_that_is_ambiguous():
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
def test_an_empty_name_is_not_everything(empty):
    with pytest.raises(UnknownImplementation, match="name is empty"):
        split_names(["numpy", empty])


@pytest.fixture
def no_scheduler(monkeypatch, tmp_path):
    file = str(tmp_path / "none.json")
    monkeypatch.setenv("LCBENCH_SCHEDULER", file)
    return f"no Dask scheduler file {file}"


def test_a_cluster_that_cannot_be_reached_is_an_error_where_it_is_all_that_was_asked_for(no_scheduler):
    with pytest.raises(Unavailable, match=no_scheduler):
        select_targets(["dask"], BOTH)


def test_a_cluster_that_cannot_be_reached_is_unavailable_beside_others(no_scheduler):
    numpy, dask = select_targets(["numpy", "dask"], BOTH)
    assert not numpy.unavailable
    assert dask.status == "unavailable"
    assert dask.unavailable.startswith(no_scheduler)
    assert dask.losses == ("svm", "softmax")


def test_nobody_waits_for_a_cluster_that_was_not_named(monkeypatch):
    monkeypatch.delenv("LCBENCH_SCHEDULER", raising=False)
    monkeypatch.setattr(selection.process, "work", None)  # whoever asked would fall over this
    [candidate] = select_targets(["dask"], BOTH)
    assert not candidate.unavailable
