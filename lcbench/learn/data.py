"""The data that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lcbench.datasets.examples import LabelledSplits
from lcbench.datasets.loading import Note, load
from lcbench.datasets.watching import Watch, unwatched
from lcbench.learn.recipe import Recipe


def data_of(settings: Mapping[str, Any]) -> Recipe:
    """A recipe of nothing but the data, of all settings of one; those that are None are left out."""
    names = ("data", "label", "features", "words", "seed")
    return Recipe(**{name: settings[name] for name in names if settings.get(name) is not None})


def splits_of(
    recipe: Recipe, watch: Watch = unwatched, stream: bool | None = False, note: Note = lambda line: None
) -> LabelledSplits:
    """What is trained on by a recipe. Raises LcbenchError where it is missing or unfit.

    stream, watch, note: as `lcbench.datasets.loading.load` takes them.
    """
    return load(
        recipe.data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, stream=stream,
        watch=watch, note=note,
    )  # fmt: skip
