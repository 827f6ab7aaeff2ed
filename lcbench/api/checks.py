"""Checks of implementations: ``lcbench check`` and ``lcbench gradcheck``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from lcbench import files
from lcbench.checks import gradient, runner
from lcbench.checks.gradcheck import DataName, GradientJob, GradientReport, save_inputs
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.measure.selection import split_names
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress
from lcbench.record import CheckResult

FEATURES, CLASSES = 3073, 10
"""Shape of W: pixels of a CIFAR-10 image and the bias, and number of classes."""

TIMEOUT_S = 120.0


class GradientChecks(msgspec.Struct, kw_only=True):
    """Gradient check: its settings, and a report for each loss of each implementation."""

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

    Parameters
    ----------
    implementations
        Names as ``--impl`` takes them; empty means every implementation that runs here.
    dtypes
        Empty means float32 and float64, but only float64 for user code.
    timeout_s
        Longest time without an answer of a worker process.
    progress
        Called with the progress.

    Raises
    ------
    LossError
        If a name is unknown.
    """
    dtypes = [dtypes] if isinstance(dtypes, str) else list(dtypes)
    return runner.check(_names(implementations), dtypes, timeout_s, progress)


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
    """Check gradients against central differences with step `h`, at some elements of a small random W, on images.

    Parameters
    ----------
    implementations
        Names as ``--impl`` takes them; empty means numpy.
    loss
        None means both.
    h
        Step of the differences.
    margin
        Margin of the hinge loss, 1 by default.
    coordinates
        (row, class) of elements of W, or the number of random ones.
    rows
        Number of images.
    data
        None means CIFAR-10 if it was downloaded, else synthetic images.
    reg
        Regularisation.
    seed
        Random seed of W and of the coordinates.
    timeout_s
        Longest time without an answer of a worker process.
    progress
        Called with the progress.
    note
        Called with lines for the user.

    Raises
    ------
    LcbenchError
        If nothing can be checked.
    LossError
        If an implementation is unknown or cannot be loaded.
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
        file = Path(folder) / "inputs.npz"
        save_inputs(file, data, rows, seed)
        job = GradientJob(implementation="", cells=losses, inputs=str(file), reg=reg, margin=margin or 1.0,
                          coordinates=list(dict.fromkeys(coordinates)), step=h)  # fmt: skip
        found = runner.gradcheck(_names(implementations), job, timeout_s, progress)
    return GradientChecks(data=data, rows=rows, reg=reg, h=h, seed=seed, reports=found)


def _names(given: str | Iterable[str]) -> list[str]:
    return split_names([given] if isinstance(given, str) else given)
