"""Tables of ``lcbench compare``: verdicts on two records, or the newest results side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite

from rich.text import Text

from lcbench import units
from lcbench.record import describe_fields
from lcbench.report import formatting
from lcbench.report.table import (
    AS_IS,
    FINE_RATIO,
    LATE,
    NAME,
    RATIO,
    SECONDS,
    SHARE,
    WORD,
    Arrangement,
    Cell,
    Column,
    Kind,
    Mood,
    Table,
)
from lcbench.report.tables.run import BUSY, note_on_impossible
from lcbench.stats.estimates import Ratio
from lcbench.stats.verdicts import Comparison, Judgement, Latest, LatestRow, Verdict

_IMPLEMENTATION = Column("implementation", "new.implementation", NAME)

ORDER: tuple[Verdict, ...] = ("wrong", "not measured", "slower", "inconclusive", "new", "not slower")
"""Verdicts in the order in which they are reported."""

MOODS: dict[Verdict, Mood] = {
    "wrong": "bad", "not measured": "bad", "slower": "bad", "inconclusive": "open", "new": "", "not slower": "good",
}  # fmt: skip

VISIBLE = "smallest slowdown beyond the threshold that is detected with a power of 80 %"
"""Meaning of the column "visible"."""

NO_TIME = "no usable measurement"
"""Reason why a row has no ratio if its result was right."""


SPEED = "time of the fastest over time of this row, with 95 % interval"
"""Meaning of the column "x fastest"."""

OTHER_MACHINE = "the two results are from different machines: no verdict is valid"


def verdicts(judgement: Judgement, arrangement: Arrangement = AS_IS) -> Iterator[Table | Text]:
    """Yield what the machine did, the verdicts on all rows that both records have, and notes on the other rows."""
    line = machine_line(judgement)
    if line:
        yield Text(line)
        yield Text()
    yield from side_by_side(judgement.comparisons, "base", "new", arrangement)
    yield from map(Text, only_in_one(judgement))
    yield from not_compared(judgement.comparisons)
    yield from (Text(line, style="yellow") for line in other_software(judgement.comparisons))
    if not judgement.same_machine:
        yield Text(OTHER_MACHINE, style="yellow")
    yield Text(basis(judgement))


def machine_line(judgement: Judgement) -> str:
    """Return what the machine did between the two results in one line; empty if nothing shows it."""
    factor = judgement.machine_factor
    if factor is None:
        return ""
    shown = "the limit" if judgement.basis == "limits" else _listed(judgement.yardsticks)
    interval = f"{factor.low:.2f} to {factor.high:.2f}" if isfinite(factor.high) else "unknown"
    if judgement.corrected:
        return (
            f"everything took {factor.value:.2f} times as long (95 %: {interval}), {shown} too: the machine; "
            f"beyond that: {_counts(judgement.comparisons)}"
        )
    return (
        f"{shown} took {factor.value:.2f} times as long (95 %: {interval}) with the same code: no change of the "
        "machine is certain; verdicts hold with and without it"
    )


def basis(judgement: Judgement) -> str:
    """Return how the verdicts were reached."""
    beyond = "ratios are beyond the machine's factor; " if judgement.corrected else ""
    same = ""
    if judgement.basis == "library rows":
        same = f"; {_listed(judgement.yardsticks)} (same code) not slower unless the others show it"
    return (
        f"threshold {formatting.percent(judgement.fail_above)}; {beyond}95 % intervals; Holm correction for multiple "
        f"tests{same}; visible: {VISIBLE}"
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def only_in_one(judgement: Judgement) -> Iterator[str]:
    """Yield a line for each of the two results that has rows of its own."""
    for side, rows in (("base", judgement.only_base), ("new", judgement.only_new)):
        if len(rows) == 1:
            yield f"only in {side}: {rows[0].implementation}, {rows[0].workload}"
        elif rows:
            names = ", ".join(dict.fromkeys(row.implementation for row in rows))
            losses = " and ".join(dict.fromkeys(row.loss for row in rows))
            sizes = ", ".join(f"{size:,}" for size in sorted({row.rows for row in rows}))
            yield f"only in {side}: {len(rows)} rows of {names} ({losses}; {sizes} rows)"


def other_software(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a line for each difference of the software, with the implementations on which there is no verdict."""
    names: dict[str, list[str]] = {}
    for comparison in comparisons:
        for difference in comparison.differences:
            names.setdefault(difference, []).append(comparison.new.implementation)
    for difference, rows in names.items():
        yield f"{difference}: no verdict on the code of {_listed(list(dict.fromkeys(rows)))}"


