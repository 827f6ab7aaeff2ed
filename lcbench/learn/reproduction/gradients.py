"""Rows that hold a gradient against the slope of its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.checks import gradient
from lcbench.checks.gradient import GradientCheck, Problem, slope
from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import design_matrix, mean_image
from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found


def backpropagation_of_softmax(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """dZ = (probabilities - one-hot) / m at the last layer: of scores (m, C), and of the document's (C, m)."""
    rng = np.random.default_rng(0)
    examples, classes = inputs["examples"], inputs["classes"]
    Z = rng.normal(0, 2, (classes, examples))
    labels = rng.integers(0, classes, examples)
    Y = np.eye(classes)[:, labels]

    def probabilities_in_columns(Z: NDArray[np.float64]) -> NDArray[np.float64]:
        exponentials = np.exp(Z - Z.max(axis=0))
        return exponentials / exponentials.sum(axis=0)

    def cost_of_columns(Z: NDArray[np.float64]) -> float:
        return float(-(Y * np.log(probabilities_in_columns(Z))).sum() / examples)

    def cost_of_rows(Z: NDArray[np.float64]) -> float:
        return laboratory.loss_of_scores("softmax", Z, labels, np.float64)[0]

    of_columns = (probabilities_in_columns(Z) - Y) / examples
    _, of_rows = laboratory.loss_of_scores("softmax", Z.T, labels, np.float64)
    return Found(
        {
            "off the slopes, (m, C)": np.abs(of_rows - _slopes(cost_of_rows, Z.T)).max(),
            "off the slopes, (C, m)": np.abs(of_columns - _slopes(cost_of_columns, Z)).max(),
            "rows against columns": np.abs(of_rows.T - of_columns).max(),
        }
    )


def _slopes(cost: Any, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[slope(cost, Z, (i, j)) for j in range(Z.shape[1])] for i in range(Z.shape[0])])


def kinks(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The SVM's gradient on real images at two margins: the larger one moves the scores away from the kinks."""
    train = laboratory.cifar10.train
    rows = np.random.default_rng(0).choice(len(train), inputs["images"], replace=False)
    X, y = design_matrix(train.X[rows], mean_image(train.X), np.float64), train.y[rows]
    near, far = (
        _check(laboratory, Problem("svm", _weights(inputs, X.shape[1]), X, y, 0.0, margin), inputs)
        for margin in inputs["margins"]
    )
    checks = (near, far)
    return Found(
        {
            "worst error, margin 1": near.worst_error(),
            "worst error, margin 100": far.worst_error(),
            "margin 100 over margin 1": far.worst_error() / near.worst_error(),
            "kinks, margin 1": near.count("kink"),
            "kinks, margin 100": far.count("kink"),
            "away from kinks": sum(check.count("right") for check in checks),
            "worst error away from kinks": max(check.worst_error(kinks=False) for check in checks),
            "wrong": sum(check.count("wrong") for check in checks),
        }
    )


def ways(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """What the whole gradient of the softmax loss costs either way, and how far each is from the oracle's."""
    pixels, y = synthetic.images(inputs["images"])
    X = design_matrix(pixels, mean_image(pixels), np.float64)
    check = _check(laboratory, Problem("softmax", _weights(inputs, X.shape[1]), X, y, 0.0), inputs)
    numerical, analytic = (next(way for way in check.ways if way.name == name) for name in ("numerical", "analytic"))
    return Found(
        {
            "evaluations, numerical": numerical.whole_evaluations,
            "evaluations, analytic": analytic.whole_evaluations,
            "seconds, numerical": numerical.whole_seconds,
            "seconds, analytic": analytic.whole_seconds,
            "numerical over analytic": numerical.whole_seconds / analytic.whole_seconds,
            "worst error, numerical": numerical.worst_error,
            "worst error, analytic": analytic.worst_error,
            "error analytic over numerical": analytic.worst_error / numerical.worst_error,
        }
    )


def _weights(inputs: dict[str, Any], features: int) -> NDArray[np.float64]:
    return inputs["spread"] * np.random.default_rng(0).standard_normal((features, 10))


def _check(laboratory: Laboratory, problem: Problem, inputs: dict[str, Any]) -> GradientCheck:
    laboratory.require(problem.loss)
    coordinates = gradient.random_coordinates(problem.W.shape, inputs["coordinates"], np.random.default_rng(1))
    return gradient.check(laboratory.implementation, problem, coordinates, inputs["h"])
