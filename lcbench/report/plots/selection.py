"""What the plots of records show, as plain data: which rows, in what order, how they are called, how far an axis goes.

No matplotlib here: the HTML page draws by the same selection.
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
from lcbench.report.plots.looks import Look, left_out, looks, short
from lcbench.stats import estimates
from lcbench.stats.crossings import CACHE_AXES, Crossing, Efficiency, cache_end_places, crossings, efficiencies
from lcbench.stats.estimates import kept_blocks, peak_for
from lcbench.stats.growth import GROWING, Curve, Growth, OtherAxis, curves, growths

LONGEST_NAME = 24
"""Letters; the middle of a longer name is left out."""

_CAPTION_LETTERS = 130
"""In a line as wide as the plot."""


def why_no_run(record: Record) -> str:
    """Why the record is not of a run with times, or nothing."""
    if record.sweep is not None:
        return "it is of a sweep"
    return why_untimed(record)


def why_untimed(record: Record) -> str:
    """Why there is nothing to draw in the record, or nothing."""
    return "" if any(row.ranked for row in record.rows) else "none of its rows has a time"


def by_workload(record: Record) -> dict[Workload, list[Row]]:
    """The rows that have times, fastest first, by what was computed, in the order of rows of X and losses."""
    ranked = [row for row in record.rows if row.ranked]
    workloads = sorted({row.workload for row in ranked}, key=_order)
    return {
        workload: sorted((row for row in ranked if row.workload == workload), key=lambda row: row.median_s or 0.0)
        for workload in workloads
    }


@dataclass(frozen=True)
class Key:
    """How the implementations of a plot look, and what they are called there, by their names."""

    looks: dict[str, Look]
    names: dict[str, str]

    def name(self, row: Row) -> str:
        """What the row is called: its implementation, and its side in a gate."""
        return self.names[row.implementation] + _side(row)


def key(implementations: Iterable[str], most: int = LONGEST_NAME) -> Key:
    """Of these implementations, whose names have at most so many letters."""
    all_of = list(implementations)
    return Key(looks(all_of), short(all_of, most))


def key_of(record: Record, most: int = LONGEST_NAME) -> Key:
    """Of what has times in the record: the same looks in all its plots. A name and a side have so many letters."""
    return key(_implementations(record), most - max(len(_side(row)) for row in record.rows))


def _side(row: Row) -> str:
    return f" ({row.side})" if row.side else ""


def _implementations(record: Record) -> list[str]:
    return [row.implementation for row in record.rows if row.ranked]


def titles(workloads: Iterable[Workload]) -> dict[Workload, str]:
    """A title for each: its loss and its rows, and whatever else tells the workloads apart."""
    all_of = list(workloads)
    fields = [field for field in Workload._fields if field in ("loss", "rows") or _differ(all_of, field)]
    return {workload: describe_fields(workload, *fields) for workload in all_of}


def shared(workloads: Iterable[Workload]) -> str:
    """What the titles do not say, since it is the same for all."""
    all_of = list(workloads)
    fields = [field for field in Workload._fields if field not in ("loss", "rows") and not _differ(all_of, field)]
    return describe_fields(all_of[0], *fields)


def short_names(implementations: Iterable[str]) -> str:
    """What a caption says of names that were made short, or nothing."""
    whole = left_out(implementations)
    return f"names: short for {whole}" if whole else ""


def _order(workload: Workload) -> tuple[Any, ...]:
    # svm stands before softmax, as in the tables
    return (
        workload.rows, workload.batch or 0, workload.features, workload.classes, workload.dtype, workload.data,
        workload.streamed, -ord(workload.loss[1]),
    )  # fmt: skip


def _differ(workloads: list[Workload], field: str) -> bool:
    return len({getattr(workload, field) for workload in workloads}) > 1


Interval = tuple[float, float]

FARTHEST = 2.0
"""How many times the largest median an interval may reach; below the smallest, as many times less."""


def reach(medians: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """From where to where an axis goes that shows all medians, and their intervals as far as they are of that size."""
    lows, highs = zip(*intervals, strict=True)
    return max(min(lows), min(medians) / FARTHEST), min(max(highs), max(medians) * FARTHEST)


def within(interval: Interval, ends: Interval) -> Interval:
    """What of an interval lies between the ends."""
    return max(ends[0], min(interval[0], ends[1])), min(ends[1], max(interval[1], ends[0]))


def caption(record: Record, *more: str) -> str:
    """Return the line at the foot of a plot: what was computed on which machine."""
    ranked = [row for row in record.rows if row.ranked]
    threads = sorted({row.threads for row in ranked})
    on = str(record.machine.get("cpu", {}).get("model") or "") if isinstance(record.machine.get("cpu"), dict) else ""
    many = f"{threads[0]} to {threads[-1]} threads" if len(threads) > 1 else describe_field("threads", threads[0])
    words = [
        *more,
        short_names(_implementations(record)),
        shared(row.workload for row in ranked),
        f"{on}, {many}" if on else many,
        record.created[:10],
    ]
    return "\n".join(wrap("; ".join(filter(None, words)), _CAPTION_LETTERS))


BASELINE = "numpy"
"""What speed-ups are over, where the run has it."""

WIDE_RANGE = 15.0
"""Slowest over fastest from which an axis of times is logarithmic."""


@dataclass(frozen=True)
class Bar:
    """A row's median, seconds a call, its interval, and how many times as fast as the baseline it is."""

    row: Row
    median: float
    interval: Interval
    speedup: float | None

    @property
    def text(self) -> str:
        """What is written beside it."""
        time = formatting.seconds(self.median)
        if self.speedup is None:
            return time
        return f"{time}, {self.speedup:.2f} x" if self.speedup >= 0.1 else f"{time}, {self.speedup:.2g} x"


