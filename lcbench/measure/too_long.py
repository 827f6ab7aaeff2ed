"""What a call would take on a larger problem, going by smaller ones, and which problems that puts out of reach."""

from __future__ import annotations

from itertools import combinations
from math import inf, log
from statistics import median

from lcbench.record import Row

STEP = 10.0
"""Problems of up to so many times the work of the smallest are measured before anything is said about larger ones."""

STEEPEST = 3.0
"""Exponent of the time in the work that is believed at most: between two close points, noise shows any."""


def first(waiting: list[Row]) -> list[bool]:
    """Which rows to measure now: those measured before and, of the others, the smallest; larger may take too long."""
    new = [row for row in waiting if not row.processes]
    least = {loss: min(row.flops for row in new if row.loss == loss) for loss in {row.loss for row in new}}
    return [bool(row.processes) or row.flops <= STEP * least[row.loss] for row in waiting]


def refuse(rows: list[Row], most_call_s: float) -> None:
    """Of all rows of an implementation, makes those unavailable that have no time yet and would take longer a call."""
    for row in rows:
        expected_s = predicted_s(row, rows) if row.status == "ok" and not row.processes else None
        if expected_s is None or expected_s <= most_call_s:
            continue
        row.fail(
            "unavailable",
            "a smaller one was given up already"
            if expected_s == inf
            else f"would take about {expected_s:.2g} s a call; --most-seconds-a-call is {most_call_s:g}",
        )


def predicted_s(row: Row, rows: list[Row]) -> float | None:
    """Seconds a call that `row` would take, by the smaller ones among `rows`.

    Going on from each with their common slope in the logarithm of the work, and never less than in proportion to it,
    the least counts: what disturbs a time only lengthens it, and so does a fixed cost for the smallest. None where
    nothing smaller was measured; infinite where one of them did not answer in time.
    """
    smaller = [other for other in rows if other.loss == row.loss and other.flops <= row.flops and other is not row]
    if any(other.status == "timeout" for other in smaller):
        return inf
    times = {other.flops: min(other.processes[0].samples) for other in smaller if other.processes}
    if not times:
        return None
    pairs = combinations(times.items(), 2)
    slopes = [log(seconds / other_s) / log(work / other) for (work, seconds), (other, other_s) in pairs]
    exponent = min(STEEPEST, max(1.0, median(slopes or [1.0])))
    return min(seconds * (row.flops / work) ** exponent for work, seconds in times.items())
