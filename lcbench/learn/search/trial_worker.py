"""What a worker process does to search: it trains by a recipe, and answers with what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn import model, training
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.search import shared_rows
from lcbench.learn.search.search_file import TrialStatus
from lcbench.losses.implementation import LossError
from lcbench.workers import messages
from lcbench.workers.messages import Emit


class Answer(msgspec.Struct, tag="answer", kw_only=True, frozen=True):
    """What came of a job: the fields of `lcbench.learn.search.search_file.Trial`."""

    status: TrialStatus
    validation_accuracy: float | None = None
    train_accuracy: float | None = None
    loss: float | None = None
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""


class Job(messages.Job, kw_only=True):
    """A recipe to try. all_rows: on the validation rows too. first_rows: on so many of the training rows only."""

    does = "lcbench.learn.search.trial_worker.try_recipe"
    answers = Answer

    recipe: Recipe
    all_rows: bool = False
    first_rows: int | None = None
    fingerprint: str | None = None
    """Of the data of the whole search, which no trial needs to find out again."""
    model: str | None = None
    """A file for the model."""
    folder: str = ""
    """Where the rows are."""


def try_recipe(job: Job, emit: Emit) -> None:
    """Do the job in a worker process."""
    emit(answer(job, Path(job.folder)))


def answer(job: Job, folder: Path) -> Answer:
    """Does the job on the rows in `folder`. Whatever it raises becomes its answer."""
    began = perf_counter()
    splits = shared_rows.mapped(folder, all_rows=job.all_rows)
    if job.first_rows is not None:
        splits = _first_rows(splits, job.first_rows)
    try:
        trained = training.train(splits, job.recipe, fingerprint=job.fingerprint)
    except (LcbenchError, LossError) as error:
        return Answer(status="crashed", reason=str(error))
    except Exception as error:
        return Answer(status="crashed", reason=" ".join(f"{type(error).__name__}: {error}".split()))
    if job.model is not None:
        model.write(Path(job.model), trained)
    return _of(trained, perf_counter() - began)


def _first_rows(splits: LabelledSplits, count: int) -> LabelledSplits:
    train = Examples(splits.train.X[:count], splits.train.y[:count])
    return replace(splits, train=train)


def _of(trained: Model, seconds: float) -> Answer:
    status: TrialStatus = trained.status if trained.status != "unfinished" else "finished"
    losses = trained.curves.losses
    loss = float(losses[-1]) if losses.size and np.isfinite(losses[-1]) else None
    diverged = status == "diverged"
    return Answer(
        status=status,
        validation_accuracy=None if diverged else trained.accuracy.get("validation"),
        train_accuracy=None if diverged else trained.accuracy.get("train"),
        loss=loss,
        steps=trained.step,
        seconds=seconds,
    )
