"""Table model, and its printers for a terminal, Markdown and CSV.

The page's template writes the HTML, from `Table.columns` and `Table.lines`.
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

from lcbench.report import formatting
from lcbench.report.style import STYLES, Mood

INDENT = 2
"""Spaces before the lines of a row that is printed as a list."""
BETWEEN_COLUMNS = 2
"""Spaces between columns in a terminal, as rich prints them."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_SPECIAL = re.compile(r"[\\`*<>|~$&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown would take for markup. An underscore inside a word is not markup, and is not escaped."""


@dataclass(frozen=True)
class Kind:
    """Kind of a column: how its values are written, and where a terminal may break them. Numbers are right-aligned.

    least: minimum width, in characters, of a column that may be broken anywhere.
    """

    write: Callable[[Any], str]
    number: bool = False
    breaks: Literal["at spaces", "anywhere", "never"] = "never"
    least: int = 1


def _words(value: str | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else formatting.count(value)


def _ratio(decimals: int) -> Kind:
    def write(ratio: tuple[float, float, float] | None) -> str:
        return formatting.ratio_with_interval(*ratio, decimals) if ratio else formatting.MISSING

    return Kind(write, number=True)


WORDS = Kind(_words, breaks="at spaces")
WORD = Kind(_words)
NAME = Kind(_words, breaks="anywhere", least=14)
NUMBER = Kind(_words, number=True)
PLAIN = Kind(lambda value: formatting.MISSING if value is None else str(value), number=True)
SECONDS = Kind(formatting.seconds, number=True)
BILLIONS = Kind(formatting.billions, number=True)
INTERVAL = Kind(lambda ends: formatting.time_interval(*ends) if ends else formatting.MISSING, number=True)
SPREAD = Kind("{:.1%}".format, number=True)
PERCENT = Kind(formatting.percent, number=True)
SHARE = Kind(formatting.share, number=True)
SCIENTIFIC = Kind(formatting.scientific, number=True)
SIZE = Kind(formatting.size, number=True)
RATIO, FINE_RATIO = _ratio(2), _ratio(3)


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and the value by which the page sorts it; None is sorted last in both directions.

    mood: selects the colour of the text.
    """

    text: str
    value: float | str | None = None
    mood: Mood = ""


@dataclass(frozen=True)
class Column:
    """Column of a table: its heading, and the attribute, the key or the function that gives its value for a row.

    If the value is a `Cell`, it is shown as it is. meaning: tooltip of the heading on the page. first: order after the
    first click on the heading. detail: the column is shown on the page only.
    """

    heading: str
    source: str | Callable[[Any], Any]
    kind: Kind = WORDS
    meaning: str = ""
    first: Literal["ascending", "descending"] = "ascending"
    detail: bool = False

    def value(self, row: Any) -> Any:
        """Return the value of the column for a row, before it is formatted."""
        if callable(self.source):
            return self.source(row)
        return row.get(self.source) if isinstance(row, dict) else attrgetter(self.source)(row)

    def cell(self, row: Any) -> Cell:
        """Return the cell of the column for a row."""
        value = self.value(row)
        if isinstance(value, Cell):
            return value
        text = self.kind.write(value)
        key = value[0] if isinstance(value, tuple) else text.casefold() if isinstance(value, str | bool) else value
        return Cell(text, None if isinstance(key, float) and not isfinite(key) else key)


@dataclass
class Line:
    """Line of a table.

    row: name of the record's row on the page. words: further words by which the page's filter finds the line. instead:
    for a row without numbers, the sentence in place of all cells but the first; the page keeps such a line last.
    """

    cells: list[Cell]
    row: str = ""
    words: str = ""
    instead: Cell | None = None


class Table:
    """Title, columns (None is skipped) and rows.

    A terminal that is too narrow for the table shows a list, so that nothing is cut off.

    sorted_by: index of the column by which the rows are sorted. instead: returns, for a row without numbers, the `Cell`
    that the page shows after the first `leading` columns, and None for other rows.
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
        """Lines of the table with their formatted cells."""
        lines = []
        for row in self.rows:
            instead = self._instead(row)
            columns = self.columns[: self._leading] if instead else self.columns
            lines.append(Line([column.cell(row) for column in columns], instead=instead))
        return lines

    def csv(self) -> str:
        """Return comma-separated values. Numbers are not rounded."""
        file = StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.heading for column in self.columns)
        writer.writerows([column.value(row) for column in self.columns] for row in self.rows)
        return file.getvalue()

    def markdown(self) -> str:
        """Return the table in the Markdown of GitHub and GitLab. Cells that need attention are bold."""
        shown = self._shown()
        lines = [
            [escaped(column.heading) for column, _ in shown],
            ["---:" if column.kind.number else "---" for column, _ in shown],
            *zip(*([_bold(cell) for cell in cells] for _, cells in shown), strict=True),
        ]
        title = f"### {escaped(self.title)}\n\n" if self.title else ""
        return title + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _shown(self) -> list[tuple[Column, list[Cell]]]:
        """Return the columns that a terminal shows, with their cells."""
        return [
            (column, [line.cells[place] for line in self.lines])
            for place, column in enumerate(self.columns)
            if not column.detail
        ]

    @property
    def narrowest(self) -> int:
        """Minimum width of a terminal, in characters, in which the rows are printed as a table and not as a list."""
        sizes = [_size(*shown) for shown in self._shown()]
        return sum(least for least, _ in sizes) + BETWEEN_COLUMNS * (len(sizes) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table if it fits, otherwise the list."""
        if self.title:
            yield Text(self.title, style="bold")  # a title of rich's table would be broken at the width of the table
        shown = self._shown()
        if self.narrowest > options.max_width:
            yield from self._paragraphs(shown)
            return
        fitted = table.Table(
            show_header=self.header, header_style="", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
            show_edge=False,
        )  # fmt: skip
        # rich by itself would also narrow columns whose text cannot be broken
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
        """Yield a paragraph for each row: its first cell, and below it the other cells, each after its heading."""
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
    """Return a table of names and values without a header."""
    value = Kind(str, breaks="anywhere", least=20)
    return Table(
        title, rows, Column("name", lambda row: row[0], WORD), Column("value", lambda row: row[1], value), header=False
    )


def escaped(text: str) -> str:
    """Return the text as one line in which Markdown finds no markup."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _bold(cell: Cell) -> str:
    text = escaped(cell.text)
    return f"**{text}**" if cell.mood in ("open", "bad") else text


def _size(column: Column, cells: list[Cell]) -> tuple[int, int]:
    """Return the minimum width of a column, in characters, at which nothing is cut off, and the width it would use."""
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
    """Return the width of each column: the widths they need, or if those exceed `room`, shares of the room."""
    spare = room - sum(least for least, _ in sizes)
    wanted = sum(most - least for least, most in sizes)
    share = min(1.0, spare / wanted) if wanted else 0.0
    return [least + int(share * (most - least)) for least, most in sizes]
