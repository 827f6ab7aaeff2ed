"""What learns: ``lcbench train``, ``evaluate`` and ``search``, and going on where one was broken off."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets.examples import Examples, LabelledSplits, is_hdf5, load_splits
from lcbench.errors import LcbenchError
from lcbench.learn import model, training
from lcbench.learn.evaluation import Evaluation, confusion, predict
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe, are_pixels, recipe_for
from lcbench.learn.search import search_file
from lcbench.learn.search.points import (
    AXES,
    DEFAULT_DESCENT,
    Axes,
    Range,
    default_axes,
    grid,
    grid_values,
    random_points,
)
from lcbench.learn.search.pools import CLUSTER_IMPLEMENTATION, ClusterPool, ProcessPool
from lcbench.learn.search.search_file import Refit, Search, Trial, ranking
from lcbench.learn.search.trials import Job, map_shared_rows, write_shared_rows
from lcbench.learn.training import splits_of
from lcbench.losses.cluster.shared_files import shared_folder
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress
from lcbench.usercode.discovery import require_known


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
    The file is a checkpoint meanwhile, that `resume_training` goes on with. stream: whether the rows stay in their HDF5
    file, to be read as they are needed; None: where they would not fit in memory, and `note` is told so. The model is
    the same. Raises LcbenchError where the data or a setting is unfit.
    """
    asked = Recipe.of(settings)
    require_known(asked.implementation)  # before the data is read
    path = Path(output) if output else files.new_file_path(files.models_folder(), ".h5")
    if output:
        files.require_parent_folder(path)
    model.require_free(path)
    splits = splits_of(asked, progress, stream, note)
    return _train(path, splits, recipe_for(splits, **settings), None, progress, note)


