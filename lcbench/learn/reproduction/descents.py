"""Rows that follow gradient descent over every row of a small table, in float32 as the documents do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.learn.model import Model
from lcbench.learn.reproduction import by_hand
from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found

EPOCHS = 20


def twenty_costs(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The cost before each step of softmax regression."""
    costs, W = _descend(inputs, laboratory)
    return Found({"cost": costs}, {"descent": _model(inputs, laboratory, W, costs)})


def costs_of_too_large_steps(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The same, told apart where the difference between two roundings has grown as large as the costs."""
    costs, W = _descend(inputs, laboratory)
    model = _model(inputs, laboratory, W, costs)
    return Found({"cost": costs[:4], "cost once chaotic": costs[4:]}, {"descent": model})


def test_set(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Accuracy and cost of weights trained in another row, on rows unlike those that they were trained on."""
    _, W = _descend(laboratory.inputs(inputs["trained as"]), laboratory)
    X, y = _with_ones(inputs["x"]), np.array(inputs["labels"])
    cost, _ = laboratory.loss("softmax", W, X, y)
    return Found({"accuracy": ((X @ W).argmax(axis=1) == y).mean(), "cost": cost})


def _descend(inputs: dict[str, Any], laboratory: Laboratory) -> tuple[list[float], NDArray[np.float32]]:
    """The costs before each step, and W (D + 1, C) after the last: the bias is its last row."""
    X, y = _with_ones(inputs["x"]), np.array(inputs["labels"])
    W = np.vstack([np.array(inputs["weight"], np.float32).T, np.array(inputs["bias"], np.float32)])
    rate = np.float32(inputs["learning rate"])
    costs = []
    for _ in range(EPOCHS):
        cost, dW = laboratory.loss("softmax", W, X, y)
        costs.append(cost)
        W -= rate * dW
    return costs, W


def _model(inputs: dict[str, Any], laboratory: Laboratory, W: NDArray[np.float32], costs: list[float]) -> Model:
    return by_hand.model(laboratory, W, costs, inputs["learning rate"], len(inputs["x"]))


def _with_ones(x: list[list[float]]) -> NDArray[np.float32]:
    rows = np.array(x, np.float32)
    return np.hstack([rows, np.ones((len(rows), 1), np.float32)])


def four_features(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Softmax regression with one bias for all classes; then the same with a second softmax before the cost."""
    x, y = np.array(inputs["x"], np.float32), np.array(inputs["labels"])
    one_hot = np.eye(3, dtype=np.float32)[y]

    def once(scores: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        return laboratory.loss_of_scores("softmax", scores, y)

    def twice(scores: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        probabilities = laboratory.softmax(scores)
        cost, gradient = laboratory.loss_of_scores("softmax", probabilities, y)
        along = (gradient * probabilities).sum(axis=1, keepdims=True)
        return cost, probabilities * (gradient - along)  # the transposed Jacobian of softmax times the gradient

    found = {}
    for name, cost_of in (("cost", once), ("cost, softmax twice", twice)):
        W, b = np.zeros((x.shape[1], one_hot.shape[1]), np.float32), np.float32(0)
        costs = []
        for epoch in range(inputs["epochs"] + 1):
            cost, dscores = cost_of(x @ W + b)
            if epoch % inputs["every"] == 0:
                costs.append(cost)
            rate = np.float32(inputs["learning rate"])
            W, b = W - rate * (x.T @ dscores), b - rate * dscores.sum()
        found[name] = costs
    return Found(found)


def quadratic(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Steps down the slope of a w w + b w + c, in float32."""
    a, b, _ = np.array(inputs["coefficients"], np.float32)
    rate, w = np.float32(inputs["learning rate"]), np.float32(0)
    for _ in range(inputs["steps"]):
        w -= rate * (2 * a * w + b)
    return Found({"w": w})
