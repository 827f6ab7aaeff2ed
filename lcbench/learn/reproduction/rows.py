"""Which function computes which row."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from lcbench.learn.reproduction import boundaries, descents, gradients, photographs, pipeline, probabilities, regression
from lcbench.learn.reproduction.figures import Row
from lcbench.learn.reproduction.laboratory import CannotRun, Laboratory
from lcbench.learn.reproduction.outcome import Found, Outcome, judged

FUNCTIONS: dict[str, Callable[[dict[str, Any], Laboratory], Found]] = {
    "softmax-sanity-loss": photographs.loss_near_zero,
    "softmax-of-123": probabilities.softmax,
    "cross-entropy-low-high": probabilities.cross_entropy_in_steps_and_at_once,
    "four-feature-training": descents.four_features,
    "lr-0.1-first": descents.twenty_costs,
    "lr-too-large": descents.costs_of_too_large_steps,
    "lr-too-small": descents.twenty_costs,
    "lr-0.1-second": descents.twenty_costs,
    "test-set": descents.test_set,
    "standardise": regression.standardise,
    "mse-regression": regression.squared_error,
    "mse-regression-l2": regression.squared_error_and_norms,
    "softmax-layer": probabilities.softmax_layer,
    "hardmax": probabilities.hardmax,
    "two-classes-logistic": probabilities.two_classes,
    "one-example-loss": probabilities.loss_of_one_example,
    "backprop-of-softmax": gradients.backpropagation_of_softmax,
    "decision-boundary": boundaries.decision_boundary,
    "quadratic": descents.quadratic,
    "svm-protocol": photographs.svm_protocol,
    "svm-hyperparameters": photographs.svm_hyperparameters,
    "gradient-check-kinks": gradients.kinks,
    "templates": photographs.templates,
    "hinge-example": probabilities.hinge_and_softmax,
    "random-search": photographs.random_search,
    "gradient-ways": gradients.ways,
    "feature-pipeline": pipeline.features_and_classifier,
}
"""By the row's id. A function gets the row's inputs, and never the figures that it must arrive at."""


def reproduce(row: Row, laboratory: Laboratory) -> Outcome:
    """Computes a row and judges what comes of it; what cannot be computed here is skipped, with the reason."""
    started = perf_counter()
    try:
        found = FUNCTIONS[row.id](row.inputs, laboratory)
    except CannotRun as reason:
        return Outcome(row, skipped=str(reason), seconds=perf_counter() - started)
    return judged(row, found, perf_counter() - started)
