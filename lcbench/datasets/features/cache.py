"""What was computed from images, kept in HDF5 files and found again by content.

A file is named after a hash of everything that decides what is in it, so that it is right or not found, and never
stale. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.files import features_folder

if TYPE_CHECKING:
    import h5py

_BLOCK_BYTES = 1 << 20
"""A chunk of the file, each with a checksum, and what is read or written at a time."""

_SPARE_BYTES = 1 << 20
"""That a file takes beside its arrays, at most."""

_OTHER_FOLDER = "; LCBENCH_DATA moves it"


def content(array: NDArray[Any]) -> str:
    """A hash of an array's shape, type and numbers."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def location(name: str, **decides: Any) -> Path:
    """The file of the thing called `name` that is decided by these numbers, strings and lists."""
    key = hashlib.sha256(json.dumps([name, decides], sort_keys=True).encode()).hexdigest()
    return features_folder() / f"{name}-{key[:16]}.h5"


def read(path: Path, into: Mapping[str, NDArray[Any]]) -> bool:
    """Fills the arrays `into` from those of the same names. False where there is no such file or it is damaged."""
    import h5py

    try:
        with h5py.File(path) as file:
            for name, array in into.items():
                if file[name].shape != array.shape or file[name].dtype != array.dtype:
                    return False
                for block in _blocks(array):
                    array[block] = file[name][block]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        return False  # all of these are ways in which h5py meets damage; what is kept here can be computed again
    return True


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keeps arrays in the file `path`, whole or not at all. Raises LcbenchError where there is no room or no right."""
    require_room(path, arrays)
    import h5py

    with files.atomic_write(path, _OTHER_FOLDER) as temporary, h5py.File(temporary, "w", libver="v110") as file:
        for name, array in arrays.items():
            _write_array(file, name, array)


def require_room(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Makes the folder of `path`. Raises LcbenchError where it may not be written to or the disk is too full.

    To be asked before the arrays are computed, and before they are written: HDF5 ends the process where it cannot close
    a file on a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from None
    if not os.access(path.parent, os.W_OK):
        raise _cannot_write(path, "no right to")
    free, size = shutil.disk_usage(path.parent).free, sum(array.nbytes for array in arrays.values())
    if free < size + _SPARE_BYTES:
        raise _cannot_write(path, f"{size / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def _cannot_write(path: Path, reason: str) -> LcbenchError:
    return LcbenchError(f"cannot write {path}: {reason}{_OTHER_FOLDER}")


def _write_array(file: h5py.File, name: str, array: NDArray[Any]) -> None:
    blocks = _blocks(array)
    chunks = (min(len(array), blocks[0].stop), *array.shape[1:])
    kept = file.create_dataset(name, array.shape, array.dtype, chunks=chunks, fletcher32=True)
    for block in blocks:
        kept[block] = array[block]


def _blocks(array: NDArray[Any]) -> list[slice]:
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    return [slice(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]
