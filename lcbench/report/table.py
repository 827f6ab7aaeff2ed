"""A table, described once: its columns say what they show of a row. Printers for a terminal, HTML, Markdown and CSV.

The HTML is written by the page's template, from `Table.columns` and `Table.lines`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from math import isfinite
from operator import attrgetter
from typing import Any, Literal

from rich import box, table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from lcbench.report import style

INDENT = 2
BETWEEN_COLUMNS = 2
"""Columns of the terminal, of which rich keeps so many free."""

Mood = Literal["", "good", "open", "bad", "best"]

STYLES: dict[Mood, str] = {"": "", "good": "", "open": "yellow", "bad": "bold red", "best": "bold green"}
"""Of a cell in a terminal."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_SPECIAL = re.compile(r"[\\`*<>|~$&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""What would be taken for markup. An underscore within a word is none, and stays readable as it is."""


@dataclass(frozen=True)
class Kind:
    """How the values of a column are written, and where a terminal may break them; numbers stand right.

    least: characters of the terminal below which a value that may be broken anywhere is not.
    """

    write: Callable[[Any], str]
    number: bool = False
    breaks: Literal["at spaces", "anywhere", "never"] = "never"
    least: int = 1


def _words(value: str | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else style.count(value)


def _ratio(decimals: int) -> Kind:
    def write(ratio: tuple[float, float, float] | None) -> str:
        return style.within(*ratio, decimals) if ratio else style.MISSING

    return Kind(write, number=True)


WORDS = Kind(_words, breaks="at spaces")
WORD = Kind(_words)
NAME = Kind(_words, breaks="anywhere", least=14)
NUMBER = Kind(_words, number=True)
PLAIN = Kind(lambda value: style.MISSING if value is None else str(value), number=True)
SECONDS = Kind(style.seconds, number=True)
BILLIONS = Kind(style.billions, number=True)
INTERVAL = Kind(lambda ends: style.between(*ends) if ends else style.MISSING, number=True)
SPREAD = Kind("{:.1%}".format, number=True)
PERCENT = Kind(style.percent, number=True)
SHARE = Kind(style.share, number=True)
SCIENTIFIC = Kind(style.scientific, number=True)
SIZE = Kind(style.size, number=True)
RATIO, FINE_RATIO = _ratio(2), _ratio(3)


@dataclass(frozen=True)
class Cell:
    """A text and the value by which the page sorts it; None comes last either way. mood: how the text is coloured."""

    text: str
    value: float | str | None = None
    mood: Mood = ""


@dataclass(frozen=True)
class Column:
    """A heading, and what it shows of a row: an attribute or key by name, or what a function returns.

    A `Cell` is shown as it stands. meaning: what the page says of the heading. first: which end of the values the first
    click brings to the top. detail: there is room for it on the page only.
    """

    heading: str
    of: str | Callable[[Any], Any]
    kind: Kind = WORDS
    meaning: str = ""
    first: Literal["ascending", "descending"] = "ascending"
    detail: bool = False

    def value(self, row: Any) -> Any:
        """What the column shows of a row, before it is written."""
        if callable(self.of):
            return self.of(row)
        return row.get(self.of) if isinstance(row, dict) else attrgetter(self.of)(row)

    def cell(self, row: Any) -> Cell:
        """What the column shows of a row."""
        value = self.value(row)
        if isinstance(value, Cell):
            return value
        text = self.kind.write(value)
        key = value[0] if isinstance(value, tuple) else text.casefold() if isinstance(value, str | bool) else value
        return Cell(text, None if isinstance(key, float) and not isfinite(key) else key)


@dataclass
class Line:
    """One line of a table.

    row: the name on the page of the record's row that it is of. words: what the page's filter finds it by, beside its
    cells. instead: a sentence in the place of all cells but the first, of a row without numbers; it stays last.
    """

    cells: list[Cell]
    row: str = ""
    words: str = ""
    instead: Cell | None = None


class Table:
    """A title, columns (None is left out) and rows. A narrow terminal shows it as a list: nothing is ever cut off.

    sorted_by: the column by which the rows are in order. instead: for a row without numbers the `Cell` that the page
    shows behind the first `leading` columns, otherwise None.
    """

    def __init__(
        self,
        title: str,
        rows: Iterable[Any],
        *columns: Column | None,
        header: bool = True,
        sorted_by: int | None = None,
        leading: int = 1,
        instead: Callable[[Any], Cell | None] = lambda row: None,
    ) -> None:
        self.title, self.rows, self.header, self.sorted_by = title, [*rows], header, sorted_by
        self.columns = [column for column in columns if column]
        self._leading, self._instead = leading, instead

    @cached_property
    def lines(self) -> list[Line]:
        """The rows as they are written."""
        lines = []
        for row in self.rows:
            instead = self._instead(row)
            columns = self.columns[: self._leading] if instead else self.columns
            lines.append(Line([column.cell(row) for column in columns], instead=instead))
        return lines

    def csv(self) -> str:
        """Comma-separated values: numbers as they are, not as they are written elsewhere."""
        file = StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.heading for column in self.columns)
        writer.writerows([column.value(row) for column in self.columns] for row in self.rows)
        return file.getvalue()

    def markdown(self) -> str:
        """The table as GitHub and GitLab render it; what is not as it should be is bold."""
        shown = self._shown()
        lines = [
            [escaped(column.heading) for column, _ in shown],
            ["---:" if column.kind.number else "---" for column, _ in shown],
            *zip(*([_bold(cell) for cell in cells] for _, cells in shown), strict=True),
        ]
        title = f"### {escaped(self.title)}\n\n" if self.title else ""
        return title + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _shown(self) -> list[tuple[Column, list[Cell]]]:
        """The columns for which there is room in a terminal, with their cells."""
        return [
            (column, [line.cells[place] for line in self.lines])
            for place, column in enumerate(self.columns)
            if not column.detail
        ]

    @property
    def narrowest(self) -> int:
        """Characters of a terminal in which it is a table and not a list."""
        sizes = [_size(*shown) for shown in self._shown()]
        return sum(least for least, _ in sizes) + BETWEEN_COLUMNS * (len(sizes) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table where it fits, otherwise the list."""
        if self.title:
            yield Text(self.title, style="bold")  # as wide as the terminal, where rich's own is as the table
        shown = self._shown()
        if self.narrowest > options.max_width:
            yield from self._paragraphs(shown)
            return
        fitted = table.Table(
            show_header=self.header, header_style="", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
            show_edge=False,
        )  # fmt: skip
        # rich, left to itself, takes of columns that cannot give
        widths = _widths([_size(*one) for one in shown], options.max_width - BETWEEN_COLUMNS * (len(shown) - 1))
        for (column, _), width in zip(shown, widths, strict=True):
            fitted.add_column(
                column.heading,
                width=width,
                justify="right" if column.kind.number else "left",
                no_wrap=column.kind.breaks == "never",
                overflow="fold" if column.kind.breaks == "anywhere" else "ellipsis",
            )
        for cells in zip(*(cells for _, cells in shown), strict=True):
            fitted.add_row(*(Text(cell.text, STYLES[cell.mood]) for cell in cells))
        yield fitted

    def _paragraphs(self, shown: list[tuple[Column, list[Cell]]]) -> RenderResult:
        """Each begins with the row's first cell; the others stand below it, behind their headings."""
        for cells in zip(*(cells for _, cells in shown), strict=True):
            first, *others = (Text(cell.text, STYLES[cell.mood], overflow="fold") for cell in cells)
            yield first
            paragraph = table.Table.grid(
                table.Column(no_wrap=not self.header), table.Column(overflow="fold"), padding=(0, 1, 0, 0)
            )
            for (column, _), cell in zip(shown[1:], others, strict=True):
                paragraph.add_row(*((column.heading, cell) if self.header else (cell, "")))
            yield Padding(paragraph, (0, 0, 0, INDENT))


def pairs(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values without a header."""
    value = Kind(str, breaks="anywhere", least=20)
    return Table(
        title, rows, Column("name", lambda row: row[0], WORD), Column("value", lambda row: row[1], value), header=False
    )


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _bold(cell: Cell) -> str:
    text = escaped(cell.text)
    return f"**{text}**" if cell.mood in ("open", "bad") else text


def _size(column: Column, cells: list[Cell]) -> tuple[int, int]:
    """Characters of the terminal below which something of a column would be cut off, and for which it has use."""
    texts = [column.heading, *(cell.text for cell in cells)]
    widest = max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    match column.kind.breaks:
        case "never":
            return widest, widest
        case "anywhere":
            return min(column.kind.least, widest), widest
        case "at spaces":
            return max((cell_len(word) for text in texts for word in text.split()), default=0), widest


def _widths(sizes: list[tuple[int, int]], room: int) -> list[int]:
    """A width for each column: what it has use for, or where that is too much in all, shares of what there is."""
    spare = room - sum(least for least, _ in sizes)
    wanted = sum(most - least for least, most in sizes)
    share = min(1.0, spare / wanted) if wanted else 0.0
    return [least + int(share * (most - least)) for least, most in sizes]
