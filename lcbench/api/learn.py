"""Training: ``lcbench train``, ``evaluate`` and ``search``, and continuation of interrupted ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from math import inf, prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lcbench import files
from lcbench.control_groups import memory_available
from lcbench.datasets.examples import Examples, LabelledSplits, is_hdf5, load_splits, require_cifar10
from lcbench.datasets.rows import Rows
from lcbench.errors import LcbenchError, NotSaved
from lcbench.learn import model, training
from lcbench.learn.evaluation import Evaluation, confusion, predict
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe, are_pixels, copied_itemsize, recipe_for
from lcbench.learn.search import search_file
from lcbench.learn.search.pools import CLUSTER_IMPLEMENTATION, ClusterPool, ProcessPool
from lcbench.learn.search.search_file import (
    AXES,
    DEFAULT_DESCENT,
    Axes,
    Range,
    Refit,
    Search,
    Trial,
    default_axes,
    grid,
    grid_values,
    random_points,
    ranking,
)
from lcbench.learn.search.trials import Job, map_shared_rows, write_shared_rows
from lcbench.learn.training import splits_of
from lcbench.learn.user_losses import TIMEOUT_S, in_worker
from lcbench.losses.cluster.shared_files import shared_folder
from lcbench.losses.implementation import Implementation
from lcbench.progress import NoteCallback, ProgressCallback, delayed, no_note, no_progress
from lcbench.usercode.discovery import is_user_code, require_known

SPACE = 1_000_000
"""Bytes that must be free for a search or a model before it is computed. Models of CIFAR-10 take less."""

OUTPUT_HINT = "; --output names another file"


def train(
    *,
    output: Path | str | None = None,
    force: bool = False,
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
    **settings: Any,
) -> tuple[Model, Path]:
    """Train a classifier, write it to `output`, and return it with its file.

    Parameters
    ----------
    output
        By default a new file in `files.models_folder()`. After the first steps it contains checkpoints, from which
        `resume_training` continues.
    force
        Replace an existing model.
    timeout_s
        Longest call of user code, which runs in a worker process.
    progress
        Called with the progress.
    note
        Called with lines for the user.
    stream
        Whether rows stay in their HDF5 file and are read when needed; None means only if they do not fit in memory,
        which `note` is told. The model is the same either way.
    **settings
        Fields of `lcbench.learn.recipe.Recipe`, and epochs; defaults depend on data and loss.

    Raises
    ------
    LcbenchError
        If the data, a setting or the implementation is unsuitable.
    WrongResultError
        If the implementation is wrong.
    NotSaved
        If the model cannot be written.
    """
    asked = Recipe.of(settings)
    require_known(asked.implementation)  # before the data is read
    require_cifar10(asked.data)
    path = Path(output) if output else files.new_file_path(files.models_folder(), ".h5")
    if output:
        files.require_parent_folder(path)
        files.require_writable(path, SPACE, OUTPUT_HINT)
    with files.locked(path) if output else nullcontext():
        model.require_free(path, force)
        with in_worker(asked.implementation, timeout_s=timeout_s) as implementation:
            splits = splits_of(asked, progress, stream, note)
            return _train(path, splits, recipe_for(splits, **settings), None, implementation, progress, note)


def resume_training(
    path: Path,
    *,
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
) -> tuple[Model, Path]:
    """Continue the training whose checkpoint is in `path`, and return the model with its file.

    With the same number of threads, the model is identical, bit for bit, to that of an uninterrupted training.
    timeout_s, stream: as in `train`; they do not change the model. Raise LcbenchError if the file is not a model or the
    data differs.
    """
    with files.locked(path) if path.exists() else nullcontext():
        unfinished = model.read(path)
        files.require_writable(path, SPACE)
        recipe = unfinished.recipe
        require_known(recipe.implementation)
        with in_worker(recipe.implementation, timeout_s=timeout_s) as implementation:
            splits = splits_of(recipe, progress, stream, note)
            return _train(path, splits, recipe, unfinished, implementation, progress, note)


def _train(
    path: Path,
    splits: LabelledSplits,
    recipe: Recipe,
    unfinished: Model | None,
    implementation: Implementation | None,
    progress: ProgressCallback,
    note: NoteCallback,
) -> tuple[Model, Path]:
    """Train a new or `unfinished` model; write it, and checkpoints during training, to `path`."""
    progress(f"checkpoints: {path} (--resume continues from there after a crash)")
    checkpoints, warned = int(unfinished is not None), False

    def checkpoint(state: Model) -> None:
        nonlocal checkpoints, warned
        try:
            model.write(path, state)
            checkpoints += 1
        except LcbenchError as error:
            if not state.step:
                raise  # nothing is lost yet
            if not warned:
                note(f"warning: {error}; the training goes on")
            warned = True

    try:
        trained = training.train(
            splits,
            recipe,
            resume=unfinished,
            implementation=implementation,
            checkpoint=checkpoint,
            progress=progress,
        )
    except (KeyboardInterrupt, LcbenchError):
        if checkpoints:
            note(f"'lcbench train --resume {path}' continues from here")
        raise
    try:
        model.write(path, trained)
    except LcbenchError as error:
        raise NotSaved(error, (trained, path)) from None
    return trained, path


def evaluate(
    trained: Model | Path | str | None = None,
    split: str = "test",
    data: str | None = None,
    progress: ProgressCallback = no_progress,
    stream: bool | None = None,
    note: NoteCallback = no_note,
) -> Evaluation:
    """Evaluate a model on a split of its data or of other data.

    Parameters
    ----------
    trained
        The model or its file; None means the newest file in `files.models_folder()`.
    split
        "train", "validation" or "test"; all rows of other data that has no splits.
    data
        Other data, whose classes are matched by name; None means the data of the training.
    progress
        Called with the progress.
    note
        Called with lines for the user.
    stream
        Whether rows stay in their file; None means yes for HDF5, which then needs only a few blocks of memory.

    Raises
    ------
    LcbenchError
        If the data has no such rows, or other columns or classes than the model.
    """
    file = None
    if not isinstance(trained, Model):
        file = Path(trained) if trained else model.newest(note)
        trained = model.read(file)
    if not np.isfinite(trained.W).all():
        raise LcbenchError(f"{file or 'the model'} has weights that are not finite: its training {trained.status}")
    recipe = trained.recipe
    if data is None:
        splits = splits_of(recipe, progress, _streams(recipe.data, recipe, stream), note)
        part: Examples = getattr(splits, split)
    else:
        # the features are fitted to the images that the model was trained on
        images = load_splits(recipe.data, label=recipe.label, stream=False).train.array if recipe.features else None
        splits = load_splits(
            data, recipe.features, label=recipe.label, words=recipe.words, seed=recipe.seed, held_out=False,
            fit_on=images, stream=_streams(data, recipe, stream), progress=progress, note=note,
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
    return Evaluation(
        splits.source, split, trained.class_names, matrix, as_trained, file, trained.written, trained.status,
        trained.step, recipe.iterations,
    )  # fmt: skip


def _streams(data: str, recipe: Recipe, stream: bool | None) -> bool | None:
    """Return whether rows that are read only once, in order, stay in their file."""
    if stream is None and is_hdf5(data) and not recipe.features:
        return True
    return stream


def _require_same_columns(trained: Model, splits: LabelledSplits) -> None:
    """Raise LcbenchError if the columns are not those that the model was trained on."""
    columns, found = len(trained.scaling.mean), splits.train.X.shape[1]
    if found != columns:
        raise LcbenchError(f"{splits.source} has {found} columns, and the model was trained on {columns}")
    if trained.feature_names and splits.feature_names and trained.feature_names != splits.feature_names:
        place = [a == b for a, b in zip(trained.feature_names, splits.feature_names, strict=True)].index(False)
        raise LcbenchError(
            f"{splits.source} has column {splits.feature_names[place]!r} where the model was trained on "
            f"{trained.feature_names[place]!r}; reorder the columns"
        )


def _classes_of(trained: Model, splits: LabelledSplits) -> NDArray[np.int64]:
    """Return the model's class for each class of `splits`, by name. Raise LcbenchError if it has no such class."""
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
    force: bool = False,
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> tuple[Search, Path]:
    """Train with many recipes, choose the best on the validation rows, train it again and test it.

    Parameters
    ----------
    axes
        Values to search for each field of the recipe; learning rate and reg have default axes. Without an axis for the
        learning rate, the defaults in `DEFAULT_DESCENT` also apply.
    random
        Number of random points, instead of a grid.
    workers
        Number of worker processes, by default one for every `threads` usable cores.
    threads
        Threads of each worker process.
    refit_all
        Whether the best recipe is trained on training and validation rows.
    output
        By default a new file in `files.searches_folder()`. It is rewritten after every trial, and the model is written
        beside it.
    force
        Replace an existing search and its model.
    timeout_s
        Longest step of user code.
    progress
        Called with the progress.
    note
        Called with lines for the user.
    **settings
        The other fields of `lcbench.learn.recipe.Recipe`, and epochs.

    Raises
    ------
    LcbenchError
        If the data, a setting or the implementation is unsuitable.
    WrongResultError
        If the implementation is wrong.
    NotSaved
        If a file cannot be written.
    """
    asked = Recipe.of(settings)
    require_known(asked.implementation)  # before the data is read
    require_cifar10(asked.data)
    if refit_all and asked.patience:
        raise LcbenchError("refit_all leaves no validation rows for early stopping: leave one of the two out")
    path = Path(output) if output else files.new_file_path(files.searches_folder(), ".json")
    if output:
        files.require_parent_folder(path)
        files.require_writable(path.with_suffix(".h5"), SPACE, OUTPUT_HINT)
    _require_name_of_search(path)
    with _locked_search(path) if output else nullcontext():
        _require_free_for_search(path, force)
        with in_worker(asked.implementation, threads, timeout_s):
            pass  # it can be imported and is right, which is known before the data is read
        splits = splits_of(asked, progress, None, note)
        unfinished = _new_search(splits, asked, axes or {}, random, settings)
        unfinished = replace(unfinished, threads=threads, refit_all=refit_all)
        return _run_trials(path, unfinished, splits, workers, timeout_s, progress, note)


