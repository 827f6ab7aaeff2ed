"""The tables of ``lcbench compare``: verdicts on two records, or the newest results side by side."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Column, Table
from rich.text import Text

from lcbench.judge.latest import Latest
from lcbench.judge.verdicts import Comparison, Judgement
from lcbench.report import style
from lcbench.report.run_tables import footnote_on_impossible, share

VERDICT_STYLES = {"slower": "bold red", "wrong": "bold red", "not measured": "bold red", "inconclusive": "yellow"}


def verdicts(judgement: Judgement) -> Iterator[Table | Text]:
    """Every row that both records have, and what became of the others."""
    yield from side_by_side(judgement.comparisons, "base", "new")
    for row in judgement.only_base:
        yield Text(f"only in base: {row.implementation}, {row.workload}")
    for row in judgement.only_new:
        yield Text(f"only in new: {row.implementation}, {row.workload}")
    yield from without_times(judgement.comparisons)
    if not judgement.same_machine:
        yield Text("the two results are from different machines: no verdict holds", style="yellow")
    yield Text(
        f"threshold {style.percent(judgement.fail_above)}; 95 % intervals; tests corrected for their number (Holm); "
        "visible: smallest slowdown beyond the threshold that 4 of 5 such pairs would show"
    )


def side_by_side(comparisons: list[Comparison], base: str, new: str) -> Iterator[Table | Text]:
    """A table a workload: the times of `base` and `new`, their ratio and its verdict."""
    for workload in dict.fromkeys(comparison.base.workload for comparison in comparisons):
        table = style.table(
            str(workload),
            Column("implementation", overflow="fold", min_width=14),
            style.number(base),
            style.number(new),
            style.number(f"{new} / {base}"),
            style.number("visible"),
            Column("verdict", no_wrap=True),
        )
        for comparison in comparisons:
            if comparison.base.workload == workload:
                table.add_row(*_cells(comparison))
        yield table
        yield Text()


def without_times(comparisons: list[Comparison]) -> Iterator[Text]:
    """A line for everything that could not be compared: on which side, and why."""
    for comparison in comparisons:
        if comparison.ratio is None:
            row = comparison.base if comparison.new.status == "ok" else comparison.new
            side = f" on {row.side}" if row.side else ""
            yield Text(f"{row.implementation}, {row.loss}: {comparison.verdict}{side}: {row.reason}")


def _cells(comparison: Comparison) -> list[str | Text]:
    ratio = comparison.ratio
    return [
        comparison.new.implementation,
        style.seconds(comparison.base.median_s),
        style.seconds(comparison.new.median_s),
        style.within(*ratio, decimals=3) if ratio else style.MISSING,
        _visible(comparison.detectable),
        Text(comparison.verdict, style=VERDICT_STYLES.get(comparison.verdict, "")),
    ]


def _visible(slowdown: float | None) -> str:
    if slowdown is None:
        return style.MISSING
    return f"+{style.percent(slowdown)}" if slowdown < 10 else "> +1000 %"


def latest(groups: list[Latest]) -> Iterator[Table | Text]:
    """The newest result of every implementation, a table a workload and number of threads, fastest first."""
    for group in groups:
        table = style.table(
            f"{group.workload}, {group.threads} thread{'s' * (group.threads > 1)}",
            Column("implementation", overflow="fold", min_width=14),
            style.number("median"),
            style.number("x fastest"),
            style.number("limit"),
            Column("measured (UTC)", no_wrap=True),
        )
        fastest = group.entries[0].row.median_s or 0.0
        for entry in group.entries:
            row = entry.row
            assert row.median_s is not None
            table.add_row(
                row.implementation,
                style.seconds(row.median_s),
                f"{row.median_s / fastest:.2f}",
                share(row.roofline_fraction),
                entry.created[:16].replace("T", " "),
            )
        yield table
        yield Text()
    yield from footnote_on_impossible(entry.row for group in groups for entry in group.entries)
