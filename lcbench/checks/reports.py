"""A gradient check of whatever a user names, on images: the problems, the functions, and what came of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench import files, usercode
from lcbench.checks import gradient
from lcbench.checks.gradient import GradientCheck, Problem
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import Implementation, LossName, Unavailable
from lcbench.measure.worker import load
from lcbench.usercode.discovery import is_user_code
from lcbench.usercode.loading import describe_error
from lcbench.usercode.source import underlying
from lcbench.workers.messages import Began, Emit, Job

Status = Literal["ok", "wrong", "unchecked"]

DataName = Literal["synthetic", "cifar10"]

INITIAL_SCALE = 1e-4
"""Standard deviation of W, as in the assignment: on pixels, scores around 0."""

SECONDS_BETWEEN_SIGNS = 1.0
"""Of life, while a gradient is checked: a check of all weights takes longer than any timeout."""


class GradientReport(msgspec.Struct):
    """How one loss of one implementation did. `found` is None where nothing could be compared; `reason` says why."""

    implementation: str
    loss: str
    status: Status
    reason: str = ""
    convention: str = ""
    margin: float | None = None
    """None: the loss has none."""
    found: GradientCheck | None = None


class Reported(msgspec.Struct, tag="reported"):
    """A `GradientReport` in MessagePack: JSON has no NaN, which a wrong gradient may hold."""

    report: bytes


class GradientJob(Job, kw_only=True):
    """The gradient of an implementation for each of the losses `cells`, on the X, y and W in the file `problem`.

    mistake: what is known to be wrong with a user's function, which is checked all the same, to show where.
    """

    does = "lcbench.checks.reports.check_gradients"
    answers = Reported

    implementation: str
    cells: list[LossName]
    problem: str
    reg: float
    margin: float
    coordinates: list[tuple[int, int]]
    step: float
    mistake: str = ""


def images(data: DataName, rows: int, seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """X (rows, 3073) float64, pixels minus the mean image and a ones column, and labels y (rows,).

    Of CIFAR-10 a random sample of the training images, less the mean of all 49,000. Raises LcbenchError where it is not
    there, or has not so many rows.
    """
    # Imported here: a worker has no use for HDF5, which takes a quarter of its start.
    from lcbench.datasets import store, synthetic
    from lcbench.datasets.preprocessing import design_matrix, mean_image, split_train_validation_test_dev

    if data == "synthetic":
        pixels, y = synthetic.images(rows, seed=seed)
        return design_matrix(pixels, mean_image(pixels), np.float64), y
    images, labels = store.read_split(files.cifar10_file(), "train")
    train = len(images[split_train_validation_test_dev(dev=1).train])
    if rows > train:
        raise LcbenchError(f"--rows {rows}: CIFAR-10 has {train:,} images to train on")
    splits = split_train_validation_test_dev(dev=rows, seed=seed)
    X = design_matrix(images[splits.dev], mean_image(images[splits.train]), np.float64)
    return X, labels[splits.dev].astype(np.int64)


def save_problem(file: Path, data: DataName, rows: int, seed: int) -> None:
    """Write `images` and one random W (3073, 10) where worker processes read them."""
    X, y = images(data, rows, seed)
    np.savez(file, X=X, y=y, W=INITIAL_SCALE * np.random.default_rng(seed).standard_normal((X.shape[1], 10)))


def check_gradients(job: GradientJob, emit: Emit) -> None:
    """Do the job, in a worker process."""
    with np.load(job.problem) as arrays:
        W, X, y = (arrays[name] for name in ("W", "X", "y"))
    implementation, filename = _load(job, emit)
    if implementation is None:
        return
    for index, loss in enumerate(job.cells):
        emit(Began(index))
        if loss in implementation.functions:
            problem = Problem(loss, W, X, y, job.reg, job.margin if loss == "svm" else 1.0)
            report = _report(job, implementation, problem, filename, _signs_of_life(index, emit))
            emit(Reported(msgspec.msgpack.encode(report)))
    implementation.release()


def _load(job: GradientJob, emit: Emit) -> tuple[Implementation | None, str]:
    """The implementation, of a function with a mistake as it is, and what code objects call a user's file."""
    if not is_user_code(job.implementation):
        return load(job.implementation, emit)[0], ""
    function = next(iter(usercode.load_functions(job.implementation)))
    code = getattr(underlying(function.function), "__code__", None)
    recognised = (usercode.recognise_by_loss if job.mistake else usercode.recognise)(function)
    return recognised if isinstance(recognised, Implementation) else None, code.co_filename if code else ""


def _report(
    job: GradientJob, implementation: Implementation, problem: Problem, filename: str, evaluated: Callable[[], None]
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
            found = gradient.check(implementation, problem, job.coordinates, job.step, evaluated)
    except Unavailable as error:
        return report("unchecked", str(error))
    except (Exception, SystemExit) as error:
        return report("unchecked", str(describe_error(error, filename)))
    if found.single_precision:
        return report("unchecked", "computes in float32, whose differences say nothing: use float64")
    return report("wrong" if job.mistake or found.count("wrong") else "ok", job.mistake, found=found)


def _signs_of_life(index: int, emit: Emit) -> Callable[[], None]:
    """Tells now and then that part `index` of the job is still under way."""
    last = monotonic()

    def evaluated() -> None:
        nonlocal last
        if monotonic() - last > SECONDS_BETWEEN_SIGNS:
            emit(Began(index))
            last = monotonic()

    return evaluated
