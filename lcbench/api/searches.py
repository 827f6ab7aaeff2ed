"""Searching for hyperparameters on the validation rows, and going on where that was broken off."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from lcbench import paths, temporary, whole_file
from lcbench.datasets.examples import LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn import defaults, model, training
from lcbench.learn.data import data_of, splits_of
from lcbench.learn.recipe import Recipe, Solver
from lcbench.learn.search import cluster_pool, search_file, shared_rows
from lcbench.learn.search.cluster_pool import ClusterPool
from lcbench.learn.search.points import (
    AXES,
    DEFAULT_DESCENT,
    Axes,
    Range,
    default_axes,
    drawn,
    grid,
    grid_values,
    ranking,
)
from lcbench.learn.search.search_file import Refit, Search, Trial
from lcbench.learn.search.trial_pool import Pool
from lcbench.learn.search.trial_worker import Job
from lcbench.losses.cluster.shared_files import shared_folder
from lcbench.losses.implementation import LossName
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress


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
    if refit_all and settings.get("patience"):
        raise LcbenchError("refit_all leaves early stopping no validation rows to go by: leave one of the two out")
    path = Path(output) if output else paths.new_file(paths.searches_folder(), ".json")
    if output:
        whole_file.require_folder(path)
    _require_free(path)
    settings.setdefault("data", "cifar10")
    splits = splits_of(data_of(settings), progress)
    plan = _plan(splits, axes or {}, random, settings)
    plan = replace(plan, threads=threads, refit_all=refit_all)
    return _go(path, plan, splits, workers, progress, note)


def resume(
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
    return _go(path, unfinished, splits, workers, progress, note)


def _plan(splits: LabelledSplits, axes: Axes, random: int | None, settings: dict[str, Any]) -> Search:
    """All trials of a new search, none of them tried."""
    if not len(splits.validation):
        raise LcbenchError(f"{splits.source} has no validation rows to choose by")
    if strange := sorted(set(axes) - set(AXES)):
        raise LcbenchError(f"cannot search {', '.join(strange)}: the axes are {', '.join(AXES)}")
    solver: Solver = settings.get("solver") or "sgd"
    loss: LossName = settings.get("loss") or "softmax"
    if solver == "lbfgs" and "batch" in axes:
        raise LcbenchError("batch: L-BFGS takes all rows at once; leave it out")
    if solver == "sgd" and "learning_rate" not in axes:
        settings = DEFAULT_DESCENT | {name: value for name, value in settings.items() if value is not None}
    axes = default_axes(defaults.are_pixels(splits), solver, loss) | dict(axes)
    points = grid(axes) if random is None else drawn(axes, random, settings.get("seed") or 0)
    recipes = [defaults.recipe(splits, **settings | point) for point in points]
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


def _go(
    path: Path,
    search: Search,
    splits: LabelledSplits,
    workers: int | None,
    progress: ProgressCallback,
    note: NoteCallback,
) -> tuple[Search, Path]:
    if search.refit or not (search.waiting or ranking(search.trials)):
        return search, path
    on_cluster = search.trials[0].recipe.implementation == cluster_pool.IMPLEMENTATION
    with temporary.folder("search", shared_folder() if on_cluster else None) as name:
        folder = Path(name)
        splits = shared_rows.lay_out(folder, splits)
        with ClusterPool(folder, workers, search.threads) if on_cluster else _pool(folder, workers, search) as pool:
            _compile(pool, search.trials[0].recipe)
            search_file.write(path, search)
            places, count = search.waiting, len(search.trials)
            if places:
                done = count - len(places)
                whole = f"{done} of {count} trials are done" if done else f"{count} trials"
                progress(f"{whole}; they go to {path}; 'lcbench search --resume {path}' goes on after a crash")
            jobs = [Job(recipe=search.trials[place].recipe, fingerprint=search.fingerprint) for place in places]
            try:
                for done, (index, answer) in enumerate(pool.answers(jobs), 1):
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


def _pool(folder: Path, workers: int | None, search: Search) -> Pool:
    """Processes on this machine."""
    from lcbench.measure.surroundings.covariates import usable_cores
    from lcbench.workers import process

    size = workers or max(1, min(usable_cores() // search.threads, len(search.waiting)))
    # what is compiled is kept for all workers, and for nobody after them
    return Pool(size, folder, process.environment(search.threads, folder / "compiled"))


def _compile(pool: Pool | ClusterPool, recipe: Recipe) -> None:
    """One step on few rows: what is compiled is compiled once, and what cannot run at all is known."""
    short = replace(recipe, iterations=1, report_every=1)
    [(_, answer)] = pool.answers([Job(recipe=short, first_rows=2 * min(recipe.batch, 500))])
    if answer.status == "crashed":
        raise LcbenchError(f"no trial can be begun: {answer.reason}")


def _refit(pool: Pool | ClusterPool, search: Search, place: int, splits: LabelledSplits, path: Path) -> Refit:
    """Trains a trial's recipe once more, as it was trained or on all rows, tests it and writes the model to `path`."""
    file = pool.folder / "best.h5"
    recipe = search.trials[place].recipe
    [(_, answer)] = pool.answers(
        [Job(recipe=recipe, all_rows=search.refit_all, fingerprint=search.fingerprint, model=str(file))]
    )
    if answer.status == "crashed":
        raise LcbenchError(f"the best trial could not be refitted: {answer.reason}; --resume tries again")
    seen = splits
    if search.refit_all:
        everything = shared_rows.mapped(pool.folder, all_rows=True)
        seen = dataclasses.replace(splits, train=everything.train, validation=everything.validation)
    trained = model.read(file)
    accuracy = training.accuracies(trained, seen)
    # as 'lcbench train' leaves it, which knows the test rows
    trained = dataclasses.replace(trained, accuracy=accuracy)
    model.write(path, trained)
    return Refit(trial=place, model=path.name, accuracy=accuracy)


def _require_free(path: Path) -> None:
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
