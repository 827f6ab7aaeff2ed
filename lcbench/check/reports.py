"""A gradient check of whatever a user names, on images: the problems, the functions, and what came of each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcbench import paths
from lcbench.check import gradient
from lcbench.check.gradient import GradientCheck, Problem
from lcbench.datasets import store, synthetic
from lcbench.datasets.preprocessing import design_matrix, mean_image, split_train_validation_test_dev
from lcbench.errors import LcbenchError
from lcbench.losses import catalog, oracle, user_code
from lcbench.losses.errors import Unavailable
from lcbench.losses.implementation import LOSSES, Implementation, LossName
from lcbench.losses.resolve import is_user_code
from lcbench.losses.user_code.faults import describe
from lcbench.losses.user_code.signature import underlying
from lcbench.progress import ProgressCallback, no_progress

Status = Literal["ok", "wrong", "unchecked"]

INITIAL_SCALE = 1e-4
"""Standard deviation of W, as in the assignment: on pixels, scores around 0."""


@dataclass
class GradientReport:
    """How one loss of one implementation did. `found` is None where nothing could be compared; `reason` says why."""

    implementation: str
    loss: str
    status: Status
    reason: str = ""
    convention: str = ""
    margin: float | None = None
    """None: the loss has none."""
    found: GradientCheck | None = None


@dataclass(frozen=True)
class _Subject:
    """Something that a name stands for.

    losses: those that it offers, as far as is known. status, reason: what is known of it beforehand. filename: what its
    code objects call its file.
    """

    name: str
    losses: Sequence[str]
    implementation: Implementation | None
    status: Status = "ok"
    reason: str = ""
    filename: str = ""


def images(data: Literal["synthetic", "cifar10"], rows: int, seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """X (rows, 3073) float64, pixels minus the mean image and a ones column, and labels y (rows,).

    Of CIFAR-10 a random sample of the training images, less the mean of all 49,000. Raises LcbenchError where it is not
    there, or has not so many rows.
    """
    if data == "synthetic":
        pixels, y = synthetic.images(rows, seed=seed)
        return design_matrix(pixels, mean_image(pixels), np.float64), y
    images, labels = store.read_split(paths.cifar10_file(), "train")
    train = len(images[split_train_validation_test_dev(dev=1).train])
    if rows > train:
        raise LcbenchError(f"--rows {rows}: CIFAR-10 has {train:,} images to train on")
    splits = split_train_validation_test_dev(dev=rows, seed=seed)
    X = design_matrix(images[splits.dev], mean_image(images[splits.train]), np.float64)
    return X, labels[splits.dev].astype(np.int64)


def problems(
    losses: Sequence[LossName], X: NDArray[Any], y: NDArray[np.int64], reg: float, margin: float, seed: int
) -> dict[str, Problem]:
    """The problem of each loss on X (N, D) float64 and y (N,) in [0, 10), at one random W (D, 10)."""
    W = INITIAL_SCALE * np.random.default_rng(seed).standard_normal((X.shape[1], 10))
    return {loss: Problem(loss, W, X, y, reg, margin if loss == "svm" else 1.0) for loss in losses}


def reports(
    names: Sequence[str],
    problems: dict[str, Problem],
    coordinates: Sequence[tuple[int, int]],
    step: float,
    progress: ProgressCallback = no_progress,
) -> Iterator[GradientReport]:
    """One report for each loss in `problems` of everything that `names` stand for: catalogue, files, entry points.

    A function whose gradient is wrong is checked all the same, to show where. What it raises is a report, in one line.
    Raises LossError for a name that means nothing.
    """
    done = 0
    for name in names:
        subjects = list(_of_user(name) if is_user_code(name) else _of_catalogue(name))
        asked = [(subject, loss) for subject in subjects for loss in problems if loss in subject.losses]
        if not asked:  # of a file, the functions for another loss are passed over, but not all of them
            has = " and ".join(dict.fromkeys(loss for subject in subjects for loss in subject.losses))
            yield GradientReport(name, " and ".join(problems), "unchecked", f"offers {has} only")
            done += 1
        for subject, loss in asked:
            progress("gradients", done, max(len(names) * len(problems), done + 1), f"{subject.name} {loss}")
            yield _report(subject, problems[loss], coordinates, step)
            done += 1


def _report(subject: _Subject, problem: Problem, coordinates: Sequence[tuple[int, int]], step: float) -> GradientReport:
    report = partial(
        GradientReport, subject.name, problem.loss, margin=problem.margin if problem.loss == "svm" else None
    )
    if subject.implementation is None:
        return report(subject.status, subject.reason)
    if subject.implementation.device == "simulator":
        return report("unchecked", "Numba's CUDA simulator is too slow for images; 'lcbench check' looks at small ones")
    convention = subject.implementation.convention
    report = partial(report, convention=str(convention) if convention.differs else "")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = gradient.check(subject.implementation, problem, coordinates, step)
    except Unavailable as error:
        return report("unchecked", str(error))
    except (Exception, SystemExit) as error:
        return report("unchecked", str(describe(error, subject.filename)))
    if found.single_precision:
        return report("unchecked", "computes in float32, whose differences say nothing: use float64")
    if found.count("wrong"):
        return report("wrong", subject.reason, found=found)
    return report(subject.status, subject.reason, found=found)


def _of_catalogue(name: str) -> Iterator[_Subject]:
    entry = catalog.find(name)
    try:
        yield _Subject(name, entry.losses, catalog.load(name))
    except Unavailable as error:
        reason = f"{error.reason}; {error.install}" if error.install else error.reason
        yield _Subject(name, entry.losses, None, "unchecked", reason)


def _of_user(spec: str) -> Iterator[_Subject]:
    for function in user_code.load(spec):
        code = getattr(underlying(function.function), "__code__", None)
        subject = partial(_Subject, function.spec, filename=code.co_filename if code else "")
        recognised = user_code.recognise(function, oracle)
        if isinstance(recognised, Implementation):
            yield subject(list(recognised.functions), recognised)
            continue
        meant = [function.loss] if function.loss else LOSSES
        if recognised.kind != "wrong":
            yield subject(meant, None, "unchecked", str(recognised))
            continue
        as_it_is = user_code.recognise_by_loss(function, oracle)
        if isinstance(as_it_is, Implementation):
            yield subject(list(as_it_is.functions), as_it_is, "wrong", str(recognised))
        else:
            yield subject(meant, None, "wrong", str(recognised))