def resume_search(
    path: Path,
    *,
    workers: int | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> tuple[Search, Path]:
    """Continue the interrupted search in `path`; the result is that of an uninterrupted one.

    Raise LcbenchError if the file is not a search or the data differs.
    """
    with _locked_search(path) if path.exists() else nullcontext():
        unfinished = search_file.read(path)
        require_known(unfinished.trials[0].recipe.implementation)
        splits = splits_of(unfinished.trials[0].recipe, progress, None, note)
        if splits.fingerprint() != unfinished.fingerprint:
            raise LcbenchError(f"{path} searched on different data from this {splits.source}: start a new search")
        return _run_trials(path, unfinished, splits, workers, timeout_s, progress, note)


def _new_search(
    splits: LabelledSplits, asked: Recipe, axes: Axes, random: int | None, settings: dict[str, Any]
) -> Search:
    """Return a new search, with all its trials but no results."""
    if not len(splits.validation):
        raise LcbenchError(f"{splits.source} has no validation rows, which are needed to choose the best")
    if unknown := sorted(set(axes) - set(AXES)):
        raise LcbenchError(f"cannot search {', '.join(unknown)}: the axes are {', '.join(AXES)}")
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
        validation_rows=len(splits.validation),
        threads=1,
        trials=[Trial(recipe=recipe) for recipe in recipes],
    )


