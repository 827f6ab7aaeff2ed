"""How the times of one machine went over records, and where they changed.

A series is what one implementation took on one workload with one number of threads, a point a record. A record, and not
a block within it, is the replicate here: its blocks share whatever was so on that day. Change points are where PELT
(Killick, Fearnhead & Eckley 2012, "Optimal detection of changepoints with a linear computational cost") cuts the means
of the logarithms of the block medians, and where the two sides then differ by Welch's test (1947).

Wrong, simulated and failed rows have no time and so no point. Rows of a gate are left out, which measures code that may
never be in use, and rows of a sweep, whose processes time many sizes each.
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
from lcbench.stats.estimates import CONFIDENCE, Ratio, block_medians

SHORTEST = 3
"""Records on either side of a change: fewer cannot be told from a record that a busy machine disturbed."""

MIN_RECORDS = 8
"""Records that a series needs before anything is said about changes: of 6, not even a step without any noise gains what
a cut must, since the noise is estimated from as few."""

PENALTY = 18.0
"""What a cut must gain, in variances of the noise: of series without a change, be they of 8 records or of 300, at most
1 in 100 are cut (by simulation, as in tests/judge/test_history.py)."""

STRAY = 3.0
"""How many standard deviations from its neighbours a record may lie before it is drawn in (Hampel 1974)."""

NEAR_ENOUGH = -2 * log(1 - sqrt(CONFIDENCE))
"""What the best place of a cut may gain over another one within its confidence set, in variances of the noise: the 95 %
point of the limiting law (Hansen 2000, "Sample splitting and threshold estimation", theorem 2), 7.35."""


@dataclass(frozen=True)
class Measurement:
    """One record, as far as its times depend on it. software: versions and settings by name."""

    id: str
    created: str
    revision: str | None
    dirty: bool | None
    software: dict[str, str]


@dataclass(frozen=True)
class Point:
    """What one record says of one series. ci95_s is None where the record has but one block.

    log: mean of the logarithms of its block medians. error: standard error of that, None of one block.
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
    """A lasting change of a time.

    before, after: the last point before it and the first one after it. ratio: time after over time before, records as
    the replicates. earliest, latest: of the point after it, 95 % confidence. differences: what else is known to have
    changed between the point before the earliest and the latest, "numba 0.61.0 -> 0.62.1".
    """

    before: int
    after: int
    earliest: int
    latest: int
    ratio: Ratio
    differences: list[str]

    @property
    def slower(self) -> bool:
        """Whether it takes longer since."""
        return self.ratio.value > 1


@dataclass(frozen=True)
class Series:
    """One implementation on one workload, oldest point first. noise: from record to record, of the logarithm."""

    implementation: str
    device: str
    threads: int
    workload: Workload
    points: list[Point]
    noise: float | None
    changes: list[Change]
    missing: int
    """Records that are wanting before anything can be said about changes; 0 where there are enough."""


