"""History of the times of one machine over records, with change points.

A series has the times of one implementation on one workload with one number of threads, with one point per record.
Records are the replicates, not the generations within them, since the generations of a record share the conditions of
that day.

Change points are detected by optimal partitioning (Jackson et al. 2005, "An algorithm for optimal partitioning of data
on an interval") of the mean log times of the generations, and confirmed by Welch's t test (Welch 1947, "The
generalization of 'Student's' problem when several different population variances are involved").

Wrong, simulated and failed rows have no time and therefore no point. Gates are excluded, since they may measure code
that is never used. Sweeps are excluded, since each of their processes measures many sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lcbench.record import Record, Row, Workload
from lcbench.stats.estimates import CONFIDENCE, Ratio, by_generation

MIN_SEGMENT = 3
"""Minimum number of records on either side of a change. Fewer could be outliers from a busy machine."""

MIN_RECORDS = 8
"""Minimum number of records for the detection of changes.

With 6 records, even a step without noise does not exceed `PENALTY`, since the noise is estimated from so few records.
"""

PENALTY = 18.0
"""Penalty for each change point, in variances of the noise.

With this value, at most 1 in 100 series without a change has a change point, for 8 to 300 records. It was determined by
simulation; see tests/stats/test_history.py.
"""

OUTLIER_LIMIT = 3.0
"""Distance from the neighbors, in standard deviations, above which a record is clipped (Hampel 1974)."""

CONFIDENCE_SET_LIMIT = -2 * log(1 - sqrt(CONFIDENCE))
"""Largest loss of likelihood, in variances of the noise, within the confidence set of a change point.

