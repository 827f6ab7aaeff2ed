import tracemalloc

import numpy as np
import pytest

from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import design_matrix, mean_image, split_train_validation_test_dev


def test_mean_image_is_exact():
    images, _ = synthetic.images(300, pixels=50)
    mean = mean_image(images)
    assert mean.dtype == np.float64
    np.testing.assert_array_equal(mean, images.astype(np.int64).sum(axis=0) / 300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_design_matrix_is_centred_with_a_column_of_ones(dtype):
    images, _ = synthetic.images(300, pixels=50)
    mean = mean_image(images)
    X = design_matrix(images, mean, dtype)
    assert X.dtype == dtype
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X[:, -1], 1)
    np.testing.assert_array_equal(X[:, :-1], (images - mean).astype(dtype))


def test_design_matrix_makes_no_second_matrix():
    images = np.zeros((2000, 3072), np.uint8)
    tracemalloc.start()
    X = design_matrix(images, np.zeros(3072), np.float32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * X.nbytes


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
