"""The catalogue: what is in it, and what it says of a name that is not or cannot be had."""

import pytest

from lcbench.losses import catalog
from lcbench.losses.implementation import LossError, Unavailable, UnknownImplementation
from lcbench.usercode.discovery import is_user_code, resolve

PROMISED = (
    "naive", "numpy", "numba-njit", "numba-parallel", "numba-cuda", "torch", "torch-compile", "jax", "sklearn",
    "torch-cuda", "torch-compile-cuda", "jax-cuda", "cupy", "dask",
)  # fmt: skip


def test_every_promised_name_is_listed():
    assert tuple(catalog.CATALOG) == PROMISED


@pytest.mark.parametrize("name", ["naive", "numpy", "numba-njit", "numba-parallel"])
def test_ours_are_available_and_offer_both_losses(name):
    assert catalog.why_unavailable(catalog.find(name)) is None
    assert set(catalog.load(name).functions) == {"svm", "softmax"}


@pytest.mark.parametrize(
    ("wrong", "right"), [("numba-paralel", "numba-parallel"), ("nunpy", "numpy"), ("tourch", "torch")]
)
def test_a_misspelt_name_gets_the_nearest_one(wrong, right):
    with pytest.raises(UnknownImplementation, match=f"did you mean '{right}'"):
        catalog.find(wrong)


def test_a_name_like_no_other_is_sent_to_the_list():
    with pytest.raises(UnknownImplementation, match="lcbench impls"):
        catalog.find("qqqqqqq")


def test_a_missing_package_is_named_with_its_install_line(monkeypatch):
    entry = catalog.Entry("x", "lcbench.losses.naive", "cpu", "", ("no_such_package_at_all",), "pip install it")
    monkeypatch.setitem(catalog.CATALOG, "x", entry)
    with pytest.raises(Unavailable, match="no_such_package_at_all is not installed") as caught:
        catalog.load("x")
    assert caught.value.install == "pip install it"


def test_catalogue_names_are_no_user_code_and_files_are():
    assert not any(is_user_code(name) for name in catalog.CATALOG)
    assert is_user_code("softmax.py")
    assert is_user_code("softmax.py:softmax_loss_naive")
    assert is_user_code("package.module:function")
    assert not is_user_code("numpyy")


def test_resolve_tells_of_a_missing_file_in_one_line():
    with pytest.raises(LossError, match=r"nowhere\.py") as caught:
        resolve("nowhere.py")
    assert "\n" not in str(caught.value)