7.35, the 95 % point of the limiting distribution (Hansen 2000, "Sample splitting and threshold estimation", theorem 2).
"""


@dataclass(frozen=True)
class Measurement:
    """Record without its rows. software: versions and settings by name."""

    id: str
    created: str
    revision: str | None
    dirty: bool | None
    software: dict[str, str]


@dataclass(frozen=True)
class Point:
    """Point of a series: one row of one record.

    blocks: number of generations. log: mean log time of the generations. error: standard error of `log`. ci95_s and
    error are None if the row has only one generation.
    """

    record: str
    created: str
    revision: str | None
    dirty: bool | None
    median_s: float
    ci95_s: tuple[float, float] | None
    blocks: int
    log: float
    error: float | None


@dataclass(frozen=True)
class Change:
    """Change point of a series.

    before, after: indices of the last point before the change and the first one after it. earliest, latest: 95 %
    confidence interval of `after`. ratio: time after the change over the time before. differences: other differences
    between the records before `earliest` and at `latest`, such as "numba 0.61.0 -> 0.62.1".
    """

    before: int
    after: int
    earliest: int
    latest: int
    ratio: Ratio
    differences: list[str]

    @property
    def slower(self) -> bool:
        """Return whether the time increased."""
        return self.ratio.value > 1


@dataclass(frozen=True)
class Series:
    """Times of one implementation on one workload, oldest point first.

    noise: standard deviation of the logarithm from record to record.
    """

    implementation: str
    device: str
    threads: int
    workload: Workload
    points: list[Point]
    noise: float | None
    changes: list[Change]
    missing: int
    """Number of additional records needed for the detection of changes."""


@dataclass(frozen=True)
class History:
    """Series of one machine; workloads are in the order of their last measurement.

    records: number of records of this machine, from `oldest` to `newest` (UTC, ISO 8601). elsewhere: number of records
    of other machines. implementations, revisions: all that occur in the records, including those that were filtered.
    """

    fingerprint: str
    series: list[Series]
    records: int
    elsewhere: int
    oldest: str | None
    newest: str | None
    implementations: list[str]
    revisions: list[str]


@dataclass
class _Collected:
    """Points of a series with their records, newest first."""

    points: list[Point] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)


def history(
    newest_first: Iterable[Record],
    fingerprint: str,
    wanted: Callable[[Row], bool] = lambda row: True,
    since: datetime | str | None = None,
) -> History:
    """Return the series in the records of one machine, with their change points.

    Parameters
    ----------
    newest_first
        Records, newest first. They are not kept in memory.
    fingerprint
        Fingerprint of the machine.
    wanted
        Predicate that selects rows.
    since
        Time, or prefix of a git revision. A prefix stands for the oldest record of that revision; if there is none, no
        series is returned.
    """
    found: dict[tuple[object, ...], _Collected] = {}
    records: list[Measurement] = []
    names: dict[str, None] = {}
    elsewhere = 0
    for record in newest_first:
        if isinstance(since, datetime) and datetime.fromisoformat(record.created) < since:
            continue  # files are in the order of their names, which users can change
        if record.fingerprint != fingerprint:
            elsewhere += 1
            continue
        if record.gate or record.sweep:
            continue
        measured = _measured(record)
        records.append(measured)
        for row in record.rows:
            if not row.timed:
                continue
            names[row.implementation] = None
            if wanted(row):
                collected = found.setdefault((row.workload, row.implementation, row.device, row.threads), _Collected())
                collected.points.append(_point(row, measured))
                collected.measured.append(measured)
    revisions = list(dict.fromkeys(one.revision for one in records if one.revision))
    if isinstance(since, str):
        oldest = min((one.created for one in records if _has_revision(one, since)), default=None)
        records = [one for one in records if oldest and one.created >= oldest]
        for collected in found.values():
            collected.measured = [one for one in collected.measured if oldest and one.created >= oldest]
            del collected.points[len(collected.measured) :]
    return History(
        fingerprint,
        _sorted([_series(key, collected) for key, collected in found.items() if collected.points]),
        len(records),
        elsewhere,
        min((one.created for one in records), default=None),
        max((one.created for one in records), default=None),
        list(names),
        revisions,
    )


def _has_revision(measured: Measurement, revision: str) -> bool:
    return measured.revision is not None and measured.revision.startswith(revision)


def _sorted(series: list[Series]) -> list[Series]:
    """Return the series sorted by the first occurrence of their workload, then by their newest time."""
    order = {workload: index for index, workload in enumerate(dict.fromkeys(one.workload for one in series))}
    return sorted(series, key=lambda one: (order[one.workload], one.points[-1].median_s))


def _measured(record: Record) -> Measurement:
    machine: dict[str, Any] = record.machine
    software = {"lcbench": record.lcbench, **machine.get("versions", {})}
    for name in ("python", "kernel"):
        if machine.get(name):
            software[name] = str(machine[name])
    for library in machine.get("blas", []):
        software[f"{library.get('name')} kernels"] = str(library.get("kernels"))
    software |= machine.get("environment", {})
    return Measurement(record.id, record.created, record.git_revision, record.git_dirty, software)


def _point(row: Row, measured: Measurement) -> Point:
    assert row.median_s is not None
    logs = list(by_generation(row).values())
    error = float(np.std(logs, ddof=1) / sqrt(len(logs))) if len(logs) > 1 else None
    return Point(
        measured.id,
        measured.created,
        measured.revision,
        measured.dirty,
        row.median_s,
        row.ci95_s,
        len(logs),
        float(np.mean(logs)),
        error,
    )


def _series(key: tuple[object, ...], collected: _Collected) -> Series:
    workload, implementation, device, threads = key
    points, measured = collected.points[::-1], collected.measured[::-1]
    missing = max(0, MIN_RECORDS - len(points))
    logs = clip_outliers(np.array([point.log for point in points])) if not missing else np.empty(0)
    scale = None if missing else series_noise(logs, [point.error for point in points if point.error is not None])
    return Series(
        str(implementation),
        str(device),
        int(threads),  # type: ignore[call-overload]
        workload,  # type: ignore[arg-type]
        points,
        scale,
        []
        if scale is None
        else [_change(logs, cuts, scale, measured) for cuts in _neighbours(change_points(logs, scale), logs)],
        missing,
    )


def series_noise(logs: NDArray[np.float64], errors: list[float]) -> float:
    """Return the standard deviation of the logarithms from record to record.

    The estimate is the mean square of successive differences, on which changes have little effect (von Neumann 1941,
    "Distribution of the ratio of the mean square successive difference to the variance"). It is at least the standard
    error within the records.

    Parameters
    ----------
    logs
        Logarithms of times in chronological order, shape (n,), float64.
    errors
        Standard errors of the logarithms.
    """
    between = float(np.mean(np.diff(logs) ** 2)) / 2
    within = float(np.mean(np.square(errors))) if errors else 0.0
    return sqrt(max(between, within))


def clip_outliers(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms, of shape (n,), with outliers clipped (Hampel filter).

    The window has seven records, so that a change with three records on either side is preserved.
    Source: Hampel 1974, "The influence curve and its role in robust estimation".
    """
    around = sliding_window_view(np.pad(logs, MIN_SEGMENT, mode="reflect"), 2 * MIN_SEGMENT + 1)
    centre = np.median(around, axis=1)
    reach = OUTLIER_LIMIT * 1.4826 * np.median(np.abs(around - centre[:, None]), axis=1)
    return np.clip(logs, centre - reach, centre + reach)


