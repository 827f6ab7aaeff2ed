"""A table that becomes a list where the terminal is too narrow for it: nothing is ever cut off."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

INDENT = 2
BETWEEN_COLUMNS = 2
"""Columns of the terminal, of which rich keeps so many free."""


class FoldingTable(Table):
    """A table of text, whose rows become paragraphs where its columns do not fit beside each other.

    Each paragraph begins with the row's first cell; the others stand below it, behind their headings.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table where it fits, otherwise the list."""
        room = options.max_width - BETWEEN_COLUMNS * (len(self.columns) - 1)
        sizes = [_size(column, console, options) for column in self.columns]
        if self.title:
            yield Text(str(self.title), style="bold")  # as wide as the terminal, where rich's own is as the table
        if sum(size.minimum for size in sizes) > room:
            yield from self._paragraphs()
            return
        fitted = copy(self)
        fitted.title = None
        # rich, left to itself, takes of columns that cannot give
        fitted.columns = [
            replace(column, width=width) for column, width in zip(self.columns, _widths(sizes, room), strict=True)
        ]
        yield from super(FoldingTable, fitted).__rich_console__(console, options)

    def _paragraphs(self) -> RenderResult:
        first, *others = ([*column.cells] for column in self.columns)
        headings = [str(column.header) for column in self.columns[1:]]
        for row, head in enumerate(first):
            yield _folding(head)
            paragraph = Table.grid(Column(no_wrap=not self.show_header), Column(overflow="fold"), padding=(0, 1, 0, 0))
            for heading, cells in zip(headings, others, strict=True):
                if self.show_header:
                    paragraph.add_row(heading, _folding(cells[row]))
                else:
                    paragraph.add_row(_folding(cells[row]), "")
            yield Padding(paragraph, (0, 0, 0, INDENT))


def _folding(cell: RenderableType) -> RenderableType:
    """A cell of which nothing is cut off, even where one word is longer than the line."""
    if isinstance(cell, str):
        return Text(cell, overflow="fold")
    if isinstance(cell, Text):
        cell = cell.copy()
        cell.overflow, cell.no_wrap = "fold", False
    return cell


def _size(column: Column, console: Console, options: ConsoleOptions) -> Measurement:
    """Columns of the terminal that a column has use for; below the minimum, something would be cut off."""
    unlimited = options.update(width=10_000)
    sizes = [Measurement.get(console, unlimited, cell) for cell in (column.header, *column.cells)]
    widest = max(size.maximum for size in sizes)
    if column.no_wrap:
        return Measurement(widest, widest)
    if column.overflow == "fold":
        return Measurement(min(column.min_width or 1, widest), widest)
    return Measurement(max(size.minimum for size in sizes), widest)


def _widths(sizes: list[Measurement], room: int) -> list[int]:
    """A width for each column: what it has use for, or where that is too much in all, shares of what there is."""
    spare = room - sum(size.minimum for size in sizes)
    wanted = sum(size.span for size in sizes)
    share = min(1.0, spare / wanted) if wanted else 0.0
    return [size.minimum + int(share * size.span) for size in sizes]
