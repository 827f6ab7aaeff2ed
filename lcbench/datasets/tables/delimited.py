"""Reader of CSV and TSV files, as spreadsheets, pandas and NumPy write them.

`numpy.loadtxt` reads the numbers in one pass. Its errors do not name the line of the file, so a file that it rejects is
read again with Python's csv module, slowly, for the message only.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.examples import fits_in_memory
from lcbench.datasets.tables.contents import Contents, Part, quoted
from lcbench.errors import LcbenchError, one_line
from lcbench.losses.implementation import did_you_mean

_DELIMITERS = ("\t", ";", ",")
"""Delimiters by how rarely they occur inside fields, rarest first. The first that splits all lines evenly is used."""

_SAMPLE_LINES = 20

_MAX_LINE = 1 << 26
"""Most characters of a line: ten million columns. A packed file of a few megabytes can have one line of any length."""

_BLOCK_LINES = 1 << 12
"""Lines between two checks of whether the table fits in memory."""

csv.field_size_limit(_MAX_LINE)  # a whole line is one field for a delimiter that does not occur in it

_LABEL_NAMES = ("label", "class", "y", "target")
_MISSING = ("", "?", "na", "n/a", "null", "none")
"""Text that stands for a missing number."""


@dataclass(frozen=True)
class TableLayout:
    """Layout of a table. header: names of the columns, or None. label: index of the label column."""

    delimiter: str
    header: tuple[str, ...] | None
    columns: int
    label: int

    def name(self, column: int) -> str:
        """Return the name of a column for messages."""
        return f"column {self.header[column]!r}" if self.header else f"column {column} (from 0)"

    def option(self, column: int) -> str:
        """Return the value of --label that selects a column."""
        return self.header[column] if self.header else str(column)


def read_delimited(path: Path, label: str | int | None) -> Contents:
    """Return the features (float64) and labels of a table, with or without a header. Raise LcbenchError.

    label: name or index of the label column; None: see `_label_column`.
    """
    layout = _layout(path, label)
    codes: dict[str, int] = {}
    with _lines(path) as lines:
        if layout.header:
            next(cells for cells in csv.reader(lines, delimiter=layout.delimiter) if cells)
        try:
            table = np.loadtxt(
                _within_memory(path, lines, layout.columns),
                delimiter=layout.delimiter,
                comments=None,
                quotechar='"',
                converters={layout.label: lambda cell: codes.setdefault(cell.strip(), len(codes))},
                ndmin=2,
            )
        except ValueError as error:
            raise _read_error(path, layout, error) from error
    if table.shape[1] != layout.columns:  # all rows have the same length, and the header has another
        raise _read_error(path, layout, ValueError("the header does not fit the rows"))
    _require_no_index(path, layout, table)
    X = np.delete(table, layout.label, axis=1)
    y = _label_values(list(codes))[table[:, layout.label].astype(np.intp)]

    def cell(row: int, column: int) -> str:
        table_column = column + (column >= layout.label)
        return f"{path}: line {_line_number(path, layout, row)}, {layout.name(table_column)}"

    def label_cell(row: int) -> str:
        return f"{path}: line {_line_number(path, layout, row)}, the label in {layout.name(layout.label)}"

    part = Part(X, y, "the table", layout.name(layout.label), cell, label_cell)
    names = [name for column, name in enumerate(layout.header or ()) if column != layout.label]
    return Contents({"train": part}, feature_names=tuple(names))


def _require_no_index(path: Path, layout: TableLayout, table: NDArray[np.float64]) -> None:
    """Raise LcbenchError if the first column is an index, as pandas and R write it: it would reveal sorted labels."""
    nameless = layout.header and layout.header[0] in ("", "Unnamed: 0") and layout.label
    if nameless and len(table) > 1 and (np.diff(table[:, 0]) == 1).all():
        raise LcbenchError(
            f"{path}: its first column has no name and counts the rows: it is an index, not a feature; "
            "write the table without it (pandas: to_csv(index=False))"
        )


def _label_values(distinct: list[str]) -> NDArray[Any]:
    """Return the distinct labels as numbers if all of them are numbers, otherwise as text."""
    if all(_is_number(label) for label in distinct):
        return np.array([float(label) for label in distinct])
    return np.array(distinct, np.str_)


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """Open the file as text and return its lines. Errors while it is read become LcbenchError."""
    try:
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig") as text:
            yield _limited_lines(path, text)
    except UnicodeDecodeError as error:
        raise LcbenchError(f"{path} is not text in UTF-8 ({error.reason}); save it as CSV in UTF-8") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LcbenchError(f"{path} is damaged or not gzipped ({one_line(error)}); write it again") from error
    except csv.Error as error:
        raise LcbenchError(f"{path} is no CSV that can be read ({one_line(error)}); save it as CSV in UTF-8") from error


def _limited_lines(path: Path, text: TextIO) -> Iterator[str]:
    number = 0
    while line := text.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE:
            raise LcbenchError(f"{path}: line {number} has more than {_MAX_LINE:,} characters: this is no table")
        yield line


def _within_memory(path: Path, lines: Iterator[str], columns: int) -> Iterator[str]:
    """Yield the lines while the table that they give, float64, fits in memory twice: X is a copy of it."""
    for number, line in enumerate(lines):
        if number % _BLOCK_LINES == 0 and not fits_in_memory(number * columns * np.dtype(np.float64).itemsize):
            raise LcbenchError(
                f"{path}: the first {number:,} lines fill the memory as float64; use fewer, or convert the table to "
                "HDF5, which is streamed"
            )
        yield line


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row and the number of its last line, from 1. Blank lines are skipped."""
    with _lines(path) as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        for cells in reader:
            if cells:
                yield reader.line_num, cells


