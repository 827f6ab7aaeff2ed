"""What is computed: the arrays of one problem, how much arithmetic and traffic it needs, and its right answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from lcbench import paths
from lcbench.datasets import preprocessing
from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.losses.implementation import LossName

DataName = Literal["synthetic", "cifar10"]

INPUT_SETS = 3
"""Timed calls rotate among so many (W, y), so that a result cached or left over from another call is seen."""


@dataclass(frozen=True)
class Size:
    """The arrays of a problem: X (rows, features), W (features, classes), both of `dtype`.

    batch: rows of X, drawn at random, that a call computes on; None is all of X. streamed: X stays in its file.
    """

    rows: int
    features: int
    classes: int
    dtype: str
    data: DataName
    batch: int | None = None
    streamed: bool = False

    @property
    def flops(self) -> int:
        """Additions and multiplications of the two products, X W and X^T dscores; the row step is not counted."""
        return 4 * self.rows * self.features * self.classes

    @property
    def bytes(self) -> int:
        """Least traffic with memory: X and W read once, dW written once."""
        return self.footprint + 2 * self.features * self.classes * self.itemsize

    @property
    def footprint(self) -> int:
        """Bytes of X."""
        return self.rows * self.features * self.itemsize

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def folder(self) -> str:
        """Name of the folder that holds the problem during a run."""
        return f"{self.data}-{self.rows}x{self.features}x{self.classes}-{self.dtype}"


@dataclass(frozen=True)
class Problem:
    """X (N, D), the rotating sets of W (D, C) and y (N,), and the regularisation."""

    X: NDArray[Any]
    sets: list[tuple[NDArray[Any], NDArray[Any]]]
    reg: float


DEFAULT_ROWS = (500, 10_000)
"""`dev`, the assignment's own development set, small enough for the naive loops; `train`, which outgrows the caches."""

SIMULATOR_SIZE = Size(40, 33, 3, "float32", "synthetic")
"""Enough for every CUDA kernel to span several blocks, small enough for the simulator."""


def build(size: Size, seed: int = 0) -> Problem:
    """The problem of `size`: images less their mean with a ones column last, small random weights as in the assignment.

    Raises LcbenchError where the data set has no such size, or is not there.
    """
    _require_memory(size)
    images, labels = _images(size)
    X = preprocessing.design_matrix(images, preprocessing.mean_image(images), np.dtype(size.dtype))
    if X.shape[1] > size.features:  # one feature: the ones column alone
        X = np.ascontiguousarray(X[:, -size.features :])
    rng = np.random.default_rng(seed)
    sets = []
    for k in range(INPUT_SETS):
        # Each set at its own scale, so that no two have nearly the same loss.
        W = 1e-4 * (1 + k / 2) * rng.standard_normal((size.features, size.classes))
        y = labels.astype(np.int64) % size.classes if k == 0 else rng.integers(0, size.classes, size.rows)
        sets.append((W.astype(size.dtype), y))
    # Large enough for the loss and the gradient to show a wrong regularisation.
    reg = 0.3 / float(np.sum(sets[0][0].astype(np.float64) ** 2))
    return Problem(X, sets, reg)


def _require_memory(size: Size) -> None:
    """Refuses what would not fit: X here and in a worker, pixels beside it, a block's scores, W and dW in float64."""
    wanted = 3 * size.footprint + 8 * size.classes * (20 * size.features + 2 * min(size.rows, oracle.ROWS_A_BLOCK))
    free = psutil.virtual_memory().available
    if wanted > free:
        raise LcbenchError(
            f"{size.rows:,} rows x {size.features:,} features x {size.classes:,} classes take about "
            f"{wanted / 1e9:,.0f} GB of memory, and {free / 1e9:,.0f} GB are free: choose fewer"
        )


@cache
def _images(size: Size) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    # Imported here: a worker reads its problem and has no use for HDF5, which takes a quarter of its start.
    from lcbench.datasets import store, synthetic

    pixels = max(1, size.features - 1)
    if size.data == "synthetic":
        return synthetic.images(size.rows, pixels, size.classes)
    if size.features != 3073 or size.classes != 10:
        raise LcbenchError("CIFAR-10 has 3073 features (3072 pixels and a ones column) and 10 classes")
    images, labels = store.read_split(paths.cifar10_file(), "train", slice(size.rows))
    if len(images) < size.rows:
        raise LcbenchError(f"CIFAR-10 has {len(images):,} training images, {size.rows:,} rows were asked for")
    return images, labels


def save(problem: Problem, losses: list[LossName], folder: Path) -> None:
    """Writes the problem and its right answers for `losses` where worker processes read them."""
    folder.mkdir(parents=True)
    np.save(folder / "X.npy", problem.X)
    answers: dict[str, Any] = {"reg": problem.reg}
    for k, (W, y) in enumerate(problem.sets):
        answers |= {f"W{k}": W, f"y{k}": y}
        for loss in losses:
            right = oracle.expected(loss, W, problem.X, y, problem.reg)
            answers[f"{loss}{k}_dW"] = right.dW
            answers[f"{loss}{k}"] = np.array([right.loss, right.loss_tolerance, right.gradient_tolerance])
    np.savez(folder / "answers.npz", **answers)


def load(folder: Path) -> Problem:
    """The problem that `save` wrote, in fresh memory."""
    with np.load(folder / "answers.npz") as answers:
        sets = [(answers[f"W{k}"], answers[f"y{k}"]) for k in range(INPUT_SETS)]
        return Problem(np.load(folder / "X.npy"), sets, float(answers["reg"]))


def load_answers(folder: Path, loss: LossName) -> list[oracle.Expected]:
    """The right answers that `save` wrote, one a set of inputs."""
    with np.load(folder / "answers.npz") as answers:
        found = []
        for k in range(INPUT_SETS):
            value, loss_tolerance, gradient_tolerance = (float(number) for number in answers[f"{loss}{k}"])
            found.append(oracle.Expected(value, answers[f"{loss}{k}_dW"], loss_tolerance, gradient_tolerance))
        return found
