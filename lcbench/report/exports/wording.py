"""Verdicts in plain words, the same in every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from lcbench.judge.ratios import Ratio
from lcbench.judge.verdicts import Comparison, Verdict
from lcbench.report import style

ORDER: tuple[Verdict, ...] = ("wrong", "not measured", "slower", "inconclusive", "not slower")
"""What a reader needs to know first."""


def title(heading: str) -> str:
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
    row = comparison.new
    return f"{row.implementation}, {row.loss}, {row.rows:,} rows, {row.dtype}"


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
