"""Rows that compare a gradient with finite differences of its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.checks import gradient
from lcbench.checks.gradient import GradientCheck, GradientProblem, slope
from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import design_matrix, mean_image
from lcbench.reproduction.context import Context
from lcbench.reproduction.figures import ReproducedValues


def softmax_backpropagation(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compare dZ = (probabilities - one-hot labels) / m with finite differences.

    Z is (m, C) as in lcbench, and (C, m) as in the document.
    """
    rng = np.random.default_rng(0)
    examples, classes = inputs["examples"], inputs["classes"]
    Z = rng.normal(0, 2, (classes, examples))
    labels = rng.integers(0, classes, examples)
    Y = np.eye(classes)[:, labels]

    def column_probabilities(Z: NDArray[np.float64]) -> NDArray[np.float64]:
        exponentials = np.exp(Z - Z.max(axis=0))
        return exponentials / exponentials.sum(axis=0)

    def column_cost(Z: NDArray[np.float64]) -> float:
        return float(-(Y * np.log(column_probabilities(Z))).sum() / examples)

    def row_cost(Z: NDArray[np.float64]) -> float:
        return context.loss_of_scores("softmax", Z, labels, np.float64)[0]

    column_gradient = (column_probabilities(Z) - Y) / examples
    _, row_gradient = context.loss_of_scores("softmax", Z.T, labels, np.float64)
    return ReproducedValues(
        {
            "off the slopes, (m, C)": np.abs(row_gradient - _slopes(row_cost, Z.T)).max(),
            "off the slopes, (C, m)": np.abs(column_gradient - _slopes(column_cost, Z)).max(),
            "rows against columns": np.abs(row_gradient.T - column_gradient).max(),
        }
    )


def _slopes(cost: Callable[[NDArray[np.float64]], float], Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the finite differences of the cost with respect to each element of Z."""
    return np.array([[slope(cost, Z, (i, j)) for j in range(Z.shape[1])] for i in range(Z.shape[0])])


def svm_kinks(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Check the gradient of the SVM loss on CIFAR-10 at two margins.

    With the larger margin, the scores are farther from the kinks of the hinge.
    """
    train = context.cifar10.train
    rows = np.random.default_rng(0).choice(len(train), inputs["images"], replace=False)
    X, y = design_matrix(train.X[rows], mean_image(train.X), np.float64), train.y[rows]
    near, far = (
        _check(context, GradientProblem("svm", _random_weights(inputs, X.shape[1]), X, y, 0.0, margin), inputs)
        for margin in inputs["margins"]
    )
    checks = (near, far)
    return ReproducedValues(
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


def numerical_and_analytic(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compare the cost and the error of the numerical and the analytic gradient of the softmax loss."""
    pixels, y = synthetic.images(inputs["images"])
    X = design_matrix(pixels, mean_image(pixels), np.float64)
    check = _check(context, GradientProblem("softmax", _random_weights(inputs, X.shape[1]), X, y, 0.0), inputs)
    numerical, analytic = (next(way for way in check.ways if way.name == name) for name in ("numerical", "analytic"))
    return ReproducedValues(
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


def _random_weights(inputs: dict[str, Any], features: int) -> NDArray[np.float64]:
    return inputs["spread"] * np.random.default_rng(0).standard_normal((features, 10))


def _check(context: Context, problem: GradientProblem, inputs: dict[str, Any]) -> GradientCheck:
    context.require(problem.loss)
    coordinates = gradient.random_coordinates(problem.W.shape, inputs["coordinates"], np.random.default_rng(1))
    return gradient.check(context.implementation, problem, coordinates, inputs["h"])