@dataclass(frozen=True)
class Bars:
    """The bars of one workload, fastest first. ends: of what the axis shows, logarithmic where times differ much."""

    bars: list[Bar]
    ends: Interval
    logarithmic: bool


def bars(rows: Iterable[Row], baseline: str = BASELINE) -> Bars:
    """Return the bars of ranked rows of one workload. Speed-ups are over the baseline's row of as many threads."""
    ordered = sorted(rows, key=lambda row: row.median_s or 0.0)
    found = [_bar(row, _baseline_of(row, ordered, baseline)) for row in ordered]
    medians = [bar.median for bar in found]
    return Bars(found, reach(medians, [bar.interval for bar in found]), medians[-1] > WIDE_RANGE * medians[0])


def _baseline_of(row: Row, rows: Sequence[Row], baseline: str) -> Row | None:
    return next(
        (one for one in rows if one.implementation == baseline and not one.side and one.threads == row.threads), None
    )


def _bar(row: Row, base: Row | None) -> Bar:
    time = row.median_s or 0.0
    faster = None if base is None or row is base or row.side else estimates.speedup(row, base).value
    return Bar(row, time, row.ci95_s or (time, time), faster)


NARROWEST_DEVIATION, WIDEST_DEVIATION = 0.08, 0.50
"""How far from the median an axis of deviations reaches at least, and at most: samples beyond are drawn at its edge."""

NEAREST = 1.04
"""How far over the median, as a factor, an axis of ratios reaches at least; at most, it reaches `FARTHEST`."""


class Process(NamedTuple):
    """A process of a row, from 1: its samples, seconds a call, and its median over the row's. kept: not left out."""

    number: int
    samples: Sequence[float]
    ratios: NDArray[np.float64]
    middle: float
    kept: bool


def processes(row: Row) -> list[Process]:
    """Return the processes of a ranked row in the order in which they ran."""
    kept, middle = set(kept_blocks(row)), row.median_s or 1.0
    return [
        Process(block + 1, samples, np.array(samples) / middle, median(samples) / middle, block in kept)
        for block, samples in enumerate(row.blocks)
    ]


def some_left_out(rows: Iterable[Row]) -> bool:
    """Answer whether a process of these rows was left out."""
    return any(not process.kept for row in rows for process in processes(row))


def deviation(rows: Iterable[Row]) -> float:
    """Return how far from the median, as a share of it, an axis goes that shows most samples."""
    away = [np.abs(process.ratios - 1) for row in rows for process in processes(row)]
    widest = 1.4 * np.quantile(np.concatenate(away), 0.95)
    return float(np.clip(widest, NARROWEST_DEVIATION, WIDEST_DEVIATION))


