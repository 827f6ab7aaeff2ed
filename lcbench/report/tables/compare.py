"""The tables of ``lcbench compare``: verdicts on two records, or the newest results side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite

from rich.text import Text

from lcbench.record import describe_fields
from lcbench.report import style
from lcbench.report.table import FINE_RATIO, NAME, PLAIN, SECONDS, SHARE, WORD, Cell, Column, Kind, Mood, Table
from lcbench.report.tables.run import footnote_on_impossible
from lcbench.stats.estimates import Ratio
from lcbench.stats.verdicts import Comparison, Judgement, Latest, LatestRow, Verdict

_IMPLEMENTATION = Column("implementation", "new.implementation", NAME)

ORDER: tuple[Verdict, ...] = ("wrong", "not measured", "slower", "inconclusive", "not slower")
"""What a reader needs to know first."""

MOODS: dict[Verdict, Mood] = {
    "wrong": "bad", "not measured": "bad", "slower": "bad", "inconclusive": "open", "not slower": "good",
}  # fmt: skip

OTHER_MACHINE = "the two results are from different machines: no verdict holds"


def verdicts(judgement: Judgement) -> Iterator[Table | Text]:
    """Every row that both records have, and what became of the others."""
    yield from side_by_side(judgement.comparisons, "base", "new")
    yield from map(Text, only_in_one(judgement))
    yield from without_times(judgement.comparisons)
    if not judgement.same_machine:
        yield Text(OTHER_MACHINE, style="yellow")
    yield Text(basis(judgement))


def basis(judgement: Judgement) -> str:
    """What the verdicts rest on."""
    return (
        f"threshold {style.percent(judgement.fail_above)}; 95 % intervals; tests corrected for their number (Holm); "
        "visible: smallest slowdown beyond the threshold that 4 of 5 such pairs would show"
    )


def only_in_one(judgement: Judgement) -> Iterator[str]:
    """A line for every row that one of two results does not have."""
    for side, rows in (("base", judgement.only_base), ("new", judgement.only_new)):
        for row in rows:
            yield f"only in {side}: {row.implementation}, {row.workload}"


def standing(judgement: Judgement) -> list[Comparison]:
    """The comparisons. Between two machines no verdict holds, so all but wrong results are open."""
    if judgement.same_machine:
        return judgement.comparisons
    return [replace(one, verdict="inconclusive") if one.ratio else one for one in judgement.comparisons]


def side_by_side(comparisons: list[Comparison], base: str, new: str) -> Iterator[Table | Text]:
    """A table a workload: the times of `base` and `new`, their ratio and its verdict."""
    for workload in dict.fromkeys(comparison.base.workload for comparison in comparisons):
        yield table(str(workload), [one for one in comparisons if one.base.workload == workload], base, new)
        yield Text()


def table(title: str, comparisons: Sequence[Comparison], base: str, new: str, fail_above: float | None = None) -> Table:
    """The times of `base` and `new`, their ratio and its verdict.

    With `fail_above` also the workload, and a sentence where there is no ratio: for the page.
    """

    def statement_instead(one: Comparison) -> Cell | None:
        if fail_above is None or one.ratio:
            return None
        return Cell(f"{one.verdict}: {statement(one, fail_above)}", one.verdict, MOODS[one.verdict])

    return Table(
        title,
        comparisons,
        _IMPLEMENTATION,
        Column("workload", lambda one: str(one.new.workload), detail=True),
        Column(base, "base.median_s", SECONDS, "median, seconds a call"),
        Column(new, "new.median_s", SECONDS, "median, seconds a call"),
        Column(f"{new} / {base}", "ratio", FINE_RATIO, "ratio of the times, with its 95 % interval", "descending"),
        Column(
            "visible",
            "detectable",
            Kind(_visible, number=True),
            "smallest slowdown beyond the threshold that 4 of 5 such pairs would show",
        ),
        Column("verdict", lambda one: Cell(one.verdict, one.verdict, MOODS[one.verdict]), WORD),
        leading=2,
        instead=statement_instead,
    )


def in_plain_words(comparisons: Sequence[Comparison], fail_above: float) -> Table:
    """The times, and the ratio as growth: of one workload, worst verdict first."""
    return Table(
        "",
        sorted(comparisons, key=lambda one: ORDER.index(one.verdict)),
        _IMPLEMENTATION,
        Column("verdict", lambda one: Cell(one.verdict, mood=MOODS[one.verdict])),
        Column("base", "base.median_s", SECONDS),
        Column("new", "new.median_s", SECONDS),
        Column("change", lambda one: change(one.ratio) if one.ratio else statement(one, fail_above)),
    )


def without_times(comparisons: list[Comparison]) -> Iterator[Text]:
    """A line for everything that could not be compared: on which side, and why."""
    for comparison in comparisons:
        if comparison.ratio is None:
            row = comparison.base if comparison.new.status == "ok" else comparison.new
            side = f" on {row.side}" if row.side else ""
            yield Text(f"{row.implementation}, {row.loss}: {comparison.verdict}{side}: {row.reason}")


def _visible(slowdown: float | None) -> str:
    if slowdown is None:
        return style.MISSING
    return f"+{style.percent(slowdown)}" if slowdown < 10 else "> +1000 %"


def latest(groups: list[Latest]) -> Iterator[Table | Text]:
    """The newest result of every implementation, a table a workload and number of threads, fastest first."""
    for group in groups:
        yield Table(
            f"{group.workload}, {describe_fields(group.entries[0].row, 'threads')}",
            group.entries,
            Column("implementation", "row.implementation", NAME),
            Column("median", "row.median_s", SECONDS),
            Column("x fastest", _times_fastest(group), PLAIN),
            Column("limit", "row.roofline_fraction", SHARE),
            Column("measured (UTC)", lambda entry: entry.created[:16].replace("T", " "), WORD),
        )
        yield Text()
    yield from footnote_on_impossible(entry.row for group in groups for entry in group.entries)


def _times_fastest(group: Latest) -> Callable[[LatestRow], str]:
    fastest = group.entries[0].row.median_s or 0.0
    return lambda entry: f"{(entry.row.median_s or 0.0) / fastest:.2f}"


def report_title(heading: str) -> str:
    """What a report is called where others stand beside it: "lcbench: new.py against old.py"."""
    return f"lcbench: {heading}"


def change(ratio: Ratio | None) -> str:
    """A ratio of times as growth: "+25.0 % (95 %: +22.2 % to +27.9 %)"."""
    if ratio is None:
        return style.MISSING
    if not isfinite(ratio.high):
        return f"{_growth(ratio.value)} (no interval: one process)"
    return f"{_growth(ratio.value)} (95 %: {_growth(ratio.low)} to {_growth(ratio.high)})"


def _growth(ratio: float) -> str:
    return f"{100 * (ratio - 1):+,.1f} %"


def subject(comparison: Comparison) -> str:
    """What was compared: "numpy, softmax, 500 rows, float32"."""
    return f"{comparison.new.implementation}, {describe_fields(comparison.new, 'loss', 'rows', 'dtype')}"


def statement(comparison: Comparison, fail_above: float) -> str:
    """What was found, as one sentence without its subject."""
    base, new = comparison.base, comparison.new
    if comparison.ratio is None:
        return _why_no_ratio(comparison)
    times = f"{style.seconds(base.median_s)} before, {style.seconds(new.median_s)} now: {change(comparison.ratio)}"
    allowed = style.percent(fail_above)
    if comparison.verdict == "slower":
        return f"{times}; slower than the {allowed} allowed"
    if comparison.verdict == "not slower":
        return f"{times}; not slower than the {allowed} allowed"
    visible = ""
    if comparison.detectable is not None and isfinite(comparison.detectable):
        visible = f"; a slowdown {style.percent(comparison.detectable)} beyond that would have been seen 4 times in 5"
    return f"{times}; the noise leaves open whether that is more than the {allowed} allowed{visible}"


def _why_no_ratio(comparison: Comparison) -> str:
    for side, row in (("", comparison.new), ("base: ", comparison.base)):
        if not row.ranked:
            known = row.reason if row.status == comparison.verdict else f"{row.status}: {row.reason}"
            return f"{side}{known if row.reason else row.status}"
    return comparison.verdict


def summary(comparisons: Sequence[Comparison], fail_above: float) -> str:
    """How many of each verdict, worst first, and the threshold: "1 slower, 2 not slower; 5.0 % allowed"."""
    counts = Counter(comparison.verdict for comparison in comparisons)
    told = [f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict]]
    return f"{', '.join(told) or 'nothing compared'}; {style.percent(fail_above)} allowed"