def _run_trials(
    path: Path,
    search: Search,
    splits: LabelledSplits,
    workers: int | None,
    timeout_s: float,
    progress: ProgressCallback,
    note: NoteCallback,
) -> tuple[Search, Path]:
    """Run the trials that are left, refit the best recipe, and write the search after every step."""
    if search.refit or not (search.waiting or ranking(search.trials)):
        return search, path
    unsaved: LcbenchError | None = None

    def save() -> None:
        nonlocal unsaved
        try:
            search_file.write(path, search)
            unsaved = None
        except LcbenchError as error:  # the search goes on
            if unsaved is None:
                note(f"warning: {error}")
            unsaved = error

    on_cluster = search.trials[0].recipe.implementation == CLUSTER_IMPLEMENTATION
    with files.temporary_folder("search", shared_folder() if on_cluster else None) as name:
        folder = Path(name)
        splits = write_shared_rows(folder, splits)
        with _pool(folder, workers, search, splits.train.X, on_cluster, timeout_s) as pool:
            _try_one_step(pool, search.trials[0].recipe)
            search_file.write(path, search)
            waiting, count = search.waiting, len(search.trials)
            if waiting:
                done = count - len(waiting)
                trials_done = f"{done} of {count} trials are done" if done else f"{count} trials"
                progress(f"{trials_done}; saved in {path}; 'lcbench search --resume {path}' continues after a crash")
            jobs = [Job(recipe=search.trials[place].recipe, fingerprint=search.fingerprint) for place in waiting]
            try:
                for done, (index, answer) in enumerate(pool.run(jobs), 1):
                    trials, place = list(search.trials), waiting[index]
                    trials[place] = Trial(recipe=trials[place].recipe, **msgspec.structs.asdict(answer))
                    search = replace(search, trials=trials)
                    save()
                    progress("trials", done, len(waiting), _best_so_far(search))
                if best := ranking(search.trials)[:1]:
                    refit, best_model = _refit(pool, search, best[0], splits, path.with_suffix(".h5").name)
                    search = replace(search, refit=refit)
                    try:
                        model.write(path.with_suffix(".h5"), best_model)
                        save()
                    except LcbenchError as error:  # --resume trains the best again
                        unsaved = error
            except KeyboardInterrupt:
                left = f"{len(search.waiting)} of {count} trials are left; {_best_so_far(search)}"
                note(f"{left}; 'lcbench search --resume {path}' continues")
                raise
    if unsaved:
        raise NotSaved(unsaved, (search, path))
    return search, path


