"""Small models and searches that were not trained."""

from __future__ import annotations

import msgspec
import numpy as np

from lcbench.datasets.preprocessing import Scaling
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.search.search_file import Search, Trial

IMAGE = (3, 4, 5)


def model(
    classes=3, columns=60, image_shape=IMAGE, losses=(2.0, 1.5, 1.2), steps=(0, 3), status="finished", names=None,
    fingerprint="", scaling=None, **recipe,
):  # fmt: skip
    """Return a model with random weights."""
    rng = np.random.default_rng(7)
    W = rng.normal(size=(columns + 1, classes))
    scaling = scaling or Scaling(rng.normal(size=columns), rng.uniform(1, 3, columns))
    steps = np.array(steps)
    curves = Curves(np.array(losses, float), steps, *rng.uniform(0.1, 0.9, (2, len(steps))), np.zeros(len(steps)))
    names = tuple(names or (f"class {c}" for c in range(classes)))
    recipe = Recipe(**({"data": "cifar10"} | recipe))
    return Model(
        recipe, W, scaling, names, image_shape, fingerprint, 1, curves, status, int(steps[-1]), W, None, {}
    )  # fmt: skip


def trial(accuracy, status=None, **fields):
    """Return a trial with an accuracy, or for None a trial that diverged."""
    status = status or ("diverged" if accuracy is None else "finished")
    return Trial(recipe=Recipe(data="cifar10", **fields), status=status, validation_accuracy=accuracy)


def search(trials, way="grid", **axes):
    """Return a search with these trials and axes."""
    return Search(created="2026-01-01T00:00:00Z", way=way, axes=axes, fingerprint="", threads=1, trials=trials)


def grid(accuracy, learning_rate, reg):
    """Return a grid search, with `accuracy` as a function of the learning rate and the regularisation."""
    trials = [trial(accuracy(rate, r), learning_rate=rate, reg=r) for rate in learning_rate for r in reg]
    return search(trials, learning_rate=list(learning_rate), reg=list(reg))


def waiting(search):
    """Return the search before its first trial."""
    trials = [Trial(recipe=trial.recipe) for trial in search.trials]
    return msgspec.structs.replace(search, trials=trials)
