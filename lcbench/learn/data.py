"""The data that a recipe names."""

from __future__ import annotations

from lcbench.datasets.examples import LabelledSplits
from lcbench.datasets.loading import load
from lcbench.learn.recipe import Recipe
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress


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
