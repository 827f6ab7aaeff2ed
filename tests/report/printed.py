"""Lines that a terminal of 80 columns shows."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

NARROW = (60, 40)
"""Widths of narrow terminals, in which nothing may be cut off either."""


def printed(tables, width=80):
    """Return the printed lines without trailing spaces.

    Checks that no line is longer than the terminal is wide, and that nothing is cut off in this or a narrower terminal.
    """
    tables = list(tables)
    cut_by_ourselves = _cut_off(_lines(tables, 1000))
    for columns in (width, *NARROW):
        assert _cut_off(_lines(tables, columns)) == cut_by_ourselves, f"something is cut off at {columns} columns"
    return _lines(tables, width)


def _cut_off(lines):
    return sum(line.count("…") for line in lines)


def _lines(tables, width):
    file = StringIO()
    console = Console(width=width, file=file, markup=False, highlight=False, emoji=False)
    for table in tables:
        console.print(table)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines), default=0) <= width
    return [line.rstrip() for line in lines]
