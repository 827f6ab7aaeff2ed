"""The process that tries one recipe after the other: jobs come on standard input, an answer goes out for each.

``python -c BEGIN SYS_PATH FOLDER``, as `lcbench.learn.search.trial_pool` starts it, with the rows in FOLDER.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import IO

import msgspec
import numpy as np

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn import model, training
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe
from lcbench.learn.search import shared_rows
from lcbench.learn.search.search_file import TrialStatus
from lcbench.losses.errors import LossError


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """A recipe to try. all_rows: on the validation rows too. first_rows: on so many of the training rows only."""

    recipe: Recipe
    all_rows: bool = False
    first_rows: int | None = None
    fingerprint: str | None = None
    """Of the data of the whole search, which no trial needs to find out again."""
    model: str | None = None
    """A file for the model."""


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """What came of a job: the fields of `lcbench.learn.search.search_file.Trial`."""

    status: TrialStatus
    validation_accuracy: float | None = None
    train_accuracy: float | None = None
    loss: float | None = None
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""


def main(folder: Path) -> None:
    """Answers jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an implementation prints is no answer
    jobs: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, jobs, folder), daemon=True).start()
    while True:
        job = msgspec.json.decode(jobs.get(), type=Job)
        answers.write(msgspec.json.encode(answer(job, folder)) + b"\n")
        answers.flush()


def _read(lines: IO[bytes], jobs: SimpleQueue[bytes], folder: Path) -> None:
    """Hands lines on as they come. Where they end, so has the search: nothing of it stays behind."""
    for line in lines:
        jobs.put(line)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


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
