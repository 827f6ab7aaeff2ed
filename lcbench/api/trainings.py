"""Training a model into a file, and going on where that was broken off."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lcbench import paths
from lcbench.datasets.examples import Examples
from lcbench.datasets.loading import Watch
from lcbench.errors import LcbenchError
from lcbench.learn import defaults, model, training
from lcbench.learn.data import splits_of
from lcbench.learn.evaluation import Evaluation, confusion, predict
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import Look


def _nothing(*_: Any) -> None:
    pass


def train(
    *,
    output: Path | None = None,
    begun: Callable[[Path, Recipe], None] = _nothing,
    look: Callable[[Look], None] = _nothing,
    watch: Watch = _nothing,
    **settings: Any,
) -> tuple[Model, Path]:
    """Trains a classifier and writes it to `output`, by default a new file in `paths.models_folder()`.

    settings: the fields of `lcbench.learn.recipe.Recipe`, and epochs; what is left out is chosen by data and loss.
    begun: is told the file and the whole recipe before the first step. look: every look at the accuracies. watch: the
    progress of features that are computed. The file is a checkpoint meanwhile, that `resume` goes on with.
    Raises LcbenchError where the data or a setting is unfit.
    """
    settings.setdefault("data", "cifar10")
    named = {name: settings[name] for name in ("data", "label", "features", "words", "seed") if settings.get(name)}
    splits = splits_of(Recipe(**named), watch)
    recipe = defaults.recipe(splits, **settings)
    path = output or _new_file()
    begun(path, recipe)
    trained = training.train(splits, recipe, keep=lambda unfinished: model.write(path, unfinished), watch=look)
    model.write(path, trained)
    return trained, path


def resume(
    path: Path,
    *,
    begun: Callable[[Path, Recipe], None] = _nothing,
    look: Callable[[Look], None] = _nothing,
    watch: Watch = _nothing,
) -> tuple[Model, Path]:
    """Goes on with the training whose checkpoint is in `path`, to the result of one that was never broken off.

    Bit for bit where it runs with as many threads. Raises LcbenchError where the file is no model or the data is
    another.
    """
    unfinished = model.read(path)
    begun(path, unfinished.recipe)
    trained = training.train(
        splits_of(unfinished.recipe, watch), unfinished.recipe, resume=unfinished,
        keep=lambda kept: model.write(path, kept), watch=look,
    )  # fmt: skip
    model.write(path, trained)
    return trained, path


def evaluate(trained: Model, split: str = "test", data: str | None = None, watch: Watch = _nothing) -> Evaluation:
    """How good a model is on a split ("train", "validation", "test") of its own data, or of other data.

    Raises LcbenchError where that data has no such rows, or other columns or classes than the model.
    """
    recipe = trained.recipe if data is None else replace(trained.recipe, data=data)
    splits = splits_of(recipe, watch)
    part: Examples = getattr(splits, split)
    columns = len(trained.scaling.mean)
    if not len(part):
        raise LcbenchError(f"{splits.source} has no rows to {split} on: choose another --split")
    if part.X.shape[1] != columns:
        raise LcbenchError(f"{splits.source} has {part.X.shape[1]} columns, and the model was trained on {columns}")
    if len(splits.class_names) > len(trained.class_names):
        raise LcbenchError(
            f"{splits.source} has {len(splits.class_names)} classes, and the model knows {len(trained.class_names)}"
        )
    predicted = predict(trained.W, trained.scaling, part.X)
    matrix = confusion(predicted, part.y, len(trained.class_names))
    return Evaluation(splits.source, split, trained.class_names, matrix)


def _new_file() -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return paths.models_folder() / f"{stamp}-{secrets.token_hex(4)}.h5"
