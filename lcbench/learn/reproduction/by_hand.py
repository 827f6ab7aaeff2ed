"""What a row trained in a loop of its own, as a model file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.scaling import Scaling
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.reproduction.laboratory import Laboratory


def model(laboratory: Laboratory, W: NDArray[Any], losses: Sequence[float], learning_rate: float, rows: int) -> Model:
    """Softmax by descent over all `rows` of a table at once, to W (D + 1, C); losses: before each step."""
    recipe = Recipe(
        data="a table", scaling="none", implementation=laboratory.implementation.name, iterations=len(losses),
        batch=rows, sampling="shuffle", learning_rate=learning_rate,
        dtype="float32" if W.dtype == np.float32 else "float64",
    )  # fmt: skip
    columns, classes = W.shape[0] - 1, W.shape[1]
    unscaled = Scaling(np.zeros(columns), np.ones(columns))
    names = tuple(map(str, range(classes)))
    return Model(
        recipe, W, unscaled, names, None, "", 1, Curves(np.array(losses)), "finished", len(losses), W, None, {}
    )
