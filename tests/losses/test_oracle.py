"""The oracle agrees with plain loops and numerical gradients, and its tolerances reveal mistakes."""

import numpy as np
import pytest

import naive
from lcbench.checks import gradient
from lcbench.losses import oracle


def problem(rows=6, features=5, classes=4, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 1, (features, classes)).astype(dtype)
    X = rng.normal(0, 1, (rows, features)).astype(dtype)
    return W, X, rng.integers(0, classes, rows), 0.1


@pytest.mark.parametrize("loss", ["svm", "softmax"])
@pytest.mark.parametrize("shape", [(1, 1, 2), (6, 5, 4), (3, 1, 7), (oracle.ROWS_A_BLOCK + 3, 2, 3)])
def test_agrees_with_plain_loops(loss, shape):
    W, X, y, reg = problem(*shape)
    expected_loss, expected_dW = getattr(naive, f"{loss}_loss")(W, X, y, reg)
    found = oracle.expected(loss, W, X, y, reg)
    assert found.loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(found.dW, expected_dW, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", [oracle.svm_loss, oracle.softmax_loss])
def test_gradient_agrees_with_the_numerical_gradient(loss):
    W, X, y, reg = problem()
    _, dW = loss(W, X, y, reg)
    for where in np.ndindex(W.shape):
        slope = gradient.slope(lambda W: loss(W, X, y, reg)[0], W, where)
        assert slope == pytest.approx(dW[where], abs=1e-7)


def test_result_is_finite_for_large_scores():
    W, X, y, reg = problem()
    found = oracle.expected("softmax", 1e4 * W, X, y, reg)
    assert np.isfinite(found.loss)
    assert np.isfinite(found.dW).all()


def test_gradient_at_the_kink_is_zero():
    # Both other scores are exactly one below the score of the label: margin 0.
    W, X = np.array([[1.0, 0.0, 0.0]]), np.array([[1.0]])
    found = oracle.expected("svm", W, X, np.array([0]), 0.0)
    assert found.loss == 0
    assert not found.dW.any()


MISTAKES = {
    "loss 1 % high": lambda loss, dW, W, reg: (1.01 * loss, dW),
    "gradient 1 % high": lambda loss, dW, W, reg: (loss, 1.01 * dW),
    "gradient of one weight missing": lambda loss, dW, W, reg: (loss, np.where(np.abs(dW) == np.abs(dW).max(), 0, dW)),
    "gradient negated": lambda loss, dW, W, reg: (loss, -dW),
    "half regularisation in the loss": lambda loss, dW, W, reg: (loss - reg / 2 * np.sum(W * W), dW),
    "half regularisation in the gradient": lambda loss, dW, W, reg: (loss, dW - reg * W),
    "NaN in the gradient": lambda loss, dW, W, reg: (loss, np.where(dW == dW.max(), np.nan, dW)),
    "infinite loss": lambda loss, dW, W, reg: (np.inf, dW),
    "gradient transposed": lambda loss, dW, W, reg: (loss, dW.T),
}


@pytest.mark.parametrize("loss", ["svm", "softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mismatch_reports_mistakes_and_accepts_the_correct_result(loss, dtype, mistake):
    W, X, y, reg = problem(200, 40, 5, dtype)
    right = oracle.expected(loss, W, X, y, reg)
    assert right.mismatch(right.loss, right.dW.astype(dtype)) is None
    assert right.mismatch(*mistake(right.loss, right.dW, W.astype(np.float64), reg))


def test_margin_within_rounding_error_of_the_kink_may_fall_on_either_side():
    W, X = np.array([[1.0, 0.0]], np.float32), np.array([[1.0]], np.float32)
    right = oracle.expected("svm", W, X, np.array([0]), 0.0)
    assert right.mismatch(0.0, np.array([[-1.0, 1.0]])) is None
    far_from_kink = oracle.expected("svm", 0.9 * W, X, np.array([0]), 0.0)
    assert far_from_kink.mismatch(far_from_kink.loss, np.zeros((1, 2)))


def test_errors_are_relative():
    W, X, y, reg = problem()
    right = oracle.expected("svm", W, X, y, reg)
    assert right.error_of_loss(1.5 * right.loss) == pytest.approx(0.5)
    assert right.error_of_gradient(0.75 * right.dW) == pytest.approx(0.25)


def test_mismatch_of_a_loss_without_gradient():
    right = oracle.expected("softmax", *problem())
    assert right.mismatch(right.loss) is None
    assert right.mismatch(right.loss + 0.01)
