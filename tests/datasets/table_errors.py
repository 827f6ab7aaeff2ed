"""Errors of tables that cannot be read."""

from pathlib import Path

import pytest

from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError


def table_error(path: Path, **options) -> str:
    """Return the error message without the folder. It names the file, is one line, and gives advice after ; : or (."""
    with pytest.raises(LcbenchError) as caught:
        read_table(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert any(mark in message.removeprefix(str(path)) for mark in ";:(")
    return message.replace(f"{path.parent}/", "")
