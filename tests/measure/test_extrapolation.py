"""Which problems are out of reach, going by smaller ones."""

from __future__ import annotations

from math import inf

import pytest

from lcbench.measure import schedule
from results import row


def at(rows, seconds=None, **fields):
    return row("naive", [seconds] if seconds else [], rows=rows, **fields)


def test_a_call_takes_at_least_in_proportion_to_the_work():
    measured = [at(100, 1.0), at(1000, 5.0)]
    assert schedule.extrapolated_s(at(10_000), measured) == pytest.approx(50.0)


def test_steeper_growth_is_believed_up_to_a_limit():
    assert schedule.extrapolated_s(at(10_000), [at(100, 1.0), at(1000, 100.0)]) == pytest.approx(10_000.0)
    assert schedule.extrapolated_s(at(2000), [at(1000, 1.0), at(1001, 10.0)]) == pytest.approx(2**3)


def test_one_disturbed_point_puts_nothing_out_of_reach():
    measured = [at(rows, 1e-3 * rows) for rows in (100, 200, 500, 1000)]
    measured.append(at(2000, 20.0))
    assert schedule.extrapolated_s(at(10_000), measured) == pytest.approx(10.0)


def test_a_fixed_cost_is_not_taken_for_growth():
    assert schedule.extrapolated_s(at(10_000), [at(10, 0.05), at(1000, 0.06)]) == pytest.approx(0.6)


def test_one_point_is_enough_and_none_says_nothing():
    assert schedule.extrapolated_s(at(500), [at(100, 1.0)]) == pytest.approx(5.0)
    assert schedule.extrapolated_s(at(500), [at(100)]) is None
    assert schedule.extrapolated_s(at(50), [at(100, 1.0)]) is None
    assert schedule.extrapolated_s(at(500), [at(100, 1.0, loss="svm")]) is None


def test_what_is_larger_than_one_that_gave_no_answer_gives_none():
    silent = at(100, status="timeout")
    assert schedule.extrapolated_s(at(500), [silent]) == inf
    larger = at(500)
    schedule.refuse_too_long([silent, larger, at(10)], 60.0)
    assert (larger.status, larger.reason) == ("unavailable", "a smaller problem has timed out")


def test_refused_rows_say_what_they_would_take():
    rows = [at(100, 0.1), at(1000), at(10_000)]
    schedule.refuse_too_long(rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok", "unavailable"]
    assert rows[2].reason == "would take about 10 s a call; --most-seconds-a-call is 2"


def test_what_was_measured_is_not_refused_afterwards():
    rows = [at(100, 0.1), at(1000, 50.0)]
    schedule.refuse_too_long(rows, 2.0)
    assert [each.status for each in rows] == ["ok", "ok"]


def test_the_smallest_come_first_and_those_measured_before_are_always_among_them():
    waiting = [at(100), at(1000), at(1001), at(50_000, 1.0), at(5000, loss="svm"), at(60_000, loss="svm")]
    assert schedule.measure_first(waiting) == [True, True, False, True, True, False]
