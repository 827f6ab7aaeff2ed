"""CIFAR-10 as one HDF5 file, written atomically and checked when it is opened.

Layout: ``train/images`` (50000, 3072) uint8, ``train/labels`` (50000,) uint8, ``test/images``, ``test/labels`` (10000
rows) and ``class_names``. The attributes of the root name the source of the content.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lcbench import __version__, files
from lcbench.datasets import hdf5
from lcbench.datasets.archives import Archive
from lcbench.datasets.cifar10 import CIFAR10, SPLITS, Dataset, Layout, Split
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    import h5py

FORMAT = "lcbench dataset"
FORMAT_VERSION = 1

_CHUNK_ROWS = 100
"""Rows per chunk: 300 KiB of images. A batch of 200 consecutive rows reads two or three chunks, which fit in HDF5's
default cache of 1 MiB, and 10,000 and 50,000 rows fill their chunks without padding. With smaller chunks a whole split
is read more slowly, with larger ones each batch reads several times the rows it needs."""

_HDF5_VERSIONS = ("v110", "v110")
"""Superblock and object headers of this version have checksums; those of the oldest format do not. HDF5 since 1.10
(2016) reads it."""

_ADVICE = "'lcbench download --force' fetches it again"


@dataclass(frozen=True)
class Origin:
    """Origin of the content of a file, as its attributes state it. source: URL or file name of the archive."""

    source: str
    layout: Layout
    archive_sha256: str
    archive_official: bool
    member_sha256: dict[str, str]
    creator: str


def write(path: Path, archive: Archive, source: str, dataset: Dataset = CIFAR10) -> None:
    """Write a verified archive to `path`. An old file is replaced only when the new one is complete and on disk.

    Raise LcbenchError, and leaves no partial file, if the folder cannot be written or the disk is full.
    """
    import h5py

    # HDF5 ends the process if it cannot close a file on a full disk. So it writes to memory, and Python to the disk.
    content = io.BytesIO()
    with h5py.File(content, "w", libver=_HDF5_VERSIONS) as file:
        _fill(file, archive, source, dataset)
    files.write_file(path, content.getbuffer())


def _fill(file: h5py.File, archive: Archive, source: str, dataset: Dataset) -> None:
    for name, array in archive.arrays.items():
        chunk = (min(_CHUNK_ROWS, len(array)), *array.shape[1:])
        file.create_dataset(name, data=array, chunks=chunk, fletcher32=True)
    file.create_dataset("class_names", data=hdf5.fixed_text(dataset.class_names))
    hdf5.set_attributes(
        file,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "dataset": dataset.name,
            "source": source,
            "layout": archive.layout,
            "archive_sha256": archive.sha256,
            "archive_official": archive.official,
            "member_sha256": json.dumps(archive.member_sha256),
            "creator": _creator(),
        },
    )


def _creator() -> str:
    import h5py

    return f"lcbench {__version__}, h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}"


def origin(path: Path, dataset: Dataset = CIFAR10) -> Origin:
    """Return the origin of the content of the file. Raise LcbenchError as `read_split` does."""
    with _open(path, dataset) as file:
        attributes = hdf5.attributes(file)
        return Origin(
            source=attributes["source"],
            layout=attributes["layout"],
            archive_sha256=attributes["archive_sha256"],
            archive_official=bool(attributes["archive_official"]),
            member_sha256=json.loads(attributes["member_sha256"]),
            creator=attributes["creator"],
        )


def read_split(
    path: Path, split: Split, rows: slice | NDArray[np.integer] | None = None, dataset: Dataset = CIFAR10
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (n, pixels) and labels (n,), both uint8, of a split or of some of its rows.

    rows: a slice, or indices in any order, which may repeat. Raise IndexError if an index is out of range, and
    LcbenchError if the file is missing, has another or a newer format, or is damaged in the part that is read.
    """
    if split not in SPLITS:
        raise ValueError(f"no split '{split}': there are {' and '.join(SPLITS)}")
    with _open(path, dataset) as file:
        images, labels = file[f"{split}/images"], file[f"{split}/labels"]
        if rows is None:
            return images[()], labels[()]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(labels))
            if step < 0:
                raise IndexError("rows are read forwards: reverse the arrays instead")
            return images[start:stop:step], labels[start:stop:step]
        rows = np.asarray(rows)
        if not len(rows):
            return images[:0], labels[:0]
        first, last = int(rows.min()), int(rows.max())
        if first < 0 or last >= len(labels):
            raise IndexError(f"rows {first} to {last} are not all in {split}, which has {len(labels)}")
        # HDF5 reads a whole range faster than the scattered rows in it.
        return images[first : last + 1][rows - first], labels[first : last + 1][rows - first]


def read_labels(path: Path, split: Split, dataset: Dataset = CIFAR10) -> NDArray[np.uint8]:
    """Return the labels (n,) uint8 of a split without reading its images. Raise LcbenchError as `read_split` does."""
    with _open(path, dataset) as file:
        labels: NDArray[np.uint8] = file[f"{split}/labels"][()]
        return labels


def verify(path: Path, dataset: Dataset = CIFAR10) -> None:
    """Raise LcbenchError if an array of the file cannot be read or differs from the official content."""
    with _open(path, dataset) as file:
        for name, expected in dataset.content.items():
            try:
                content = file[name][()]
            except OSError as error:  # HDF5 checks the Fletcher-32 sum of each chunk that it reads
                raise LcbenchError(f"{path} is damaged: {name} cannot be read; {_ADVICE}") from error
            if hashlib.sha256(content).hexdigest() != expected:
                raise LcbenchError(f"{path} is damaged: {name} is not the content of {dataset.name}; {_ADVICE}")


@contextmanager
def _open(path: Path, dataset: Dataset) -> Iterator[h5py.File]:
    """Open the file and check its format, shapes and class names. Errors of HDF5 become LcbenchError, one line."""
    if not path.exists():
        raise LcbenchError(f"no {path}: 'lcbench download' fetches it")
    with hdf5.open_file(path, _ADVICE) as file:
        hdf5.require_only_own_data(path, file)
        _check(path, file, dataset)
        yield file


def _check(path: Path, file: h5py.File, dataset: Dataset) -> None:
    attributes = hdf5.attributes(file)
    if attributes.get("format") != FORMAT or attributes.get("dataset") != dataset.name:
        raise LcbenchError(f"{path} is an HDF5 file, but not {dataset.name} as lcbench writes it; {_ADVICE}")
    found = attributes["format_version"]
    if found > FORMAT_VERSION:
        raise LcbenchError(
            f"{path} has format {found}, and this lcbench reads up to {FORMAT_VERSION}: upgrade lcbench, or {_ADVICE}"
        )
    for split in SPLITS:
        rows = dataset.rows(split)
        for name, shape in ((f"{split}/images", (rows, dataset.pixels)), (f"{split}/labels", (rows,))):
            array = file[name]
            if array.shape != shape or array.dtype != np.uint8:
                raise LcbenchError(f"{path}: {name} is {array.dtype} {array.shape}, not uint8 {shape}; {_ADVICE}")
    if tuple(file["class_names"].asstr()[()]) != dataset.class_names:
        raise LcbenchError(f"{path}: its class names are not those of {dataset.name}; {_ADVICE}")
