"""Files and folders that all workers can read, and that are gone when nobody needs them any more."""

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
"""A folder that every worker sees under the same name; without it, the system's temporary one, which is this machine's.
"""


def _prefix(kind: str, process: int | None = None) -> str:
    """How a name begins of what a process of this machine, or any of them, has put into a folder."""
    return f"lcbench-{kind}-{socket.gethostname()}-" + (f"{process}-" if process else "")


class SharedArray:
    """An array in a file of its own, which is removed with it. Slices of it are fresh arrays.

    Pickled, it is the file's name.
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
    """The same on another process's side, which does not remove it."""

    def __init__(self, path: Path) -> None:
        self.path = path


def shared_folder() -> Path:
    """Where files that all workers read are put."""
    return Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


def own_folder(kind: str) -> tempfile.TemporaryDirectory[str]:
    """A folder of this process on this machine, which ends with it."""
    remove_abandoned(Path(tempfile.gettempdir()), kind)
    return tempfile.TemporaryDirectory(prefix=_prefix(kind, os.getpid()))


def remove_abandoned(folder: Path, kind: str) -> None:
    """Removes what processes of this machine that were killed have left in `folder`."""
    prefix = _prefix(kind)
    for path in folder.glob(f"{prefix}*"):
        process, _, rest = path.name.removeprefix(prefix).partition("-")
        its_own = process.isdigit() and "-" not in rest  # and not that of a machine whose name begins like this one's
        if its_own and not psutil.pid_exists(int(process)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
