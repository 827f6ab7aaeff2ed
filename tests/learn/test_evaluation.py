"""Evaluation: predictions, accuracy, confusion matrix and standard error."""

import numpy as np
import pytest

from lcbench.datasets.preprocessing import fit_scaling
from lcbench.learn.evaluation import Evaluation, accuracy, confusion, predict


def test_predictions_are_the_highest_scores_of_scaled_rows():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (2500, 7)).astype(np.uint8)
    W = rng.standard_normal((8, 4))
    for name in ("none", "mean", "standard"):
        scaled = fit_scaling(name, X)
        expected = (scaled.design_matrix(X, np.float64) @ W).argmax(axis=1)
        assert (predict(W, scaled, X) == expected).mean() > 0.999  # float32 may break a tie differently
        assert (predict(W, scaled, X.astype(np.float64)) == expected).mean() > 0.999


def test_accuracy_and_confusion_matrix():
    y, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert accuracy(predicted, y) == pytest.approx(4 / 6)
    assert confusion(predicted, y, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert np.isnan(accuracy(predicted[:0], y[:0]))


def test_accuracies_and_standard_error_follow_from_the_confusion_matrix():
    evaluation = Evaluation("data", "test", ("a", "b", "c"), np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    assert evaluation.rows == 20
    assert evaluation.accuracy == pytest.approx(0.85)
    assert evaluation.standard_error == pytest.approx((0.85 * 0.15 / 20) ** 0.5)
    assert evaluation.class_accuracy[:2].tolist() == [0.8, 0.9]
    assert np.isnan(evaluation.class_accuracy[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_far_from_zero_does_not_spoil_predictions(dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)).astype(dtype)
    X[:, 1] = (1e6 if dtype == np.float32 else 1e9) + 0.1 * X[:, 1]
    W = rng.standard_normal((4, 3))
    scaled = fit_scaling("standard", X)
    expected = (scaled.design_matrix(X, np.float64) @ W).argmax(axis=1)
    assert (predict(W, scaled, X) == expected).mean() > 0.98
