"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcbench.errors import LcbenchError


@contextmanager
def replacing(path: Path, hint: str = "") -> Iterator[Path]:
    """Gives a new file's path to write to, which takes the place of `path` once it is complete and on disk.

    Missing folders are made. Raises LcbenchError where it cannot be written, `hint` at the end of its line; then, and
    where the writer raises, nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror or error}{hint}") from None


def write(path: Path, content: bytes | memoryview | str, hint: str = "") -> None:
    """Replaces `path` by `content`, text as UTF-8. Raises as `replacing` does."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, hint) as temporary:
        temporary.write_bytes(data)
