"""Table model, and its printers for a terminal, Markdown and CSV.

The page's template writes the HTML, from `Table.columns` and `Table.lines`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from itertools import pairwise
from math import isfinite
from operator import attrgetter
from typing import Any, Literal

from rich import box, table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from lcbench.errors import LcbenchError, printable
from lcbench.losses.implementation import did_you_mean
from lcbench.report import formatting
from lcbench.report.style import STYLES, Mood

INDENT = 2
"""Spaces before the lines of a row that is printed as a list."""
BETWEEN_COLUMNS = 2
"""Spaces between columns in a terminal, as rich prints them."""


LATE = 10
"""Value of `Column.leaves` from which names are broken before the column leaves the table."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

HEIGHTS = "▁▂▃▄▅▆▇█"
"""Characters of a curve that is drawn in a cell, from the lowest to the highest."""

_DIGITS = str.maketrans(HEIGHTS, "12345678")

_SPECIAL = re.compile(r"[\\`*<>|~$&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown would take for markup. An underscore inside a word is not markup, and is not escaped."""


@dataclass(frozen=True)
class Kind:
    """Kind of a column: how its values are written, and where a terminal may break them. Numbers are right-aligned.

    least: minimum width, in characters, of a column that may be broken anywhere. functions: values may be functions of
    users' files; a terminal that is too narrow shows them without their file, if all are of the same one.
    """

    write: Callable[[Any], str]
    number: bool = False
    breaks: Literal["at spaces", "anywhere", "never"] = "never"
    least: int = 1
    functions: bool = False


def _words(value: str | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value, lines=True) if isinstance(value, str) else formatting.count(value)


def _ratio(decimals: int) -> Kind:
    def write(ratio: tuple[float, float, float] | None) -> str:
        return formatting.ratio_with_interval(*ratio, decimals) if ratio else formatting.MISSING

    return Kind(write, number=True)


WORDS = Kind(_words, breaks="at spaces")
WORD = Kind(_words)
NAME = Kind(_words, breaks="anywhere", least=14, functions=True)
NUMBER = Kind(_words, number=True)
PLAIN = Kind(lambda value: formatting.MISSING if value is None else str(value), number=True)
SECONDS = Kind(formatting.seconds, number=True)
BILLIONS = Kind(formatting.billions, number=True)
INTERVAL = Kind(lambda ends: formatting.time_interval(*ends) if ends else formatting.MISSING, number=True)
SPREAD = Kind(formatting.percent, number=True)
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
    first click on the heading. detail: the column is shown on the page only. on_request: it is shown only where a user
    asks for it. leaves: order in which columns leave a table that is too wide for a terminal, from 1; from `LATE`, only
    if breaking the names is not enough. 0: it stays.
    """

    heading: str
    source: str | Callable[[Any], Any]
    kind: Kind = WORDS
    meaning: str = ""
    first: Literal["ascending", "descending"] = "ascending"
    detail: bool = False
    on_request: bool = False
    leaves: int = 0

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


@dataclass(frozen=True)
class Arrangement:
    """Columns of a table and the order of its rows, as a user asks for them.

    columns: headings, or their beginnings, in the requested order; empty for the columns of the table. sort: heading by
    which the rows are sorted, in the order of the page's first click; with a leading "-", in the opposite order.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""

    def require_known(self, columns: Iterable[Column]) -> None:
        """Raise LcbenchError if a requested heading is that of none of the columns, or of several."""
        known = [*columns]
        for name in [*self.columns, *filter(None, [self.sort.removeprefix("-")])]:
            _find(known, name)


AS_IS = Arrangement()
"""All columns that fit, in the order of the table."""


def _find(columns: Sequence[Column], name: str) -> int:
    """Return the index of the column whose heading is `name` or begins with it; only letters and digits count."""
    headings = [_letters(column.heading) for column in columns]
    wanted = _letters(name)
    found = [place for place, heading in enumerate(headings) if heading == wanted]
    found = found or [place for place, heading in enumerate(headings) if wanted and heading.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = [column.heading for column in columns if column.heading]
    hint = did_you_mean(name, shown, f"the columns are {', '.join(shown)}")
    raise LcbenchError(f"no column '{name}': {hint}" if not found else f"'{name}' is the beginning of several columns")


def _letters(heading: str) -> str:
    return "".join(filter(str.isalnum, heading.casefold()))


_Shown = list[tuple[Column, list[Cell]]]
"""Columns of a table with their cells."""


class Table:
    """Title, columns (None is skipped) and rows.

    In a terminal that is too narrow, first the names of functions lose the file that they have in common, then columns
    leave the table in the order of `Column.leaves`; before the late ones do, names are broken. If that is not enough,
    the terminal shows groups of columns, each with the first `repeated` ones, or if that is 0, a list. Nothing is cut
    off.

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
        repeated: int = 0,
        instead: Callable[[Any], Cell | None] = lambda row: None,
    ) -> None:
        self.title, self.rows, self.header, self.sorted_by = title, [*rows], header, sorted_by
        self._known = [column for column in columns if column]
        self.columns = [column for column in self._known if not column.on_request]
        self._leading, self._repeated, self._instead = leading, repeated, instead

    def arranged(self, arrangement: Arrangement) -> Table:
        """Return the table with the requested columns and order of rows. The first column always stays.

        Requested columns that the table does not have are left out. Rows without a value come last.
        """
        wanted, rows = self.columns, self.rows
        if arrangement.columns:
            places = dict.fromkeys([0, *self._places(arrangement.columns)])
            wanted = [replace(self._known[place], detail=False, on_request=False, leaves=0) for place in places]
        for place in self._places([arrangement.sort.removeprefix("-")] if arrangement.sort else []):
            column = self._known[place]
            cells = [(column.cell(row).value, row) for row in rows]
            known = [(value, row) for value, row in cells if value is not None]
            falls = (column.first == "descending") != arrangement.sort.startswith("-")
            known.sort(key=lambda pair: pair[0], reverse=falls)
            rows = [row for _, row in known] + [row for value, row in cells if value is None]
        return Table(
            self.title, rows, *wanted, header=self.header, leading=self._leading, repeated=self._repeated,
            instead=self._instead,
        )  # fmt: skip

    def _places(self, names: Iterable[str]) -> Iterator[int]:
        """Yield the indices of the columns with these headings, without those that the table does not have."""
        for name in names:
            try:
                yield _find(self._known, name)
            except LcbenchError:
                continue

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
        """Return comma-separated values. Numbers are not rounded.

        Text that a spreadsheet would compute as a formula has an apostrophe before it, as spreadsheets mark text.
        """
        file = StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.heading for column in self.columns)
        writer.writerows([_as_text(column.value(row)) for column in self.columns] for row in self.rows)
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

    def _shown(self, encoding: str = "utf-8") -> list[tuple[Column, list[Cell]]]:
        """Return the columns that a terminal shows, with their cells in characters of its encoding."""
        return [
            (
                column,
                [
                    replace(cell, text=encodable(cell.text, encoding))
                    for cell in (line.cells[place] for line in self.lines)
                ],
            )
            for place, column in enumerate(self.columns)
            if not column.detail
        ]

    @property
    def narrowest(self) -> int:
        """Minimum width of a terminal, in characters, in which the rows are printed as a table and not as a list."""
        return _least_width([shown for shown in self._shown() if not shown[0].leaves])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table if it fits, otherwise groups of its columns, or a list."""
        if self.title:
            # a title of rich's table would be broken at the width of the table
            yield Text(encodable(self.title, options.encoding), style="bold")
        whole, width = self._shown(options.encoding), options.max_width
        shown, file = whole, ""
        if sum(most for _, most in _sizes(shown)) + _gaps(shown) > width:
            shown, file = _without_file(shown)
        for column in sorted((column for column, _ in shown if column.leaves), key=lambda column: column.leaves):
            if _least_width(shown, names_broken=column.leaves >= LATE) > width:
                shown = [one for one in shown if one[0] is not column]
        groups = [shown]
        if _least_width(shown) > width:
            groups = _groups(whole, self._repeated, width) if self._repeated else []
            shown, file = whole, ""
        if file:
            yield Text(f"functions of {file}", style="dim", overflow="fold")
        for number, group in enumerate(groups):
            if number:
                yield Text()
            yield self._fitted(group, width)
        if not groups:
            yield from self._paragraphs(whole)
        elif left_out := [column.heading for column, _ in whole if all(column is not one for one, _ in shown)]:
            yield Text(f"no room for {', '.join(left_out)}", style="dim")

    def _fitted(self, shown: _Shown, width: int) -> table.Table:
        """Return the columns as a table of at most this width."""
        fitted = table.Table(
            show_header=self.header, header_style="", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
            show_edge=False,
        )  # fmt: skip
        # rich by itself would also narrow columns whose text cannot be broken
        names_broken = _least_width(shown, names_broken=False) > width
        widths = _widths(_sizes(shown, names_broken), width - _gaps(shown))
        for (column, _), each in zip(shown, widths, strict=True):
            fitted.add_column(
                _broken(column.heading, each) if column.kind.breaks == "anywhere" else column.heading,
                width=each,
                justify="right" if column.kind.number else "left",
                no_wrap=column.kind.breaks == "never",
                overflow="fold" if column.kind.breaks == "anywhere" else "ellipsis",
            )
        for cells in zip(*(cells for _, cells in shown), strict=True):
            texts = [
                _broken(cell.text, each) if column.kind.breaks == "anywhere" else cell.text
                for (column, _), cell, each in zip(shown, cells, widths, strict=True)
            ]
            fitted.add_row(*(Text(text, STYLES[cell.mood]) for text, cell in zip(texts, cells, strict=True)))
        return fitted

    def _paragraphs(self, shown: _Shown) -> RenderResult:
        """Yield a paragraph for each row: its first cell, and below it the other cells, each after its heading."""
        for cells in zip(*(cells for _, cells in shown), strict=True):
            first, *others = (Text(cell.text, STYLES[cell.mood], overflow="fold") for cell in cells)
            yield first
            paragraph = table.Table.grid(
                table.Column(no_wrap=not self.header, overflow="fold"),
                table.Column(overflow="fold"),
                padding=(0, 1, 0, 0),
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


def _as_text(value: Any) -> Any:
    """Return the value. In text, control characters are visible, and an apostrophe precedes what would be a formula."""
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else "") + printable(value)


def encodable(text: str, encoding: str) -> str:
    """Return the text in characters of the encoding: curves as digits, other characters as escapes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_DIGITS).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _bold(cell: Cell) -> str:
    text = escaped(cell.text)
    return f"**{text}**" if cell.mood in ("open", "bad") else text


_FUNCTION = re.compile(r"(?P<file>\S+):(?P<function>[^\W\d]\w*)(?P<rest> \(.*\))?")
"""Name of a user's function: FILE.py:FUNCTION, with the side of a gate in parentheses."""

_BREAKS_AFTER = frozenset(":/\\_-.,=")
"""Characters after which a long name is broken, rather than anywhere."""


def without_common_file(names: Sequence[str]) -> tuple[list[str], str]:
    """Return the names of functions without the file that all of them are of, and that file.

    Names that are no functions of users' files stay as they are. If the functions are of several files, or a function
    has the name of another row, all names stay, and the file is empty.
    """
    matches = [_FUNCTION.fullmatch(name) for name in names]
    files = {match["file"] for match in matches if match}
    short = [
        f"{match['function']}{match['rest'] or ''}" if match else name
        for name, match in zip(names, matches, strict=True)
    ]
    if len(files) != 1 or len(set(short)) < len(set(names)):
        return [*names], ""
    return short, files.pop()


def _without_file(shown: _Shown) -> tuple[_Shown, str]:
    """Return the columns with the names of functions without their common file, and that file."""
    for place, (column, cells) in enumerate(shown):
        if column.kind.functions:
            names, file = without_common_file([cell.text for cell in cells])
            short = [replace(cell, text=name) for cell, name in zip(cells, names, strict=True)]
            return [*shown[:place], (column, short), *shown[place + 1 :]], file
    return shown, ""


def _least_width(shown: _Shown, names_broken: bool = True) -> int:
    """Return the minimum width of the columns as a table, with or without breaking names."""
    return sum(least for least, _ in _sizes(shown, names_broken)) + _gaps(shown)


def _sizes(shown: _Shown, names_broken: bool = True) -> list[tuple[int, int]]:
    """Return the minimum width of each column, with or without breaking names, and the width it would use."""
    sizes = [(_size(*one), one[0].kind.functions and not names_broken) for one in shown]
    return [(most if whole else least, most) for (least, most), whole in sizes]


def _gaps(shown: _Shown) -> int:
    return BETWEEN_COLUMNS * (len(shown) - 1)


def _groups(shown: _Shown, repeated: int, width: int) -> list[_Shown]:
    """Return groups of columns that fit into the width, each after the first `repeated` columns, or [] if none do."""
    first, others = shown[:repeated], shown[repeated:]
    for count in range(2, len(others) + 1):
        ends = [round(number * len(others) / count) for number in range(count + 1)]
        groups = [[*first, *others[start:end]] for start, end in pairwise(ends)]
        if all(_least_width(group) <= width for group in groups):
            return groups
    return []


def _broken(text: str, width: int) -> str:
    """Return the text with words that are longer than `width` broken, if possible after a punctuation mark."""
    return "\n".join(" ".join(_pieces(word, width) for word in line.split(" ")) for line in text.split("\n"))


def _pieces(word: str, width: int) -> str:
    pieces = []
    while cell_len(word) == len(word) > width:  # rich breaks words of wide characters
        ends = [place for place in range(width // 2, width + 1) if word[place - 1 : place] in _BREAKS_AFTER]
        end = max(ends, default=width)
        pieces.append(word[:end])
        word = word[end:]
    return "\n".join([*pieces, word])


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
