import numpy as np
import pytest

from lcbench.datasets import synthetic


def test_images_are_of_cifar_shape_and_type():
    X, y = synthetic.images(700)
    assert X.shape == (700, 3072)
    assert X.dtype == np.uint8
    assert y.shape == (700,)
    assert set(y) == set(range(10))
    assert 30 < X.std() < 70
    assert X.max() > 200


@pytest.mark.parametrize("rows", [1, 100, 512, 513])
def test_fewer_rows_are_the_start_of_more(rows):
    more, fewer = synthetic.images(1100, pixels=100), synthetic.images(rows, pixels=100)
    np.testing.assert_array_equal(fewer[0], more[0][:rows])
    np.testing.assert_array_equal(fewer[1], more[1][:rows])


def test_a_seed_gives_its_own_images_and_blocks_differ():
    X, _ = synthetic.images(1100, pixels=100)
    assert (synthetic.images(1100, pixels=100, seed=1)[0] != X).mean() > 0.9
    assert (X[:512] != X[512:1024]).mean() > 0.9


@pytest.mark.parametrize(("pixels", "classes"), [(1, 1), (63, 2), (65, 300), (3073, 10)])
def test_other_shapes(pixels, classes):
    X, y = synthetic.images(30, pixels, classes)
    assert X.shape == (30, pixels)
    assert y.max() < classes


def test_a_linear_classifier_learns_them():
    X, y = synthetic.images(600)
    X = X - X.mean(axis=0)
    means = np.stack([X[:500][y[:500] == label].mean(axis=0) for label in range(10)])
    scores = X[500:] @ means.T - 0.5 * (means**2).sum(axis=1)
    assert (scores.argmax(axis=1) == y[500:]).mean() > 0.8


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        synthetic.images(0)
