"""Markdown as GitHub and GitLab render it: the tables of a run, and verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from lcbench.judge.verdicts import Comparison
from lcbench.record import Record
from lcbench.report import run_tables, style
from lcbench.report.exports import wording

COLUMNS = (("implementation", "left"), ("verdict", "left"), ("base", "right"), ("new", "right"), ("change", "left"))
"""Of the tables of verdicts."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_SPECIAL = re.compile(r"[\\`*<>|~$&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""What would be taken for markup. An underscore within a word is none, and stays readable as it is."""


def result(record: Record) -> str:
    """The same tables as ``lcbench run`` prints, from the same source."""
    when = f"result {record.id}, {record.created}, lcbench {record.lcbench}"
    parts = [escaped(when), *_parts(run_tables.tables(record))]
    return "\n\n".join(parts) + "\n"


def verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str, notes: Sequence[str] = ()) -> str:
    """A table a workload, worst verdict first, with changes and intervals in plain words; then `notes`, a line each.

    fail_above: the growth allowed, 0.05 is 5 %. heading: what was compared.
    """
    parts = [f"### {escaped(wording.title(heading))}", f"**{escaped(wording.summary(comparisons, fail_above))}**"]
    for workload in dict.fromkeys(comparison.new.workload for comparison in comparisons):
        same = [comparison for comparison in comparisons if comparison.new.workload == workload]
        same.sort(key=lambda comparison: wording.ORDER.index(comparison.verdict))
        parts.append(escaped(str(workload)))
        parts.append(
            _table(
                COLUMNS,
                [_cells(comparison, fail_above) for comparison in same],
            )
        )
    parts += [escaped(note) for note in notes]
    parts.append(
        escaped(
            f"slower: by more than {style.percent(fail_above)}; inconclusive: the noise leaves it open; "
            "change: growth of the time a call, with its 95 % interval"
        )
    )
    return "\n\n".join(parts) + "\n"


def _cells(comparison: Comparison, fail_above: float) -> list[str]:
    verdict, ratio = comparison.verdict, comparison.ratio
    return [
        escaped(comparison.new.implementation),
        verdict if verdict == "not slower" else f"**{verdict}**",
        style.seconds(comparison.base.median_s),
        style.seconds(comparison.new.median_s),
        escaped(wording.change(ratio) if ratio else wording.statement(comparison, fail_above)),
    ]


def _parts(shown: Iterable[Table | Text]) -> Iterator[str]:
    """What a terminal would show, as paragraphs and tables."""
    for one in shown:
        if isinstance(one, Text):
            if one.plain:
                yield escaped(one.plain)
            continue
        if one.title:
            yield f"### {escaped(str(one.title))}"
        columns = [(str(column.header), str(column.justify)) for column in one.columns]
        cells = zip(*(column.cells for column in one.columns), strict=True)
        yield _table(columns, [[escaped(str(cell)) for cell in row] for row in cells])


def _table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """Columns are a heading and "left" or "right"; cells are Markdown."""
    rule = ["---:" if justify == "right" else "---" for _, justify in columns]
    lines = [[escaped(heading) for heading, _ in columns], rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)
