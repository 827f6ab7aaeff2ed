"""Arrays in files that all workers can read, and that are gone when nobody needs them any more."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

FOLDER_VARIABLE = "LCBENCH_SHARED"
"""A folder that every worker sees under the same name; without it, the system's temporary one, which is this machine's.
"""

_PREFIX = "lcbench-rows-"


class SharedArray:
    """An array in a file of its own, which is removed with it. Slices of it are fresh arrays.

    Pickled, it is the file's name.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        folder = shared_folder()
        remove_abandoned(folder)
        self.path = folder / f"{_PREFIX}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.npy"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.remove = weakref.finalize(self, self.path.unlink, missing_ok=True)
        with self.path.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno()) if FOLDER_VARIABLE in os.environ else None

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return np.array(np.load(self.path, mmap_mode="r")[rows])

    def __reduce__(self) -> Any:
        return _SharedFile, (self.path,)


class _SharedFile(SharedArray):
    """The same on another process's side, which does not remove it."""

    def __init__(self, path: Path) -> None:
        self.path = path


def shared_folder() -> Path:
    """Where files that all workers read are put."""
    return Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


def remove_abandoned(folder: Path) -> None:
    """Removes what processes of this machine that were killed have left in `folder`."""
    for path in folder.glob(f"{_PREFIX}{socket.gethostname()}-*.npy"):
        process = path.name.rsplit("-", 2)[1]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)
