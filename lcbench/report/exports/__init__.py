"""Export of results to the formats of other tools, and of verdicts to those of CI services."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench import files
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    from lcbench.record import Record

FORMATS = {
    "csv": "tables",
    "markdown": "tables",
    "junit": "ci",
    "bencher": "trackers",
    "github-action-benchmark": "trackers",
    "pytest-benchmark": "trackers",
}
"""Formats of a result, and the module of this package that writes each; it is imported when it is used."""


def export(record: Record, form: str) -> str:
    """Return `record` as text in the format `form`, one of `FORMATS`.

    Raise LcbenchError if the format holds nothing but times and the record has none.
    """
    text: str = getattr(import_module(f"{__name__}.{FORMATS[form]}"), form.replace("-", "_"))(record)
    return text


def write(path: Path, text: str) -> None:
    """Write `text` to `path`, completely or not at all; create missing folders.

    A terminal, a pipe or /dev/null is written to, not replaced. Raise LcbenchError if the file cannot be written, or is
    something else than an export (`files.require_replaceable`).
    """
    files.require_replaceable(path)
    if _is_special(path):
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise LcbenchError(f"cannot write {path}: {error.strerror}") from None
    else:
        files.write_file(path.resolve(), text)


def require_writable(path: Path) -> None:
    """Raise LcbenchError if `write` would fail, so that this is known before a measurement."""
    with suppress(OSError):  # of a name that is too long, for example
        if _is_special(path) and not path.is_dir():
            return
        if path.is_symlink():
            path = path.resolve()
        files.require_replaceable(path)
    files.require_writable(path)


def _is_special(path: Path) -> bool:
    """Return whether `path` is a terminal, a pipe, a device or a folder."""
    with suppress(OSError):  # of a name that is too long, for example
        return path.exists() and not path.is_file()
    return False
