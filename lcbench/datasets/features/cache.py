"""Cache of arrays that were computed from images, in HDF5 files.

The name of a file contains a hash of everything that determines its content, so that the cache is never stale. Its
files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench import files
from lcbench.datasets import hdf5
from lcbench.errors import LcbenchError

_BLOCK_BYTES = 1 << 20
"""Size of a chunk of the file, which has a checksum, and of a read or write."""

_MAX_OVERHEAD_BYTES = 1 << 20
"""Most bytes that a file takes in addition to its arrays."""

_HINT = "; LCBENCH_DATA moves it"


def content_hash(array: NDArray[Any]) -> str:
    """Return a hash of the shape, type and values of an array."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def location(name: str, **parameters: Any) -> Path:
    """Return the file of the arrays `name` that `parameters`, which are numbers, strings and lists, determine."""
    key = hashlib.sha256(json.dumps([name, parameters], sort_keys=True).encode()).hexdigest()
    return files.features_folder() / f"{name}-{key[:16]}.h5"


def read(path: Path, into: Mapping[str, NDArray[Any]]) -> bool:
    """Fill the arrays `into` from the file, by name. Return False if the file does not exist or is damaged.

    Raise LcbenchError if it is locked: a lock may last as long as the file system, and so would computing again.
    """
    if not path.is_file():
        return False
    try:
        with hdf5.open_file(path, f"remove it{_HINT}") as file:
            hdf5.require_only_own_data(path, file)
            for name, array in into.items():
                if file[name].shape != array.shape or file[name].dtype != array.dtype:
                    return False
                for block in _blocks(array):
                    array[block] = file[name][block]
    except hdf5.DamagedFileError:
        return False
    return True


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays to the file atomically. Raises as `require_writable` does."""
    require_writable(path, arrays)
    with hdf5.write_file(path, _HINT, libver="v110") as (file, _):
        for name, array in arrays.items():
            blocks = _blocks(array)
            chunks = (min(len(array), blocks[0].stop), *array.shape[1:])
            dataset = file.create_dataset(name, array.shape, array.dtype, chunks=chunks, fletcher32=True)
            for block in blocks:
                dataset[block] = array[block]


def require_writable(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Create the folder of `path`. Raise LcbenchError if it is not writable or the disk has too little free space.

    Called before the arrays are computed, and again before they are written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from None
    if not os.access(path.parent, os.W_OK):
        raise _cannot_write(path, "no permission to write")
    hdf5.require_space(path, sum(array.nbytes for array in arrays.values()) + _MAX_OVERHEAD_BYTES, _HINT)


def _cannot_write(path: Path, reason: str) -> LcbenchError:
    return LcbenchError(f"cannot write {path}: {reason}{_HINT}")


def _blocks(array: NDArray[Any]) -> list[slice]:
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    return [slice(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]
