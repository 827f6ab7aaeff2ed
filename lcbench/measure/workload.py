"""Workloads: size of a problem, its arrays, its arithmetic and memory traffic, and its right answers."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench import files, units
from lcbench.control_groups import memory_available
from lcbench.datasets import preprocessing
from lcbench.datasets.examples import is_hdf5
from lcbench.datasets.rows import RowsOnDisk, in_memory, open_rows
from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.measure.pixels import converting, reading
from lcbench.progress import ProgressCallback, no_progress
from lcbench.ranges import FLOAT_OF_PIXELS, FLOATS, ITEMSIZES, bytes_of_X, dtype_of_W
from lcbench.record import LARGEST_FOOTPRINT, PixelUse

if TYPE_CHECKING:
    from lcbench.datasets.examples import Examples

BATCHES_BYTES = 1 << 26
"""Total size of the batches that are drawn, more than the capacity of most caches."""

MOST_BATCHES = 128
"""Maximum number of batches; small batches reach it before `BATCHES_BYTES`."""

INPUT_SETS = 3
"""Number of (W, y) among which calls alternate, so that a result of another call is detected."""


@dataclass(frozen=True)
class Size:
    """Size of a problem: X (rows, features) and W (features, classes), both of `dtype`.

    With uint8, X holds the pixels, without the column of ones, and W is of `dtype_of_W`. batch: number of randomly
    drawn rows of X in each call; None means all of X. streamed: whether X stays in its file and is read in blocks in
    every call. file: file of X, unless `data` determines it. file_itemsize: bytes per element of X in the file.
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
    def rows_per_call(self) -> int:
        """Number of rows of X in each call."""
        return self.batch or self.rows

    @property
    def flops(self) -> int:
        """Additions and multiplications of the products X W and X^T dscores; other operations are not counted."""
        return 4 * self.rows_per_call * self.features * self.classes

    @property
    def bytes(self) -> int:
        """Minimum memory traffic: X and W are read once and dW is written once; a streamed X has its file's dtype."""
        if self.streamed:
            X = self.rows_per_call * self.features * self.file_itemsize
        else:
            X = bytes_of_X(self.rows_per_call, self.features, self.dtype)
        return X + 2 * self.features * self.classes * ITEMSIZES[self.dtype_of_W]

    @property
    def footprint(self) -> int:
        """Bytes of X, over which peak rates are measured; limited for a streamed X, since caches are exceeded then."""
        X = bytes_of_X(self.rows, self.features, self.dtype)
        return min(X, LARGEST_FOOTPRINT) if self.streamed else X

    @property
    def dtype_of_W(self) -> str:
        """Data type of W and dW."""
        return dtype_of_W(self.dtype)

    @property
    def pixels(self) -> bool:
        """True if X holds pixels."""
        return self.dtype not in FLOATS

    def read_by(self, pixels: PixelUse) -> Size:
        """Return the size that determines bytes and limits of a row that uses the pixels this way."""
        return replace(self, dtype=FLOAT_OF_PIXELS) if pixels == "converted" else self

    @property
    def folder(self) -> str:
        """Name of the problem's folder during a run."""
        batch = f"-{self.batch}" if self.batch else ""
        streamed = "-streamed" if self.streamed else ""
        return f"{self.data}-{self.rows}x{self.features}x{self.classes}-{self.dtype}{batch}{streamed}"


@dataclass(frozen=True)
class Problem:
    """Arrays of a problem: X (N, D), an array or a `Streamed`, and several sets of W (D, C) and y (N,).

    mean: if X is pixels (N, D - 1) without the column of ones, the mean image (D - 1,) to subtract from them, of W's
    dtype. reg: regularisation strength. batches: row indices (B,) of each batch, or empty if calls compute on all rows.
    Batch i belongs to set i modulo the number of sets.
    """

    X: Any
    sets: list[tuple[NDArray[Any], NDArray[Any]]]
    reg: float
    batches: tuple[NDArray[np.int64], ...] = ()
    mean: NDArray[Any] | None = None

    @property
    def exact_X(self) -> Any:
        """X as the oracle takes it: pixels minus their mean without a rounding error."""
        if self.mean is None:
            return self.X
        from lcbench.losses.streamed import Streamed

        return Streamed(self.X, self.mean, np.dtype(np.float64))


DEFAULT_ROWS = (500, 10_000)
"""Rows of `dev`, the assignment's development set, which is small enough for naive loops, and of `train`."""

SIMULATOR_SIZE = Size(40, 33, 3, "float32", "synthetic")
"""Large enough for several blocks in every CUDA kernel, and small enough for the simulator."""


