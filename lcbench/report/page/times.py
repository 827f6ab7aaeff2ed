"""Tables of times: one for each workload, or for a sweep one for each loss with its axes as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lcbench.record import Record, Row, Workload, describe_fields
from lcbench.report.plots.line_styles import LineStyle, line_styles
from lcbench.report.table import Table
from lcbench.report.tables import run as run_tables
from lcbench.report.tables.sweep import common_fields


@dataclass(frozen=True)
class Group:
    """Rows of one table, by their names on the page, the axes along which they differ, and their line styles."""

    title: str
    rows: dict[str, Row]
    axes: list[str]
    styles: dict[str, LineStyle]

    @property
    def ranked(self) -> dict[str, Row]:
        """Rows with valid times, the fastest first."""
        ranked = [(name, row) for name, row in self.rows.items() if row.ranked]
        return dict(sorted(ranked, key=lambda item: item[1].median_s or 0.0))

    @property
    def workload(self) -> Workload:
        """Workload of the first row; the others differ in the axes of a sweep only."""
        return next(iter(self.rows.values())).workload

    def label(self, row: Row) -> str:
        """Return the name of a row among the others of the group."""
        side = f" ({row.side})" if row.side else ""
        several = "threads" not in self.axes and len({other.threads for other in self.rows.values()}) > 1
        return row.implementation + side + (f" ({describe_fields(row, 'threads')})" if several else "")


def groups(record: Record, rows: dict[str, Row]) -> list[Group]:
    """Return the rows of a record, grouped by table."""
    axes = list(record.sweep.axes) if record.sweep else []
    found: dict[tuple[Any, ...], dict[str, Row]] = {}
    for name, row in rows.items():
        fixed = [value for field, value in row.workload._asdict().items() if field not in axes]
        found.setdefault(tuple(fixed), {})[name] = row
    styles = line_styles(row.implementation for row in record.rows if row.ranked)
    return [Group(_title(next(iter(group.values())), axes), group, axes, styles) for group in found.values()]


def table_of_times(group: Group, baseline: str, silent: bool = False) -> Table:
    """Return the table of a group, by time or along the axes of a sweep.

    Rows without a time are last, and give the reason. silent: as in `lcbench.report.tables.run.times`.
    """
    along_axes = sorted(group.ranked, key=lambda name: [getattr(group.rows[name], axis) for axis in group.axes])
    names = [*along_axes, *(name for name, row in group.rows.items() if not row.ranked)]
    table = run_tables.times(
        group.title, [group.rows[name] for name in names], baseline, group.axes, group.label, silent
    )
    for name, row, line in zip(names, table.rows, table.lines, strict=True):
        line.row = name
        line.words = f"{row.loss} {row.rows} {row.dtype} {row.data} {row.device} {row.status} {row.convention}"
    return table


def _title(row: Row, axes: list[str]) -> str:
    """Return the title of a table, for a sweep without the fields that vary."""
    return f"{row.loss} by {' and '.join(axes)}: {common_fields(row, axes)}" if axes else str(row.workload)
