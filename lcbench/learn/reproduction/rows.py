"""Which function computes which row."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from lcbench.learn.reproduction import cifar10, toy_data
from lcbench.learn.reproduction.figures import Outcome, PublishedRow, ReproducedValues, judged
from lcbench.learn.reproduction.laboratory import CannotRun, Laboratory

FUNCTIONS: dict[str, Callable[[dict[str, Any], Laboratory], ReproducedValues]] = {
    "softmax-sanity-loss": cifar10.loss_near_zero,
    "softmax-of-123": toy_data.softmax,
    "cross-entropy-low-high": toy_data.cross_entropy_in_steps_and_at_once,
    "four-feature-training": toy_data.four_features,
    "lr-0.1-first": toy_data.twenty_costs,
    "lr-too-large": toy_data.costs_of_too_large_steps,
    "lr-too-small": toy_data.twenty_costs,
    "lr-0.1-second": toy_data.twenty_costs,
    "test-set": toy_data.test_set,
    "standardise": toy_data.standardise,
    "mse-regression": toy_data.squared_error,
    "mse-regression-l2": toy_data.squared_error_and_norms,
    "softmax-layer": toy_data.softmax_layer,
    "hardmax": toy_data.hardmax,
    "two-classes-logistic": toy_data.two_classes,
    "one-example-loss": toy_data.loss_of_one_example,
    "backprop-of-softmax": toy_data.backpropagation_of_softmax,
    "decision-boundary": toy_data.decision_boundary,
    "quadratic": toy_data.quadratic,
    "svm-protocol": cifar10.svm_protocol,
    "svm-hyperparameters": cifar10.svm_hyperparameters,
    "gradient-check-kinks": toy_data.kinks,
    "templates": cifar10.templates,
    "hinge-example": toy_data.hinge_and_softmax,
    "random-search": cifar10.random_search,
    "gradient-ways": toy_data.ways,
    "feature-pipeline": cifar10.features_and_classifier,
}
"""By the row's id. A function gets the row's inputs, and never the figures that it must arrive at."""


def reproduce(row: PublishedRow, laboratory: Laboratory) -> Outcome:
    """Computes a row and judges what comes of it; what cannot be computed here is skipped, with the reason."""
    started = perf_counter()
    try:
        found = FUNCTIONS[row.id](row.inputs, laboratory)
    except CannotRun as reason:
        return Outcome(row, skipped=str(reason), seconds=perf_counter() - started)
    return judged(row, found, perf_counter() - started)