@dataclass(frozen=True)
class History:
    """Every series of one machine; workloads in the order in which they were last measured.

    records: how many of this machine were taken into account, from `oldest` to `newest` (UTC, ISO 8601). elsewhere: how
    many of those that were read are of other machines. implementations, revisions: all that were met, wanted or not.
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
    """A series as it is read: newest first, each point with the record that it is of."""

    points: list[Point] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)


def history(
    newest_first: Iterable[Record],
    fingerprint: str,
    wanted: Callable[[Row], bool] = lambda row: True,
    since: datetime | str | None = None,
) -> History:
    """Every series in the records of the machine `fingerprint`, and its change points.

    newest_first: each is read once and not kept. wanted: which rows. since: a time, or a git revision in full or its
    first digits, which stands for the oldest record of it; where there is none, there are no series.
    """
    found: dict[tuple[object, ...], _Collected] = {}
    records: list[Measurement] = []
    names: dict[str, None] = {}
    elsewhere = 0
    for record in newest_first:
        if isinstance(since, datetime) and datetime.fromisoformat(record.created) < since:
            break
        if record.fingerprint != fingerprint:
            elsewhere += 1
            continue
        if record.gate or record.sweep:
            continue
        measured = _measured(record)
        records.append(measured)
        for row in record.rows:
            if not row.ranked:
                continue
            names[row.implementation] = None
            if wanted(row):
                collected = found.setdefault((row.workload, row.implementation, row.device, row.threads), _Collected())
                collected.points.append(_point(row, measured))
                collected.measured.append(measured)
    revisions = list(dict.fromkeys(one.revision for one in records if one.revision))
    if isinstance(since, str):
        oldest = min((one.created for one in records if _is(one, since)), default=None)
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


def _is(measured: Measurement, revision: str) -> bool:
    return measured.revision is not None and measured.revision.startswith(revision)


def _sorted(series: list[Series]) -> list[Series]:
    """Workloads stay in the order in which they were met; within each, the fastest first."""
    places = {workload: place for place, workload in enumerate(dict.fromkeys(one.workload for one in series))}
    return sorted(series, key=lambda one: (places[one.workload], one.points[-1].median_s))


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
    logs = np.log(block_medians(row))
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
    """Standard deviation from record to record, of (n,) logarithms in the order of time, changes or not.

    The mean square of successive differences (von Neumann 1941), of which changes make up few. It cannot be smaller
    than what the blocks within the records say, their standard `errors`.
    """
    between = float(np.mean(np.diff(logs) ** 2)) / 2
    within = float(np.mean(np.square(errors))) if errors else 0.0
    return sqrt(max(between, within))


def clip_outliers(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (n,) logarithms with stray ones moved to the rim of what their neighbours make likely (Hampel's identifier).

    Of seven neighbours, so that a change with three records on either side stays what it is.
    """
    around = sliding_window_view(np.pad(logs, SHORTEST, mode="reflect"), 2 * SHORTEST + 1)
    centre = np.median(around, axis=1)
    reach = STRAY * 1.4826 * np.median(np.abs(around - centre[:, None]), axis=1)
    return np.clip(logs, centre - reach, centre + reach)


def change_points(logs: NDArray[np.float64], scale: float) -> list[int]:
    """Where (n,) logarithms of times change lastingly: indices of the first value after each change.

    scale: standard deviation of their noise.
    """
    import ruptures

    if scale <= 0:  # equal to the last bit: nothing changed
        return []
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit(logs[:, None] / scale)
    cuts = [int(at) for at in search.predict(pen=PENALTY)[:-1]]
    while cuts:
        # A cut that one stray record brought about does not pass a test that knows how the records scatter.
        ratios = [_ratio(logs, ends) for ends in _neighbours(cuts, logs)]
        doubtful = [at for at, ratio in zip(cuts, ratios, strict=True) if ratio.low <= 1 <= ratio.high]
        if not doubtful:
            break
        cuts.remove(doubtful[0])
    return cuts


def _neighbours(cuts: list[int], logs: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Each cut between the one before it and the one after it, or the ends."""
    ends = [0, *cuts, len(logs)]
    return list(zip(ends, ends[1:], ends[2:], strict=False))


def _ratio(logs: NDArray[np.float64], cuts: tuple[int, int, int]) -> Ratio:
    """Time after over time before, with Welch's interval; records are the replicates."""
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
    """First and last place of the cut that the values, in units of their noise, do not speak against."""
    start, at, end = cuts
    centred = np.cumsum(values[start:end] - np.mean(values[start:end]))[:-1]
    left = np.arange(1, end - start)
    gains = centred**2 * (1 / left + 1 / (end - start - left))
    likely = start + left[gains >= gains[at - start - 1] - NEAR_ENOUGH]
    return int(likely[0]), int(likely[-1])


def environment_changes(before: Measurement, after: Measurement) -> list[str]:
    """What is known to differ between two records beside their times: revision, versions, settings."""
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
    """A git revision in ten digits, with a plus where files had changed since; "none" outside git."""
    return f"{revision[:10]}{'+' if dirty else ''}" if revision else "none"
