"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcbench import temporary
from lcbench.errors import LcbenchError


@contextmanager
def replacing(path: Path, hint: str = "", *, replace: bool = True) -> Iterator[Path]:
    """Gives a new file's path to write to, which takes the place of `path` once it is complete and on disk.

    Missing folders are made. replace: False leaves what is at `path` by then, whoever wrote it. Raises LcbenchError
    where it cannot be written, `hint` at the end of its line; then, and where the writer raises, nothing is left
    behind. What a killed process has left in the folder is removed.
    """
    unfinished = temporary.beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.remove_abandoned_files(path.parent)
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


def write(path: Path, content: bytes | memoryview | str, hint: str = "") -> None:
    """Replaces `path` by `content`, text as UTF-8. Raises as `replacing` does."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, hint) as unfinished:
        unfinished.write_bytes(data)


def require_folder(path: Path) -> None:
    """Raises LcbenchError where the folder of `path`, a file that a user named, is missing: it may be misspelt."""
    if not path.absolute().parent.is_dir():
        raise LcbenchError(f"cannot write {path}: no folder {path.parent}; create it first")
