"""Stand-ins for what is not installed."""

import numpy as np
import pytest

from lcbench.usercode.loading import Missing, UsesMissingError, why_missing

plt = Missing("matplotlib.pyplot", why_missing("matplotlib.pyplot"))


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
def test_use_says_what_is_missing_and_what_to_do(use):
    with pytest.raises(UsesMissingError) as caught:
        use()
    assert str(caught.value) == "uses matplotlib.pyplot, which is not installed: pip install matplotlib"


def test_a_class_may_derive_from_one_and_fails_when_it_is_made():
    class Net(plt.Figure, plt.Axes):
        pass

    with pytest.raises(UsesMissingError, match=r"matplotlib\.pyplot"):
        Net(3)


def test_range_is_range_wherever_it_comes_from():
    moves = Missing("six", "").moves
    assert moves.xrange is range
    assert moves.range is range


def test_star_brings_nothing():
    assert plt.__all__ == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("past.builtins", "which is not installed: pip install future"),
        ("cPickle", "which only Python 2 has"),
        ("cs231n.layers", "which is neither installed nor found beside the file"),
    ],
)
def test_only_packages_that_are_known_are_recommended(name, reason):
    assert why_missing(name) == reason
