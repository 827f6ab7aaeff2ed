"""What is held against what: by name, by loss where there is one of each, and what cannot be paired."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.measure import gate, selection
from lcbench.measure.gate import pair_targets
from lcbench.measure.selection import ResolvedTarget
from lcbench.measure.sides import GateSide
from lcbench.workers.process import HERE

BASE = GateSide("base", "v1", "revision", HERE)
HEAD = GateSide("head", ".", "folder", HERE)
BOTH = ["svm", "softmax"]


def file(name, given):
    return GateSide(name, given, "implementation", HERE, implementation=given)


@pytest.fixture
def functions(monkeypatch):
    """The functions that files hold, by the file's name."""
    held = {}

    def user_targets(spec, losses, timeout_s, place):
        return [
            ResolvedTarget(f"{spec}:{name}", losses=tuple(loss for loss in losses if loss in offered), **more)
            for name, offered, more in held[spec]
        ]

    monkeypatch.setattr(selection, "user_targets", user_targets)
    return held


def test_a_catalogue_name_is_held_against_itself():
    [one] = pair_targets(BASE, HEAD, ["numpy"], BOTH, 60)
    assert (one.name, one.base, one.head, one.losses) == ("numpy", "numpy", "numpy", ("svm", "softmax"))
    assert [each.name for each in pair_targets(BASE, HEAD, [], BOTH, 60)] == [gate.DEFAULT_IMPLEMENTATION]


def test_functions_are_held_against_those_of_the_same_name(functions):
    functions["old.py"] = [("f", ["softmax"], {}), ("g", ["softmax"], {}), ("gone", ["svm"], {})]
    functions["new.py"] = [("g", ["softmax"], {}), ("f", ["softmax"], {}), ("added", ["svm"], {})]
    found = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert [(one.base, one.head) for one in found] == [("old.py:g", "new.py:g"), ("old.py:f", "new.py:f")]


def test_of_two_files_with_other_names_the_only_ones_of_a_loss_are_matched(functions):
    functions["old.py"] = [("slow_softmax", ["softmax"], {}), ("slow_svm", ["svm"], {})]
    functions["new.py"] = [("fast_softmax", ["softmax"], {}), ("fast_svm", ["svm"], {})]
    found = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert [(one.base, one.head, one.losses) for one in found] == [
        ("old.py:slow_softmax", "new.py:fast_softmax", ("softmax",)),
        ("old.py:slow_svm", "new.py:fast_svm", ("svm",)),
    ]


def test_two_of_a_loss_and_no_name_in_common_is_told(functions):
    functions["old.py"] = [("a", ["softmax"], {}), ("b", ["softmax"], {})]
    functions["new.py"] = [("c", ["softmax"], {})]
    with pytest.raises(LcbenchError, match="base has a, b, head has c"):
        pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)


def test_a_file_against_a_name(functions):
    functions["mine.py"] = [("softmax_loss", ["softmax"], {})]
    [one] = pair_targets(file("base", "numpy"), file("head", "mine.py"), [], BOTH, 60)
    assert (one.base, one.head, one.losses) == ("numpy", "mine.py:softmax_loss", ("softmax",))


def test_what_is_known_to_be_broken_goes_along(functions):
    functions["old.py"] = [("f", ["softmax"], {})]
    functions["new.py"] = [("f", ["softmax"], {"unavailable": "line 3: it raises", "status": "wrong"})]
    [one] = pair_targets(file("base", "old.py"), file("head", "new.py"), [], BOTH, 60)
    assert (one.base_problem, one.head_problem) == (None, ("wrong", "line 3: it raises"))


def test_one_side_that_is_an_implementation_needs_another():
    with pytest.raises(LcbenchError, match="--base numpy is an implementation, so --head must be one too"):
        pair_targets(file("base", "numpy"), HEAD, [], BOTH, 60)
    with pytest.raises(LcbenchError, match="--impl cannot be given as well"):
        pair_targets(file("base", "numpy"), file("head", "numba-njit"), ["numpy"], BOTH, 60)


def test_simulated_times_decide_nothing(monkeypatch):
    monkeypatch.setattr("lcbench.losses.catalog.device_here", lambda entry: "simulator")
    with pytest.raises(LcbenchError, match="simulator"):
        pair_targets(BASE, HEAD, ["numba-cuda"], BOTH, 60)


def test_a_loss_that_is_not_offered_is_told():
    with pytest.raises(LcbenchError, match="sklearn offers softmax only"):
        pair_targets(BASE, HEAD, ["sklearn"], ["svm"], 60)