def _best_so_far(search: Search) -> str:
    accuracies = [trial.validation_accuracy for trial in search.trials if trial.validation_accuracy is not None]
    return f"best validation {100 * max(accuracies):.1f} %" if accuracies else "best validation -"


def _pool(
    folder: Path, workers: int | None, search: Search, X: Rows, on_cluster: bool, timeout_s: float
) -> ProcessPool | ClusterPool:
    """Return a pool of workers for the trials on the training rows X, on the cluster or on this machine."""
    if on_cluster:
        return ClusterPool(folder, workers, search.threads)
    from lcbench.host.counters import usable_cores
    from lcbench.workers import process

    recipe = search.trials[0].recipe
    size = workers or max(1, min(usable_cores() // search.threads, len(search.waiting)))
    if copied := copied_itemsize(recipe) * prod(X.shape):  # each worker has a design matrix of its own
        size = max(1, min(size, memory_available() // copied))
    # all workers share one compilation cache, which is removed with the folder
    variables = process.environment(search.threads, folder / "compiled")
    return ProcessPool(size, folder, variables, timeout_s if is_user_code(recipe.implementation) else inf)


def _try_one_step(pool: ProcessPool | ClusterPool, recipe: Recipe) -> None:
    """Train for one step on few rows, which fills the compilation cache. Raise LcbenchError if that fails."""
    short = replace(recipe, iterations=1, report_every=1)
    [(_, answer)] = pool.run([Job(recipe=short, first_rows=2 * min(recipe.batch, 500))])
    if answer.status == "crashed":
        raise LcbenchError(f"no trial can be started: {answer.reason}")


def _refit(
    pool: ProcessPool | ClusterPool, search: Search, place: int, splits: LabelledSplits, name: str
) -> tuple[Refit, Model]:
    """Train a trial's recipe again, on its own rows or on all, and test the model, which is to be written to `name`."""
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
    return Refit(trial=place, model=name, accuracy=accuracy), dataclasses.replace(trained, accuracy=accuracy)


def _require_name_of_search(path: Path) -> None:
    """Raise LcbenchError if the search would have the name of its model."""
    if path.suffix == ".h5":
        raise LcbenchError(f"{path}: the search is JSON, and the model goes to the .h5 beside it; name it .json")


@contextmanager
def _locked_search(path: Path) -> Iterator[None]:
    """Keep other processes from writing the search and its model."""
    with files.locked(path), files.locked(path.with_suffix(".h5")):
        yield


def _require_free_for_search(path: Path, force: bool) -> None:
    """Raise LcbenchError if a search or its model exists and may not be replaced."""
    if path.exists():
        try:
            found = search_file.read(path)
        except LcbenchError:
            raise LcbenchError(f"{path} exists and is not a search: name another file") from None
        if found.waiting and not force:
            raise LcbenchError(
                f"{path} is an interrupted search: --resume {path} continues it; --force replaces it; or name another "
                "file"
            )
        if not force:
            raise LcbenchError(f"{path} is a search already: --force replaces it; or name another file")
    model.require_free(path.with_suffix(".h5"), force)