def ratio_ends(rows: Iterable[Row]) -> Interval:
    """Return from where to where, over the rows' medians, most samples of processes that were not left out lie."""
    kept = [float(ratio) for row in rows for process in processes(row) if process.kept for ratio in process.ratios]
    low, *_, high = quantiles(kept, n=40, method="inclusive") if len(kept) > 1 else kept * 2
    low, high = max(low**1.4, min(kept) / 1.02), min(high**1.4, max(kept) * 1.02)  # with a margin, if it is of use
    return min(max(1 / FARTHEST, low), 1 / NEAREST), max(min(FARTHEST, high), NEAREST)


def by_their_best(key: Key, groups: dict[Workload, list[Row]]) -> dict[str, list[Row]]:
    """Return the rows of each name; fastest first, by how far a name is behind the fastest of each workload."""
    names: dict[str, list[Row]] = {}
    behind: dict[str, list[float]] = {}
    for rows in groups.values():
        for row in rows:
            names.setdefault(key.name(row), []).append(row)
            behind.setdefault(key.name(row), []).append((row.median_s or 0.0) / (rows[0].median_s or 1.0))
    return dict(sorted(names.items(), key=lambda item: median(behind[item[0]])))


class Point(NamedTuple):
    """A row by its counted operations a byte, and its operations a second."""

    row: Row
    intensity: float
    rate: float


def why_no_roofline(record: Record) -> str:
    """Return why the record has no roofline, or nothing."""
    return why_no_run(record) or ("" if roofs(record) else "its run measured no limits of the machine")


def roofs(record: Record, rows: Iterable[Row] | None = None) -> dict[MachinePeak, list[Point]]:
    """Return the points of ranked rows, of all or of some, by the ceiling that bounds them, smallest footprint first.

    The model is that of Williams, Waterman & Patterson (2009, "Roofline: an insightful visual performance model for
    multicore architectures"): over operations a byte, reading X bounds the rate by a slope, and the FMA units by a flat
    roof. How steep the slope is depends on where X fits, so that each footprint has a plot of its own.
    """
    found: dict[MachinePeak, list[Point]] = {}
    for row in record.rows if rows is None else rows:
        ceiling = peak_for(row, record.ceilings) if row.ranked else None
        if ceiling and row.median_s:
            found.setdefault(ceiling, []).append(Point(row, row.flops / row.bytes, row.flops / row.median_s))
    return dict(sorted(found.items(), key=lambda item: (item[0].device, item[0].dtype, item[0].footprint)))


def reading(ceiling: MachinePeak) -> str:
    """Return what the slope is called."""
    return f"reads {ceiling.read_bytes_s / 1e9:.0f} GB/s"


def arithmetic(ceiling: MachinePeak) -> str:
    """Return what the flat roof is called."""
    return f"FMA {ceiling.flops_s / 1e9:.0f} GFLOP/s"


