"""A hinge with any margin from one whose margin is 1, against plain loops that know their margin."""

from __future__ import annotations

import numpy as np
import pytest

import naive
from lcbench.learn.objective import with_margin
from lcbench.losses import vectorized


def svm_row(margin):
    """The reference's row, with another margin."""

    def row(W, x, label):
        s = naive.scores(W, x)
        margins = [max(0.0, s[c] - s[label] + margin) if c != label else 0.0 for c in range(len(s))]
        dscores = [1.0 if each > 0 else 0.0 for each in margins]
        dscores[label] = -sum(dscores)
        return sum(margins), dscores

    return row


def problem(dtype=np.float64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4)).astype(dtype), rng.normal(size=(9, 5)).astype(dtype), rng.integers(0, 4, 9)


@pytest.mark.parametrize("margin", [0.1, 0.5, 3.0, 100.0])
def test_any_margin_is_exact(margin):
    W, X, y = problem()
    expected_loss, expected_dW = naive.loss_and_gradient(svm_row(margin), W, X, y, 0.3)
    loss, dW = with_margin(vectorized.svm_loss, margin)(W, X, y, 0.3 * margin)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(dW, expected_dW, rtol=1e-11, atol=1e-13)


def test_another_margin_is_another_loss():
    W, X, y = problem()
    losses = [with_margin(vectorized.svm_loss, margin)(W, X, y, 0.3 * margin)[0] for margin in (0.5, 1, 2)]
    assert losses[0] < losses[1] < losses[2]


def test_margin_1_is_the_function_itself():
    assert with_margin(vectorized.svm_loss, 1.0) is vectorized.svm_loss


def test_the_weights_keep_their_dtype_and_are_not_changed():
    W, X, y = problem(np.float32)
    before = W.copy()
    _, dW = with_margin(vectorized.svm_loss, 3.0)(W, X, y, 0.3)
    assert dW.dtype == np.float32
    np.testing.assert_array_equal(W, before)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_no_margin_at_all_is_refused(margin):
    with pytest.raises(ValueError, match="finite number above 0"):
        with_margin(vectorized.svm_loss, margin)
