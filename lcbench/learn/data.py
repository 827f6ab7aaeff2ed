"""The data that a recipe names."""

from __future__ import annotations

from lcbench.datasets.examples import LabelledSplits
from lcbench.datasets.loading import Watch, load
from lcbench.learn.recipe import Recipe


def splits_of(recipe: Recipe, watch: Watch = lambda what, done, planned: None) -> LabelledSplits:
    """What is trained on by a recipe. Raises LcbenchError where it is missing or unfit."""
    return load(recipe.data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, watch=watch)