def resume_training(
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
            splits,
            recipe,
            resume=unfinished,
            checkpoint=lambda unfinished: model.write(path, unfinished),
            progress=progress,
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
        images = load_splits(recipe.data, label=recipe.label, stream=False).train.array if recipe.features else None
        splits = load_splits(
            data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, held_out=False,
            fit_on=images, stream=_in_blocks(data, recipe, stream), progress=progress, note=note,
        )  # fmt: skip
        undivided = not (len(splits.validation) or len(splits.test))
        part = splits.train if undivided else getattr(splits, split)
        split = "all rows" if undivided else split
    if not len(part):
        raise LcbenchError(f"{splits.source} has no {split} rows: choose another --split")
    _require_same_columns(trained, splits)
    slow = delayed(progress)
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


def search(
    *,
    axes: Axes | None = None,
    random: int | None = None,
    workers: int | None = None,
    threads: int = 1,
    refit_all: bool = False,
    output: Path | str | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> tuple[Search, Path]:
    """Trains by many recipes, chooses the best on the validation rows, trains it once more and tests it.

    axes: what to search, by field of the recipe; what is known to work is searched where learning rate or reg are not
    among them, without a learning rate also by `DEFAULT_DESCENT`. random: so many random points instead of a grid.
    workers: processes, by default one for every `threads` usable cores. refit_all: the best is trained on training and
    validation rows. settings: the other fields of `lcbench.learn.recipe.Recipe`, and epochs.
    The search goes to `output`, by default a new file in `paths.searches_folder()`, rewritten after every trial, and
    the model beside it. Raises LcbenchError where the data, a setting or the implementation is unfit.
    """
    asked = Recipe.of(settings)
    if refit_all and asked.patience:
        raise LcbenchError("refit_all leaves early stopping no validation rows to go by: leave one of the two out")
    path = Path(output) if output else files.new_file_path(files.searches_folder(), ".json")
    if output:
        files.require_parent_folder(path)
    _require_free_for_search(path)
    splits = splits_of(asked, progress)
    plan = _all_trials(splits, asked, axes or {}, random, settings)
    plan = replace(plan, threads=threads, refit_all=refit_all)
    return _try_all(path, plan, splits, workers, progress, note)


def resume_search(
    path: Path,
    *,
    workers: int | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> tuple[Search, Path]:
    """Goes on with the search in `path`, to the result of one that was never broken off.

    Raises LcbenchError where the file is no search or the data is another.
    """
    unfinished = search_file.read(path)
    splits = splits_of(unfinished.trials[0].recipe, progress)
    if splits.fingerprint() != unfinished.fingerprint:
        raise LcbenchError(f"{path} searched on other data than this {splits.source}: search anew")
    return _try_all(path, unfinished, splits, workers, progress, note)


def _all_trials(
    splits: LabelledSplits, asked: Recipe, axes: Axes, random: int | None, settings: dict[str, Any]
) -> Search:
    """All trials of a new search, none of them tried."""
    if not len(splits.validation):
        raise LcbenchError(f"{splits.source} has no validation rows to choose by")
    if strange := sorted(set(axes) - set(AXES)):
        raise LcbenchError(f"cannot search {', '.join(strange)}: the axes are {', '.join(AXES)}")
    if asked.solver == "lbfgs" and "batch" in axes:
        raise LcbenchError("batch: L-BFGS takes all rows at once; leave it out")
    if asked.solver == "sgd" and "learning_rate" not in axes:
        settings = DEFAULT_DESCENT | {name: value for name, value in settings.items() if value is not None}
        if "epochs" in settings:
            del settings["iterations"]
    axes = default_axes(are_pixels(splits), asked.solver, asked.loss) | dict(axes)
    points = grid(axes) if random is None else random_points(axes, random, asked.seed)
    recipes = [recipe_for(splits, **settings | point) for point in points]
    return Search(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        way="grid" if random is None else "random",
        axes={
            name: [axis.low, axis.high] if random is not None and isinstance(axis, Range) else grid_values(axis, name)
            for name, axis in axes.items()
        },
        fingerprint=splits.fingerprint(),
        threads=1,
        trials=[Trial(recipe=recipe) for recipe in recipes],
    )


def _try_all(
    path: Path,
    search: Search,
    splits: LabelledSplits,
    workers: int | None,
    progress: ProgressCallback,
    note: NoteCallback,
) -> tuple[Search, Path]:
    if search.refit or not (search.waiting or ranking(search.trials)):
        return search, path
    on_cluster = search.trials[0].recipe.implementation == CLUSTER_IMPLEMENTATION
    with files.temporary_folder("search", shared_folder() if on_cluster else None) as name:
        folder = Path(name)
        splits = write_shared_rows(folder, splits)
        with ClusterPool(folder, workers, search.threads) if on_cluster else _workers(folder, workers, search) as pool:
            _compile(pool, search.trials[0].recipe)
            search_file.write(path, search)
            places, count = search.waiting, len(search.trials)
            if places:
                done = count - len(places)
                whole = f"{done} of {count} trials are done" if done else f"{count} trials"
                progress(f"{whole}; they go to {path}; 'lcbench search --resume {path}' goes on after a crash")
            jobs = [Job(recipe=search.trials[place].recipe, fingerprint=search.fingerprint) for place in places]
            try:
                for done, (index, answer) in enumerate(pool.run(jobs), 1):
                    trials, place = list(search.trials), places[index]
                    trials[place] = Trial(recipe=trials[place].recipe, **msgspec.structs.asdict(answer))
                    search = replace(search, trials=trials)
                    search_file.write(path, search)
                    progress("trials", done, len(places), _best_so_far(search))
                if best := ranking(search.trials)[:1]:
                    search = replace(search, refit=_refit(pool, search, best[0], splits, path.with_suffix(".h5")))
                    search_file.write(path, search)
            except KeyboardInterrupt:
                left = f"{len(search.waiting)} of {count} trials are left; {_best_so_far(search)}"
                note(f"{left}; 'lcbench search --resume {path}' goes on")
                raise
    return search, path


def _best_so_far(search: Search) -> str:
    accuracies = [trial.validation_accuracy for trial in search.trials if trial.validation_accuracy is not None]
    return f"best validation {100 * max(accuracies):.1f} %" if accuracies else "best validation -"


def _workers(folder: Path, workers: int | None, search: Search) -> ProcessPool:
    """Processes on this machine."""
    from lcbench.host.counters import usable_cores
    from lcbench.workers import process

    size = workers or max(1, min(usable_cores() // search.threads, len(search.waiting)))
    # what is compiled is kept for all workers, and for nobody after them
    return ProcessPool(size, folder, process.environment(search.threads, folder / "compiled"))


def _compile(pool: ProcessPool | ClusterPool, recipe: Recipe) -> None:
    """One step on few rows: what is compiled is compiled once, and what cannot run at all is known."""
    short = replace(recipe, iterations=1, report_every=1)
    [(_, answer)] = pool.run([Job(recipe=short, first_rows=2 * min(recipe.batch, 500))])
    if answer.status == "crashed":
        raise LcbenchError(f"no trial can be begun: {answer.reason}")


def _refit(pool: ProcessPool | ClusterPool, search: Search, place: int, splits: LabelledSplits, path: Path) -> Refit:
    """Trains a trial's recipe once more, as it was trained or on all rows, tests it and writes the model to `path`."""
    file = pool.folder / "best.h5"
    recipe = search.trials[place].recipe
    [(_, answer)] = pool.run(
        [Job(recipe=recipe, all_rows=search.refit_all, fingerprint=search.fingerprint, model=str(file))]
    )
    if answer.status == "crashed":
        raise LcbenchError(f"the best trial could not be refitted: {answer.reason}; --resume tries again")
    seen = splits
    if search.refit_all:
        everything = map_shared_rows(pool.folder, all_rows=True)
        seen = dataclasses.replace(splits, train=everything.train, validation=everything.validation)
    trained = model.read(file)
    accuracy = training.accuracies(trained, seen)
    # as 'lcbench train' leaves it, which knows the test rows
    trained = dataclasses.replace(trained, accuracy=accuracy)
    model.write(path, trained)
    return Refit(trial=place, model=path.name, accuracy=accuracy)


def _require_free_for_search(path: Path) -> None:
    """Raises LcbenchError where the search could not have its files there, or would overwrite one that can go on."""
    if path.suffix == ".h5":
        raise LcbenchError(f"{path}: the search is JSON, and the model goes to the .h5 beside it; name it .json")
    model.require_free(path.with_suffix(".h5"))
    if not path.exists():
        return
    try:
        found = search_file.read(path)
    except LcbenchError:
        raise LcbenchError(f"{path} is there and is no search: name another file") from None
    if found.waiting:
        raise LcbenchError(
            f"{path} is a search that was broken off: --resume {path} goes on; remove it, or name another file"
        )
