"""Table of the functions that compute the published rows."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from lcbench.reproduction import cifar10, small_problems
from lcbench.reproduction.context import CannotReproduceError, Context
from lcbench.reproduction.figures import Outcome, PublishedRow, ReproducedValues, judge

FUNCTIONS: dict[str, Callable[[dict[str, Any], Context], ReproducedValues]] = {
    "softmax-sanity-loss": cifar10.loss_near_zero_weights,
    "softmax-of-123": small_problems.softmax,
    "cross-entropy-low-high": small_problems.cross_entropy_in_steps_and_at_once,
    "four-feature-training": small_problems.four_features,
    "lr-0.1-first": small_problems.descent_costs,
    "lr-too-large": small_problems.costs_of_too_large_steps,
    "lr-too-small": small_problems.descent_costs,
    "lr-0.1-second": small_problems.descent_costs,
    "test-set": small_problems.test_set,
    "standardise": small_problems.standardise,
    "mse-regression": small_problems.squared_error,
    "mse-regression-l2": small_problems.squared_error_and_norms,
    "softmax-layer": small_problems.softmax_layer,
    "hardmax": small_problems.hardmax,
    "two-classes-logistic": small_problems.two_classes,
    "one-example-loss": small_problems.loss_of_one_example,
    "backprop-of-softmax": small_problems.softmax_backpropagation,
    "decision-boundary": small_problems.decision_boundary,
    "quadratic": small_problems.quadratic,
    "svm-protocol": cifar10.svm_protocol,
    "svm-hyperparameters": cifar10.svm_hyperparameters,
    "gradient-check-kinks": small_problems.svm_kinks,
    "templates": cifar10.templates,
    "hinge-example": small_problems.hinge_and_softmax,
    "random-search": cifar10.random_search,
    "gradient-ways": small_problems.numerical_and_analytic,
    "feature-pipeline": cifar10.features_and_classifier,
}
"""Function of each row, by the row's id. It gets the inputs of the row, and not the published figures."""


def reproduce(row: PublishedRow, context: Context) -> Outcome:
    """Compute a row and compare it with the published figures. A row that cannot be computed here is skipped."""
    began = perf_counter()
    try:
        values = FUNCTIONS[row.id](row.inputs, context)
    except CannotReproduceError as reason:
        return Outcome(row, skipped=str(reason), seconds=perf_counter() - began)
    return judge(row, values, perf_counter() - began)
