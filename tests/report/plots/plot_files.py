"""Models and searches as their files hold them, small, and without having been trained."""

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
    """A model of random weights."""
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
    """A trial that reached an accuracy, or with None one that diverged."""
    status = status or ("diverged" if accuracy is None else "finished")
    return Trial(recipe=Recipe(data="cifar10", **fields), status=status, validation_accuracy=accuracy)


def search(trials, way="grid", **axes):
    """A search with these trials over these axes."""
    return Search(created="2026-01-01T00:00:00Z", way=way, axes=axes, fingerprint="", threads=1, trials=trials)


def grid(accuracy, learning_rate, reg):
    """A search of a grid, `accuracy` a function of the learning rate and the regularisation."""
    trials = [trial(accuracy(rate, r), learning_rate=rate, reg=r) for rate in learning_rate for r in reg]
    return search(trials, learning_rate=list(learning_rate), reg=list(reg))


def waiting(search):
    """The same before its first trial."""
    trials = [Trial(recipe=trial.recipe) for trial in search.trials]
    return msgspec.structs.replace(search, trials=trials)
