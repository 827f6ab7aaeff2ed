"""Short names tell implementations apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.report.pictures.names import left_out, short


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sim.py:quad_softmax_loss", "numpy", "sim.py:a_softmax_loss"], ["quad", "numpy", "a"]),
        (["a.py:softmax_loss", "of/b.py:softmax_loss"], ["a", "of/b"]),
        (["x.py:loss_fast", "x.py:loss_slow", "x.py:loss_fast_slow"], ["fast", "slow", "fast_slow"]),
        (["x.py:loss", "x.py:loss_fast"], ["loss", "loss_fast"]),
        (["x.py:loss"], ["x.py:loss"]),
        (["numba-njit", "numba-cuda"], ["numba-njit", "numba-cuda"]),  # of the catalogue, as they are called everywhere
        (["numpy.py:loss", "mine.py:loss", "numpy"], ["numpy.py:loss", "mine.py:loss", "numpy"]),
    ],
)
def test_what_users_names_have_in_common_is_left_out(names, expected):
    assert list(short(names, 24).values()) == expected


def test_a_caption_can_say_what_was_left_out():
    assert left_out(["sim.py:quad_softmax_loss", "numpy", "sim.py:a_softmax_loss"]) == "sim.py:NAME_softmax_loss"
    assert left_out(["sim.py:quad_softmax_loss", "numpy"]) == ""
    assert left_out(["numpy.py:loss", "mine.py:loss", "numpy"]) == ""


def test_names_that_differ_in_the_middle_do_not_become_the_same():
    names = [f"first_half_of_a_name_{middle}_second_half_of_a_name.py:f" for middle in "ab"] + ["other.py:g"]
    found = short(names, 18)
    assert len(set(found.values())) == 3
    assert max(map(len, found.values())) <= 18


@given(st.lists(st.text("ab_.:", min_size=1, max_size=30), max_size=8, unique=True), st.integers(8, 30))
def test_no_two_are_the_same_and_none_is_empty_or_too_long(names, most):
    found = short(names, most)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(0 < len(name) <= most for name in found.values())
