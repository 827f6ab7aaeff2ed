"""Rows about linear regression with squared error, in float32 as the document does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.preprocessing import standardisation
from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found

EPOCHS = 20


def standardise(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Each column less its mean, over its sample standard deviation."""
    return Found({"standardised": _standardised(inputs["x"])})


def _standardised(x: list[list[float]]) -> NDArray[np.float32]:
    X = np.array(x, np.float32)
    mean, deviation = standardisation(X, ddof=1)
    return ((X - mean) / deviation).astype(np.float32)


def squared_error(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The cost before each step."""
    return Found({"cost": _costs(inputs, laboratory, penalised=False)})


def squared_error_and_norms(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """The same with the norm of the weights and the size of the bias added, neither squared."""
    return Found({"cost": _costs(inputs, laboratory, penalised=True)})


def _costs(inputs: dict[str, Any], laboratory: Laboratory, penalised: bool) -> list[float]:
    X = _standardised(laboratory.inputs(inputs["standardised from"])["x"])
    targets = np.array(inputs["targets"], np.float32)
    w, b = np.array(inputs["weight"], np.float32), np.float32(inputs["bias"])
    rate = np.float32(inputs["learning rate"])
    costs = []
    for _ in range(EPOCHS):
        errors = X @ w + b - targets
        cost = (errors * errors).mean()
        dw, db = np.float32(2) * (X.T @ errors) / np.float32(len(X)), 2 * errors.mean()
        if penalised:
            norm = np.sqrt((w * w).sum())
            cost += norm + abs(b)
            dw, db = dw + w / norm, db + np.sign(b)
        costs.append(float(cost))
        w, b = w - rate * dw, b - rate * db
    return costs
