"""Synthetic images as an HDF5 file of any number of rows, written block by block without holding it."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcbench import whole_file
from lcbench.datasets.synthetic import BLOCK_ROWS, Source, rows_of_all_classes
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress

LARGE_PAGE = 1 << 21
"""Bytes. X begins at a multiple of it."""

BYTES_AT_ONCE = 12_500_000
"""Written in one call, at least: what is written in small pieces is kept in small pages, which are slow to map."""

_LARGEST = 2**63 - 1
"""Bytes of a file, by the type of its length."""


def write(
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

    with whole_file.replacing(path, replace=replace) as temporary:
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
        _write_images(temporary, offset, Source(pixels, classes, seed), rows, pixels, y, progress)
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
    path: Path, offset: int, source: Source, rows: int, pixels: int, y: NDArray[np.integer], progress: ProgressCallback
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
