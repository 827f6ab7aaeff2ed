"""NumPy's archive of named arrays. Nothing in it is ever unpickled: that would run whatever the file says."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.tables import arrays
from lcbench.datasets.tables.contents import Contents, one_line
from lcbench.errors import LcbenchError


def read(path: Path, label: str | int | None) -> Contents:
    """The arrays X and y of an NPZ file, compressed or not. Raises LcbenchError."""
    if not zipfile.is_zipfile(path):  # NumPy would take it for a pickle
        raise LcbenchError(f"{path} is damaged or no NPZ file; write it again with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return arrays.contents(path, archive.files, lambda name: _array(path, archive, name), label)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        # all of these are ways in which zipfile and NumPy meet damaged archives, and encrypted ones
        raise LcbenchError(f"{path} is damaged ({one_line(error)}); write it again with numpy.savez") from error


def _array(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        array = archive[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise LcbenchError(
            f"{path}: {name} holds Python objects, which are not loaded since that can run code; "
            "store numbers, or text for labels"
        ) from error
    if not isinstance(array, np.ndarray):  # another file in the archive comes as its bytes
        raise LcbenchError(f"{path}: {name} is no NumPy array; write the file again with numpy.savez")
    return array
