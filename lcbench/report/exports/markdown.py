"""Markdown as GitHub and GitLab render it: the tables of a run, and verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lcbench.judge.verdicts import Comparison
from lcbench.record import Record
from lcbench.report import compare_tables, run_tables, style
from lcbench.report.table import Table, escaped


def result(record: Record) -> str:
    """The same tables as ``lcbench run`` prints, from the same source."""
    when = f"result {record.id}, {record.created}, lcbench {record.lcbench}"
    parts = [escaped(when), *map(_part, run_tables.tables(record))]
    return "\n\n".join(filter(None, parts)) + "\n"


def verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str, notes: Sequence[str] = ()) -> str:
    """A table a workload, worst verdict first, with changes and intervals in plain words; then `notes`, a line each.

    fail_above: the growth allowed, 0.05 is 5 %. heading: what was compared.
    """
    title = compare_tables.report_title(heading)
    parts = [f"### {escaped(title)}", f"**{escaped(compare_tables.summary(comparisons, fail_above))}**"]
    for workload in dict.fromkeys(comparison.new.workload for comparison in comparisons):
        same = [comparison for comparison in comparisons if comparison.new.workload == workload]
        parts += [escaped(str(workload)), compare_tables.in_plain_words(same, fail_above).markdown()]
    parts += [escaped(note) for note in notes]
    parts.append(
        escaped(
            f"slower: by more than {style.percent(fail_above)}; inconclusive: the noise leaves it open; "
            "change: growth of the time a call, with its 95 % interval"
        )
    )
    return "\n\n".join(parts) + "\n"


def _part(shown: Table | Text) -> str:
    return escaped(shown.plain) if isinstance(shown, Text) else shown.markdown()
