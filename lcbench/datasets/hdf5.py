"""HDF5 files: opening them for reading, what is refused in them, and writing them.

Every module that reads or writes HDF5 does it through this one. A file may come from anyone and may be damaged: the
library then raises almost any exception, and its text tells the cause only in part. A file may also ask the library to
read other files, which is refused before anything is read.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcbench import files, units
from lcbench.errors import LcbenchError, one_line

if TYPE_CHECKING:
    import h5py

_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, RecursionError)
"""Errors that h5py raises for damaged files."""

_PROBE = """
import sys, h5py
def read(name, item):
    try:
        dict(item.attrs)
        if isinstance(item, h5py.Dataset) and item.dtype.hasobject and not item.is_virtual and not item.external:
            item[()]
    except Exception:
        pass
with h5py.File(sys.argv[1]) as file:
    read("", file)
    file.visititems(read)
"""
"""Program that reads all values of variable length in a file."""

_PROBE_S = 20.0
"""Longest time that `_PROBE` may take, in seconds, for a file with few values."""

_PROBE_S_PER_VALUE = 2e-5

_MAX_REASON = 160
"""Most characters of an error of the library that are shown."""


class DamagedFileError(LcbenchError):
    """File that is no HDF5, is damaged, or lacks what was read. Another file in its place can be read."""


@contextmanager
def open_file(path: Path, advice: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading. All errors of the library within the block become an LcbenchError with one line.

    advice: how to get a good file; it ends the message. Raise DamagedFileError if the content is to blame, and
    LcbenchError if the file is locked, not readable or too large for the memory.
    """
    files.require_regular_file(path)
    import h5py

    try:
        with h5py.File(path) as file:
            if values := _values_of_variable_length(file):
                _probe(path, values, advice, path.stat().st_mtime_ns)
            yield file
    except MemoryError as error:
        raise LcbenchError(f"{path} does not fit in the memory: {one_line(error)}") from error
    except _ERRORS as error:
        raise unreadable(path, error, advice) from error


def _values_of_variable_length(file: h5py.File) -> int:
    """Return the number of texts and lists of variable length in the file, attributes included."""
    import h5py

    values = 0

    def count(_: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal values
        values += sum(_has_variable_length(item.attrs.get_id(name)) for name in item.attrs)
        if isinstance(item, h5py.Dataset) and _has_variable_length(item):
            values += item.size or 0

    count("", file)
    file.visititems(count)
    return values


def _has_variable_length(item: Any) -> bool:
    try:
        return bool(item.dtype.hasobject)
    except TypeError:  # a type that NumPy does not have
        return False


@cache
def _probe(path: Path, values: int, advice: str, changed_ns: int) -> None:
    """Raise DamagedFileError if another process cannot read the values of variable length within a time limit.

    They are in parts of the file that have no checksums. If such a part is damaged, the library may crash, or never
    return, and then no signal stops the process. One damaged file in a few hundred has that effect.
    """
    command = [sys.executable, "-P", "-c", _PROBE, str(path)]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S + _PROBE_S_PER_VALUE * values
        )
    except subprocess.TimeoutExpired:
        raise DamagedFileError(f"{path} is damaged: HDF5 does not come to an end of its texts; {advice}") from None
    if ended.returncode not in (0, 1):  # a signal, or on Windows the code of an exception
        raise DamagedFileError(f"{path} is damaged: HDF5 crashes when it reads its texts; {advice}")


def unreadable(path: Path, error: Exception, advice: str) -> LcbenchError:
    """Return the error for what h5py raised while it opened or read the file."""
    reason = _reason(error)
    if "unable to lock file" in reason:
        what = "another program has it open for writing: close it there"
        if getattr(error, "errno", None) not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
            what = f"the file system has no locks ({_strerror(error)})"
        return LcbenchError(f"{path} is locked: {what}, or set HDF5_USE_FILE_LOCKING=FALSE to read it without a lock")
    if "already open for" in reason:
        return LcbenchError(
            f"{path} is open for writing in another program: close it there; if none has it open, the one that wrote "
            f"it was killed: write it again, or try 'h5clear -s {path}' of the HDF5 tools"
        )
    if isinstance(error, OSError) and error.errno:
        return LcbenchError(f"cannot read {path}: {_strerror(error)}")
    if "signature not found" in reason:
        return DamagedFileError(f"{path} is not an HDF5 file; {advice}")
    return DamagedFileError(f"{path} is damaged: {reason}; {advice}")


def _strerror(error: Exception) -> str:
    return os.strerror(getattr(error, "errno", 0) or 0)


def _reason(error: Exception) -> str:
    """Return an error of the library in one printable line, without the text that h5py puts before it."""
    text = one_line(error)
    match = re.search(r"\((.*)\)", text)
    text = match[1] if match and text.startswith(("Unable to", "Can't", "[Errno", '"Unable', "'Unable")) else text
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON - 1]}…"


