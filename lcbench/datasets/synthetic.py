"""Synthetic images of CIFAR-10's shape, from a seed: as arrays, or written to an HDF5 file of any number of rows."""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets import hdf5
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

BLOCK_ROWS = 512
"""Rows per random generator. This bounds the temporary arrays, and the first rows do not depend on how many follow."""

_RUN = 64
"""Number of neighbouring pixels with the same coarse noise, since neighbouring pixels of photographs are alike."""

_LARGE_PAGE = 1 << 21
"""Alignment of X in a file, in bytes."""

_WRITE_BYTES = 12_500_000
"""Least size of a write call. The page cache keeps the data of small writes in small pages, which are slow to map."""

_MAX_FILE_BYTES = 2**63 - 1


def images(
    rows: int, pixels: int = 3072, classes: int = 10, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return synthetic images (rows, pixels) uint8 and their labels (rows,) int64 in [0, classes).

    An image is the smooth template of its class plus coarse and fine noise, so that a linear classifier can learn the
    classes. ``images(100)`` equals the first 100 rows of ``images(1000)``.
    """
    if min(rows, pixels, classes) < 1:
        raise ValueError(f"rows, pixels and classes must be at least 1, not {rows}, {pixels}, {classes}")
    X, y = np.empty((rows, pixels), np.uint8), np.empty(rows, np.int64)
    source = ImageSource(pixels, classes, seed)
    for start in range(0, rows, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        source.draw(start // BLOCK_ROWS, X[block], y[block])
    return X, y


class ImageSource:
    """Generator of the images, block by block. Blocks are independent, so that several threads can draw them."""

    def __init__(self, pixels: int = 3072, classes: int = 10, seed: int = 0) -> None:
        self._seed, self._classes = seed, classes
        self._templates = _templates(pixels, classes, np.random.default_rng([seed]))

    def draw(self, block: int, X: NDArray[np.uint8], y: NDArray[np.integer]) -> None:
        """Fill X (n, pixels) and y (n,), n <= `BLOCK_ROWS`, with the first rows of block number `block`."""
        rows, pixels = X.shape
        runs = -(-pixels // _RUN)
        # Labels and coarse noise are drawn for the whole block, so that the fine noise does not depend on `rows`.
        rng = _block_rng(block, self._seed)
        y[:] = _labels(rng, self._classes)[:rows]
        coarse = rng.integers(0, 128, (BLOCK_ROWS, runs), np.uint8)[:rows]
        fine = np.frombuffer(rng.bytes(rows * pixels), np.uint8).reshape(rows, pixels)
        # Template, coarse and fine part are at most 64, 127 and 63: their sum fits in uint8.
        np.right_shift(fine, 2, out=X)
        whole = pixels // _RUN * _RUN
        X[:, :whole].reshape(rows, -1, _RUN)[:] += coarse[:, : whole // _RUN, None]
        X[:, whole:] += coarse[:, whole // _RUN :]
        for label in range(self._classes):
            X[y == label] += self._templates[label]


def rows_of_all_classes(classes: int, seed: int = 0) -> int:
    """Return the least number of rows that contains every class."""
    unseen, left, block = np.ones(classes, bool), classes, -1
    while left:
        block += 1
        labels, firsts = np.unique(_labels(_block_rng(block, seed), classes), return_index=True)
        new = unseen[labels]
        unseen[labels] = False
        left -= int(np.count_nonzero(new))
        last = int(firsts[new].max(initial=0))
    return block * BLOCK_ROWS + last + 1


def _block_rng(block: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 1 + block])


def _labels(rng: np.random.Generator, classes: int) -> NDArray[np.int64]:
    """Return the labels of a block, which are the first values drawn from its generator."""
    return rng.integers(0, classes, BLOCK_ROWS)


def _templates(pixels: int, classes: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return templates (classes, pixels) uint8 in [0, 64]: linear interpolation between random knots."""
    knots = np.arange(0, pixels + _RUN, _RUN)
    heights = rng.uniform(0, 64, (classes, len(knots)))
    return np.stack([np.interp(np.arange(pixels), knots, row) for row in heights]).round().astype(np.uint8)


def write_hdf5(
    path: Path,
    rows: int,
    pixels: int = 3072,
    classes: int = 10,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    *,
    replace: bool = True,
    hint: str = ": choose fewer rows or another disk",
) -> None:
    """Write `images` to an HDF5 file, block by block: X (rows, pixels) uint8, y (rows,) and class_names.

    y has the smallest unsigned type that holds the labels. X is contiguous in the file, so that rows can be read
    without HDF5. The new file replaces `path` when it is complete. replace: False keeps a file that exists by then.
    hint: what to do if there is too little space.
    Raise LcbenchError if a class would have no row, the disk has too little space or the file cannot be written.
    """
    if min(rows, pixels, classes) < 1:
        raise LcbenchError(f"rows, features and classes must be at least 1, not {rows}, {pixels}, {classes}")
    label_type = np.min_scalar_type(classes - 1)
    _require_space(path, rows * (pixels + label_type.itemsize), hint)
    _require_every_class(path, rows, classes, seed)
    # HDF5 allocates X and y and does not fill them: several threads write the rows, without HDF5.
    aligned: dict[str, Any] = {"alignment_threshold": _LARGE_PAGE, "alignment_interval": _LARGE_PAGE}
    with hdf5.write_file(path, hint, replace=replace, libver=("v110", "v110"), **aligned) as (file, temporary):
        X_offset = hdf5.allocate(file, "X", (rows, pixels), np.dtype(np.uint8))
        y_offset = hdf5.allocate(file, "y", (rows,), label_type)
        file.attrs["source"] = hdf5.fixed_text(f"lcbench synth, seed {seed}")
        file["class_names"] = hdf5.fixed_text([f"class {label}" for label in range(classes)])
        file.close()
        y = np.empty(rows, label_type)
        _write_images(temporary, X_offset, ImageSource(pixels, classes, seed), rows, pixels, y, progress)
        with temporary.open("rb+") as raw:
            raw.seek(y_offset)
            raw.write(y.data)


def _require_every_class(path: Path, rows: int, classes: int, seed: int) -> None:
    """Raise LcbenchError if a class would have no row, since `read_table` rejects such a file."""
    if rows < classes:
        raise LcbenchError(f"{path}: {rows:,} rows cannot contain all {classes:,} classes: choose more rows")
    needed = rows_of_all_classes(classes, seed)
    if rows < needed:
        raise LcbenchError(
            f"{path}: the first {rows:,} rows of seed {seed} do not contain all {classes:,} classes: choose at least "
            f"{needed:,}"
        )


def _require_space(path: Path, needed: int, hint: str) -> None:
    if needed > _MAX_FILE_BYTES:
        raise LcbenchError(f"{path} would be larger than a file can be: choose fewer rows")
    hdf5.require_space(path, needed, hint)


def _write_images(
    path: Path,
    offset: int,
    source: ImageSource,
    rows: int,
    pixels: int,
    y: NDArray[np.integer],
    progress: ProgressCallback,
) -> None:
    """Draw all blocks on several threads, fill y and write the images at `offset`."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blocks_per_write = -(-_WRITE_BYTES // (BLOCK_ROWS * pixels))
    writes = iter(range(-(-rows // (blocks_per_write * BLOCK_ROWS))))
    with path.open("rb+", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def draw_and_write(write: int) -> int:
            first = write * blocks_per_write
            start = first * BLOCK_ROWS
            labels = y[start : start + blocks_per_write * BLOCK_ROWS]
            images = np.empty((len(labels), pixels), np.uint8)
            for block, begin in enumerate(range(0, len(labels), BLOCK_ROWS), first):
                part = slice(begin, begin + BLOCK_ROWS)
                source.draw(block, images[part], labels[part])
            left = images.data.cast("B")
            with path.open("rb+", buffering=0) as own:  # with a position of its own
                own.seek(offset + start * pixels)
                while left:
                    left = left[own.write(left) :]
            return len(labels)

        pending = {pool.submit(draw_and_write, write) for write in islice(writes, 2 * threads)}
        done = 0
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                pending |= {pool.submit(draw_and_write, write) for write in islice(writes, len(finished))}
                progress("rows written", done, rows)
        finally:
            pool.shutdown(cancel_futures=True)
        progress("writing to the disk", 0, 1)
        os.fsync(file.fileno())
        progress("writing to the disk", 1, 1)
