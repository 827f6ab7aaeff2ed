"""The catalog: its entries, and its errors for unknown and unavailable names."""

import pytest

from lcbench.losses import catalog
from lcbench.losses.implementation import LossError, Unavailable, UnknownImplementation
from lcbench.usercode.discovery import is_user_code
from lcbench.usercode.recognition import resolve

NAMES = (
    "naive", "numpy", "numba-njit", "numba-parallel", "numba-cuda", "torch", "torch-compile", "jax", "sklearn",
    "torch-cuda", "torch-compile-cuda", "jax-cuda", "cupy", "dask",
)  # fmt: skip


def test_catalog_lists_every_name():
    assert tuple(catalog.CATALOG) == NAMES


@pytest.mark.parametrize("name", ["naive", "numpy", "numba-njit", "numba-parallel"])
def test_own_implementations_are_available_with_both_losses(name):
    assert catalog.why_unavailable(catalog.find(name)) is None
    assert set(catalog.load(name).functions) == {"svm", "softmax"}


@pytest.mark.parametrize(
    ("misspelt", "nearest"), [("numba-paralel", "numba-parallel"), ("nunpy", "numpy"), ("tourch", "torch")]
)
def test_error_for_a_misspelt_name_suggests_the_most_similar_name(misspelt, nearest):
    with pytest.raises(UnknownImplementation, match=f"did you mean '{nearest}'"):
        catalog.find(misspelt)


def test_error_for_a_dissimilar_name_points_to_the_list():
    with pytest.raises(UnknownImplementation, match="lcbench impls"):
        catalog.find("qqqqqqq")


def test_error_names_the_missing_package_and_the_install_command(monkeypatch):
    entry = catalog.Entry("x", "lcbench.losses.naive", "cpu", "", ("no_such_package_at_all",), "pip install it")
    monkeypatch.setitem(catalog.CATALOG, "x", entry)
    with pytest.raises(Unavailable, match=r"^no_such_package_at_all is not installed; pip install it$") as caught:
        catalog.load("x")
    assert (caught.value.reason, caught.value.install) == ("no_such_package_at_all is not installed", "pip install it")


def test_is_user_code():
    assert not any(is_user_code(name) for name in catalog.CATALOG)
    assert is_user_code("softmax.py")
    assert is_user_code("softmax.py:softmax_loss_naive")
    assert is_user_code("package.module:function")
    assert not is_user_code("numpyy")


def test_resolve_reports_a_missing_file_in_one_line():
    with pytest.raises(LossError, match=r"nowhere\.py") as caught:
        resolve("nowhere.py")
    assert "\n" not in str(caught.value)
