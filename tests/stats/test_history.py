"""Tests of lcbench.stats.history on simulated records with known changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log

import numpy as np
import pytest

from lcbench.record import Gate, Side, Sweep
from lcbench.stats import history
from lcbench.stats.history import MIN_RECORDS, best_cuts, change_points, clip_outliers, series_noise
from results import MACHINE, record, row

BETWEEN_BLOCKS = 0.038
"""Standard deviation of the logarithm from process to process, as it is on an ordinary cloud machine."""

BLOCKS = 5


def simulated(draw, records, between, step=1.0, outlier=0.0):
    """Logarithms of times, a record each, and the standard errors that their blocks tell: `step` after half of them.

    between: standard deviation from record to record, of draws like the normal's (`draw` decides how they are spread).
    """
    generator = np.random.default_rng(draw)
    drift = generator.standard_t(3, records) / np.sqrt(3) if draw % 2 else generator.normal(size=records)
    blocks = generator.normal(0, BETWEEN_BLOCKS, (records, BLOCKS))
    logs = between * drift + blocks.mean(axis=1)
    logs[records // 2 :] += log(step)
    if outlier:
        logs[generator.integers(records)] += outlier
    return logs, list(blocks.std(axis=1, ddof=1) / np.sqrt(BLOCKS))


def cuts_of(logs, errors):
    logs = clip_outliers(logs)
    return change_points(logs, series_noise(logs, errors))


@pytest.mark.parametrize("records", [MIN_RECORDS, 12, 40, 200])
@pytest.mark.parametrize("outlier", [0.0, 0.5])
def test_a_series_without_change_is_rarely_cut(records, outlier):
    draws = 400
    alarms = sum(bool(cuts_of(*simulated(draw, records, 0.03, outlier=outlier))) for draw in range(draws))
    assert alarms <= 0.025 * draws  # 1 in 100 is promised; of 400 draws, chance makes up to 10 of that


@pytest.mark.parametrize(("records", "between"), [(12, 0.01), (30, 0.03), (80, 0.05)])
def test_a_step_of_ten_percent_is_found(records, between):
    draws = 100
    found = [cuts_of(*simulated(draw, records, between, step=1.1)) for draw in range(draws)]
    near = [cuts for cuts in found if len(cuts) == 1 and abs(cuts[0] - records // 2) <= records // 8]
    assert len(near) >= 0.9 * draws


def test_coverage_of_the_intervals_of_place_and_ratio():
    draws, placed, sized = 200, 0, 0
    for draw in range(draws):
        logs, _ = simulated(2 * draw, 40, 0.03, step=1.1)
        [series] = of_logs(logs).series
        change = next((change for change in series.changes), None)
        if change is None:
            continue
        placed += change.earliest <= 20 <= change.latest
        sized += change.ratio.low <= 1.1 <= change.ratio.high
    assert placed >= 0.9 * draws
    assert sized >= 0.87 * draws  # the interval knows nothing of the place's having been chosen


def test_an_outlier_hides_no_change():
    draws = 100
    found = [cuts_of(*simulated(2 * draw, 40, 0.02, step=1.1, outlier=0.5)) for draw in range(draws)]
    assert sum(any(abs(at - 20) <= 2 for at in cuts) for cuts in found) >= 0.85 * draws


def test_noise_is_at_least_that_of_the_blocks():
    logs = np.array([0.0, 0.0001, 0.0, 0.0, 0.01, 0.0101, 0.01, 0.01])
    assert change_points(logs, series_noise(logs, [])) == [4]
    assert change_points(logs, series_noise(logs, [0.02] * 8)) == []


def test_the_minimum_number_of_records_can_show_a_change():
    logs = np.array([0.0] * (MIN_RECORDS // 2) + [0.1] * (MIN_RECORDS - MIN_RECORDS // 2))
    assert change_points(logs, series_noise(logs, [])) == [MIN_RECORDS // 2]


def test_equal_times_have_no_change():
    assert change_points(np.zeros(10), series_noise(np.zeros(10), [])) == []


def test_a_factor_of_ten_is_a_change_and_no_noise():
    logs = np.log([1, 1.01, 0.99, 1, 10, 10.1, 9.9, 10])
    assert cuts_of(logs, []) == [4]


def segments(length, shortest):
    """All ways to divide `length` values into segments, each as the ends of its segments."""
    if length >= shortest:
        yield (length,)
    for first in range(shortest, length - shortest + 1):
        for rest in segments(length - first, shortest):
            yield (first, *(first + end for end in rest))


@pytest.mark.parametrize("penalty", [0.5, 4.0, 18.0])
def test_no_other_cuts_cost_less(penalty):
    ways = list(segments(11, 2))
    assert len(ways) == 55
    numbers = set()
    for draw in range(40):
        generator = np.random.default_rng(draw)
        values = generator.normal(size=11) + 5 * generator.integers(0, 3, 11).cumsum()

        def cost(ends, values=values):
            parts = np.split(values, ends[:-1])
            return sum(((part - part.mean()) ** 2).sum() for part in parts) + penalty * (len(ends) - 1)

        found = best_cuts(values, penalty, 2)
        assert cost((*found, 11)) == pytest.approx(min(map(cost, ways)), abs=1e-9)
        numbers.add(len(found))
    assert len(numbers) > 1


def test_cuts_of_known_steps():
    values = np.repeat([0.0, 7.0, 2.0, 9.0], [20, 300, 3, 77]) + np.random.default_rng(0).normal(0, 0.5, 400)
    assert best_cuts(values, 18.0, 3) == [20, 320, 323]


def of_logs(logs, **fields):
    """The history of records with these logarithms of times, a day apart, three blocks each."""
    records = [
        on_day(day, row(medians=[0.995 * np.exp(value), np.exp(value), 1.005 * np.exp(value)]))
        for day, value in enumerate(logs)
    ]
    return history.history(reversed(records), MACHINE, **fields)


def on_day(day, *rows, **fields):
    created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return record(*rows, created=created.isoformat(), **fields)


TIMES = [1.0, 1.01, 0.99, 1.0, 1.2, 1.21, 1.19, 1.2]


def test_a_change_is_named_by_its_neighbours_its_size_and_what_else_changed():
    records = [
        on_day(
            day,
            row(medians=[0.99 * time, time, 1.01 * time]),
            git_revision="a" * 40 if day < 4 else "b" * 40,
            git_dirty=day >= 4,
            machine={"python": "CPython 3.12", "versions": {"numba": "0.61" if day < 4 else "0.62", "numpy": "2.1"}},
        )
        for day, time in enumerate(TIMES)
    ]
    [series] = history.history(reversed(records), MACHINE).series
    [change] = series.changes
    assert (change.before, change.after, change.earliest, change.latest) == (3, 4, 4, 4)
    assert [series.points[at].record for at in (change.before, change.after)] == [records[3].id, records[4].id]
    assert change.slower
    assert 1.15 < change.ratio.low < 1.2 < change.ratio.high < 1.25
    assert change.differences == ["git aaaaaaaaaa -> bbbbbbbbbb+", "numba 0.61 -> 0.62"]


def test_a_faster_change_is_not_slower():
    [series] = of_logs(-np.log(TIMES)).series
    assert [change.slower for change in series.changes] == [False]


def test_too_few_records():
    [series] = of_logs(np.log(TIMES[2:7])).series
    assert (len(series.points), series.missing, series.changes, series.noise) == (5, MIN_RECORDS - 5, [], None)


def test_threads_and_workloads_are_series_of_their_own_fastest_first():
    found = history.history(
        [on_day(0, row(medians=[2.0, 2.0]), row(medians=[1.0, 1.0], threads=2), row(medians=[3.0, 3.0], loss="svm"))],
        MACHINE,
    )
    assert [(one.workload.loss, one.threads) for one in found.series] == [("softmax", 2), ("softmax", 1), ("svm", 1)]


def test_gates_sweeps_failures_and_other_machines_have_no_points():
    side = Side(given=".", kind="folder", python="3.12", versions={})
    gate = Gate(base=side, head=side, fail_above=0.03, budget_s=1.0)
    found = history.history(
        [
            on_day(5, row(medians=[1.0, 1.0]), gate=gate),
            on_day(4, row(medians=[1.0, 1.0]), sweep=Sweep(axes={"rows": [500]})),
            on_day(3, row(status="wrong"), row("numba-cuda", [1.0], device="simulator")),
            on_day(2, row(medians=[1.0, 1.0]), fingerprint="bbbb"),
            on_day(1, row(medians=[1.0, 1.0])),
        ],
        MACHINE,
    )
    assert [[point.created[:10] for point in one.points] for one in found.series] == [["2026-01-02"]]
    assert (found.records, found.elsewhere) == (2, 1)


def test_since_a_time_or_a_revision():
    records = [on_day(day, row(medians=[1.0, 1.0]), git_revision="ab"[day // 4] * 40) for day in range(8)]

    def days(since):
        found = history.history(reversed(records), MACHINE, since=since)
        assert found.records == sum(len(one.points) for one in found.series)
        return [point.created[8:10] for one in found.series for point in one.points]

    assert days(datetime(2026, 1, 7, tzinfo=UTC)) == ["07", "08"]
    assert days("bbb") == ["05", "06", "07", "08"]
    assert days("c") == []


def test_filtered_rows_have_no_series():
    both = [on_day(0, row(medians=[1.0, 1.0]), row("naive", [2.0, 2.0]))]
    found = history.history(both, MACHINE, lambda row: row.implementation == "naive")
    assert [one.implementation for one in found.series] == ["naive"]
    assert found.implementations == ["numpy", "naive"]
