"""Writing what was asked for to where it was asked for."""

from __future__ import annotations

import secrets
from pathlib import Path

from lcbench import files
from lcbench.errors import LcbenchError


def write(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all; missing folders are made.

    A terminal, pipe or /dev/null is written to, not replaced. Raises LcbenchError where it cannot be written.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LcbenchError(f"cannot write {path}: {error.strerror}") from None
    else:
        files.write_file(path.resolve(), text)


def require_writable(path: Path) -> None:
    """Raises LcbenchError where `write` could not succeed: to be known before a measurement and not after it."""
    if path.is_dir():
        raise LcbenchError(f"cannot write {path}: it is a folder; name a file")
    if path.exists() and not path.is_file():
        return
    probe = path.resolve().with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LcbenchError(f"cannot write {path}: {error.strerror}") from None
