"""Trials of a search as a worker process runs them: the job, its answer, and the rows that all workers share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from lcbench import files
from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.datasets.rows import blocks
from lcbench.errors import LcbenchError, type_and_message
from lcbench.learn import model, training
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.search.search_file import TrialStatus
from lcbench.losses.implementation import Implementation, LossError, LossFunction
from lcbench.usercode.discovery import is_user_code
from lcbench.usercode.recognition import resolve
from lcbench.workers import messages
from lcbench.workers.messages import Began, Emit


class Answer(msgspec.Struct, tag="answer", kw_only=True, frozen=True):
    """Result of one trial: the fields of `lcbench.learn.search.search_file.Trial` other than the recipe."""

    status: TrialStatus
    validation_accuracy: float | None = None
    train_accuracy: float | None = None
    loss: float | None = None
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""


class Job(messages.Job, kw_only=True):
    """Job of a worker process: train one recipe."""

    does = "lcbench.learn.search.trials.run_job"
    answers = Answer

    recipe: Recipe
    all_rows: bool = False
    """Whether to train on the validation rows as well."""
    first_rows: int | None = None
    """Train on the first N training rows only; None: on all."""
    fingerprint: str | None = None
    """Fingerprint of the data of the search, so that the trial need not compute it."""
    model: str | None = None
    """File to write the model to; None: the model is not kept."""
    folder: str = ""
    """Folder with the shared rows."""


def run_job(job: Job, emit: Emit) -> None:
    """Run the trial in a worker process and emit its answer, and before it a sign of life about every second."""
    last = perf_counter()

    def alive() -> None:
        nonlocal last
        if perf_counter() - last > 1.0:
            emit(Began(0))
            last = perf_counter()

    emit(run_trial(job, Path(job.folder), alive))


def run_trial(job: Job, folder: Path, alive: Callable[[], None] = lambda: None) -> Answer:
    """Train the recipe on the shared rows in `folder` and return the answer. An exception in training becomes one.

    alive: called after each call of user code.
    """
    began = perf_counter()
    splits = map_shared_rows(folder, all_rows=job.all_rows)
    if job.first_rows is not None:
        X, y = splits.train.X[: job.first_rows], splits.train.y[: job.first_rows]
        splits = dataclasses.replace(splits, train=Examples(X, y))
    try:
        user_code = _user_code(job.recipe.implementation, alive)
        trained = training.train(splits, job.recipe, fingerprint=job.fingerprint, implementation=user_code)
    except (LcbenchError, LossError) as error:
        return Answer(status="crashed", reason=str(error))
    except BaseException as error:  # user code may raise anything
        return Answer(status="crashed", reason=type_and_message(error))
    if job.model is not None:
        model.write(Path(job.model), trained)
    return _answer(trained, perf_counter() - began)


def _user_code(name: str, alive: Callable[[], None]) -> Implementation | None:
    """Return the implementation `name`, which calls `alive` after each call, if it is user code, otherwise None."""
    if not is_user_code(name):
        return None

    def calling(function: LossFunction) -> LossFunction:
        def call(*arguments: Any) -> tuple[Any, Any]:
            result = function(*arguments)
            alive()
            return result

        return call

    loaded = resolve(name)
    functions = {loss: calling(function) for loss, function in loaded.functions.items()}
    return dataclasses.replace(loaded, functions=functions)


def _answer(trained: Model, seconds: float) -> Answer:
    status: TrialStatus = trained.status if trained.status != "unfinished" else "finished"
    losses = trained.curves.losses
    # The weights of a diverged training are not finite, so its accuracies mean nothing.
    accuracy = {} if status == "diverged" else trained.accuracy
    return Answer(
        status=status,
        validation_accuracy=accuracy.get("validation"),
        train_accuracy=accuracy.get("train"),
        loss=float(losses[-1]) if losses.size and np.isfinite(losses[-1]) else None,
        steps=trained.step,
        seconds=seconds,
    )


# Shared rows: the training and validation rows in files that all workers map, so that they are in memory once.


class _Layout(msgspec.Struct, kw_only=True, frozen=True):
    """Description of the files X and y: the training rows come first, the validation rows after them."""

    train: int
    """Number of training rows."""
    rows: int
    """Number of all rows."""
    columns: int
    dtype: str
    class_names: tuple[str, ...]
    source: str
    image_shape: tuple[int, int, int] | None
    feature_names: tuple[str, ...]


_BLOCK_ROWS = 1024


def write_shared_rows(folder: Path, splits: LabelledSplits) -> LabelledSplits:
    """Write the training and validation rows to `folder`; return `splits` with these rows mapped from there."""
    parts = (splits.train, splits.validation)
    with files.temporary_files_in(folder), (folder / "X").open("wb") as X, (folder / "y").open("wb") as y:
        for part in parts:
            # With mapped files, a full disk would end the process (SIGBUS) instead of raising an exception.
            for _, block in blocks(part.X, _BLOCK_ROWS):
                block.astype(splits.train.X.dtype, copy=False).tofile(X)
            part.y.tofile(y)
    layout = _Layout(
        train=len(splits.train), rows=sum(map(len, parts)), columns=splits.train.X.shape[1],
        dtype=str(splits.train.X.dtype), class_names=splits.class_names, source=splits.source,
        image_shape=splits.image_shape, feature_names=splits.feature_names,
    )  # fmt: skip
    (folder / "layout.json").write_bytes(msgspec.json.encode(layout))
    return dataclasses.replace(map_shared_rows(folder), test=splits.test)


def map_shared_rows(folder: Path, *, all_rows: bool = False) -> LabelledSplits:
    """Return the splits in `folder`, without test rows.

    all_rows: the validation rows are appended to the training rows, and the validation split is empty.
    """
    layout = msgspec.json.decode((folder / "layout.json").read_bytes(), type=_Layout)
    # Copy on write: an implementation that writes to its input does not change the rows of other processes.
    X = np.asarray(np.memmap(folder / "X", layout.dtype, "c", shape=(layout.rows, layout.columns)))
    y = np.asarray(np.memmap(folder / "y", np.int64, "c", shape=(layout.rows,)))
    end = layout.rows if all_rows else layout.train
    train, validation, test = Examples(X[:end], y[:end]), Examples(X[end:], y[end:]), Examples(X[:0], y[:0])
    return LabelledSplits(
        train, validation, test, layout.class_names, layout.source, layout.image_shape, layout.feature_names
    )
