"""Data of the plots of records, without matplotlib, for plots in files and on the HTML page.

This module selects and orders the rows, and computes names, titles and the limits of axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median, quantiles
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.record import MachinePeak, Record, Row, Workload, describe_field, describe_fields
from lcbench.report import formatting
from lcbench.report.plots.line_styles import LineStyle, line_styles, short_name_pattern, shorten_names
from lcbench.stats import estimates
from lcbench.stats.crossings import CACHE_AXES, Crossing, Efficiency, cache_end_places, crossings, efficiencies
from lcbench.stats.estimates import peak_for, process_times
from lcbench.stats.growth import GROWING, Curve, Growth, OtherAxis, curves, growths

LONGEST_NAME = 24
"""Maximum letters of a name; the middle of a longer name is left out."""

_CAPTION_LETTERS = 130
"""Letters of a caption in a line as wide as the plot."""


def why_no_run(record: Record) -> str:
    """Return why the record is not a run with times, or an empty string."""
    if record.sweep is not None:
        return "it is a sweep"
    return why_untimed(record)


def why_untimed(record: Record) -> str:
    """Return why the record has no times, or an empty string."""
    return "" if any(row.ranked for row in record.rows) else "none of its rows has a time"


def by_workload(record: Record) -> dict[Workload, list[Row]]:
    """Return the rows that have times by workload, the fastest first."""
    ranked = [row for row in record.rows if row.ranked]
    workloads = sorted({row.workload for row in ranked}, key=_order)
    return {
        workload: sorted((row for row in ranked if row.workload == workload), key=lambda row: row.median_s or 0.0)
        for workload in workloads
    }


@dataclass(frozen=True)
class Key:
    """Line styles and short names of the implementations of a plot, by their names."""

    styles: dict[str, LineStyle]
    names: dict[str, str]

    def name(self, row: Row) -> str:
        """Return the short name of the row's implementation, with the side of a gate."""
        return self.names[row.implementation] + _side(row)


def key(implementations: Iterable[str], max_letters: int = LONGEST_NAME) -> Key:
    """Return line styles and names, of at most `max_letters` letters, of these implementations."""
    names = list(implementations)
    return Key(line_styles(names), shorten_names(names, max_letters))


def key_of(record: Record, max_letters: int = LONGEST_NAME) -> Key:
    """Return line styles and names of a record's implementations; all its plots use the same ones.

    A name with its side has at most `max_letters` letters.
    """
    return key(_implementations(record), max_letters - max(len(_side(row)) for row in record.rows))


def _side(row: Row) -> str:
    return f" ({row.side})" if row.side else ""


def _implementations(record: Record) -> list[str]:
    return [row.implementation for row in record.rows if row.ranked]


def titles(workloads: Iterable[Workload]) -> dict[Workload, str]:
    """Return a title for each workload: its loss, its rows, and the other fields in which the workloads differ."""
    workloads = list(workloads)
    fields = [field for field in Workload._fields if field in ("loss", "rows") or _differ(workloads, field)]
    return {workload: describe_fields(workload, *fields) for workload in workloads}


def shared_fields(workloads: Iterable[Workload]) -> str:
    """Return the fields that are the same for all workloads, except loss and rows."""
    workloads = list(workloads)
    fields = [field for field in Workload._fields if field not in ("loss", "rows") and not _differ(workloads, field)]
    return describe_fields(workloads[0], *fields)


def short_names_note(implementations: Iterable[str]) -> str:
    """Return the caption's note on shortened names, or an empty string."""
    pattern = short_name_pattern(implementations)
    return f"names: short for {pattern}" if pattern else ""


def _order(workload: Workload) -> tuple[Any, ...]:
    # svm before softmax, as in the tables
    return (
        workload.rows, workload.batch or 0, workload.features, workload.classes, workload.dtype, workload.data,
        workload.streamed, -ord(workload.loss[1]),
    )  # fmt: skip


def _differ(workloads: list[Workload], field: str) -> bool:
    return len({getattr(workload, field) for workload in workloads}) > 1


Interval = tuple[float, float]

ARROWS = "arrows: the interval extends beyond the axis"
TRIANGLES = "triangles: samples beyond the axis"
"""Notes of captions on the page and in files."""

FARTHEST = 2.0
"""Largest factor by which an axis extends beyond the medians to show an interval."""


