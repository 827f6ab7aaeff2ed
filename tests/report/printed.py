"""What a terminal of 80 columns shows."""

from __future__ import annotations

from io import StringIO

from rich.console import Console


def printed(tables, width=80):
    """The lines, without the spaces that fill them up; none is longer than the terminal is wide."""
    file = StringIO()
    console = Console(width=width, file=file, markup=False, highlight=False, emoji=False)
    for table in tables:
        console.print(table)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines), default=0) <= width
    return [line.rstrip() for line in lines]
