"""Images of CIFAR-10's shape without CIFAR-10: from a seed, offline, in a moment."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

BLOCK_ROWS = 512
"""Rows drawn from one generator: bounds the temporaries, and makes rows independent of how many follow."""

_RUN = 64
"""Neighbouring pixels that share their coarse noise, as neighbours in photographs are alike."""


def images(
    rows: int, pixels: int = 3072, classes: int = 10, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Synthetic images (rows, pixels) uint8 and their labels (rows,) int64 in [0, classes).

    An image is its class's smooth template plus coarse and fine noise, so that a linear classifier has something to
    learn. More rows begin with the same rows: ``images(100)`` is the start of ``images(1000)``.
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
    """Draws the images block by block. Blocks do not depend on each other, so that threads may draw them."""

    def __init__(self, pixels: int = 3072, classes: int = 10, seed: int = 0) -> None:
        self._seed, self._classes = seed, classes
        self._templates = _templates(pixels, classes, np.random.default_rng([seed]))

    def draw(self, block: int, X: NDArray[np.uint8], y: NDArray[np.integer]) -> None:
        """Fills X (n, pixels) and y (n,), n <= `BLOCK_ROWS`, with the first rows of block number `block`."""
        rows, pixels = X.shape
        runs = -(-pixels // _RUN)
        # a block is drawn whole even where fewer rows are wanted: what follows in the stream must not depend on that
        stream = _stream(block, self._seed)
        y[:] = _labels(stream, self._classes)[:rows]
        coarse = stream.integers(0, 128, (BLOCK_ROWS, runs), np.uint8)[:rows]
        fine = np.frombuffer(stream.bytes(rows * pixels), np.uint8).reshape(rows, pixels)
        # the three parts reach at most 64, 127 and 63: no sum leaves uint8
        np.right_shift(fine, 2, out=X)
        whole = pixels // _RUN * _RUN
        X[:, :whole].reshape(rows, -1, _RUN)[:] += coarse[:, : whole // _RUN, None]
        X[:, whole:] += coarse[:, whole // _RUN :]
        for label in range(self._classes):
            X[y == label] += self._templates[label]


def rows_of_all_classes(classes: int, seed: int = 0) -> int:
    """How many of the first rows it takes for each class to have one."""
    unseen, left, block = np.ones(classes, bool), classes, -1
    while left:
        block += 1
        labels, firsts = np.unique(_labels(_stream(block, seed), classes), return_index=True)
        new = unseen[labels]
        unseen[labels] = False
        left -= int(np.count_nonzero(new))
        last = int(firsts[new].max(initial=0))
    return block * BLOCK_ROWS + last + 1


def _stream(block: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 1 + block])


def _labels(stream: np.random.Generator, classes: int) -> NDArray[np.int64]:
    """Of a block: what is drawn first."""
    return stream.integers(0, classes, BLOCK_ROWS)


def _templates(pixels: int, classes: int, stream: np.random.Generator) -> NDArray[np.uint8]:
    """(classes, pixels) uint8 in [0, 64]: random knots, straight lines between them."""
    knots = np.arange(0, pixels + _RUN, _RUN)
    heights = stream.uniform(0, 64, (classes, len(knots)))
    return np.stack([np.interp(np.arange(pixels), knots, row) for row in heights]).round().astype(np.uint8)


# Synthetic images as an HDF5 file of any number of rows, written block by block without holding it.

LARGE_PAGE = 1 << 21
"""Bytes. X begins at a multiple of it."""

BYTES_AT_ONCE = 12_500_000
"""Written in one call, at least: what is written in small pieces is kept in small pages, which are slow to map."""

_LARGEST = 2**63 - 1
"""Bytes of a file, by the type of its length."""


def write_file(
    path: Path,
    rows: int,
    pixels: int = 3072,
    classes: int = 10,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    *,
    replace: bool = True,
) -> None:
    """Writes X (rows, pixels) uint8, y (rows,) in the smallest unsigned type, and class_names, as `Source` draws them.

    X lies in the file in one piece, so that any row is where it can be computed to be. Takes the place of `path` once
    it is complete. replace: False leaves a file that is there by then. Raises LcbenchError where a class would have no
    row, the disk has no room for it or the file cannot be written.
    """
    if min(rows, pixels, classes) < 1:
        raise LcbenchError(f"rows, features and classes must be at least 1, not {rows}, {pixels}, {classes}")
    label_type = np.min_scalar_type(classes - 1)
    _require_space(path, rows * (pixels + label_type.itemsize))
    _require_every_class(path, rows, classes, seed)
    import h5py

    with files.atomic_write(path, replace=replace) as temporary:
        y = np.empty(rows, label_type)
        aligned = {"alignment_threshold": LARGE_PAGE, "alignment_interval": LARGE_PAGE}
        with h5py.File(temporary, "w", libver=("v110", "v110"), **aligned) as file:
            # Room for all of X is taken at once and not filled: the rows are written past HDF5, by several threads.
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((rows, pixels))
            offset = h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_UINT8, space, layout).get_offset()
            file.attrs["source"] = f"lcbench synth, seed {seed}"
            file["class_names"] = [f"class {label}" for label in range(classes)]
        _write_images(temporary, offset, ImageSource(pixels, classes, seed), rows, pixels, y, progress)
        with h5py.File(temporary, "r+") as file:
            file["y"] = y


def _require_every_class(path: Path, rows: int, classes: int, seed: int) -> None:
    """Raises LcbenchError where a class would be without a row, which no reader of labels would take."""
    if rows < classes:
        raise LcbenchError(f"{path}: {rows:,} rows cannot be of all {classes:,} classes: choose more rows")
    needed = rows_of_all_classes(classes, seed)
    if rows < needed:
        raise LcbenchError(
            f"{path}: {rows:,} rows, as seed {seed} draws them, are not of all {classes:,} classes: choose at least "
            f"{needed:,}"
        )


def _require_space(path: Path, wanted: int) -> None:
    if wanted > _LARGEST:
        raise LcbenchError(f"{path} would be larger than a file can be: choose fewer rows")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise LcbenchError(
            f"{path} would take {wanted / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free there: "
            "choose fewer rows or another disk"
        )


def _write_images(
    path: Path,
    offset: int,
    source: ImageSource,
    rows: int,
    pixels: int,
    y: NDArray[np.integer],
    progress: ProgressCallback,
) -> None:
    """Draws all blocks, fills y, writes the images at `offset`; a stretch of blocks is drawn and written at once."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blocks_at_once = -(-BYTES_AT_ONCE // (BLOCK_ROWS * pixels))
    stretches = iter(range(-(-rows // (blocks_at_once * BLOCK_ROWS))))
    with path.open("rb+", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def draw(stretch: int) -> int:
            first = stretch * blocks_at_once
            start = first * BLOCK_ROWS
            labels = y[start : start + blocks_at_once * BLOCK_ROWS]
            images = np.empty((len(labels), pixels), np.uint8)
            for block, begin in enumerate(range(0, len(labels), BLOCK_ROWS), first):
                of_block = slice(begin, begin + BLOCK_ROWS)
                source.draw(block, images[of_block], labels[of_block])
            left, position = images.data.cast("B"), offset + start * pixels
            while left:
                count = os.pwrite(file.fileno(), left, position)
                left, position = left[count:], position + count
            return len(labels)

        waiting = {pool.submit(draw, stretch) for stretch in islice(stretches, 2 * threads)}
        done = 0
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                waiting |= {pool.submit(draw, stretch) for stretch in islice(stretches, len(finished))}
                progress("rows written", done, rows)
        finally:
            pool.shutdown(cancel_futures=True)
        progress("bringing them to the disk", 0, 1)
        os.fsync(file.fileno())
        progress("bringing them to the disk", 1, 1)