def build_problem(size: Size, seed: int = 0, progress: ProgressCallback = no_progress) -> Problem:
    """Return the problem of `size`: centred images with a column of ones appended, and small random weights.

    Raise LcbenchError if the data is missing or has no such size, or if the problem does not fit in memory.
    """
    if not size.streamed:
        _require_memory(size)
    images, labels = _images(size)
    mean = preprocessing.mean_image(images, progress)
    if size.streamed:
        from lcbench.losses.streamed import Streamed

        X: Any = Streamed(images, mean, np.dtype(size.dtype))
        label_type = np.min_scalar_type(size.classes - 1)
    elif size.pixels:
        X, label_type = np.ascontiguousarray(images), np.dtype(np.int64)
    else:
        X = preprocessing.design_matrix(images, mean, np.dtype(size.dtype))
        label_type = np.dtype(np.int64)
        if X.shape[1] > size.features:  # with one feature there is only the column of ones
            X = np.ascontiguousarray(X[:, -size.features :])
    rng = np.random.default_rng(seed)
    sets = []
    for k in range(INPUT_SETS):
        # The sets have different scales, so that their losses differ clearly.
        W = 1e-4 * (1 + k / 2) * rng.standard_normal((size.features, size.classes))
        y = (
            (labels % size.classes).astype(label_type)
            if k == 0
            else rng.integers(0, size.classes, size.rows, label_type)
        )
        sets.append((W.astype(size.dtype_of_W), y))
    # Large enough for a wrong regularisation to be visible in both loss and gradient.
    reg = 0.3 / float(np.sum(sets[0][0].astype(np.float64) ** 2))
    return Problem(X, sets, reg, _batches(size, rng), mean.astype(size.dtype_of_W) if size.pixels else None)


