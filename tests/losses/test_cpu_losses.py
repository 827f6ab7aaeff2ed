"""All CPU implementations of lcbench agree with plain loops and the oracle: shapes, values, layouts, dtypes."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import config

import naive
from lcbench.losses import catalog, numba_parallel, oracle, simd

OURS = ("naive", "numpy", "numba-njit", "numba-parallel")
LOSSES = ("svm", "softmax")

pytestmark = pytest.mark.parametrize("name", OURS)

# The first example takes seconds to compile. Without the JIT every example takes seconds.
slow_examples = settings(
    deadline=None,
    max_examples=15 if config.DISABLE_JIT else 60,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def assert_correct(name, loss, W, X, y, reg):
    """Assert that the result is correct and the inputs are unchanged. Return the result."""
    if name == "numba-parallel":  # by one pass and by two products, whatever it would use for this size
        for products in (False, True):
            with patch.object(numba_parallel, "prefer_two_products", return_value=products):
                result = assert_agrees_with_oracle(name, loss, W, X, y, reg)
        return result
    return assert_agrees_with_oracle(name, loss, W, X, y, reg)


def assert_agrees_with_oracle(name, loss, W, X, y, reg):
    before = [array.copy() for array in (W, X, y)]
    value, dW = catalog.load(name).loss(loss, W, X, y, reg)
    assert oracle.expected(loss, W, X, y, reg).mismatch(value, dW) is None
    assert dW.dtype == W.dtype
    assert isinstance(value, float)
    for array, copy in zip((W, X, y), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return value, dW


@pytest.mark.parametrize("loss", LOSSES)
@slow_examples
@given(
    rows=st.integers(1, 40),
    features=st.one_of(st.integers(1, 20), st.sampled_from([63, 64, 65, 127, 129, 200])),
    classes=st.integers(2, 13),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 50.0]),
    reg=st.sampled_from([0.0, 0.5, 1e3]),
    seed=st.integers(0, 2**16),
)
def test_any_shape(name, loss, rows, features, classes, dtype, scale, reg, seed):
    rng = np.random.default_rng(seed)
    W = (scale * rng.normal(0, 1, (features, classes))).astype(dtype)
    X = rng.normal(0, 1, (rows, features)).astype(dtype)
    assert_correct(name, loss, W, X, rng.integers(0, classes, rows), reg)


@pytest.mark.parametrize("loss", LOSSES)
def test_agrees_with_plain_loops(name, loss):
    rng = np.random.default_rng(3)
    W, X, y = rng.normal(0, 1, (9, 4)), rng.normal(0, 1, (11, 9)), rng.integers(0, 4, 11)
    value, dW = catalog.load(name).loss(loss, W, X, y, 0.2)
    expected, expected_dW = getattr(naive, f"{loss}_loss")(W, X, y, 0.2)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(dW, expected_dW, rtol=1e-11, atol=1e-13)


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "every other row and column": lambda X: np.repeat(np.repeat(X, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "rows with gaps": lambda X: np.hstack([X, X])[:, : X.shape[1]],
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_any_memory_layout(name, loss, layout):
    rng = np.random.default_rng(5)
    X = rng.normal(0, 1, (37, 21)).astype(np.float32)
    W = layout(rng.normal(0, 1, (21, 6)).astype(np.float32))
    assert_correct(name, loss, W, layout(X), rng.integers(0, 6, 37), 0.1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_any_integer_labels(name, loss, labels):
    rng = np.random.default_rng(6)
    W, X = rng.normal(0, 1, (8, 5)), rng.normal(0, 1, (19, 8))
    assert_correct(name, loss, W, X, rng.integers(0, 5, 19).astype(labels), 0.1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uint8_pixels(name, loss, dtype):
    rng = np.random.default_rng(7)
    X = rng.integers(0, 256, (70, 75), np.uint8)
    assert_correct(name, loss, (0.01 * rng.normal(0, 1, (75, 10))).astype(dtype), X, rng.integers(0, 10, 70), 0.1)


@pytest.mark.parametrize("loss", LOSSES)
def test_more_rows_than_a_block_and_than_threads(name, loss):
    rng = np.random.default_rng(8)
    X = rng.normal(0, 1, (2 * numba_parallel.MAX_BLOCK_ROWS + 3 * simd.ROWS + 1, 3)).astype(np.float32)
    assert_correct(name, loss, rng.normal(0, 1, (3, 4)).astype(np.float32), X, rng.integers(0, 4, len(X)), 0.1)


@pytest.mark.parametrize("loss", LOSSES)
def test_many_classes_and_large_scores(name, loss):
    rng = np.random.default_rng(9)
    X = rng.normal(0, 1, (12, 7))
    assert_correct(name, loss, 1e4 * rng.normal(0, 1, (7, 300)), X, rng.integers(0, 300, 12), 0.0)
    assert_correct(name, loss, rng.normal(0, 1, (7, 300)), X, np.full(12, 299), 0.0)


def test_gradient_at_the_kink_is_zero(name):
    # Integers, so that both other scores are exactly one below the score of the label.
    W, X = np.array([[1.0, 0.0, 0.0], [2.0, 2.0, 2.0]]), np.array([[1.0, 3.0]])
    loss, dW = catalog.load(name).svm_loss(W, X, np.array([0]), 0.0)
    assert loss == 0
    assert not dW.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_weights(name, loss):
    X, y = np.ones((6, 5), np.float32), np.arange(6) % 3
    value, _ = catalog.load(name).loss(loss, np.zeros((5, 3), np.float32), X, y, 1.0)
    assert value == pytest.approx({"svm": 2.0, "softmax": np.log(3)}[loss], rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("W", "X", "y", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 5)), np.zeros(4, int), "shapes do not fit"),
        (np.ones((5, 2)), np.ones((4, 3)), np.zeros(4, int), "shapes do not fit"),
        (np.ones((3, 2)), np.ones((4, 3)), np.zeros(3, int), "shapes do not fit"),
        (np.ones((3, 2)), np.ones(3), np.zeros(1, int), "shapes do not fit"),
        (np.ones((3, 2)), np.ones((0, 3)), np.zeros(0, int), "nothing to compute"),
        (np.ones((3, 1)), np.ones((4, 3)), np.zeros(4, int), "nothing to compute"),
        (np.ones((3, 2), int), np.ones((4, 3)), np.zeros(4, int), "float32 or float64"),
        (np.ones((3, 2)), np.ones((4, 3)), np.array([0, 1, 2, 0]), "labels go from 0 to 2, classes from 0 to 1"),
        (np.ones((3, 2)), np.ones((4, 3)), np.array([0, -1, 1, 0]), "labels go from -1"),
    ],
)
def test_arrays_that_do_not_match_raise(name, loss, W, X, y, message):
    with pytest.raises(ValueError, match=message):
        catalog.load(name).loss(loss, W, X, y, 0.1)
