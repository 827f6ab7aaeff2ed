"""What the functions of several rows share: the implementation on trial, the real images, weights already trained."""

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
    """Why a row cannot be computed here, and what would mend it: one line."""


class Context:
    """implementation: whose losses and gradients are used wherever a row is about one."""

    def __init__(self, implementation: Implementation, progress: ProgressCallback = no_progress) -> None:
        self.implementation = implementation
        self._progress = progress
        self._trained: dict[bytes, Model] = {}
        self._featured: tuple[tuple[str, ...], LabelledSplits] | None = None

    def require(self, name: LossName) -> None:
        """Raises CannotReproduceError where the implementation lacks that loss."""
        if name not in self.implementation.functions:
            raise CannotReproduceError(f"{self.implementation.name} has no {name} loss")

    def loss(self, name: LossName, W: Any, X: Any, y: Any, reg: float = 0.0) -> tuple[float, NDArray[Any]]:
        """Loss and dW (D, C) of W (D, C), X (N, D) and y (N,), by the implementation."""
        self.require(name)
        return self.implementation.loss(name, W, X, y, reg)

    def loss_of_scores(
        self, name: LossName, scores: ArrayLike, labels: ArrayLike, dtype: DTypeLike = np.float32
    ) -> tuple[float, NDArray[Any]]:
        """Mean loss of scores (N, C) and its gradient with respect to them: the identity as X makes W the scores."""
        scores = np.asarray(scores, dtype)
        return self.loss(name, scores, np.eye(len(scores), dtype=dtype), np.asarray(labels))

    def softmax(self, scores: ArrayLike, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Probabilities of scores (N, C) or (C,): N times the gradient of the loss, plus the one-hot labels."""
        rows = np.atleast_2d(np.asarray(scores, dtype))
        _, gradient = self.loss_of_scores("softmax", rows, np.zeros(len(rows), np.int64), dtype)
        probabilities = len(rows) * gradient
        probabilities[:, 0] += 1
        return probabilities.reshape(np.shape(scores))

    def inputs(self, row: str) -> dict[str, Any]:
        """Those of another row."""
        return figures.published_rows()[row].inputs

    @cached_property
    def cifar10(self) -> LabelledSplits:
        """The real images in the assignment's splits. Raises CannotReproduceError where they are not there."""
        return self._load()

    def _load(self, features: tuple[str, ...] = (), words: int | None = None) -> LabelledSplits:
        try:
            return examples.load_splits("cifar10", features, words=words, progress=self._progress)
        except LcbenchError as error:
            raise CannotReproduceError(str(error)) from error

    def _splits(self, features: tuple[str, ...], words: int | None) -> LabelledSplits:
        """Pixels or features of the real images. Of features, which are large, the latest are kept."""
        if not features:
            return self.cifar10
        if self._featured is None or self._featured[0] != features:
            self._featured = None
            self._featured = features, self._load(features, words)
        return self._featured[1]

    def trained(self, features: tuple[str, ...] = (), words: int | None = None, **settings: Any) -> Model:
        """A model of the real images, or of features of them, by the implementation; trained once.

        settings: fields of `Recipe`; the rest is as `recipe_for` chooses it.
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
