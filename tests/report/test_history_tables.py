"""Tables of ``lcbench history`` in a terminal of 80 columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lcbench.report.tables import history as history_tables
from lcbench.report.tables.history import LONGEST_LINE, sparkline
from lcbench.stats.history import MIN_RECORDS, history
from printed import printed
from results import MACHINE, record, row

TIMES = [1e-3, 1.01e-3, 0.99e-3, 1e-3, 1.2e-3, 1.21e-3, 1.19e-3, 1.2e-3]


def of(*rows, day, **fields):
    created = datetime(2026, 1, 1, 3, 4, 5, tzinfo=UTC) + timedelta(days=day)
    return record(*rows, created=created.isoformat(), **fields)


def records(times=TIMES, implementation="numba-parallel"):
    return [
        of(
            row(implementation, [0.99 * time, time, 1.01 * time], threads=2),
            *([row(medians=[2e-3, 2e-3])] if day >= 6 else []),
            day=day,
            git_revision="a" * 40 if day < 4 else "b" * 40,
            git_dirty=day >= 4,
            machine={"versions": {"numba": "0.61.0" if day < 4 else "0.62.1"}},
        )
        for day, time in enumerate(times)
    ]


def shown(records, width=80):
    return printed(history_tables.tables(history(reversed(records), MACHINE)), width)


PRINTED = """\
softmax: 500 rows x 3,073 features, 10 classes, float32, synthetic
implementation  threads  results    first     last  changes  over time
──────────────────────────────────────────────────────────────────────
numba-parallel        2        8  1.00 ms  1.20 ms        1  ▁▂▁▁██▇█
numpy                 1        2  2.00 ms  2.00 ms        -  ▁▁
numba-parallel, 2 threads: slower, 1.20 [1.18,1.22] x the time
  from 2026-01-04 03:04 (git aaaaaaaaaa) to 2026-01-05 03:04 (git bbbbbbbbbb+)
  changed with it: git aaaaaaaaaa -> bbbbbbbbbb+, numba 0.61.0 -> 0.62.1

8 results of this machine from 2026-01-01 to 2026-01-08 (UTC)
- in changes: fewer than 8 results; 6 more 'lcbench run' with the same options
would be enough
changes: optimal partitioning of the mean logarithms, with at most 1 % false
positives per series; ratio with 95 % interval over results; + after a revision:
with uncommitted changes
"""


def test_a_change_point():
    assert "\n".join(shown(records())) + "\n" == PRINTED


def test_missing_results_are_counted():
    lines = " ".join(shown([of(row(medians=[1.0, 1.0]), day=day) for day in range(MIN_RECORDS - 1)]))
    assert f"fewer than {MIN_RECORDS} results; one more 'lcbench run' with the same options would be enough" in lines


def test_an_uncertain_place_of_a_change_is_noted():
    between_both = [1.0, 1.02, 0.98] * 3 + [1.09] + [1.2, 1.18, 1.22] * 3
    text = " ".join(shown(records(between_both)))
    assert "or at any result from 2026-01-10 03:04 to 2026-01-11 03:04" in text


def test_a_long_name_and_many_results_fit():
    slow = [1000 * time for time in TIMES for _ in range(5)]
    lines = shown(records(slow, "softmax.py:softmax_loss_vectorized_by_somebody_patient"))
    assert not any("…" in line for line in lines)
    assert any(line.rstrip().endswith("█" * 2) for line in lines)


@pytest.mark.parametrize("count", [1, 5, LONGEST_LINE, LONGEST_LINE + 1, 300])
def test_a_sparkline_has_a_character_for_each_result_up_to_its_length(count):
    rising = [float(time) for time in range(1, count + 1)]
    marks = sparkline(rising)
    assert len(marks) == min(count, LONGEST_LINE)
    assert list(marks) == sorted(marks)
    assert marks[0] == "▁"


def test_noise_alone_does_not_fill_the_sparkline():
    assert set(sparkline([1.0, 1.001, 0.999])) == {"▁"}