def require_own_data(path: Path, dataset: h5py.Dataset) -> None:
    """Raise LcbenchError if the values of a dataset are not in the file `path` itself.

    The values of virtual datasets and of external storage are in files that the file names. The library would read
    those, whatever they are; a virtual dataset that maps to itself ends the process.
    """
    name = dataset.name.removeprefix("/")
    if dataset.is_virtual:
        what = "is a virtual dataset, whose values are in other datasets"
    elif dataset.external:
        what = "has its values in another file (external storage)"
    elif Path(dataset.file.filename) != path:
        what = "is an external link to another file"
    else:
        return
    raise LcbenchError(f"{path}: {name} {what}, which is not read; copy the values into the file (h5repack, or h5py)")


def require_only_own_data(path: Path, file: h5py.File) -> None:
    """Raise LcbenchError unless all values of an open file are in it: for files as only lcbench writes them."""
    import h5py

    datasets, links = [], []  # an exception must not pass through the library
    file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
    file.visititems_links(lambda name, link: links.append(name) if isinstance(link, h5py.ExternalLink) else None)
    for dataset in datasets:
        require_own_data(path, dataset)
    if links:
        raise LcbenchError(f"{path}: {links[0]} is an external link to another file, which is not read")


# Text of fixed length, which is beside its attribute or dataset and has its checksum


def attributes(item: h5py.Group) -> dict[str, Any]:
    """Return the attributes of a group or a file, text as str; without those of types that NumPy does not have."""
    found = {}
    for name in item.attrs:
        with suppress(TypeError):
            value = item.attrs[name]
            found[name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return found


def set_attributes(item: h5py.Group, values: Mapping[str, Any]) -> None:
    """Set attributes of a group or a file, text with a fixed length."""
    item.attrs.update({name: fixed_text(value) if isinstance(value, str) else value for name, value in values.items()})


def fixed_text(values: str | Sequence[str]) -> NDArray[Any]:
    """Return text for an attribute or a dataset: an array of no axes for a single one, (n,) for a sequence."""
    import h5py

    encoded = values.encode() if isinstance(values, str) else [value.encode() for value in values]
    size = max([len(encoded)] if isinstance(encoded, bytes) else map(len, encoded), default=1)
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, size)))


# Writing


@contextmanager
def write_file(path: Path, hint: str = "", *, replace: bool = True, **options: Any) -> Iterator[tuple[h5py.File, Path]]:
    """Yield a new HDF5 file, and the temporary path at which it is written; it becomes `path` once it is complete.

    The file may be closed within the block, and the temporary path changed after that. hint, replace: as for
    `files.atomic_write`. options: of ``h5py.File``. Raise LcbenchError if the file cannot be written.
    """
    import h5py

    with files.atomic_write(path, hint, replace=replace) as temporary:
        with _PatientFile(temporary, "w+") as disk:
            try:
                with h5py.File(disk, "w", **options) as file:
                    yield file, temporary
            except _ERRORS:
                if disk.error is None:
                    raise
        if disk.error is not None:
            raise disk.error


def allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Create a contiguous dataset whose values are not written, and return their offset in the file, in bytes."""
    import h5py

    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space, stored = h5py.h5s.create_simple(shape), h5py.h5t.py_create(dtype)
    offset: int = h5py.h5d.create(file.id, name.encode(), stored, space, layout).get_offset()
    return offset


class _PatientFile(FileIO):
    """File that seems to accept every write. `error`: the first error of the operating system, which was kept.

    The library ends the process if it cannot write a file that it has to close.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or keep the error."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                count = super().write(left)
            except OSError as error:
                self.error = error
            else:
                left = left[count:]
        return size

    def truncate(self, size: int | None = None) -> int:
        """Change the size of the file, or keep the error."""
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0


def require_space(path: Path, size: int, hint: str = "") -> None:
    """Raise LcbenchError if a file of `size` bytes would not fit on the disk, or is larger than the shell's limit.

    hint: what can be done about it; it ends the message.
    """
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    limit = _largest_file()
    if size > limit:
        raise LcbenchError(
            f"{path} would take {units.size(size)}, and files may have {units.size(limit)} here: raise the limit "
            f"(ulimit -f){hint}"
        )
    if size > free:
        raise LcbenchError(f"{path} would take {units.size(size)}, and {units.size(free)} are free there{hint}")


def _largest_file() -> int:
    """Return the largest size of a file, in bytes, that the operating system lets this process write."""
    try:
        import resource
    except ImportError:  # Windows
        return 2**63 - 1
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return 2**63 - 1 if limit == resource.RLIM_INFINITY else limit
