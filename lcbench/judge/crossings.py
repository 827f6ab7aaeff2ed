"""Where, along an axis of a sweep, one implementation passes another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp

import numpy as np
from numpy.typing import NDArray

from lcbench.judge import jackknife
from lcbench.judge.points import NUMERIC, Curve, Other, curves
from lcbench.record import Record


@dataclass(frozen=True)
class Crossing:
    """Above `at`, `faster` is faster than `slower`, and below it slower. low, high: of `at`, at 95 %.

    It lies between two points of the sweep at each of which the difference is beyond the noise, so never outside them.
    other: the place on the other axis.
    """

    faster: str
    slower: str
    loss: str
    axis: str
    at: float
    low: float
    high: float
    other: Other


def crossings(record: Record) -> list[Crossing]:
    """Every crossing of two implementations along every axis with distances, in ascending order of each pair's."""
    found = []
    for axis in NUMERIC:
        for one, two in combinations(curves(record, axis), 2):
            if (one.loss, one.other) == (two.loss, two.other):
                found += _between(one, two)
    return found


def _between(one: Curve, two: Curve) -> list[Crossing]:
    common = [float(value) for value in one.values if value in two.values]
    one, two = one.at(common), two.at(common)
    if len(common) < 2 or min(len(one.blocks), len(two.blocks)) < 2:
        return []
    lead = one.lead_of(two)
    signs = [_sign(of_point) for of_point in lead]
    sure = [point for point, sign in enumerate(signs) if sign]
    return [
        _crossing(*((two, one) if signs[right] > 0 else (one, two)), lead, slice(left, right + 1))
        for left, right in pairwise(sure)
        if signs[left] != signs[right]
    ]


def _crossing(faster: Curve, slower: Curve, lead: NDArray[np.float64], points: slice) -> Crossing:
    """Where the difference `lead` (points, blocks), which is beyond the noise at both ends of `points`, is zero."""
    places = np.log(faster.values[points])
    at = jackknife.estimate(lambda kept: _zero(places, lead[points][:, kept]), range(lead.shape[1]))
    value, low, high = (exp(place) for place in np.clip(at, places[0], places[-1]))
    return Crossing(
        faster=faster.implementation,
        slower=slower.implementation,
        loss=faster.loss,
        axis=faster.axis,
        at=value,
        low=low,
        high=high,
        other=faster.other,
    )


def _sign(lead: NDArray[np.float64]) -> int:
    """1 or -1 where the difference at one point (blocks,) is beyond the noise; else 0."""
    difference = jackknife.mean(lead)
    return int(difference.low > 0) - int(difference.high < 0)


def _zero(places: NDArray[np.float64], lead: NDArray[np.float64]) -> float:
    """Where the line through the differences (points, blocks) is zero: between two points, plain interpolation."""
    slope, offset = np.polyfit(places, np.nanmean(lead, axis=1), 1)
    return float(-offset / slope)