def roof(ceiling: MachinePeak, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest rate, operations a second, of so many operations a byte."""
    return np.minimum(ceiling.read_bytes_s * intensity, ceiling.flops_s)


def roof_ends(panels: dict[MachinePeak, list[Point]]) -> tuple[Interval, Interval]:
    """Return the ends of both axes, the same for all panels: every ridge and point, and room for names at the right."""
    intensities = [point.intensity for some in panels.values() for point in some]
    ridges = [ceiling.flops_s / ceiling.read_bytes_s for ceiling in panels]
    rates = [point.rate for some in panels.values() for point in some]
    left = min(*intensities, *ridges) / 3
    right = max(*intensities, *ridges)
    highest = max(*rates, *(ceiling.flops_s for ceiling in panels))
    return (left, right * (right / left) ** 0.9), (min(rates) / 2.5, 1.9 * highest)


class Label(NamedTuple):
    """A name at the height of the marks that it is of: those of one implementation, where they are close."""

    of: list[Point]

    @property
    def centre(self) -> float:
        """Logarithm of the rate."""
        return float(np.mean([np.log(point.rate) for point in self.of]))


def roof_labels(some: Sequence[Point], close: float) -> list[Label]:
    """Return the labels of points, from the highest rate down.

    One for both marks of an implementation that are no farther apart than `close`, in logarithms.
    """
    own: dict[tuple[str, str | None], list[Point]] = {}
    for point in some:
        own.setdefault((point.row.implementation, point.row.side), []).append(point)
    found = []
    for marks in own.values():
        rates = np.log([point.rate for point in marks])
        found += [Label(marks)] if np.ptp(rates) <= close else [Label([point]) for point in marks]
    return sorted(found, key=lambda label: -label.centre)


POINTS_OF_A_FIT = 40


@dataclass(frozen=True)
class Scaling:
    """Curves along an axis of a sweep, of one loss at one place on the other axis.

    fits, by implementation: their growth. crossings: where one passes another. caches, by name: where X is as large,
    as far as it grows along the axis.
    """

    axis: str
    loss: str
    other: OtherAxis
    curves: list[Curve]
    fits: dict[str, Growth]
    crossings: list[Crossing]
    caches: dict[str, float]

    def height(self, crossing: Crossing) -> float:
        """Return the time of a call where one curve passes another."""
        (curve,) = [one for one in self.curves if one.implementation == crossing.faster]
        times = np.log([row.median_s or 0.0 for row in curve.rows])
        return float(np.exp(np.interp(np.log(crossing.at), np.log(curve.values), times)))

    def fitted(self, curve: Curve, points: int = POINTS_OF_A_FIT) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return places and seconds along the fit of a curve, as far as the curve goes."""
        places = np.geomspace(curve.values[0], curve.values[-1], points)
        return places, self.fits[curve.implementation](places)


def why_no_scaling(record: Record) -> str:
    """Return why the record has no scaling, or nothing."""
    if record.sweep is None:
        return "it is of no sweep"
    if not growing_axis(record):
        return f"along {' and '.join(record.sweep.axes)} nothing grows"
    return why_untimed(record)


def growing_axis(record: Record) -> str:
    """Return the first axis of a sweep along which there is more to compute, or nothing."""
    return next((axis for axis in GROWING if record.sweep and axis in record.sweep.axes), "")


def scalings(record: Record, axis: str) -> list[Scaling]:
    """Return the curves along an axis: for each loss, svm first, and each place on the other axis."""
    along, grown, crossed = list(curves(record, axis)), growths(record), crossings(record)
    losses = sorted({curve.loss for curve in along}, reverse=True)
    others = list({tuple(curve.other.items()): curve.other for curve in along}.values())
    found = []
    for here in product(losses, others):
        own = [curve for curve in along if (curve.loss, curve.other) == here]
        fits = {fit.implementation: fit for fit in grown if (fit.axis, fit.loss, fit.other) == (axis, *here)}
        passed = [one for one in crossed if (one.axis, one.loss, one.other) == (axis, *here)]
        caches = _caches(record, own[0].rows[0], axis) if own else {}
        found.append(Scaling(axis, *here, own, fits, passed, caches))
    return found


def _caches(record: Record, row: Row, axis: str) -> dict[str, float]:
    cpu = record.machine.get("cpu")
    sizes = (cpu.get("caches") or {}) if isinstance(cpu, dict) else {}
    if axis not in CACHE_AXES or row.batch is not None:
        return {}
    found = cache_end_places(row, axis, {name: size for name, size in sizes.items() if size})
    return {name.removesuffix("d").upper(): place for name, place in found.items()}


def why_no_threads(record: Record) -> str:
    """Return why the record has no plot of threads, or nothing."""
    if record.sweep is None:
        return "it is of no sweep"
    if "threads" not in record.sweep.axes:
        return f"its sweep is along {' and '.join(record.sweep.axes)}, not threads"
    return "" if efficiencies(record) else "no implementation has a time with two numbers of threads"


@dataclass(frozen=True)
class Gains:
    """What threads gain at one place on the other axis, over the fewest."""

    other: OtherAxis
    found: list[Efficiency]

    @property
    def base(self) -> int:
        """The fewest threads."""
        return self.found[0].base


def gains(record: Record) -> list[Gains]:
    """Return what threads gain, for each place on the other axis."""
    found = efficiencies(record)
    others = list({tuple(one.other.items()): one.other for one in found}.values())
    return [Gains(other, [one for one in found if one.other == other]) for other in others]