def valid_comparisons(judgement: Judgement) -> list[Comparison]:
    """Return the comparisons. If the machines differ, no verdict is valid: all but wrong results are inconclusive."""
    if judgement.same_machine:
        return judgement.comparisons
    return [
        replace(comparison, verdict="inconclusive") if comparison.ratio else comparison
        for comparison in judgement.comparisons
    ]


def side_by_side(
    comparisons: list[Comparison], base: str, new: str, arrangement: Arrangement = AS_IS
) -> Iterator[Table | Text]:
    """Yield, for each workload, a table with the times of `base` and `new`, their ratio and its verdict."""
    for workload in dict.fromkeys(comparison.base.workload for comparison in comparisons):
        ours = [comparison for comparison in comparisons if comparison.base.workload == workload]
        table = verdict_table(str(workload), ours, base, new)
        arrangement.require_known(table.columns)
        yield table.arranged(arrangement)
        yield Text()


def verdict_table(
    title: str, comparisons: Sequence[Comparison], base: str, new: str, fail_above: float | None = None
) -> Table:
    """Return the table of the times of `base` and `new`, their ratio and its verdict.

    With `fail_above` the table is for the page: it has the workload, and a sentence where there is no ratio.
    """

    def statement_instead(comparison: Comparison) -> Cell | None:
        if fail_above is None or comparison.ratio:
            return None
        verdict = comparison.verdict
        return Cell(f"{verdict}: {statement(comparison, fail_above)}", verdict, MOODS[verdict])

    return Table(
        title,
        comparisons,
        _IMPLEMENTATION,
        Column("workload", lambda comparison: str(comparison.new.workload), detail=True),
        Column(base, "base.median_s", SECONDS, "seconds per call", leaves=LATE + 1),
        Column(new, "new.median_s", SECONDS, "seconds per call", leaves=LATE + 2),
        _ratio_column(comparisons, base, new),
        Column("visible", "detectable", Kind(_visible, number=True), VISIBLE, leaves=LATE),
        Column(
            "verdict", lambda comparison: Cell(comparison.verdict, comparison.verdict, MOODS[comparison.verdict]), WORD
        ),
        leading=2,
        instead=statement_instead,
    )


def _ratio_column(comparisons: Sequence[Comparison], base: str, new: str) -> Column:
    if any(comparison.factor for comparison in comparisons):
        meaning = "ratio of the times beyond the factor of the machine, with its 95 % interval"
        return Column("beyond machine", "ratio", FINE_RATIO, meaning, "descending")
    return Column(f"{new} / {base}", "ratio", FINE_RATIO, "ratio of the times, with its 95 % interval", "descending")


def change_table(comparisons: Sequence[Comparison], fail_above: float) -> Table:
    """Return the table of one workload's times with the ratio as change in percent, the worst verdict first."""
    return Table(
        "",
        sorted(comparisons, key=lambda comparison: ORDER.index(comparison.verdict)),
        _IMPLEMENTATION,
        Column("verdict", lambda comparison: Cell(comparison.verdict, mood=MOODS[comparison.verdict])),
        Column("base", "base.median_s", SECONDS),
        Column("new", "new.median_s", SECONDS),
        Column(
            "change",
            lambda comparison: change(comparison.ratio) if comparison.ratio else statement(comparison, fail_above),
        ),
    )


def not_compared(comparisons: list[Comparison]) -> Iterator[Text]:
    """Yield a line for each row that could not be compared: on which side, and the reason."""
    for comparison in comparisons:
        if comparison.verdict == "new":
            row = comparison.new
            yield Text(f"{row.implementation}, {row.loss}: new: {_why_no_ratio(comparison)}")
        elif comparison.ratio is None:
            row = comparison.base if comparison.new.status == "ok" else comparison.new
            side = f" on {row.side}" if row.side else ""
            verdict = row.status if row.status == "unstable" else comparison.verdict
            yield Text(f"{row.implementation}, {row.loss}: {verdict}{side}: {row.reason or NO_TIME}")


def _visible(slowdown: float | None) -> str:
    if slowdown is None:
        return formatting.MISSING
    return f"+{formatting.percent(slowdown)}" if slowdown < 10 else "> +1000 %"


