"""Context of a reproduction: the implementation under test, CIFAR-10, and models that are trained once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lcbench.datasets import examples
from lcbench.datasets.examples import LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn.model import Model
from lcbench.learn.recipe import recipe_for
from lcbench.learn.training import train
from lcbench.losses.implementation import Implementation, LossName
from lcbench.progress import ProgressCallback, no_progress
from lcbench.reproduction import figures


class CannotReproduceError(Exception):
    """Reason why a row cannot be computed here, and the remedy, in one line."""


class Context:
    """Context that the functions of all rows share. The losses and gradients are those of `implementation`."""

    def __init__(self, implementation: Implementation, progress: ProgressCallback = no_progress) -> None:
        self.implementation = implementation
        self._progress = progress
        self._trained: dict[bytes, Model] = {}
        self._featured: tuple[tuple[str, ...], LabelledSplits] | None = None

    def require(self, name: LossName) -> None:
        """Raise CannotReproduceError if the implementation lacks the loss."""
        if name not in self.implementation.functions:
            raise CannotReproduceError(f"{self.implementation.name} has no {name} loss")

    def loss(self, name: LossName, W: Any, X: Any, y: Any, reg: float = 0.0) -> tuple[float, NDArray[Any]]:
        """Return the implementation's loss and dW (D, C) at W (D, C), for X (N, D) and y (N,)."""
        self.require(name)
        return self.implementation.loss(name, W, X, y, reg)

    def loss_of_scores(
        self, name: LossName, scores: ArrayLike, labels: ArrayLike, dtype: DTypeLike = np.float32
    ) -> tuple[float, NDArray[Any]]:
        """Return the mean loss of scores (N, C) and its gradient with respect to them.

        With the identity matrix as X, the scores are W.
        """
        scores = np.asarray(scores, dtype)
        return self.loss(name, scores, np.eye(len(scores), dtype=dtype), np.asarray(labels))

    def softmax(self, scores: ArrayLike, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the probabilities of scores (N, C) or (C,).

        They are N times the gradient of the softmax loss plus the one-hot labels.
        """
        rows = np.atleast_2d(np.asarray(scores, dtype))
        _, gradient = self.loss_of_scores("softmax", rows, np.zeros(len(rows), np.int64), dtype)
        probabilities = len(rows) * gradient
        probabilities[:, 0] += 1
        return probabilities.reshape(np.shape(scores))

    def inputs(self, row: str) -> dict[str, Any]:
        """Return the inputs of another row."""
        return figures.published_rows()[row].inputs

    @cached_property
    def cifar10(self) -> LabelledSplits:
        """CIFAR-10 in the splits of the assignment. Raise CannotReproduceError if it is missing."""
        return self._load()

    def _load(self, features: tuple[str, ...] = (), words: int | None = None) -> LabelledSplits:
        try:
            return examples.load_splits("cifar10", features, words=words, progress=self._progress)
        except LcbenchError as error:
            raise CannotReproduceError(str(error)) from error

    def _splits(self, features: tuple[str, ...], words: int | None) -> LabelledSplits:
        """Return CIFAR-10 as pixels or features. Features are large, so only the last ones are kept."""
        if not features:
            return self.cifar10
        if self._featured is None or self._featured[0] != features:
            self._featured = None
            self._featured = features, self._load(features, words)
        return self._featured[1]

    def trained(self, features: tuple[str, ...] = (), words: int | None = None, **settings: Any) -> Model:
        """Return a model of CIFAR-10, as pixels or features, trained with the implementation. Each is trained once.

        settings: fields of the recipe; the others take the defaults of `recipe_for`.
        """
        splits = self._splits(features, words)
        recipe = recipe_for(
            splits, data="cifar10", features=list(features), words=words, implementation=self.implementation.name,
            **settings,
        )  # fmt: skip
        self.require(recipe.loss)
        key = msgspec.json.encode(recipe)
        if key not in self._trained:
            self._trained[key] = train(splits, recipe)
        return self._trained[key]
