"""Which function computes which row."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from lcbench.reproduction import cifar10, small_problems
from lcbench.reproduction.context import CannotReproduceError, Context
from lcbench.reproduction.figures import Outcome, PublishedRow, ReproducedValues, judge

FUNCTIONS: dict[str, Callable[[dict[str, Any], Context], ReproducedValues]] = {
    "softmax-sanity-loss": cifar10.loss_near_zero,
    "softmax-of-123": small_problems.softmax,
    "cross-entropy-low-high": small_problems.cross_entropy_in_steps_and_at_once,
    "four-feature-training": small_problems.four_features,
    "lr-0.1-first": small_problems.twenty_costs,
    "lr-too-large": small_problems.costs_of_too_large_steps,
    "lr-too-small": small_problems.twenty_costs,
    "lr-0.1-second": small_problems.twenty_costs,
    "test-set": small_problems.test_set,
    "standardise": small_problems.standardise,
    "mse-regression": small_problems.squared_error,
    "mse-regression-l2": small_problems.squared_error_and_norms,
    "softmax-layer": small_problems.softmax_layer,
    "hardmax": small_problems.hardmax,
    "two-classes-logistic": small_problems.two_classes,
    "one-example-loss": small_problems.loss_of_one_example,
    "backprop-of-softmax": small_problems.backpropagation_of_softmax,
    "decision-boundary": small_problems.decision_boundary,
    "quadratic": small_problems.quadratic,
    "svm-protocol": cifar10.svm_protocol,
    "svm-hyperparameters": cifar10.svm_hyperparameters,
    "gradient-check-kinks": small_problems.kinks,
    "templates": cifar10.templates,
    "hinge-example": small_problems.hinge_and_softmax,
    "random-search": cifar10.random_search,
    "gradient-ways": small_problems.ways,
    "feature-pipeline": cifar10.features_and_classifier,
}
"""By the row's id. A function gets the row's inputs, and never the figures that it must arrive at."""


def reproduce(row: PublishedRow, context: Context) -> Outcome:
    """Computes a row and judges what comes of it; what cannot be computed here is skipped, with the reason."""
    started = perf_counter()
    try:
        found = FUNCTIONS[row.id](row.inputs, context)
    except CannotReproduceError as reason:
        return Outcome(row, skipped=str(reason), seconds=perf_counter() - started)
    return judge(row, found, perf_counter() - started)
