"""Results as Markdown tables and as CSV with every sample, and verdicts as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from lcbench.record import Record, Row
from lcbench.report import formatting
from lcbench.report.table import Column, Table, escaped
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables import run as run_tables
from lcbench.stats.verdicts import Comparison


def markdown(record: Record) -> str:
    """Return the tables that ``lcbench run`` prints, in Markdown."""
    origin = f"result {record.id}, {record.created}, lcbench {record.lcbench}"
    parts = [escaped(origin), *map(_part, run_tables.tables(record))]
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown_verdicts(
    comparisons: Sequence[Comparison], fail_above: float, heading: str, notes: Sequence[str] = ()
) -> str:
    """Return a Markdown table for each workload, the worst verdict first, with changes in percent; then `notes`.

    fail_above: allowed slowdown, 0.05 is 5 %. heading: what was compared.
    """
    title = compare_tables.report_title(heading)
    parts = [f"### {escaped(title)}", f"**{escaped(compare_tables.summary(comparisons, fail_above))}**"]
    for workload in dict.fromkeys(comparison.new.workload for comparison in comparisons):
        same = [comparison for comparison in comparisons if comparison.new.workload == workload]
        parts += [escaped(str(workload)), compare_tables.change_table(same, fail_above).markdown()]
    parts += [escaped(note) for note in notes]
    parts.append(
        escaped(
            f"slower: by more than {formatting.percent(fail_above)}; inconclusive: the noise is too large to decide; "
            "change: change of the time per call, with its 95 % interval"
        )
    )
    return "\n\n".join(parts) + "\n"


def _part(shown: Table | Text) -> str:
    return escaped(shown.plain) if isinstance(shown, Text) else shown.markdown()


class _Sample(NamedTuple):
    """Line of the CSV file; block, sample and seconds are None for a row without a time."""

    record: Record
    row: Row
    block: int | None
    sample: int | None
    seconds: float | None


def csv(record: Record) -> str:
    """Return the samples of the record, one per line below a header.

    `result` is the record's id; `block` and `sample` count from 0; `seconds` is the time of one call. A row without a
    time has one line, in which these three are empty.
    """
    fields = ("implementation", "loss", "dtype", "rows", "features", "classes", "data", "device", "status", "threads")
    samples = [
        _Sample(record, row, block, sample, seconds)
        for row in record.rows
        for block, sample, seconds in (_samples(row) if row.timed else [(None, None, None)])
    ]
    return Table(
        "",
        samples,
        Column("result", "record.id"),
        Column("created", "record.created"),
        *(Column(field, f"row.{field}") for field in (*fields, "side")),
        *(Column(field, field) for field in ("block", "sample", "seconds")),
    ).csv()


def _samples(row: Row) -> Iterator[tuple[int, int, float]]:
    for block, samples in enumerate(row.blocks):
        for sample, seconds in enumerate(samples):
            yield block, sample, seconds
