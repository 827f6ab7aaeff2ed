"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lcbench.errors import LcbenchError


def write(path: Path, content: bytes | memoryview | str, hint: str = "") -> None:
    """Replaces `path` by `content` (text as UTF-8) once that is complete and on disk; missing folders are made.

    Raises LcbenchError where it cannot be written, `hint` at the end of its line; then nothing is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror or error}{hint}") from None