def change_points(logs: NDArray[np.float64], scale: float) -> list[int]:
    """Return the indices of the first value after each change.

    Parameters
    ----------
    logs
        Logarithms of times in chronological order, shape (n,), float64.
    scale
        Standard deviation of the noise.
    """
    if scale <= 0:  # all values are equal
        return []
    cuts = best_cuts(logs / scale, PENALTY, MIN_SEGMENT)
    while cuts:
        # Welch's test removes cuts that are caused by a single outlier.
        ratios = [_ratio(logs, ends) for ends in _neighbours(cuts, logs)]
        insignificant = [at for at, ratio in zip(cuts, ratios, strict=True) if ratio.low <= 1 <= ratio.high]
        if not insignificant:
            break
        cuts.remove(insignificant[0])
    return cuts


def best_cuts(values: NDArray[np.float64], penalty: float, min_segment: int) -> list[int]:
    """Return the first index of each segment but the first, so that the cost of the segments is minimal.

    The cost is the sum of the squared deviations from the means of the segments, plus `penalty` for each cut.

    Parameters
    ----------
    values
        Shape (n,), float64.
    penalty
        Cost of a cut.
    min_segment
        Minimum length of a segment.
    """
    centred = values - np.mean(values)
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    squares = np.concatenate(([0.0], np.cumsum(centred**2)))
    least = np.full(len(values) + 1, np.inf)  # cost of the values before an index
    least[0] = -penalty
    last = np.zeros(len(values) + 1, np.int64)  # begin of the segment that ends there
    for end in range(min_segment, len(values) + 1):
        begin = np.arange(end - min_segment + 1)
        deviations = squares[end] - squares[begin] - (sums[end] - sums[begin]) ** 2 / (end - begin)
        costs = least[begin] + deviations + penalty
        last[end] = np.argmin(costs)
        least[end] = costs[last[end]]
    cuts = []
    end = int(last[-1])
    while end:
        cuts.append(end)
        end = int(last[end])
    return cuts[::-1]


def _neighbours(cuts: list[int], logs: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Return each cut with the cuts before and after it, or with the ends of the series."""
    ends = [0, *cuts, len(logs)]
    return list(zip(ends, ends[1:], ends[2:], strict=False))


def _ratio(logs: NDArray[np.float64], cuts: tuple[int, int, int]) -> Ratio:
    """Return the ratio of the times after and before a cut, with Welch's confidence interval."""
    start, at, end = cuts
    before, after = logs[start:at], logs[at:end]
    difference = float(np.mean(after) - np.mean(before))
    if np.ptp(before) == np.ptp(after) == 0:
        return Ratio(exp(difference), exp(difference), exp(difference))
    from scipy import stats

    low, high = stats.ttest_ind(after, before, equal_var=False).confidence_interval(CONFIDENCE)
    return Ratio(exp(difference), exp(float(low)), exp(float(high)))


def _change(logs: NDArray[np.float64], cuts: tuple[int, int, int], scale: float, measured: list[Measurement]) -> Change:
    _, at, _ = cuts
    earliest, latest = _places(logs / scale, cuts)
    return Change(
        at - 1, at, earliest, latest, _ratio(logs, cuts), environment_changes(measured[earliest - 1], measured[latest])
    )


def _places(values: NDArray[np.float64], cuts: tuple[int, int, int]) -> tuple[int, int]:
    """Return the confidence interval of a cut (Hansen 2000). values: logarithms divided by the noise, shape (n,)."""
    start, at, end = cuts
    centred = np.cumsum(values[start:end] - np.mean(values[start:end]))[:-1]
    left = np.arange(1, end - start)
    gains = centred**2 * (1 / left + 1 / (end - start - left))
    likely = start + left[gains >= gains[at - start - 1] - CONFIDENCE_SET_LIMIT]
    return int(likely[0]), int(likely[-1])


def environment_changes(before: Measurement, after: Measurement) -> list[str]:
    """Return the differences between two records in revision, versions and settings."""
    changed = []
    if (before.revision, before.dirty) != (after.revision, after.dirty):
        changed.append(
            f"git {short_revision(before.revision, before.dirty)} -> {short_revision(after.revision, after.dirty)}"
        )
    for name in sorted({*before.software, *after.software}):
        old, new = before.software.get(name, "none"), after.software.get(name, "none")
        if old != new:
            changed.append(f"{name} {old} -> {new}")
    return changed


def short_revision(revision: str | None, dirty: bool | None) -> str:
    """Return the first ten digits of a git revision, with "+" if files had changed; "none" outside git."""
    return f"{revision[:10]}{'+' if dirty else ''}" if revision else "none"
