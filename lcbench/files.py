"""Where files are read and written. Every location is decided here.

Both folders lie in the current directory, so that each project keeps its own data and results; the variables
``LCBENCH_DATA`` and ``LCBENCH_RESULTS`` move them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from lcbench.errors import LcbenchError


def data_folder() -> Path:
    """Folder of downloaded data."""
    return Path(os.environ.get("LCBENCH_DATA", "data"))


def cifar10_file() -> Path:
    """CIFAR-10 as one HDF5 file."""
    return data_folder() / "cifar10.h5"


def features_folder() -> Path:
    """Folder of the features that were computed from images; it may be deleted."""
    return data_folder() / "features"


def results_folder() -> Path:
    """Folder of result files, one a run."""
    return Path(os.environ.get("LCBENCH_RESULTS", "results"))


def baselines_folder() -> Path:
    """Folder of the results that were saved under a name."""
    return results_folder() / "baselines"


def models_folder() -> Path:
    """Folder of trained models, one a training."""
    return results_folder() / "models"


def searches_folder() -> Path:
    """Folder of searches for hyperparameters."""
    return results_folder() / "searches"


def sweeps_folder() -> Path:
    """Folder of sweeps that are not finished yet."""
    return results_folder() / "sweeps"


def plots_folder() -> Path:
    """Folder of the plots that are drawn of everything at once."""
    return results_folder() / "pictures"


def reports_folder() -> Path:
    """Folder of HTML pages."""
    return results_folder() / "reports"


def new_file_path(folder: Path, ending: str) -> Path:
    """A file in `folder` that nobody has, named so that later ones sort behind it."""
    return folder / f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}{ending}"


# Temporary files and folders that are named after their process: what a killed one has left is known, and removed.
#
# Ctrl-C and errors remove them as they go; SIGKILL and a power cut do not.


def temporary_path(path: Path) -> Path:
    """A new hidden name in the folder of `path`, for what is to take its place: ".NAME.PLACE-PROCESS-RANDOM.part"."""
    return path.with_name(f".{path.name}.{_owner()}{secrets.token_hex(4)}.part")


def remove_abandoned_files(parent: Path) -> None:
    """Removes the files that `beside` named in this folder for processes that are no more."""
    _remove_abandoned(parent, r"\..+\.", r"\.part")


def temporary_folder(kind: str, parent: Path | None = None) -> TemporaryDirectory[str]:
    """A new folder "lcbench-KIND-..." in `parent`, by default the system's for temporary files; for a `with`.

    kind: in small letters. The first one that a process makes removes those of processes that are no more.
    """
    parent = parent or Path(tempfile.gettempdir())
    _remove_abandoned_folders(parent)
    return TemporaryDirectory(prefix=f"lcbench-{kind}-{_owner()}", dir=parent, ignore_cleanup_errors=True)


@cache
def _remove_abandoned_folders(parent: Path) -> None:
    _remove_abandoned(parent, "lcbench-[a-z]+-", "")


def _remove_abandoned(parent: Path, before: str, after: str) -> None:
    """Removes what is of this user and was of a dead process, by its name: `before` and `after` are what stands around.

    What cannot be removed stays.
    """
    pattern = re.compile(f"{before}{_place()}-([0-9]+)-[a-z0-9_]{{8}}{after}", re.DOTALL)
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if (match := pattern.fullmatch(entry.name)) and _is_dead(int(match[1])) and _is_ours(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        Path(entry.path).unlink()


def _owner() -> str:
    return f"{_place()}-{os.getpid()}-"


@cache
def _place() -> str:
    """Where a process has its number: another machine that sees the folder has others, and so has a container."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return hashlib.blake2b(f"{socket.gethostname()} {space}".encode(), digest_size=4).hexdigest()


def _is_dead(process: int) -> bool:
    import psutil  # here, since hardly ever is there anything to be asked

    return not psutil.pid_exists(process)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


# Files that are written whole or not at all.


@contextmanager
def atomic_write(path: Path, hint: str = "", *, replace: bool = True) -> Iterator[Path]:
    """Gives a new file's path to write to, which takes the place of `path` once it is complete and on disk.

    Missing folders are made. replace: False leaves what is at `path` by then, whoever wrote it. Raises LcbenchError
    where it cannot be written, `hint` at the end of its line; then, and where the writer raises, nothing is left
    behind. What a killed process has left in the folder is removed.
    """
    unfinished = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned_files(path.parent)
        try:
            yield unfinished
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            if replace:
                unfinished.replace(path)
            else:
                _link(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror or error}{hint}") from None


def _link(unfinished: Path, path: Path) -> None:
    """Gives the file the name `path` too. Raises LcbenchError where something has it."""
    try:
        os.link(unfinished, path)  # looks and writes in one, as a rename does not
    except OSError as error:
        if isinstance(error, FileExistsError) or path.exists():
            raise LcbenchError(f"{path} was written by another meanwhile, and stays: name another file") from None
        unfinished.rename(path)  # a file system without links


def write_file(path: Path, content: bytes | memoryview | str, hint: str = "") -> None:
    """Replaces `path` by `content`, text as UTF-8. Raises as `atomic_write` does."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_write(path, hint) as unfinished:
        unfinished.write_bytes(data)


def require_parent_folder(path: Path) -> None:
    """Raises LcbenchError where the folder of `path`, a file that a user named, is missing: it may be misspelt."""
    if not path.absolute().parent.is_dir():
        raise LcbenchError(f"cannot write {path}: no folder {path.parent}; create it first")
