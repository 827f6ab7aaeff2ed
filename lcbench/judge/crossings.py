"""Where, along an axis of a sweep, one implementation passes another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, isclose

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from lcbench.judge import jackknife
from lcbench.judge.points import NUMERIC, Curve, Other, curves
from lcbench.record import Record

DEGREE = 3
"""Of the curve that is drawn through the points on either side of a crossing and their next neighbours."""


@dataclass(frozen=True)
class Crossing:
    """Above `at`, `faster` is faster than `slower`, and below it slower. low, high: of `at`, at 95 %.

    It lies between two points of the sweep at each of which the difference is beyond the noise, so never outside them.
    The interval holds both the noise and what is not known of the curves between their points. other: the place on the
    other axis.
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
        _crossing(two, one, lead, slice(left, right + 1))
        if signs[right] > 0
        else _crossing(one, two, -lead, slice(left, right + 1))
        for left, right in pairwise(sure)
        if signs[left] != signs[right]
    ]


def _crossing(faster: Curve, slower: Curve, lead: NDArray[np.float64], between: slice) -> Crossing:
    """Where `lead`, `slower`'s logarithm less `faster`'s (points, blocks), is zero: within the points `between`.

    At both ends of them, it is beyond the noise.
    """
    places = np.log(faster.values)

    def zero(kept: list[int]) -> float:
        return _zero(places, np.nanmean(lead[:, kept], axis=1), between)

    found = jackknife.estimate(zero, range(lead.shape[1]))
    unsure = max(abs(other - found.value) for other in _other_zeros(faster, lead, between))
    bounds = (found.value, found.low - unsure, found.high + unsure)
    value, low, high = (exp(place) for place in np.clip(bounds, places[between][0], places[between][-1]))
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


def _zero(places: NDArray[np.float64], lead: NDArray[np.float64], between: slice) -> float:
    """Where the curve through the differences (points,) at `between` and the next neighbours is zero.

    A fixed cost bends times in the logarithm: a straight line between two points would err to the side of its bend,
    always by as much, and noise says nothing of that.
    """
    around = slice(max(0, between.start - 1), between.stop + 1)
    curve = Polynomial.fit(places[around], lead[around], min(DEGREE, len(places[around]) - 1))
    straight = _straight_zero(places[between], lead[between])
    roots = [float(root.real) for root in curve.roots() if isclose(root.imag, 0, abs_tol=1e-9)]
    inside = [root for root in roots if places[between][0] <= root <= places[between][-1]]
    return min(inside, key=lambda root: abs(root - straight), default=straight)


def _straight_zero(places: NDArray[np.float64], lead: NDArray[np.float64]) -> float:
    """Where the straight line through the differences (points,) is zero."""
    slope, offset = np.polyfit(places, lead, 1)
    return float(-offset / slope)


def _other_zeros(faster: Curve, lead: NDArray[np.float64], between: slice) -> list[float]:
    """Where the curves might meet as well: how far these lie from the crossing bounds the error of interpolation.

    The one is for times that are powers from point to point, the other for times that are straight lines there, as a
    fixed cost beside a cost a row has them.
    """
    values = faster.values[between]
    zeros = [_straight_zero(np.log(values), np.nanmean(lead[between], axis=1))]
    if len(values) == 2:
        faster_s = np.exp(np.nanmean(faster.log_times[between], axis=1))
        behind = faster_s * np.expm1(np.nanmean(lead[between], axis=1))  # `slower`, in seconds
        share = behind[0] / (behind[0] - behind[1])
        zeros.append(float(np.log(values[0] + share * (values[1] - values[0]))))
    return zeros
