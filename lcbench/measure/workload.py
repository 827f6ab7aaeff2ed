"""What is computed: the arrays of one problem, how much arithmetic and traffic it needs, and its right answers."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets import preprocessing
from lcbench.datasets.examples import is_hdf5
from lcbench.datasets.rows import RowsOnDisk, in_memory, open_rows
from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import LARGEST_FOOTPRINT

if TYPE_CHECKING:
    from lcbench.datasets.examples import Examples

BATCHES_BYTES = 1 << 26
MOST_BATCHES = 128
"""Different batches are drawn until they take `BATCHES_BYTES` together, more than most caches hold; small ones that
would never do so are `MOST_BATCHES`."""

INPUT_SETS = 3
"""Timed calls rotate among so many (W, y), so that a result cached or left over from another call is seen."""


@dataclass(frozen=True)
class Size:
    """The arrays of a problem: X (rows, features), W (features, classes), both of `dtype`.

    batch: rows of X, drawn at random, that a call computes on; None is all of X. streamed: X stays in its file, and
    is read block by block in every call. file: where X is; None where `data` says that by itself.
    file_itemsize: bytes of a number of X there.
    """

    rows: int
    features: int
    classes: int
    dtype: str
    data: str
    batch: int | None = None
    streamed: bool = False
    file: Path | None = None
    file_itemsize: int = 1

    @property
    def rows_a_call(self) -> int:
        """Rows of X that a call computes on."""
        return self.batch or self.rows

    @property
    def flops(self) -> int:
        """Additions and multiplications of the two products, X W and X^T dscores; the row step is not counted."""
        return 4 * self.rows_a_call * self.features * self.classes

    @property
    def bytes(self) -> int:
        """Least traffic with memory: X and W read once, dW written once. A streamed X is read as its file has it."""
        X = self.rows_a_call * self.features * (self.file_itemsize if self.streamed else self.itemsize)
        return X + 2 * self.features * self.classes * self.itemsize

    @property
    def footprint(self) -> int:
        """Bytes over which a ceiling is measured: those of X, but no more of a streamed one than leave the caches."""
        X = self.rows * self.features * self.itemsize
        return min(X, LARGEST_FOOTPRINT) if self.streamed else X

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def folder(self) -> str:
        """Name of the folder that holds the problem during a run."""
        batch = f"-{self.batch}" if self.batch else ""
        streamed = "-streamed" if self.streamed else ""
        return f"{self.data}-{self.rows}x{self.features}x{self.classes}-{self.dtype}{batch}{streamed}"


@dataclass(frozen=True)
class Problem:
    """X (N, D), an array or a `Streamed`, the rotating sets of W (D, C) and y (N,), and the regularisation.

    batches: the rows (B,) of X that calls compute on, or none where that is all of them. Number i belongs to set number
    i modulo the number of sets.
    """

    X: Any
    sets: list[tuple[NDArray[Any], NDArray[Any]]]
    reg: float
    batches: tuple[NDArray[np.int64], ...] = ()


DEFAULT_ROWS = (500, 10_000)
"""`dev`, the assignment's own development set, small enough for the naive loops; `train`, which outgrows the caches."""

SIMULATOR_SIZE = Size(40, 33, 3, "float32", "synthetic")
"""Enough for every CUDA kernel to span several blocks, small enough for the simulator."""


def build_problem(size: Size, seed: int = 0, progress: ProgressCallback = no_progress) -> Problem:
    """The problem of `size`: images less their mean with a ones column last, small random weights as in the assignment.

    Raises LcbenchError where the data set has no such size, or is not there.
    """
    if not size.streamed:
        _require_memory(size)
    images, labels = _images(size)
    mean = preprocessing.mean_image(images, progress)
    if size.streamed:
        from lcbench.losses.streamed import Streamed

        X: Any = Streamed(images, mean, np.dtype(size.dtype))
        label_type = np.min_scalar_type(size.classes - 1)
    else:
        X = preprocessing.design_matrix(images, mean, np.dtype(size.dtype))
        label_type = np.dtype(np.int64)
        if X.shape[1] > size.features:  # one feature: the ones column alone
            X = np.ascontiguousarray(X[:, -size.features :])
    rng = np.random.default_rng(seed)
    sets = []
    for k in range(INPUT_SETS):
        # Each set at its own scale, so that no two have nearly the same loss.
        W = 1e-4 * (1 + k / 2) * rng.standard_normal((size.features, size.classes))
        y = (
            (labels % size.classes).astype(label_type)
            if k == 0
            else rng.integers(0, size.classes, size.rows, label_type)
        )
        sets.append((W.astype(size.dtype), y))
    # Large enough for the loss and the gradient to show a wrong regularisation.
    reg = 0.3 / float(np.sum(sets[0][0].astype(np.float64) ** 2))
    return Problem(X, sets, reg, _batches(size, rng))


