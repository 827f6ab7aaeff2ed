"""Synthetic images as an HDF5 file of any number of rows, written block by block without holding it."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from lcbench import whole_file
from lcbench.datasets.synthetic import BLOCK_ROWS, Source
from lcbench.datasets.watching import Watch, unwatched
from lcbench.errors import LcbenchError


def write(
    path: Path,
    rows: int,
    pixels: int = 3072,
    classes: int = 10,
    seed: int = 0,
    watch: Watch = unwatched,
) -> None:
    """Writes X (rows, pixels) uint8, y (rows,) in the smallest unsigned type, and class_names, as `Source` draws them.

    X lies in the file in one piece, so that any row is where it can be computed to be. Takes the place of `path` once
    it is complete. Raises LcbenchError where the disk has no room for it or the file cannot be written.
    """
    if min(rows, pixels, classes) < 1:
        raise LcbenchError(f"rows, features and classes must be at least 1, not {rows}, {pixels}, {classes}")
    label_type = np.min_scalar_type(classes - 1)
    _require_space(path, rows * (pixels + label_type.itemsize))
    with whole_file.replacing(path) as temporary:
        y = np.empty(rows, label_type)
        with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
            # Room for all of X is taken at once and not filled: the rows are written past HDF5, by several threads.
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((rows, pixels))
            offset = h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_UINT8, space, layout).get_offset()
            file.attrs["source"] = f"lcbench synth, seed {seed}"
            file["class_names"] = [f"class {label}" for label in range(classes)]
        _write_images(temporary, offset, Source(pixels, classes, seed), rows, pixels, y, watch)
        with h5py.File(temporary, "r+") as file:
            file["y"] = y


def _require_space(path: Path, wanted: int) -> None:
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
    path: Path, offset: int, source: Source, rows: int, pixels: int, y: NDArray[np.integer], watch: Watch
) -> None:
    """Draws all blocks, fills y, and writes the images at `offset`; a block is drawn and written by one thread."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with path.open("rb+", buffering=0) as file, ThreadPoolExecutor(threads) as pool:

        def draw(block: int) -> int:
            start = block * BLOCK_ROWS
            labels = y[start : start + BLOCK_ROWS]
            images = np.empty((len(labels), pixels), np.uint8)
            source.draw(block, images, labels)
            left, position = images.data.cast("B"), offset + start * pixels
            while left:
                count = os.pwrite(file.fileno(), left, position)
                left, position = left[count:], position + count
            return len(labels)

        blocks = iter(range(-(-rows // BLOCK_ROWS)))
        waiting = {pool.submit(draw, block) for block in islice(blocks, 2 * threads)}
        done = 0
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                waiting |= {pool.submit(draw, block) for block in islice(blocks, len(finished))}
                watch("rows written", done, rows)
        finally:
            pool.shutdown(cancel_futures=True)
        watch("bringing them to the disk", 0, 1)
        os.fsync(file.fileno())
        watch("bringing them to the disk", 1, 1)
