"""A table as the template writes it: every cell a text, and the value by which the reader's click sorts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from lcbench.report import style


@dataclass(frozen=True)
class Column:
    """A heading, what it means, and which end of its values the first click brings to the top."""

    heading: str
    meaning: str = ""
    number: bool = False
    first: Literal["ascending", "descending"] = "ascending"


@dataclass(frozen=True)
class Cell:
    """A text and the value it sorts by; None comes last whichever way. mood: how the text is coloured."""

    text: str
    value: float | str | None = None
    mood: Literal["", "good", "open", "bad"] = ""


@dataclass(frozen=True)
class Line:
    """One line of a table.

    words: what a filter finds it by, beside its cells. row: of which row of a record, where the plots know it too.
    instead: a sentence in the place of all cells but the first, of a row that has no numbers; such lines stay last.
    """

    cells: list[Cell]
    words: str = ""
    row: str = ""
    instead: Cell | None = None


@dataclass(frozen=True)
class Sheet:
    """A table with its title, and the column (from 0) by which its lines are sorted as they stand."""

    title: str
    columns: list[Column]
    lines: list[Line] = field(default_factory=list)
    sorted_by: int | None = None


def text(value: str, mood: Literal["", "good", "open", "bad"] = "") -> Cell:
    """A cell of words, sorted as such."""
    return Cell(value, value.casefold(), mood)


def seconds(value: float | None) -> Cell:
    """A duration."""
    return number(style.seconds(value), value)


def scientific(value: float | None) -> Cell:
    """An error."""
    return number(style.scientific(value), value)


def count(value: int | None) -> Cell:
    """A whole number."""
    return number(style.count(value), value)


def number(written: str, value: float | None) -> Cell:
    """A number as it is written, on one line."""
    return Cell(" ".join(written.split()), value if value is not None and isfinite(value) else None)


def between(low: str, high: str) -> str:
    """An interval of two numbers as they are written; the unit once where both have the same."""
    value, _, unit = low.partition(" ")
    return f"{value if unit and high.endswith(f' {unit}') else low} to {high}"