def latest(groups: list[Latest], arrangement: Arrangement = AS_IS) -> Iterator[Table | Text]:
    """Yield, for each workload and number of threads, the newest result of every implementation, the fastest first."""
    for group in groups:
        newest = Table(
            f"{group.workload}, {describe_fields(group.entries[0].row, 'threads')}",
            group.entries,
            Column("implementation", "row.implementation", NAME),
            Column("time", "row.median_s", SECONDS),
            Column("x fastest", _speed(group), RATIO, SPEED, "descending"),
            Column("limit", "row.roofline_fraction", SHARE, leaves=LATE),
            Column("measured (UTC)", lambda entry: entry.created[:16].replace("T", " "), WORD),
        )
        arrangement.require_known(newest.columns)
        yield newest.arranged(arrangement)
        yield Text()
    entries = [entry for group in groups for entry in group.entries]
    if busy := [entry for entry in entries if entry.waited > BUSY]:
        names = dict.fromkeys(entry.row.implementation for entry in busy)
        measured = f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} measured"
        waited = units.percent(max(entry.waited for entry in busy))
        yield Text(
            f"BUSY MACHINE while {measured}: processes waited for a CPU up to {waited} of the time. The ratios are "
            "also those of that load",
            style="bold yellow",
        )
    yield from note_on_impossible(entry.row for entry in entries)


def _speed(group: Latest) -> Callable[[LatestRow], Cell | Ratio]:
    return lambda entry: Cell("1", 1.0) if entry is group.entries[0] else entry.speed


def report_title(heading: str) -> str:
    """Return the title of a report among those of other tools: "lcbench: new.py against old.py"."""
    return f"lcbench: {heading}"


def change(ratio: Ratio | None) -> str:
    """Return a ratio of times as change in percent: "+25.0 % (95 %: +22.2 % to +27.9 %)"."""
    if ratio is None:
        return formatting.MISSING
    if not isfinite(ratio.high):
        return f"{_growth(ratio.value)} (no interval: too few processes)"
    return f"{_growth(ratio.value)} (95 %: {_growth(ratio.low)} to {_growth(ratio.high)})"


def _growth(ratio: float) -> str:
    return f"{100 * (ratio - 1):+,.1f} %"


def subject(comparison: Comparison) -> str:
    """Return what was compared: "numpy, softmax, 500 rows, float32"."""
    return f"{comparison.new.implementation}, {describe_fields(comparison.new, 'loss', 'rows', 'dtype')}"


def statement(comparison: Comparison, fail_above: float) -> str:
    """Return the outcome of a comparison as one sentence without its subject."""
    base, new = comparison.base, comparison.new
    if comparison.ratio is None:
        return _why_no_ratio(comparison)
    before, now = formatting.seconds(base.median_s), formatting.seconds(new.median_s)
    machine = f", {comparison.factor:.2f} times as long by the machine; beyond that" if comparison.factor else ""
    times = f"{before} before, {now} now{machine}: {change(comparison.ratio)}"
    allowed = formatting.percent(fail_above)
    if comparison.verdict == "slower":
        return f"{times}; slower than the {allowed} allowed"
    if comparison.verdict == "not slower":
        return f"{times}; not slower than the {allowed} allowed"
    if comparison.differences:
        return f"{times}; no verdict on the code: {', '.join(comparison.differences)}"
    open_question = f"{times}; the noise is too large to decide whether that is more than the {allowed} allowed"
    if comparison.detectable is None or not isfinite(comparison.detectable):
        return open_question
    visible = formatting.percent(comparison.detectable)
    return f"{open_question}; a slowdown {visible} beyond that would be detected with a power of 80 %"


def _why_no_ratio(comparison: Comparison) -> str:
    if comparison.verdict == "new":
        return f"nothing to compare, {comparison.base.reason}; head is right"
    for side, row in (("", comparison.new), ("base: ", comparison.base)):
        if not row.timed:
            if not row.reason:
                return f"{side}{NO_TIME if row.status == 'ok' else row.status}"
            return f"{side}{row.reason if row.status == comparison.verdict else f'{row.status}: {row.reason}'}"
    return NO_TIME


def summary(comparisons: Sequence[Comparison], fail_above: float) -> str:
    """Return the count of each verdict, the worst first, and the threshold: "1 slower, 2 not slower; 5.0 % allowed"."""
    return f"{_counts(comparisons)}; {formatting.percent(fail_above)} allowed"


def _counts(comparisons: Sequence[Comparison]) -> str:
    counts = Counter(comparison.verdict for comparison in comparisons)
    counted = [f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict]]
    return ", ".join(counted) or "nothing compared"
