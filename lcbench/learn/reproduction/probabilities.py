"""Rows about single scores: softmax, cross-entropy, hinge."""

from __future__ import annotations

from typing import Any

import numpy as np

from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found


def softmax(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Softmax of a few scores."""
    return Found({"probability": laboratory.softmax(inputs["scores"])})


def softmax_layer(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Softmax in two steps: exponentials, then each over their sum."""
    exponentials = np.exp(np.array(inputs["scores"], np.float32))
    return Found(
        {
            "exponential": exponentials,
            "sum": exponentials.sum(),
            "probability": laboratory.softmax(inputs["scores"]),
        }
    )


def hardmax(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """1 where the score is highest."""
    scores = np.array(inputs["scores"])
    return Found({"hardmax": scores == scores.max()})


def cross_entropy_in_steps_and_at_once(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The mean of -log(probability) picked out by one-hot rows, and the fused loss."""
    scores, labels = np.array(inputs["scores"], np.float32), np.array(inputs["labels"])
    probabilities = laboratory.softmax(scores)
    one_hot = np.eye(scores.shape[1], dtype=np.float32)[labels]
    in_steps = (one_hot * -np.log(probabilities)).sum(axis=1).mean()
    at_once, _ = laboratory.loss_of_scores("softmax", scores, labels)
    return Found(
        {
            "cost, step by step": in_steps,
            "cost, one call": at_once,
            "the two apart": abs(in_steps - at_once),
            "probability": probabilities,
            "log probability": np.log(probabilities),
        }
    )


def loss_of_one_example(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Cross-entropy of probabilities that are given: their logarithms are scores that lead to them."""
    scores = np.log([inputs["probabilities"]])
    loss, _ = laboratory.loss_of_scores("softmax", scores, [inputs["label"]], np.float64)
    return Found({"loss": loss})


def hinge_and_softmax(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Both losses of the same three scores."""
    scores, labels = [inputs["scores"]], [inputs["label"]]
    exponentials = np.exp(np.array(inputs["scores"], np.float32))
    hinge, _ = laboratory.loss_of_scores("svm", scores, labels)
    cross_entropy, _ = laboratory.loss_of_scores("softmax", scores, labels)
    return Found(
        {
            "hinge loss": hinge,
            "exponential": exponentials[:2],
            "exponential of -1.7": exponentials[2],
            "probability": laboratory.softmax(scores)[0],
            "softmax loss": cross_entropy,
        }
    )


def two_classes(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Softmax of the scores (z, 0) against 1 / (1 + exp(-z)), and the gradients of both losses, in float64."""
    odds = inputs["odds"]
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (inputs["rows"], inputs["features"]))
    labels = rng.integers(0, 2, len(X))
    w = rng.normal(0, 1, X.shape[1])
    z = X @ w
    logistic = 1 / (1 + np.exp(-z))
    loss, dW = laboratory.loss("softmax", np.stack([w, np.zeros_like(w)], axis=1), X, labels)
    is_first = labels == 0
    return Found(
        {
            "probability": laboratory.softmax([np.log(odds[0] / odds[1]), 0.0]),
            "off logistic, probability": np.abs(
                laboratory.softmax(np.stack([z, np.zeros_like(z)], axis=1), np.float64)[:, 0] - logistic
            ).max(),
            "off logistic, loss": abs(loss + np.log(np.where(is_first, logistic, 1 - logistic)).mean()),
            "off logistic, gradient": np.abs(dW[:, 0] - X.T @ (logistic - is_first) / len(X)).max(),
        }
    )