def _layout(path: Path, label: str | int | None) -> TableLayout:
    """Return the layout, which is inferred from the first lines of the file."""
    with _lines(path) as lines:
        sample = [line for line in islice(lines, _SAMPLE_LINES) if line.strip()]
        if not sample:
            raise LcbenchError(f"{path} has no rows; it should hold a table in CSV")
        if "\0" in "".join(sample):
            raise LcbenchError(f"{path} is not text; save it as CSV in UTF-8")
        delimiter = _delimiter(sample)
    rows = [cells for _, cells in islice(_rows(path, delimiter), 2)]
    first = [cell.strip() for cell in rows[0]]
    if len(first) == 1:
        raise LcbenchError(
            f"{path} has one column, and features and labels need two or more; separate them by comma, semicolon or tab"
        )
    header = None
    second = [cell.strip() for cell in rows[1]] if len(rows) > 1 else []
    if _is_header(first, second, label):
        if not second:
            raise LcbenchError(f"{path} has a header and no rows; add some")
        header = (first[0].removeprefix("#").strip(), *first[1:])  # numpy.savetxt begins a header with "# "
    return TableLayout(delimiter, header, len(first), _label_column(path, header, len(first), label))


def _delimiter(sample: list[str]) -> str:
    """Return the delimiter that splits all sampled lines into as many fields, or else the first line into most."""
    widths = {
        delimiter: [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
        for delimiter in _DELIMITERS
    }
    even = [delimiter for delimiter, counts in widths.items() if counts[0] > 1 and len(set(counts)) == 1]
    return even[0] if even else max(_DELIMITERS, key=lambda delimiter: widths[delimiter][0])


def _is_header(first: list[str], second: list[str], label: str | int | None) -> bool:
    """Return whether the first row is a header.

    It is one if all its cells are words, if it has a word where the second row has a number, or if it numbers the
    columns. The label column does not count for the second rule, since labels may be words.
    """
    number = -1 if label is None else _as_number(label)
    if number is None and label in first:
        return True
    label_column = (-1 if number is None else number) % len(first)
    words = {column for column, cell in enumerate(first) if _is_word(cell)}
    if len(words) == len(first) or words - {label_column} - {c for c, cell in enumerate(second) if _is_word(cell)}:
        return True
    # pandas numbers columns without names from 0, after an index without a name.
    names = first if first[0] else first[1:]
    return len(names) > 3 and all(_is_word(name) or name == str(column) for column, name in enumerate(names))


def _label_column(path: Path, header: tuple[str, ...] | None, columns: int, label: str | int | None) -> int:
    """Return the index of the column `label`, a name or an index. None: the first usual name, or the last column."""
    if label is None:
        folded = [name.lower() for name in header or ()]
        return next((folded.index(name) for name in _LABEL_NAMES if name in folded), columns - 1)
    if header and label in header:
        if header.count(str(label)) > 1:
            raise LcbenchError(f"{path} has {header.count(str(label))} columns {label!r}; choose one by its number")
        return header.index(str(label))
    number = _as_number(label)
    if number is not None:
        if not -columns <= number < columns:
            raise LcbenchError(f"{path} has no column {number}: there are {columns}, 0 to {columns - 1}")
        return number % columns
    if header is None:
        raise LcbenchError(f"{path} has no header to find {label!r} in; choose the column by its number, from 0")
    hint = did_you_mean(str(label), header, f"there are {quoted(list(header))}")
    raise LcbenchError(f"{path} has no column {label!r}: {hint}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_word(cell: str) -> bool:
    """Return whether the cell is neither a number, with a point or a comma, nor a sign of a missing one."""
    return not _is_number(_with_point(cell)) and cell.lower() not in _MISSING


def _with_point(cell: str) -> str:
    return cell.replace(",", ".", 1)


def _as_number(label: str | int) -> int | None:
    """Return the index of a column that is given by number, otherwise None."""
    try:
        return int(label)
    except ValueError:
        return None


def _line_number(path: Path, layout: TableLayout, row: int) -> int:
    """Return the line number, from 1, of a row of features."""
    return next(islice(_rows(path, layout.delimiter), row + bool(layout.header), None))[0]


def _read_error(path: Path, layout: TableLayout, error: ValueError) -> LcbenchError:
    """Return the error that names the line and the reason why NumPy could not read the table."""
    for line, cells in islice(_rows(path, layout.delimiter), bool(layout.header), None):
        if len(cells) != layout.columns:
            return LcbenchError(
                f"{path}: line {line} has {len(cells)} {'field' if len(cells) == 1 else 'fields'}, "
                f"and the first line has {layout.columns}; correct it or leave it out"
            )
        for column, cell in enumerate(cells):
            if column != layout.label and not _is_number(cell):
                return LcbenchError(f"{path}: line {line}, {layout.name(column)} {_not_a_number(cell, layout, column)}")
    return LcbenchError(f"{path} cannot be read as CSV ({one_line(error)}); write it again")


def _not_a_number(cell: str, layout: TableLayout, column: int) -> str:
    if cell.strip().lower() in _MISSING:
        what = f"holds {cell.strip()!r}" if cell.strip() else "is empty"
        return f"{what}, and a number is expected; fill it in or leave the row out"
    shown = cell if len(cell) <= 30 else cell[:29] + "…"
    if _is_number(_with_point(cell)):
        return f"holds {shown!r}; write decimals with a point"
    return (
        f"holds {shown!r}, which is no number; encode it as numbers or leave the column out, "
        f"or make it the labels with --label {layout.option(column)}"
    )
