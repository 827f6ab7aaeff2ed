"""Locations of all files, temporary files, and atomic writing.

The folders for data and results are in the current directory, so that each project has its own. The environment
variables ``LCBENCH_DATA`` and ``LCBENCH_RESULTS`` change them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from lcbench.errors import LcbenchError, os_error, require


def data_folder() -> Path:
    """Return the folder of downloaded data."""
    return _folder("LCBENCH_DATA", "data")


def cifar10_file() -> Path:
    """Return the path of the HDF5 file that holds CIFAR-10."""
    return data_folder() / "cifar10.h5"


def features_folder() -> Path:
    """Return the folder of features computed from images. It is a cache and may be deleted."""
    return data_folder() / "features"


def results_folder() -> Path:
    """Return the folder of result files, one per run."""
    return _folder("LCBENCH_RESULTS", "results")


def _folder(variable: str, default: str) -> Path:
    """Return the folder that an environment variable names. Raise LcbenchError if its value is empty."""
    name = os.environ.get(variable, default)
    require(bool(name.strip()), f"{variable} is empty: name a folder, or unset it for {default}")
    return Path(name)


def baselines_folder() -> Path:
    """Return the folder of results that were saved under a name."""
    return results_folder() / "baselines"


def models_folder() -> Path:
    """Return the folder of trained models, one file per training."""
    return results_folder() / "models"


def searches_folder() -> Path:
    """Return the folder of hyperparameter searches."""
    return results_folder() / "searches"


def sweeps_folder() -> Path:
    """Return the folder of unfinished sweeps."""
    return results_folder() / "sweeps"


def plots_folder() -> Path:
    """Return the folder for the plots of ``lcbench plot --all``."""
    return results_folder() / "pictures"


def reports_folder() -> Path:
    """Return the folder of HTML reports."""
    return results_folder() / "reports"


def stored(folder: Path, suffix: str) -> list[Path]:
    """Return the files in `folder` with this suffix, in the order of their names, without hidden ones.

    A folder that does not exist has none. Raise LcbenchError if it is not a folder or cannot be read.
    """
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LcbenchError(f"cannot read {os_error(error)}") from None
    return sorted(path for path in paths if path.suffix == suffix and not path.name.startswith("."))


def new_file_path(folder: Path, suffix: str) -> Path:
    """Return the path of a new file in `folder`. The names of later files sort after those of earlier ones."""
    return folder / f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}{suffix}"


def require_parent_folder(path: Path) -> None:
    """Raise LcbenchError if the parent folder of `path` does not exist: the user may have mistyped it."""
    if not path.absolute().parent.is_dir():
        raise LcbenchError(f"cannot write {path}: no folder {path.parent}; create it first")


_RESULT_HEAD = re.compile(rb'\s*\{\s*("format": ?"lcbench search"|"schema": ?\d+,\s*"lcbench")')
"""Beginning of a search or of a result."""


def require_replaceable(path: Path) -> None:
    """Raise LcbenchError if `path` is a result, a search, a model, data or code.

    Pictures, pages and exports replace older ones without being asked, but nothing that cannot be made again.
    """
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return  # writing reports the error
    kinds = {
        "a result or a search": _RESULT_HEAD.match(head),
        "a model or data": head.startswith((b"\x89HDF\r\n", b"PK")),
        "code": path.suffix in (".py", ".ipynb"),
    }
    for kind, found in kinds.items():
        if found:
            raise LcbenchError(f"{path} is {kind}, which is not replaced: name another file")


def require_folder(path: Path) -> None:
    """Raise LcbenchError if `path` is a file, or has the name of a picture, so that it is not meant as a folder."""
    if path.exists() and not path.is_dir():
        raise LcbenchError(f"cannot write to {path}: it is a file, and several files are written; name a folder")
    if path.suffix.lower() in (".png", ".svg") and not path.exists():
        raise LcbenchError(f"cannot write to {path}: several files are written; name a folder, without {path.suffix}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from entering this context with the same `path`, which is to be written.

    The lock is on a hidden file beside `path`. It ends with its process, however that ends. File systems without locks
    have none. Raise LcbenchError if another process has the lock, or if the folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    try:
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise LcbenchError(
                    f"{path} is being written by another process: wait until it has ended, or name another file"
                ) from None
            except OSError:  # the file system has no locks
                break
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), lock.stat()):
                    break
            os.close(descriptor)  # the process that had the lock has removed the file meanwhile
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def require_regular_file(path: Path) -> None:
    """Raise LcbenchError unless `path` is a regular file that may be read. Opening a FIFO would wait without end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise LcbenchError(f"no file {path}; check its name and folder") from None
    except (OSError, ValueError) as error:
        raise LcbenchError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise LcbenchError(f"{path} is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISFIFO, "a named pipe (FIFO)"), (stat.S_ISSOCK, "a socket"))
        what = next((kind for is_kind, kind in kinds if is_kind(mode)), "a device")
        raise LcbenchError(f"{path} is {what}, not a regular file; write its content to a file and name that")
    if not os.access(path, os.R_OK):
        raise LcbenchError(f"cannot read {path}: Permission denied; check its permissions")


def require_writable(path: Path, size: int = 0, hint: str = "") -> None:
    """Raise the LcbenchError that writing a file of `size` bytes to `path` would raise, before any work for it."""
    with reserved(path, size, hint):
        pass


@contextmanager
def reserved(path: Path, size: int, hint: str = "") -> Iterator[None]:
    """Reserve space for the file `path` in its folder until the end of the context. Missing folders are created.

    Parameters
    ----------
    path
        File that is to be written after the context.
    size
        Number of bytes to reserve.
    hint
        Text appended to the error message.

    Raises
    ------
    LcbenchError
        If the name, the permissions or the space do not allow to write the file.
    """
    with ExitStack() as stack:
        refused = path.parent if path.parent.name else path  # not "."
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            space = stack.enter_context(tempfile.TemporaryFile(buffering=0, dir=path.parent))
            zeros = memoryview(bytes(size))
            while zeros:  # a disk that becomes full takes a part of them
                zeros = zeros[space.write(zeros) :]
            refused = path
            with suppress(FileNotFoundError):  # is_dir() would hide other errors, such as that of a name too long
                if stat.S_ISDIR(path.stat().st_mode):
                    raise LcbenchError(f"cannot write {path}: it is a folder; name a file")
        except OSError as error:
            raise LcbenchError(f"cannot write {refused}: {error.strerror or error}{hint}") from None
        yield


# Atomic writing


@contextmanager
def atomic_write(path: Path, hint: str = "", *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` once the file is complete and on disk.

    Missing parent folders are created. Temporary files that killed processes left in the folder are removed.

    Parameters
    ----------
    path
        Final path.
    hint
        Text appended to the error message.
    replace
        Whether an existing file is replaced. If false, a file that exists at the end is an error.

    Raises
    ------
    LcbenchError
        If the file cannot be written. No temporary file remains, whatever the error.
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
    """Create the hard link `path` to the file. Raise LcbenchError if `path` exists."""
    try:
        os.link(unfinished, path)  # atomic, unlike a test for existence followed by a rename
    except OSError as error:
        if isinstance(error, FileExistsError) or path.exists():
            raise LcbenchError(f"{path} was created by another process and is not replaced: use another name") from None
        unfinished.rename(path)  # the file system has no hard links


LARGEST_TEXT = 1 << 30
"""Largest size in bytes of a file that `read_file` reads. A result of a thousand points has some megabytes."""


def read_file(path: Path, hint: str = "") -> bytes:
    """Return the content of a file of results. Raise LcbenchError if it is no file, cannot be read, or is too large.

    A pipe would block, and a device may have no end. hint: text appended to the error message.
    """
    try:
        facts = path.stat()
        readable = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
        require(readable, f"cannot read {path}: it is a pipe or a device, not a file{hint}")
        require(facts.st_size <= LARGEST_TEXT, f"cannot read {path}: it has {facts.st_size:,} bytes{hint}")
        return path.read_bytes()
    except OSError as error:
        raise LcbenchError(f"cannot read {path}: {error.strerror or error}{hint}") from None


def write_file(path: Path, content: bytes | memoryview | str, hint: str = "") -> None:
    """Replace `path` by `content` atomically. Raise the same errors as `atomic_write`.

    Text is encoded as UTF-8; bytes of file names that are no text are escaped.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with atomic_write(path, hint) as unfinished:
        unfinished.write_bytes(data)


# Temporary files and folders
#
# Their names contain the process id of their owner. A process that is killed cannot remove them, so the next one does.


def temporary_path(path: Path) -> Path:
    """Return a new hidden path in the folder of `path`, of the form ".NAME.NAMESPACE-PID-RANDOM.part".

    Of a long name it has the beginning, since `path` itself may be as long as the file system allows.
    """
    return path.with_name(f".{path.name[:50]}.{_owner()}{secrets.token_hex(4)}.part")


def remove_abandoned_files(parent: Path) -> None:
    """Remove the files in `parent` that `temporary_path` named for processes that no longer exist."""
    _remove_abandoned(parent, r"\..+\.", r"\.part")


def temporary_folder(kind: str, parent: Path | None = None) -> TemporaryDirectory[str]:
    """Return a context manager for a new folder "lcbench-KIND-NAMESPACE-PID-RANDOM".

    The first call of a process also removes the folders of processes that no longer exist.

    Parameters
    ----------
    kind
        Purpose of the folder, in lowercase letters.
    parent
        Parent folder; by default the system's folder for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    _remove_abandoned_folders(parent)
    return TemporaryDirectory(prefix=f"lcbench-{kind}-{_owner()}", dir=parent, ignore_cleanup_errors=True)


def is_abandoned(folder: Path) -> bool:
    """Return whether `temporary_folder` named `folder` for a process of this machine that no longer exists."""
    match = re.fullmatch(f"lcbench-[a-z]+-{_pid_namespace()}-([0-9]+)-[a-z0-9_]{{8}}", folder.name)
    return match is not None and _is_dead(int(match[1]))


@cache
def _remove_abandoned_folders(parent: Path) -> None:
    _remove_abandoned(parent, "lcbench-[a-z]+-", "")


def _remove_abandoned(parent: Path, prefix: str, suffix: str) -> None:
    """Remove files and folders of this user whose names contain the id of a dead process. Ignore errors.

    prefix, suffix: regular expressions of the name before and after the owner and the random part.
    """
    pattern = re.compile(f"{prefix}{_pid_namespace()}-([0-9]+)-[a-z0-9_]{{8}}{suffix}", re.DOTALL)
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if (match := pattern.fullmatch(entry.name)) and _is_dead(int(match[1])) and _is_own(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        Path(entry.path).unlink()


def _owner() -> str:
    return f"{_pid_namespace()}-{os.getpid()}-"


@cache
def _pid_namespace() -> str:
    """Return a hash of the host name and the PID namespace, in which a process id is unique.

    Other hosts and containers may see the same folder.
    """
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        namespace = ""
    return hashlib.blake2b(f"{socket.gethostname()} {namespace}".encode(), digest_size=4).hexdigest()


def _is_dead(pid: int) -> bool:
    import psutil  # a slow import that is rarely needed

    return not psutil.pid_exists(pid)


def _is_own(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Turn an error while temporary files are written to `folder` into an LcbenchError that says how to move them."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "there is too little space"  # NumPy has a text of its own, without a number
        raise LcbenchError(
            f"cannot write temporary files to {folder}: {reason}; TMPDIR can name another folder"
        ) from error
