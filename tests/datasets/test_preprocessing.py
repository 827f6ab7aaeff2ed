import tracemalloc

import numpy as np
import pytest

from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import (
    design_matrix,
    fit_scaling,
    mean_image,
    split_train_validation_test_dev,
    standardisation,
)
from lcbench.errors import LcbenchError


def test_mean_image_is_exact():
    images, _ = synthetic.images(300, pixels=50)
    mean = mean_image(images)
    assert mean.dtype == np.float64
    np.testing.assert_array_equal(mean, images.astype(np.int64).sum(axis=0) / 300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_design_matrix_is_centred_and_ends_with_ones(dtype):
    images, _ = synthetic.images(300, pixels=50)
    mean = mean_image(images)
    X = design_matrix(images, mean, dtype)
    assert X.dtype == dtype
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X[:, -1], 1)
    np.testing.assert_array_equal(X[:, :-1], (images - mean).astype(dtype))


def test_design_matrix_allocates_no_second_matrix():
    images = np.zeros((2000, 3072), np.uint8)
    tracemalloc.start()
    X = design_matrix(images, np.zeros(3072), np.float32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * X.nbytes


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_standardisation_returns_mean_and_deviation(dtype, ddof):
    X = np.random.default_rng(0).integers(0, 256, (301, 7)).astype(dtype)
    mean, deviation = standardisation(X, ddof)
    assert mean.dtype == deviation.dtype == np.float64
    np.testing.assert_allclose(mean, X.astype(np.float64).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(deviation, X.astype(np.float64).std(axis=0, ddof=ddof), rtol=1e-13)


def test_standardisation_is_accurate_for_a_large_mean():
    X = 1e6 + np.random.default_rng(0).normal(size=(1000, 3))
    np.testing.assert_allclose(standardisation(X)[1], X.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3, -7.0])
def test_a_constant_column_has_deviation_one(value):
    X = np.stack([np.full(1000, value), np.arange(1000.0)], axis=1)
    mean, deviation = standardisation(X)
    assert deviation[0] == 1
    assert deviation[1] == pytest.approx(X[:, 1].std())
    assert mean[0] == pytest.approx(value)


def test_standardisation_works_block_by_block():
    X = np.ones((20_000, 500), np.float32)
    X[::2] = 0
    tracemalloc.start()
    mean, deviation = standardisation(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes
    np.testing.assert_allclose(mean, 0.5)
    np.testing.assert_allclose(deviation, 0.5)


def test_one_row_has_no_sample_deviation():
    with pytest.raises(ValueError, match="ddof 1"):
        standardisation(np.ones((1, 3)), ddof=1)


def test_splits_follow_the_assignment():
    splits = split_train_validation_test_dev()
    rows = np.arange(50_000)
    assert rows[splits.train][[0, -1]].tolist() == [0, 48_999]
    assert rows[splits.validation][[0, -1]].tolist() == [49_000, 49_999]
    assert rows[splits.test][[0, -1]].tolist() == [0, 999]
    assert len(set(splits.dev)) == 500
    assert splits.dev.max() < 49_000
    np.testing.assert_array_equal(splits.dev, split_train_validation_test_dev().dev)
    assert (splits.dev != split_train_validation_test_dev(seed=1).dev).any()


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
def test_scaling_design_matrix_is_scaled_and_ends_with_ones(name, expected):
    X = fit_scaling(name, RAW).design_matrix(RAW, np.float64)
    np.testing.assert_allclose(X[:, :-1], expected, atol=1e-12)
    assert (X[:, -1] == 1).all()
    assert X.flags.c_contiguous


@pytest.mark.parametrize("name", ["none", "mean", "halved", "standard"])
def test_folded_weights_give_the_same_scores_for_raw_rows(name):
    scaled = fit_scaling(name, RAW)
    W = np.random.default_rng(1).standard_normal((6, 3))
    weights, offset = scaled.folded(W)
    np.testing.assert_allclose(RAW @ weights + offset, scaled.design_matrix(RAW, np.float64) @ W, rtol=1e-10)


def test_only_shifts_is_false_if_columns_are_divided():
    assert fit_scaling("mean", RAW).only_shifts
    assert not fit_scaling("halved", RAW).only_shifts


def test_a_constant_column_is_scaled_to_zero():
    X = RAW.copy()
    X[:, 2] = 7
    assert (fit_scaling("standard", X).design_matrix(X)[:, 2] == 0).all()


@pytest.mark.parametrize("name", ["none", "mean"])
def test_values_outside_the_range_of_the_type_are_a_one_line_error(name):
    X = np.array([[1.0, 2.0], [3.0, 1e300]])
    with pytest.raises(LcbenchError, match=r"X\[., 1\] is .*, which is outside the range of float32"):
        fit_scaling(name, X).design_matrix(X)
    assert np.isfinite(fit_scaling(name, X).design_matrix(X, np.float64)).all()
