"""What a user is told about a table that cannot be read."""

from pathlib import Path

import pytest

from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError


def refusal(path: Path, **options) -> str:
    """The line without the folder of the file. It names the file, is one, and says after ; : or ( what to do."""
    with pytest.raises(LcbenchError) as caught:
        read_table(path, **options)
    said = str(caught.value)
    assert str(path) in said
    assert said.isprintable()
    assert any(mark in said.removeprefix(str(path)) for mark in ";:(")
    return said.replace(f"{path.parent}/", "")