def _batches(size: Size, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return row indices drawn with replacement: enough batches to exceed the caches."""
    if size.batch is None:
        return ()
    bytes_each = bytes_of_X(size.batch, size.features, size.dtype)
    count = min(max(INPUT_SETS, -(-BATCHES_BYTES // bytes_each)), MOST_BATCHES)
    return tuple(rng.integers(0, size.rows, size.batch) for _ in range(count))


def fits_in_memory(size: Size) -> bool:
    """Return whether the problem fits in the free memory."""
    return _memory_needed(size) <= memory_available()


def _memory_needed(size: Size) -> int:
    """Return the bytes needed: X here and in a worker process, its pixels, and scores, W and dW in float64.

    A worker process may convert pixels.
    """
    X = bytes_of_X(size.rows, size.features, size.dtype)
    converted = size.read_by("converted").footprint if size.pixels else 0
    return 3 * X + converted + 8 * size.classes * (20 * size.features + 2 * min(size.rows, oracle.ROWS_A_BLOCK))


def _require_memory(size: Size) -> None:
    if not fits_in_memory(size):
        raise LcbenchError(
            f"{size.rows:,} rows x {size.features:,} features x {size.classes:,} classes take about "
            f"{units.size(_memory_needed(size))} of memory, and {units.size(memory_available())} are free: "
            "choose fewer"
        )


@cache
def _images(size: Size) -> tuple[Any, NDArray[Any]]:
    """Return images (N, D - 1) and labels (N,) in [0, C)."""
    # Imported here since worker processes do not need HDF5, whose import is a quarter of their start-up time.
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
        raise LcbenchError(f"CIFAR-10 has {len(images):,} training images, but {size.rows:,} rows were requested")
    return images, labels


def save_problem(
    problem: Problem, losses: list[LossName], folder: Path, progress: ProgressCallback = no_progress
) -> None:
    """Write the problem, with its right answers for `losses`, into `folder` for worker processes."""
    save_first_rows(problem, losses, {len(problem.X): folder}, progress)


def save_first_rows(
    problem: Problem, losses: list[LossName], folders: dict[int, Path], progress: ProgressCallback = no_progress
) -> None:
    """Write the first rows of `problem` as `save_problem` does, for each number of rows in `folders`."""
    counts = sorted(folders)
    parts = [_first_rows(problem, rows) for rows in counts]
    if problem.batches:
        answers = [_answers_of_batches(part, losses, progress) for part in parts]
    else:
        answers = oracle.expected_of_first(losses, problem.sets, problem.exact_X, problem.reg, counts, progress)
    for rows, part, found in zip(counts, parts, answers, strict=True):
        with files.temporary_files_in(folders[rows]):
            _write(part, found, folders[rows])


def _first_rows(problem: Problem, rows: int) -> Problem:
    if rows == len(problem.X):
        return problem
    X = problem.X[:rows] if isinstance(problem.X, np.ndarray) else problem.X.first(rows)
    sets = [(W, y[:rows]) for W, y in problem.sets]
    return Problem(X, sets, problem.reg, tuple(batch % rows for batch in problem.batches), problem.mean)


def _answers_of_batches(
    problem: Problem, losses: list[LossName], progress: ProgressCallback
) -> dict[LossName, list[oracle.Expected]]:
    found: dict[LossName, list[oracle.Expected]] = {loss: [] for loss in losses}
    for number, rows in enumerate(problem.batches):
        W, y = problem.sets[number % len(problem.sets)]
        (right,) = oracle.expected_of_first(losses, [(W, y[rows])], problem.exact_X[rows], problem.reg, [len(rows)])
        for loss in losses:
            found[loss] += right[loss]
        progress("expected results", number + 1, len(problem.batches))
    return found


def _write(problem: Problem, answers: dict[LossName, list[oracle.Expected]], folder: Path) -> None:
    folder.mkdir(parents=True)
    if isinstance(problem.X, np.ndarray):
        np.save(folder / "X.npy", problem.X)
    else:
        (folder / "X.pickle").write_bytes(pickle.dumps(problem.X))
    contents: dict[str, Any] = {"reg": problem.reg, "batches": np.array(problem.batches)}
    if problem.mean is not None:
        contents["mean"] = problem.mean
    for k, (W, y) in enumerate(problem.sets):
        contents |= {f"W{k}": W, f"y{k}": y}
    for loss, found in answers.items():
        for k, right in enumerate(found):
            contents[f"{loss}{k}_dW"] = right.dW
            contents[f"{loss}{k}"] = np.array([right.loss, right.loss_tolerance, right.gradient_tolerance])
    np.savez(folder / "answers.npz", **contents)


def load_problem(folder: Path, mapped: bool = False, converted: bool = False) -> Problem:
    """Return the problem that `save_problem` wrote, in newly allocated memory.

    mapped: map the file of X instead; writing to X copies the pages that are written to. converted: convert pixels to
    the X (N, D) of W's dtype that they stand for.
    """
    array = folder / "X.npy"
    # the pickle was written by this run, into a folder that only this user can write to
    X = (
        np.asarray(np.load(array, mmap_mode="c" if mapped else None))
        if array.exists()
        else pickle.loads((folder / "X.pickle").read_bytes())
    )
    with np.load(folder / "answers.npz") as contents:
        sets = [(contents[f"W{k}"], contents[f"y{k}"]) for k in range(INPUT_SETS)]
        mean = contents.get("mean")
        if converted and mean is not None:
            X, mean = preprocessing.design_matrix(X, mean, mean.dtype), None
        return Problem(X, sets, float(contents["reg"]), tuple(contents["batches"]), mean)


def load_answers(folder: Path, loss: LossName) -> list[oracle.Expected]:
    """Return the right answers that `save_problem` wrote: one for each input set or, if there are any, each batch."""
    with np.load(folder / "answers.npz") as contents:
        found = []
        for k in range(len(contents["batches"]) or INPUT_SETS):
            value, loss_tolerance, gradient_tolerance = (float(number) for number in contents[f"{loss}{k}"])
            found.append(oracle.Expected(value, contents[f"{loss}{k}_dW"], loss_tolerance, gradient_tolerance))
        return found


def adapted(implementation: Implementation, problem: Problem, pixels: PixelUse = "") -> Implementation:
    """Return the implementation adapted to the problem's X: pixels, streamed, in batches, or unchanged.

    pixels: how it uses the pixels, if X is pixels.
    """
    if problem.mean is not None:
        implementation = (reading if pixels == "read" else converting)(implementation, problem.mean)
    # Imported where needed: a gate may measure the losses of an lcbench version without this module.
    if problem.batches:
        from lcbench.losses.streamed import batched

        return batched(implementation)
    if not isinstance(problem.X, np.ndarray):
        from lcbench.losses.streamed import streamed

        return streamed(implementation)
    return implementation


# Data from a user's file.


class FileShape(NamedTuple):
    """Shape of the training rows in a file; `features` includes the column of ones.

    on_disk: whether X can be streamed from the file. dtype: type of X in the file.
    """

    rows: int
    features: int
    classes: int
    on_disk: bool
    dtype: np.dtype[Any]


def file_shape(path: Path) -> FileShape:
    """Return the shape of the training rows in `path`. Raise LcbenchError if it is not a table."""
    train, classes = _train(path)
    X = train.X
    stored = open_rows(X.path, X.name) if isinstance(X, RowsOnDisk) else X  # X may be converted to another dtype
    return FileShape(len(train), X.shape[1] + 1, classes, not in_memory(X), stored.dtype)


def first_rows(path: Path, rows: int, streamed: bool) -> tuple[Any, NDArray[Any]]:
    """Return the first training rows: X (rows, D - 1), on disk if `streamed`, and their labels in [0, C).

    Raise LcbenchError if there are fewer rows.
    """
    train, _ = _train(path)
    if rows > len(train):
        raise LcbenchError(f"{path} has {len(train):,} training rows, but {rows:,} were requested")
    if not streamed:
        return train.X[:rows], train.y[:rows]
    if isinstance(train.X, np.ndarray):
        raise LcbenchError(f"{path}: only HDF5 can be streamed; write it as that, or leave --stream out")
    return train.X.first(rows), train.y[:rows]


@cache
def _train(path: Path) -> tuple[Examples, int]:
    """Return the training rows, with X on disk if the format allows it, and the number of classes."""
    from lcbench.datasets.tables.reading import read_table

    # no rows are set apart for validation and testing: all can be measured
    splits = read_table(path, validation=0.0, test=0.0, stream=is_hdf5(path))
    classes = len(splits.class_names)
    # labels stay in memory during the whole run, so use a small dtype
    return replace(splits.train, y=splits.train.y.astype(np.min_scalar_type(classes - 1))), classes
