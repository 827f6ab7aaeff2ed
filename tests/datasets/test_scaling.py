import numpy as np
import pytest

from lcbench.datasets.preprocessing import scaling
from lcbench.errors import LcbenchError

RAW = np.random.default_rng(0).integers(0, 256, (40, 5)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", RAW.astype(float)),
        ("mean", RAW - RAW.mean(axis=0)),
        ("halved", (RAW - RAW.mean(axis=0)) / 128),
        ("standard", (RAW - RAW.mean(axis=0)) / RAW.std(axis=0)),
    ],
)
def test_the_design_matrix_is_scaled_and_has_ones_last(name, expected):
    X = scaling(name, RAW).design_matrix(RAW, np.float64)
    np.testing.assert_allclose(X[:, :-1], expected, atol=1e-12)
    assert (X[:, -1] == 1).all()
    assert X.flags.c_contiguous


@pytest.mark.parametrize("name", ["none", "mean", "halved", "standard"])
def test_folded_weights_give_raw_rows_the_scores_of_scaled_ones(name):
    scaled = scaling(name, RAW)
    W = np.random.default_rng(1).standard_normal((6, 3))
    weights, offset = scaled.folded(W)
    np.testing.assert_allclose(RAW @ weights + offset, scaled.design_matrix(RAW, np.float64) @ W, rtol=1e-10)


def test_only_division_is_more_than_a_shift():
    assert scaling("mean", RAW).only_shifts
    assert not scaling("halved", RAW).only_shifts


def test_a_constant_column_is_not_divided_by_nothing():
    X = RAW.copy()
    X[:, 2] = 7
    assert (scaling("standard", X).design_matrix(X)[:, 2] == 0).all()


@pytest.mark.parametrize("name", ["none", "mean"])
def test_what_leaves_the_range_of_the_type_is_one_line(name):
    X = np.array([[1.0, 2.0], [3.0, 1e300]])
    with pytest.raises(LcbenchError, match=r"X\[., 1\] is .*, which leaves the range of float32"):
        scaling(name, X).design_matrix(X)
    assert np.isfinite(scaling(name, X).design_matrix(X, np.float64)).all()
