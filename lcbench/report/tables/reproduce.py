"""Tables of ``lcbench reproduce``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.padding import Padding
from rich.text import Text

from lcbench.report import formatting
from lcbench.report.table import NAME, NUMBER, WORD, Cell, Column, Mood, Table
from lcbench.reproduction.figures import Number, Outcome, PublishedRow, Rule, documents

MOODS: dict[str, Mood] = {"passes": "", "fails": "bad", "skipped": "open"}


def overview(outcomes: Sequence[Outcome]) -> Iterator[Table | Text]:
    """Yield a line for each row with one of its figures: the one that fails, or is closest to failing."""

    def headline(of: Callable[[Number], str]) -> Callable[[Outcome], str | None]:
        return lambda outcome: None if outcome.skipped else of(outcome.headline)

    yield Table(
        "published and measured",
        outcomes,
        Column("row", "row.id", WORD),
        Column("published", headline(lambda number: _number(number.published)), NUMBER),
        Column("expected", headline(_expected), NUMBER),
        Column("measured", headline(lambda number: _number(number.measured)), NUMBER),
        Column("difference", headline(lambda number: _difference(number.difference)), NUMBER),
        Column("verdict", lambda outcome: Cell(outcome.verdict, mood=MOODS[outcome.verdict])),
    )
    yield from _failures(outcomes)
    yield from _skipped(outcomes)
    for outcome in outcomes:
        if outcome.row.note and not outcome.skipped:
            yield Text(f"{outcome.row.id}: {outcome.row.note}", style="dim")
    if any(len(outcome.numbers) > 1 for outcome in outcomes):
        yield Text(
            "a row with several figures shows the one closest to failing; 'lcbench reproduce ROW' shows all",
            style="dim",
        )
    yield summary(outcomes)


def _expected(number: Number) -> str:
    """Return the expected value, or the rule if the rule is itself a range."""
    return _number(number.expected) if Rule(number.rule).needs_expected else _rule(number)


def _rule(number: Number) -> str:
    """Return the rule, with comparison signs in place of words."""
    rule = number.rule
    for words, sign in (("at most", "<="), ("at least", ">="), ("below", "<"), ("above", ">")):
        rule = rule.replace(words, sign)
    return rule


def _failures(outcomes: Sequence[Outcome]) -> Iterator[Text]:
    for outcome in outcomes:
        failing = [number for number in outcome.numbers if not number.met]
        if failing:
            first = failing[0]
            text = Text(f"{outcome.row.id} fails", style="bold red")
            where = f" in {len(failing)} of {len(outcome.numbers)} figures"
            measured = f"{first.name}: measured {_number(first.measured)}, expected {_wanted(first)}"
            yield text.append(f"{where}; {measured}", style="not bold default")


def _wanted(number: Number) -> str:
    expected = "" if number.expected is None else f"{_number(number.expected)}, "
    return f"{expected}{number.rule}"


def _skipped(outcomes: Sequence[Outcome]) -> Iterator[Text]:
    """Yield a line for each reason, with the rows that it applies to."""
    rows: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.skipped:
            rows.setdefault(outcome.skipped, []).append(outcome.row.id)
    for reason, ids in rows.items():
        yield Text("skipped", style="bold yellow").append(f" {', '.join(ids)}: {reason}", style="not bold default")


def details(outcome: Outcome) -> Iterator[Table | Text | Padding]:
    """Yield every figure of one row."""
    row = outcome.row
    yield Text(row.id, style="bold").append(f": {row.what}", style="not bold")
    yield Padding(Text(f"{row.document}: {documents()[row.document]}", style="dim"), (0, 0, 0, 2))
    if row.note:
        yield Padding(Text(row.note, style="dim"), (0, 0, 0, 2))
    if outcome.skipped:
        yield from _skipped([outcome])
    else:
        yield _details(outcome.numbers)


def _details(numbers: Sequence[Number]) -> Table:
    """Return the table of the figures. Columns that are empty or repeat another one are left out."""
    published = any(number.published is not None for number in numbers)
    expected = any(number.expected is not None and number.expected != number.published for number in numbers)
    return Table(
        "",
        numbers,
        Column("figure", "name", replace(NAME, least=10)),
        Column("published", lambda number: _number(number.published), NUMBER) if published else None,
        Column("expected", lambda number: _number(number.expected), NUMBER) if expected else None,
        Column("measured", lambda number: _number(number.measured), NUMBER),
        Column("difference", lambda number: _difference(number.difference), NUMBER) if published or expected else None,
        Column("rule", _rule, WORD),
        Column("verdict", _verdict, WORD),
    )


def _verdict(number: Number) -> Cell:
    if number.met:
        return Cell("" if number.rule == "shown" else "passes")
    return Cell("fails", mood="bad")


def summary(outcomes: Sequence[Outcome]) -> Text:
    """Return the number of rows with each verdict, and the total time."""
    verdicts = [outcome.verdict for outcome in outcomes]
    skipped = verdicts.count("skipped")
    seconds = sum(outcome.seconds for outcome in outcomes)
    return Text(
        f"{verdicts.count('passes')} reproduced, {verdicts.count('fails')} failed"
        + (f", {skipped} skipped" if skipped else "")
        + f", in {formatting.seconds(seconds)}"
    )


def listing(rows: Sequence[PublishedRow]) -> Table:
    """Return the table of the rows that can be reproduced."""
    columns = Column("row", "id", WORD), Column("document", "document"), Column("what", "what")
    return Table("what can be reproduced", rows, *columns)


def listed(rows: Sequence[PublishedRow]) -> list[dict[str, str]]:
    """Return the rows that can be reproduced as dictionaries, for JSON."""
    return [{"row": row.id, "document": row.document, "what": row.what} for row in rows]


def _number(value: float | None) -> str:
    """Return a number with eight significant digits if they fit into ten columns, else with four: "2.186e-11"."""
    if value is None:
        return formatting.MISSING
    exact = f"{value:.8g}"
    return exact if len(exact) <= 10 else f"{value:.4g}"


def _difference(value: float | None) -> str:
    return formatting.MISSING if value is None else f"{value:.2g}"


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return every row with every figure, for JSON."""
    return [
        {
            "id": outcome.row.id,
            "document": outcome.row.document,
            "title": documents()[outcome.row.document],
            "what": outcome.row.what,
            "verdict": outcome.verdict,
            "skipped": outcome.skipped,
            "note": outcome.row.note,
            "seconds": outcome.seconds,
            "figures": [
                {
                    "name": number.name,
                    "published": number.published,
                    "expected": number.expected,
                    "measured": number.measured,
                    "difference": number.difference,
                    "rule": number.rule,
                    "met": number.met,
                }
                for number in outcome.numbers
            ],
        }
        for outcome in outcomes
    ]
