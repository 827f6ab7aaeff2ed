"""Temporary files and folders that all workers can read. They are removed when they are no longer needed."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

FOLDER_VARIABLE = "LCBENCH_SHARED"
"""Variable with a folder that all workers see under the same name. Default: the temporary folder of this machine."""


def _prefix(kind: str, process: int | None = None) -> str:
    """Return the start of the names of what a process, or any process, of this machine has created."""
    return f"lcbench-{kind}-{socket.gethostname()}-" + (f"{process}-" if process else "")


class SharedArray:
    """Array in a temporary file, which is removed with the object. Slices are new arrays.

    A pickle holds only the name of the file.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        folder = shared_folder()
        remove_abandoned(folder, "rows")
        self.path = folder / f"{_prefix('rows', os.getpid())}{secrets.token_hex(4)}.npy"
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
    """Array in a file of another process. The file is not removed with this object."""

    def __init__(self, path: Path) -> None:
        self.path = path


def shared_folder() -> Path:
    """Return the folder for files that all workers read."""
    return Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


def own_folder(kind: str) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder on this machine, which is removed with the process."""
    remove_abandoned(Path(tempfile.gettempdir()), kind)
    return tempfile.TemporaryDirectory(prefix=_prefix(kind, os.getpid()))


def remove_abandoned(folder: Path, kind: str) -> None:
    """Remove what killed processes of this machine have left in `folder`."""
    prefix = _prefix(kind)
    for path in folder.glob(f"{prefix}*"):
        process, _, rest = path.name.removeprefix(prefix).partition("-")
        of_this_machine = process.isdigit() and "-" not in rest  # another host name may begin with that of this machine
        if of_this_machine and not psutil.pid_exists(int(process)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