def _batches(size: Size, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Rows drawn with replacement, as often as it takes for the batches not to stay in a cache together."""
    if size.batch is None:
        return ()
    bytes_each = size.batch * size.features * size.itemsize
    count = min(max(INPUT_SETS, -(-BATCHES_BYTES // bytes_each)), MOST_BATCHES)
    return tuple(rng.integers(0, size.rows, size.batch) for _ in range(count))


def fits_in_memory(size: Size) -> bool:
    """Whether the problem fits in the memory that is free now."""
    return _memory_wanted(size) <= psutil.virtual_memory().available


def _memory_wanted(size: Size) -> int:
    """Bytes for X here and in a worker, pixels beside it, a block's scores, W and dW in float64."""
    X = size.rows * size.features * size.itemsize
    return 3 * X + 8 * size.classes * (20 * size.features + 2 * min(size.rows, oracle.ROWS_A_BLOCK))


def _require_memory(size: Size) -> None:
    if not fits_in_memory(size):
        raise LcbenchError(
            f"{size.rows:,} rows x {size.features:,} features x {size.classes:,} classes take about "
            f"{_memory_wanted(size) / 1e9:,.0f} GB of memory, and {psutil.virtual_memory().available / 1e9:,.0f} GB "
            "are free: choose fewer"
        )


@cache
def _images(size: Size) -> tuple[Any, NDArray[Any]]:
    """Images (N, D - 1) and labels (N,) in [0, C), which fit what is asked for."""
    # Imported here: a worker reads its problem and has no use for HDF5, which takes a quarter of its start.
    from lcbench.datasets import rows, store, synthetic

    pixels = max(1, size.features - 1)
    if size.file is not None:
        return first_rows(size.file, size.rows, size.streamed)
    if size.data == "synthetic":
        return synthetic.images(size.rows, pixels, size.classes)
    if size.features != 3073 or size.classes != 10:
        raise LcbenchError("CIFAR-10 has 3073 features (3072 pixels and a ones column) and 10 classes")
    if size.streamed:
        labels = store.read_labels(files.cifar10_file(), "train")[: size.rows]
        images: Any = rows.open_rows(files.cifar10_file(), "train/images").first(size.rows)
    else:
        images, labels = store.read_split(files.cifar10_file(), "train", slice(size.rows))
    if len(images) < size.rows:
        raise LcbenchError(f"CIFAR-10 has {len(images):,} training images, {size.rows:,} rows were asked for")
    return images, labels


def save_problem(
    problem: Problem, losses: list[LossName], folder: Path, progress: ProgressCallback = no_progress
) -> None:
    """Writes the problem and its right answers for `losses` where worker processes read them."""
    save_first(problem, losses, {len(problem.X): folder}, progress)


def save_first(
    problem: Problem, losses: list[LossName], folders: dict[int, Path], progress: ProgressCallback = no_progress
) -> None:
    """As `save`, for only the first rows of the problem, into a folder for every number of them."""
    counts = sorted(folders)
    parts = [_first(problem, rows) for rows in counts]
    if problem.batches:
        answers = [_answers_of_batches(part, losses, progress) for part in parts]
    else:
        answers = oracle.expected_of_first(losses, problem.sets, problem.X, problem.reg, counts, progress)
    for rows, part, found in zip(counts, parts, answers, strict=True):
        _write(part, found, folders[rows])


def _first(problem: Problem, rows: int) -> Problem:
    if rows == len(problem.X):
        return problem
    X = problem.X[:rows] if isinstance(problem.X, np.ndarray) else problem.X.first(rows)
    sets = [(W, y[:rows]) for W, y in problem.sets]
    return Problem(X, sets, problem.reg, tuple(batch % rows for batch in problem.batches))


def _answers_of_batches(
    problem: Problem, losses: list[LossName], progress: ProgressCallback
) -> dict[LossName, list[oracle.Expected]]:
    found: dict[LossName, list[oracle.Expected]] = {loss: [] for loss in losses}
    for number, rows in enumerate(problem.batches):
        W, y = problem.sets[number % len(problem.sets)]
        (right,) = oracle.expected_of_first(losses, [(W, y[rows])], problem.X[rows], problem.reg, [len(rows)])
        for loss in losses:
            found[loss] += right[loss]
        progress("right answers", number + 1, len(problem.batches))
    return found


def _write(problem: Problem, answers: dict[LossName, list[oracle.Expected]], folder: Path) -> None:
    folder.mkdir(parents=True)
    if isinstance(problem.X, np.ndarray):
        np.save(folder / "X.npy", problem.X)
    else:
        (folder / "X.pickle").write_bytes(pickle.dumps(problem.X))
    contents: dict[str, Any] = {"reg": problem.reg, "batches": np.array(problem.batches)}
    for k, (W, y) in enumerate(problem.sets):
        contents |= {f"W{k}": W, f"y{k}": y}
    for loss, found in answers.items():
        for k, right in enumerate(found):
            contents[f"{loss}{k}_dW"] = right.dW
            contents[f"{loss}{k}"] = np.array([right.loss, right.loss_tolerance, right.gradient_tolerance])
    np.savez(folder / "answers.npz", **contents)


def load_problem(folder: Path) -> Problem:
    """The problem that `save` wrote, in fresh memory."""
    array = folder / "X.npy"
    # a pickle of our own, in a folder that only this user can write to
    X = np.load(array) if array.exists() else pickle.loads((folder / "X.pickle").read_bytes())
    with np.load(folder / "answers.npz") as contents:
        sets = [(contents[f"W{k}"], contents[f"y{k}"]) for k in range(INPUT_SETS)]
        return Problem(X, sets, float(contents["reg"]), tuple(contents["batches"]))


def load_answers(folder: Path, loss: LossName) -> list[oracle.Expected]:
    """The right answers that `save` wrote: one a set of inputs, or one a batch where there are any."""
    with np.load(folder / "answers.npz") as contents:
        found = []
        for k in range(len(contents["batches"]) or INPUT_SETS):
            value, loss_tolerance, gradient_tolerance = (float(number) for number in contents[f"{loss}{k}"])
            found.append(oracle.Expected(value, contents[f"{loss}{k}_dW"], loss_tolerance, gradient_tolerance))
        return found


def fitted(implementation: Implementation, problem: Problem) -> Implementation:
    """The implementation as it takes the problem's X: streamed, in batches, or as it is."""
    # Imported where they are needed: the losses that are measured may be those of an lcbench that has not these.
    if problem.batches:
        from lcbench.losses.streamed import batched

        return batched(implementation)
    if not isinstance(problem.X, np.ndarray):
        from lcbench.losses.streamed import streamed

        return streamed(implementation)
    return implementation


# Rows to be measured on from a file of the user's own.


class FileShape(NamedTuple):
    """What a file has to offer: its rows to train on, the columns of X with the ones, and the classes.

    on_disk: whether its X can stay where it is. itemsize: bytes of a number of X as it lies there.
    """

    rows: int
    features: int
    classes: int
    on_disk: bool
    itemsize: int


def file_shape(path: Path) -> FileShape:
    """Of the rows to train on in `path`. Raises LcbenchError where it is no table."""
    train, classes = _train(path)
    X = train.X
    stored = open_rows(X.path, X.name) if isinstance(X, RowsOnDisk) else X  # X itself may be given out as another type
    return FileShape(len(train), X.shape[1] + 1, classes, not in_memory(X), stored.dtype.itemsize)


def first_rows(path: Path, rows: int, streamed: bool) -> tuple[Any, NDArray[Any]]:
    """The first rows to train on: X (rows, D - 1), on disk where it is streamed, and their labels in [0, C).

    Raises LcbenchError where there are fewer.
    """
    train, _ = _train(path)
    if rows > len(train):
        raise LcbenchError(f"{path} has {len(train):,} rows to train on, {rows:,} were asked for")
    if not streamed:
        return train.X[:rows], train.y[:rows]
    if isinstance(train.X, np.ndarray):
        raise LcbenchError(f"{path}: only HDF5 can be streamed; write it as that, or leave --stream out")
    return train.X.first(rows), train.y[:rows]


@cache
def _train(path: Path) -> tuple[Examples, int]:
    """The training rows, X on disk where the format allows it, and the number of classes."""
    from lcbench.datasets.tables.reading import read_table

    # nothing is set apart for validation and testing: what is measured may be all of it
    splits = read_table(path, validation=0.0, test=0.0, stream=is_hdf5(path))
    classes = len(splits.class_names)
    # the labels are held as long as the run goes on
    return replace(splits.train, y=splits.train.y.astype(np.min_scalar_type(classes - 1))), classes
