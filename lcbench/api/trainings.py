"""Training a model into a file, and going on where that was broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench import paths, whole_file
from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.datasets.loading import is_hdf5, load
from lcbench.errors import LcbenchError
from lcbench.learn import defaults, model, training
from lcbench.learn.data import data_of, splits_of
from lcbench.learn.evaluation import Evaluation, confusion, predict
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress, patient


def train(
    *,
    output: Path | str | None = None,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
    **settings: Any,
) -> tuple[Model, Path]:
    """Trains a classifier and writes it to `output`, by default a new file in `paths.models_folder()`.

    settings: the fields of `lcbench.learn.recipe.Recipe`, and epochs; what is left out is chosen by data and loss.
    The file is a checkpoint meanwhile, that `resume` goes on with. stream: whether the rows stay in their HDF5 file, to
    be read as they are needed; None: where they would not fit in memory, and `note` is told so. The model is the same.
    Raises LcbenchError where the data or a setting is unfit.
    """
    settings.setdefault("data", "cifar10")
    path = Path(output) if output else paths.new_file(paths.models_folder(), ".h5")
    if output:
        whole_file.require_folder(path)
    model.require_free(path)
    splits = splits_of(data_of(settings), progress, stream, note)
    return _train(path, splits, defaults.recipe(splits, **settings), None, progress, note)


def resume(
    path: Path,
    *,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
) -> tuple[Model, Path]:
    """Goes on with the training whose checkpoint is in `path`, to the result of one that was never broken off.

    Bit for bit where it runs with as many threads; stream: whether the rows are read from their file as they are
    needed, which makes no difference either. Raises LcbenchError where the file is no model or the data is
    another.
    """
    unfinished = model.read(path)
    splits = splits_of(unfinished.recipe, progress, stream, note)
    return _train(path, splits, unfinished.recipe, unfinished, progress, note)


def _train(
    path: Path,
    splits: LabelledSplits,
    recipe: Recipe,
    unfinished: Model | None,
    progress: ProgressCallback,
    note: NoteCallback,
) -> tuple[Model, Path]:
    """Train a model, new or `unfinished`, into `path`, where its checkpoints are meanwhile."""
    progress(f"checkpoints: {path} (--resume goes on with it after a crash)")
    try:
        trained = training.train(
            splits, recipe, resume=unfinished, keep=lambda kept: model.write(path, kept), progress=progress
        )
    except KeyboardInterrupt:
        note(f"'lcbench train --resume {path}' goes on from here")
        raise
    model.write(path, trained)
    return trained, path


def evaluate(
    trained: Model | Path | str,
    split: str = "test",
    data: str | None = None,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
) -> Evaluation:
    """How good a model, or the one in a file, is on a split ("train", "validation", "test") of its data, or other data.

    Of a file that has no splits of its own, other data is all of its rows. Classes are told apart by their names.
    progress, note: as in `train`. stream: None is yes for HDF5, of which then no more than a few blocks is in memory.
    Raises LcbenchError where that data has no such rows, or other columns or classes than the model.
    """
    if not isinstance(trained, Model):
        trained = model.read(Path(trained))
    recipe = trained.recipe
    if data is None:
        splits = splits_of(recipe, progress, _in_blocks(recipe.data, recipe, stream), note)
        part: Examples = getattr(splits, split)
    else:
        # what features were learnt from is what they are computed by
        images = load(recipe.data, label=recipe.label, stream=False).train.array if recipe.features else None
        splits = load(
            data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, held_out=False,
            learn_from=images, stream=_in_blocks(data, recipe, stream), progress=progress, note=note,
        )  # fmt: skip
        undivided = not (len(splits.validation) or len(splits.test))
        part = splits.train if undivided else getattr(splits, split)
        split = "all rows" if undivided else split
    if not len(part):
        raise LcbenchError(f"{splits.source} has no {split} rows: choose another --split")
    _require_same_columns(trained, splits)
    slow = patient(progress)
    predicted = predict(trained.W, trained.scaling, part.X, split, slow)
    matrix = confusion(predicted, _classes_of(trained, splits)[part.y], len(trained.class_names))
    as_trained = data is not None or splits.fingerprint(slow) == trained.fingerprint
    return Evaluation(splits.source, split, trained.class_names, matrix, as_trained)


def _in_blocks(data: str, recipe: Recipe, stream: bool | None) -> bool | None:
    """Whether rows that are looked at once, from first to last, stay in their file."""
    if stream is None and is_hdf5(data) and not recipe.features:
        return True
    return stream


def _require_same_columns(trained: Model, splits: LabelledSplits) -> None:
    """Raises LcbenchError where rows have other columns than those that the model was trained on."""
    columns, found = len(trained.scaling.mean), splits.train.X.shape[1]
    if found != columns:
        raise LcbenchError(f"{splits.source} has {found} columns, and the model was trained on {columns}")
    if trained.feature_names and splits.feature_names and trained.feature_names != splits.feature_names:
        place = [a == b for a, b in zip(trained.feature_names, splits.feature_names, strict=True)].index(False)
        raise LcbenchError(
            f"{splits.source}: its column {splits.feature_names[place]!r} stands where the model was trained on "
            f"{trained.feature_names[place]!r}; bring the columns into that order"
        )


def _classes_of(trained: Model, splits: LabelledSplits) -> NDArray[np.int64]:
    """For each class of `splits` the model's class of that name. Raises LcbenchError where it has none."""
    number = {name: c for c, name in enumerate(trained.class_names)}
    for name in splits.class_names:
        if name not in number:
            raise LcbenchError(
                f"{splits.source} has a class {name!r}, and the model knows {', '.join(trained.class_names)}"
            )
    return np.array([number[name] for name in splits.class_names])
