"""The data that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lcbench.datasets.examples import LabelledSplits
from lcbench.datasets.loading import load
from lcbench.learn.recipe import Recipe
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress


def data_of(settings: Mapping[str, Any]) -> Recipe:
    """A recipe of nothing but the data, of all settings of one; those that are None are left out."""
    names = ("data", "label", "features", "words", "seed")
    return Recipe(**{name: settings[name] for name in names if settings.get(name) is not None})


def splits_of(
    recipe: Recipe,
    progress: ProgressCallback = no_progress,
    stream: bool | None = False,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """What is trained on by a recipe. Raises LcbenchError where it is missing or unfit.

    stream, progress, note: as `lcbench.datasets.loading.load` takes them.
    """
    return load(
        recipe.data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, stream=stream,
        progress=progress, note=note,
    )  # fmt: skip
