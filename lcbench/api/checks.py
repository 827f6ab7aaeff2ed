"""Whether implementations are right: what ``lcbench check`` and ``lcbench gradcheck`` do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from lcbench import files
from lcbench.checks import gradient, reports, runner
from lcbench.checks.reports import DataName, GradientJob, GradientReport
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.measure.selection import split_names
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress
from lcbench.record import CheckResult

FEATURES, CLASSES = 3073, 10
"""Of W: the pixels of a CIFAR-10 image and the bias, and its classes."""

TIMEOUT_S = 120.0
"""For a worker process that says nothing."""


class GradientChecks(msgspec.Struct, kw_only=True):
    """A gradient check: its settings, and a report for each loss of each implementation."""

    data: DataName
    rows: int
    features: int = FEATURES
    classes: int = CLASSES
    reg: float
    h: float
    seed: int
    reports: list[GradientReport]


def check(
    implementations: str | Iterable[str] = (),
    *,
    dtypes: str | Iterable[str] = (),
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
) -> list[CheckResult]:
    """Check losses and gradients against the oracle on a table of cases; return a report for each loss and dtype.

    implementations: names as ``--impl`` takes them; none is every one that runs here. dtypes: none is float32 and
    float64, and float64 alone for a user's code. Raises LossError for a name that means nothing.
    """
    dtypes = [dtypes] if isinstance(dtypes, str) else list(dtypes)
    return runner.check(_listed(implementations), dtypes, timeout_s, progress)


def gradcheck(
    implementations: str | Iterable[str] = (),
    *,
    loss: LossName | None = None,
    h: float = gradient.STEP,
    margin: float | None = None,
    coordinates: int | Iterable[tuple[int, int]] = 10,
    rows: int = 500,
    data: DataName | None = None,
    reg: float = 50.0,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> GradientChecks:
    """Check gradients against centred differences with step `h` at some weights of a small random W, on images.

    implementations: names as ``--impl`` takes them; none is numpy. loss: None is both. margin: of the SVM's hinge, by
    default 1. coordinates: (row, class) of weights, or how many random ones. data: None is CIFAR-10 where it was
    downloaded, else synthetic images. Raises LcbenchError or LossError where nothing can be checked.
    """
    losses = [loss] if loss else list(LOSSES)
    if margin is not None and "softmax" in losses:
        if loss:
            raise LcbenchError(f"--margin {margin:g}: softmax has no margin; leave it out, or ask for --loss svm")
        note(f"--margin {margin:g} is for svm: softmax has none")
    data = data or ("cifar10" if files.cifar10_file().exists() else "synthetic")
    where = f"CIFAR-10 from {files.cifar10_file()}" if data == "cifar10" else "synthetic images shaped like CIFAR-10"
    note(f"data: {rows:,} rows, {where}")
    if isinstance(coordinates, int):
        coordinates = gradient.random_coordinates((FEATURES, CLASSES), coordinates, np.random.default_rng(seed))
    with files.temporary_folder("gradcheck") as folder:
        file = Path(folder) / "problem.npz"
        reports.save_problem(file, data, rows, seed)
        job = GradientJob(implementation="", cells=losses, problem=str(file), reg=reg, margin=margin or 1.0,
                          coordinates=list(dict.fromkeys(coordinates)), step=h)  # fmt: skip
        found = runner.gradcheck(_listed(implementations), job, timeout_s, progress)
    return GradientChecks(data=data, rows=rows, reg=reg, h=h, seed=seed, reports=found)


def _listed(names: str | Iterable[str]) -> list[str]:
    return split_names([names] if isinstance(names, str) else names)
