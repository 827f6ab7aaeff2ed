"""Gradient check of an implementation on images: the inputs and the job of a worker process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.checks import diagnosis, gradient
from lcbench.checks.checking import load
from lcbench.checks.example import add_example, filename_of
from lcbench.checks.gradient import GradientCheck, GradientProblem
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import Implementation, LossName, Unavailable
from lcbench.record import Example
from lcbench.usercode.loading import describe_error
from lcbench.workers.messages import Began, Emit, Job

Status = Literal["ok", "wrong", "unchecked"]

DataName = Literal["synthetic", "cifar10"]

INITIAL_SCALE = 1e-4
"""Standard deviation of W, as in the assignment: on pixels, the scores are close to 0."""

SECONDS_BETWEEN_MESSAGES = 1.0
"""Interval of the messages that reset the timeout, since a check of all weights takes longer than any timeout."""


class GradientReport(msgspec.Struct):
    """Result for one loss of one implementation. found: None if nothing could be compared, for the `reason`."""

    implementation: str
    loss: str
    status: Status
    reason: str = ""
    convention: str = ""
    margin: float | None = None
    """None for a loss without a margin."""
    line: int | None = None
    code: str = ""
    """Line of the user's file that the reason is about, or that defines the function, if it is wrong."""
    example: Example | None = None
    """Small inputs for which loss or gradient differ from the oracle's, if the status is "wrong"."""
    found: GradientCheck | None = None


class Reported(msgspec.Struct, tag="reported"):
    """`GradientReport` in MessagePack, since JSON has no NaN, which a wrong gradient may contain."""

    report: bytes


class GradientJob(Job, kw_only=True):
    """Gradient check of an implementation for each loss of `cells`.

    inputs: file with the arrays X, y and W.
    mistake: known mistake in a user's function, which is checked nevertheless, to show its effect.
    """

    does = "lcbench.checks.gradcheck.check_gradients"
    answers = Reported

    implementation: str
    cells: list[LossName]
    inputs: str
    reg: float
    margin: float
    coordinates: list[tuple[int, int]]
    step: float
    mistake: str = ""


def save_inputs(file: Path, data: DataName, rows: int, seed: int) -> None:
    """Write `images` and a random W (3073, 10) to a file for the worker processes."""
    X, y = images(data, rows, seed)
    W = INITIAL_SCALE * np.random.default_rng(seed).standard_normal((X.shape[1], 10))
    with files.temporary_files_in(file.parent):
        np.savez(file, X=X, y=y, W=W)


def images(data: DataName, rows: int, seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return X (rows, 3073) float64, pixels minus the mean image and a column of ones, and the labels y (rows,).

    For CIFAR-10, the rows are a random sample of the training images, and the mean is that of all 49,000.
    Raise LcbenchError if CIFAR-10 was not downloaded or has fewer rows.
    """
    # Imported here, since h5py takes a quarter of a worker's start-up time and workers do not use it.
    from lcbench.datasets import store, synthetic
    from lcbench.datasets.preprocessing import design_matrix, mean_image, split_train_validation_test_dev

    if data == "synthetic":
        pixels, y = synthetic.images(rows, seed=seed)
        return design_matrix(pixels, mean_image(pixels), np.float64), y
    pixels, labels = store.read_split(files.cifar10_file(), "train")
    train = len(pixels[split_train_validation_test_dev(dev=1).train])
    if rows > train:
        raise LcbenchError(f"--rows {rows}: CIFAR-10 has only {train:,} training images: choose fewer rows")
    splits = split_train_validation_test_dev(dev=rows, seed=seed)
    X = design_matrix(pixels[splits.dev], mean_image(pixels[splits.train]), np.float64)
    return X, labels[splits.dev].astype(np.int64)


def check_gradients(job: GradientJob, emit: Emit) -> None:
    """Check the gradient of each loss of the job and emit its report."""
    with np.load(job.inputs) as arrays:
        W, X, y = (arrays[name] for name in ("W", "X", "y"))
    implementation, function = load(job.implementation, job.mistake, emit)
    if implementation is None:
        return
    for index, loss in enumerate(job.cells):
        emit(Began(index))
        if loss in implementation.functions:
            problem = GradientProblem(loss, W, X, y, job.reg, job.margin if loss == "svm" else 1.0)
            report = _race(job, implementation, loss) if function and not job.mistake else None
            report = report or _report(job, implementation, problem, filename_of(function), _keep_alive(index, emit))
            if report.status == "wrong":
                add_example(report, implementation, function)
            emit(Reported(msgspec.msgpack.encode(report)))
    implementation.release()


def _race(job: GradientJob, implementation: Implementation, loss: LossName) -> GradientReport | None:
    """Return a report if two calls of a user's function on the same arrays differ, since a comparison means nothing."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), suppress(Exception):
        warnings.simplefilter("ignore")
        if differing := diagnosis.repeated_calls(implementation, loss, "float64"):
            return GradientReport(job.implementation, loss, "wrong", differing)
    return None


def _report(
    job: GradientJob,
    implementation: Implementation,
    problem: GradientProblem,
    filename: str,
    on_evaluation: Callable[[], None],
) -> GradientReport:
    report = partial(
        GradientReport,
        job.implementation,
        problem.loss,
        convention=str(implementation.convention) if implementation.convention.differs else "",
        margin=job.margin if problem.loss == "svm" else None,
    )
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = gradient.check(implementation, problem, job.coordinates, job.step, on_evaluation)
    except Unavailable as error:
        return report("unchecked", str(error))
    except (Exception, SystemExit) as error:
        return report("unchecked", str(describe_error(error, filename)))
    if found.single_precision:
        return report("unchecked", "computes in float32, which is too inexact for central differences: use float64")
    return report("wrong" if job.mistake or found.count("wrong") else "ok", job.mistake, found=found)


def _keep_alive(index: int, emit: Emit) -> Callable[[], None]:
    """Return a callback that repeats the message `Began` of cell `index`, so that the timeout does not expire."""
    last = monotonic()

    def on_evaluation() -> None:
        nonlocal last
        if monotonic() - last > SECONDS_BETWEEN_MESSAGES:
            emit(Began(index))
            last = monotonic()

    return on_evaluation