def axis_limits(medians: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """Return the limits of an axis with all medians, and with their intervals as far as `FARTHEST` allows."""
    lows, highs = zip(*intervals, strict=True)
    return max(min(lows), min(medians) / FARTHEST), min(max(highs), max(medians) * FARTHEST)


def clip_interval(interval: Interval, ends: Interval) -> Interval:
    """Return the interval clipped to the limits of an axis."""
    return max(ends[0], min(interval[0], ends[1])), min(ends[1], max(interval[1], ends[0]))


def caption(record: Record, *notes: str) -> str:
    """Return the caption of a plot: notes, what was computed, the machine and the date."""
    ranked = [row for row in record.rows if row.ranked]
    threads = sorted({row.threads for row in ranked})
    cpu = record.machine.get("cpu")
    model = cpu.get("model") if isinstance(cpu, dict) else None
    count = f"{threads[0]} to {threads[-1]} threads" if len(threads) > 1 else describe_field("threads", threads[0])
    parts = [
        *notes,
        short_names_note(_implementations(record)),
        shared_fields(row.workload for row in ranked),
        f"{model}, {count}" if model else count,
        record.created[:10],
    ]
    return "\n".join(wrap("; ".join(filter(None, parts)), _CAPTION_LETTERS))


BASELINE = "numpy"
"""Implementation that speed-ups are relative to, if the run has it."""

WIDE_RANGE = 15.0
"""Ratio of the slowest to the fastest time from which an axis is logarithmic."""


@dataclass(frozen=True)
class Bar:
    """Median of a row in seconds per call, its interval, and its speed-up over the baseline."""

    row: Row
    median: float
    interval: Interval
    speedup: float | None

    @property
    def text(self) -> str:
        """Text beside the bar."""
        time = formatting.seconds(self.median)
        if self.speedup is None:
            return time
        return f"{time}, {self.speedup:.2f} x" if self.speedup >= 0.1 else f"{time}, {self.speedup:.2g} x"


@dataclass(frozen=True)
class Bars:
    """Bars of one workload, the fastest first. ends: limits of the axis."""

    bars: list[Bar]
    ends: Interval
    logarithmic: bool


def bars(rows: Iterable[Row], baseline: str = BASELINE) -> Bars:
    """Return the bars of ranked rows of one workload. The baseline of a speed-up has the same number of threads."""
    ordered = sorted(rows, key=lambda row: row.median_s or 0.0)
    found = [_bar(row, _baseline_of(row, ordered, baseline)) for row in ordered]
    medians = [bar.median for bar in found]
    return Bars(found, axis_limits(medians, [bar.interval for bar in found]), medians[-1] > WIDE_RANGE * medians[0])


def _baseline_of(row: Row, rows: Sequence[Row], baseline: str) -> Row | None:
    return next(
        (
            other
            for other in rows
            if other.implementation == baseline and not other.side and other.threads == row.threads
        ),
        None,
    )


def _bar(row: Row, base: Row | None) -> Bar:
    time = row.median_s or 0.0
    faster = None if base is None or row is base or row.side else estimates.speedup(row, base).value
    return Bar(row, time, row.ci95_s or (time, time), faster)


NARROWEST_DEVIATION, WIDEST_DEVIATION = 0.08, 0.50
"""Smallest and largest limit of an axis of deviations; samples beyond it are drawn at its edge."""

NEAREST = 1.04
"""Factor from the median to the limits of an axis of ratios: at least this, and at most `FARTHEST`."""


class Process(NamedTuple):
    """Process of a row: its number from 1, its samples in seconds per call, and their ratios to the row's time.

    middle: ratio of the time of the process to that of the row.
    """

    number: int
    samples: Sequence[float]
    ratios: NDArray[np.float64]
    middle: float


def processes(row: Row) -> list[Process]:
    """Return the processes of a ranked row in the order of their generations."""
    middle = row.median_s or 1.0
    return [
        Process(number, samples, np.array(samples) / middle, time / middle)
        for number, (samples, time) in enumerate(zip(row.blocks, process_times(row), strict=True), start=1)
    ]


def deviation_limit(rows: Iterable[Row]) -> float:
    """Return the limit of an axis of deviations from the median that shows most samples."""
    deviations = [np.abs(process.ratios - 1) for row in rows for process in processes(row)]
    widest = 1.4 * np.quantile(np.concatenate(deviations), 0.95)
    return float(np.clip(widest, NARROWEST_DEVIATION, WIDEST_DEVIATION))


def ratio_limits(rows: Iterable[Row]) -> Interval:
    """Return the limits of an axis of ratios to the median that shows most samples."""
    ratios = [float(ratio) for row in rows for process in processes(row) for ratio in process.ratios]
    low, *_, high = quantiles(ratios, n=40, method="inclusive") if len(ratios) > 1 else ratios * 2
    low, high = max(low**1.4, min(ratios) / 1.02), min(high**1.4, max(ratios) * 1.02)  # with a margin
    return min(max(1 / FARTHEST, low), 1 / NEAREST), max(min(FARTHEST, high), NEAREST)


def rows_by_name(key: Key, groups: dict[Workload, list[Row]]) -> dict[str, list[Row]]:
    """Return the rows by name, ordered by the median of their ratios to the fastest row of each workload."""
    by_name: dict[str, list[Row]] = {}
    ratios: dict[str, list[float]] = {}
    for rows in groups.values():
        for row in rows:
            by_name.setdefault(key.name(row), []).append(row)
            ratios.setdefault(key.name(row), []).append((row.median_s or 0.0) / (rows[0].median_s or 1.0))
    return dict(sorted(by_name.items(), key=lambda item: median(ratios[item[0]])))


class Point(NamedTuple):
    """Arithmetic intensity of a row in operations per byte, and its rate in operations per second."""

    row: Row
    intensity: float
    rate: float


def why_no_roofline(record: Record) -> str:
    """Return why the record has no roofline, or an empty string."""
    return why_no_run(record) or ("" if roofline_points(record) else "its run measured no limits of the machine")


def roofline_points(record: Record, rows: Iterable[Row] | None = None) -> dict[MachinePeak, list[Point]]:
    """Return the points of ranked rows, of all or of some, by the peak that bounds them, the smallest footprint first.

    The model is that of Williams, Waterman & Patterson (2009, "Roofline: an insightful visual performance model for
    multicore architectures"): over operations per byte, the bandwidth of reading X is a slope, and the peak of the FMA
    units is a flat roof. The bandwidth depends on the cache that X fits into, so each footprint has a plot of its own.
    """
    found: dict[MachinePeak, list[Point]] = {}
    for row in record.rows if rows is None else rows:
        peak = peak_for(row, record.ceilings) if row.ranked else None
        if peak and row.median_s:
            found.setdefault(peak, []).append(Point(row, row.flops / row.bytes, row.flops / row.median_s))
    return dict(sorted(found.items(), key=lambda item: (item[0].device, item[0].dtype, item[0].footprint)))


def read_label(peak: MachinePeak) -> str:
    """Return the label of the slope."""
    return f"reads {peak.read_bytes_s / 1e9:.0f} GB/s"


def flops_label(peak: MachinePeak) -> str:
    """Return the label of the flat roof."""
    return f"{peak.unit} {peak.flops_s / 1e9:.0f} GFLOP/s"


def roofline_rate(peak: MachinePeak, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest rate, in operations per second, at an arithmetic intensity."""
    return np.minimum(peak.read_bytes_s * intensity, peak.flops_s)


def roofline_limits(panels: dict[MachinePeak, list[Point]]) -> tuple[Interval, Interval]:
    """Return the limits of both axes, the same for all panels, with room for names at the right."""
    intensities = [point.intensity for points in panels.values() for point in points]
    ridges = [peak.flops_s / peak.read_bytes_s for peak in panels]
    rates = [point.rate for points in panels.values() for point in points]
    left = min(*intensities, *ridges) / 3
    right = max(*intensities, *ridges)
    highest = max(*rates, *(peak.flops_s for peak in panels))
    return (left, right * (right / left) ** 1.3), (min(rates) / 2.5, 1.9 * highest)


class Label(NamedTuple):
    """Label of an implementation's points: one, or several whose rates are close."""

    points: list[Point]

    @property
    def centre(self) -> float:
        """Mean logarithm of the rate."""
        return float(np.mean([np.log(point.rate) for point in self.points]))


def roofline_labels(points: Sequence[Point], close: float) -> list[Label]:
    """Return the labels of points, from the highest rate down.

    The points of an implementation share a label if their logarithms differ by at most `close`.
    """
    own: dict[tuple[str, str | None], list[Point]] = {}
    for point in points:
        own.setdefault((point.row.implementation, point.row.side), []).append(point)
    found = []
    for marks in own.values():
        rates = np.log([point.rate for point in marks])
        found += [Label(marks)] if np.ptp(rates) <= close else [Label([point]) for point in marks]
    return sorted(found, key=lambda label: -label.centre)


@dataclass(frozen=True)
class Scaling:
    """Curves along an axis of a sweep, for one loss at one place on the other axis.

    fits: growth by implementation. crossings: where one curve passes another. caches: where X is as large as a cache,
    by the cache's name, for axes along which X grows.
    """

    axis: str
    loss: str
    other: OtherAxis
    curves: list[Curve]
    fits: dict[str, Growth]
    crossings: list[Crossing]
    caches: dict[str, float]

    def height(self, crossing: Crossing) -> float:
        """Return the time of a call at a crossing."""
        (curve,) = [curve for curve in self.curves if curve.implementation == crossing.faster]
        times = np.log([row.median_s or 0.0 for row in curve.rows])
        return float(np.exp(np.interp(np.log(crossing.at), np.log(curve.values), times)))

    def fitted(self, curve: Curve, points: int = 40) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return places and seconds along the fit of a curve, between its ends."""
        places = np.geomspace(curve.values[0], curve.values[-1], points)
        return places, self.fits[curve.implementation](places)


def why_no_scaling(record: Record) -> str:
    """Return why the record has no plot of scaling, or an empty string."""
    if record.sweep is None:
        return "it is not a sweep"
    if not growing_axis(record):
        return f"the work does not grow along {' and '.join(record.sweep.axes)}"
    return why_untimed(record)


def growing_axis(record: Record) -> str:
    """Return the first axis of a sweep along which the work grows, or an empty string."""
    return next((axis for axis in GROWING if record.sweep and axis in record.sweep.axes), "")


def scalings(record: Record, axis: str) -> list[Scaling]:
    """Return the curves along an axis for each loss, svm first, and each place on the other axis."""
    along, grown, crossed = list(curves(record, axis)), growths(record), crossings(record)
    losses = sorted({curve.loss for curve in along}, reverse=True)
    others = list({tuple(curve.other.items()): curve.other for curve in along}.values())
    found = []
    for here in product(losses, others):
        own = [curve for curve in along if (curve.loss, curve.other) == here]
        fits = {fit.implementation: fit for fit in grown if (fit.axis, fit.loss, fit.other) == (axis, *here)}
        passings = [crossing for crossing in crossed if (crossing.axis, crossing.loss, crossing.other) == (axis, *here)]
        caches = _caches(record, own[0].rows[0], axis) if own else {}
        found.append(Scaling(axis, *here, own, fits, passings, caches))
    return found


def _caches(record: Record, row: Row, axis: str) -> dict[str, float]:
    cpu = record.machine.get("cpu")
    sizes = (cpu.get("caches") or {}) if isinstance(cpu, dict) else {}
    if axis not in CACHE_AXES or row.batch is not None:
        return {}
    found = cache_end_places(row, axis, {name: size for name, size in sizes.items() if size})
    return {name.removesuffix("d").upper(): place for name, place in found.items()}


def why_no_threads(record: Record) -> str:
    """Return why the record has no plot of threads, or an empty string."""
    if record.sweep is None:
        return "it is not a sweep"
    if "threads" not in record.sweep.axes:
        return f"it is a sweep along {' and '.join(record.sweep.axes)}, not threads"
    return "" if efficiencies(record) else "no implementation has a time with two numbers of threads"


@dataclass(frozen=True)
class Gains:
    """Speed-ups over the fewest threads at one place on the other axis."""

    other: OtherAxis
    found: list[Efficiency]

    @property
    def base(self) -> int:
        """Fewest threads."""
        return self.found[0].base


def gains(record: Record) -> list[Gains]:
    """Return the speed-ups by threads for each place on the other axis."""
    found = efficiencies(record)
    others = list({tuple(gain.other.items()): gain.other for gain in found}.values())
    return [Gains(other, [gain for gain in found if gain.other == other]) for other in others]
