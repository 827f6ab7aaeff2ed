"""Reads CIFAR-10 from either official .tar.gz, and takes nothing on trust.

An archive is streamed once, from its first member to its last; no member is written to disk and no member's path is
used as one. What counts is each batch's content: a repacked archive whose batches are the official ones is good.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.cifar10 import CIFAR10, SPLITS, Batch, Dataset, Layout
from lcbench.datasets.pickles import PickleError, read_batch
from lcbench.errors import LcbenchError


class ArchiveError(LcbenchError):
    """A file is not the archive it should be. The message says which file, and in what."""


@dataclass(frozen=True)
class Archive:
    """The verified content of an archive.

    official: the file itself is byte for byte the official one.
    member_sha256: checksum of each batch as the archive holds it, by member name.
    arrays: "train/images" (50000, 3072), "train/labels" (50000,) and the same of "test" (10000 rows), all uint8.
    """

    layout: Layout
    sha256: str
    official: bool
    member_sha256: dict[str, str]
    arrays: dict[str, NDArray[np.uint8]]


def read_archive(path: Path, dataset: Dataset = CIFAR10) -> Archive:
    """Reads and verifies the archive at `path`, in whichever layout its members are named.

    Raises ArchiveError where the file is anything but a complete archive of the data set's own content.
    """
    try:
        _refuse_other_files(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        layout, member_sha256, arrays = _read_members(path, dataset)
    except EOFError as error:
        raise ArchiveError(f"{path} is truncated: it ends in the middle of its compressed data") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error
    except tarfile.TarError as error:
        raise ArchiveError(f"{path} is damaged or not a tar archive: {error}") from error
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error
    official = digest == dataset.archives[layout].sha256
    return Archive(layout, digest, official, member_sha256, arrays)


def _refuse_other_files(path: Path) -> None:
    """Raises ArchiveError where the first bytes already say that this is no .tar.gz."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        return
    if not head:
        raise ArchiveError(f"{path} is empty")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise ArchiveError(f"{path} is a web page (HTML), not a .tar.gz archive")
    raise ArchiveError(f"{path} is not a .tar.gz archive: it is not gzip data")


def _read_members(path: Path, dataset: Dataset) -> tuple[Layout, dict[str, str], dict[str, NDArray[np.uint8]]]:
    places = {}  # a batch's place is given by its name: the order of the members does not matter
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in SPLITS:
        rows = dataset.rows(split)
        images = arrays[f"{split}/images"] = np.empty((rows, dataset.pixels), np.uint8)
        labels = arrays[f"{split}/labels"] = np.empty(rows, np.uint8)
        start = 0
        for batch in dataset.batches[split]:
            stop = start + batch.rows
            places[batch.name] = batch, images[start:stop], labels[start:stop]
            start = stop

    layout: Layout | None = None
    member_sha256: dict[str, str] = {}
    with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            batch_name = name.removesuffix(".bin")
            if batch_name not in places or not member.isreg():
                continue
            member_layout: Layout = "binary" if name.endswith(".bin") else "python"
            layout = layout or member_layout
            if member_layout != layout:
                continue
            if name in member_sha256:
                raise ArchiveError(f"{path} holds {name} twice")
            batch, images, labels = places[batch_name]
            content = _member_content(path, tar, member, batch, dataset.pixels)
            records = content if layout == "binary" else _records(path, name, content, batch, dataset.pixels)
            if hashlib.sha256(records).hexdigest() != batch.sha256:
                raise ArchiveError(f"{path}: {name} is not {dataset.name}'s: its content has another checksum")
            member_sha256[name] = hashlib.sha256(content).hexdigest()
            table = np.frombuffer(records, np.uint8).reshape(batch.rows, 1 + dataset.pixels)
            labels[:] = table[:, 0]
            images[:] = table[:, 1:]
        # gzip compares its own checksum only at the end of the data, which lies behind the end of the tar archive
        while unpacked.read(1 << 20):
            pass

    if layout is None:
        raise ArchiveError(f"{path} holds no {dataset.name} batches (data_batch_1.bin or data_batch_1, ...)")
    suffix = ".bin" if layout == "binary" else ""
    missing = [name + suffix for name in places if name + suffix not in member_sha256]
    if missing:
        raise ArchiveError(f"{path} is incomplete: it lacks {', '.join(missing)}")
    return layout, member_sha256, arrays


def _member_content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, batch: Batch, pixels: int) -> bytes:
    # a pickle that writes its pixels as text needs up to two bytes for each; what claims far more is not read
    largest = 3 * batch.rows * (1 + pixels) + (1 << 20)
    file = tar.extractfile(member)
    if member.size > largest or file is None:
        raise ArchiveError(f"{path}: {batch.name} claims {member.size:,} bytes, too many for a batch")
    return file.read()


def _records(path: Path, name: str, pickled: bytes, batch: Batch, pixels: int) -> bytes:
    """A pickled batch in the binary layout, in which its checksum is known: label, then pixels, for every row."""
    try:
        images, labels = read_batch(pickled, batch.rows, pixels)
    except PickleError as error:
        raise ArchiveError(f"{path}: {name} is not a batch: {error}") from error
    return np.concatenate([labels[:, None], images], axis=1).tobytes()
