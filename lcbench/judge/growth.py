"""How the time of an implementation grows along an axis of a sweep: the exponent, beside a fixed cost of every call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcbench.judge import jackknife
from lcbench.judge.points import GROWING, Curve, Other, curves
from lcbench.record import Record

STEEPEST = 4.0
"""Exponents are looked for between the negative of this and this."""

FEWEST_FOR_FIXED = 5
"""Points: with fewer, the fixed cost could not be told from the growth, and counts as none."""


class Fit(NamedTuple):
    """t = fixed_s + coefficient * n ** exponent, in seconds."""

    fixed_s: float
    coefficient: float
    exponent: float

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds a call at `values`."""
        return self.fixed_s + self.coefficient * values**self.exponent


@dataclass(frozen=True)
class Growth:
    """How one implementation and loss grow along `axis`: seconds a call are ``fixed_s + coefficient * n ** exponent``.

    low, high: of the exponent, at 95 %, from the differences between blocks; that the curve has that shape is assumed.
    fixed_low, fixed_high: of the fixed cost, which may come out below zero where there is none. misfit: how far the
    point farthest from the fit lies from it, relative; large where caches end. other: the place on the other axis.
    """

    implementation: str
    loss: str
    axis: str
    exponent: float
    low: float
    high: float
    fixed_s: float
    fixed_low: float
    fixed_high: float
    coefficient: float
    misfit: float
    points: int
    other: Other

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds a call at `values`, by the fit."""
        return Fit(self.fixed_s, self.coefficient, self.exponent)(values)


def growths(record: Record) -> list[Growth]:
    """The growth of every implementation and loss along every axis of the sweep along which there is more to compute.

    None for a curve of fewer than two points.
    """
    along = [curve for axis in GROWING for curve in curves(record, axis)]
    return [_growth(curve) for curve in along if len(curve.values) >= 2]


def _growth(curve: Curve) -> Growth:
    @cache
    def fitted(blocks: tuple[int, ...]) -> Fit:
        return fit(curve.values, np.nanmean(curve.log_times[:, blocks], axis=1))

    best = fitted(tuple(curve.blocks))
    exponent = jackknife.estimate(lambda blocks: fitted(tuple(blocks)).exponent, curve.blocks)
    fixed = jackknife.estimate(lambda blocks: fitted(tuple(blocks)).fixed_s, curve.blocks)
    times = np.exp(np.nanmean(curve.log_times, axis=1))
    return Growth(
        implementation=curve.implementation,
        loss=curve.loss,
        axis=curve.axis,
        exponent=exponent.value,
        low=exponent.low,
        high=exponent.high,
        fixed_s=fixed.value,
        fixed_low=fixed.low,
        fixed_high=fixed.high,
        coefficient=best.coefficient,
        misfit=float(np.abs(best(curve.values) / times - 1).max()),
        points=len(times),
        other=curve.other,
    )


def fit(values: NDArray[np.float64], log_times: NDArray[np.float64]) -> Fit:
    """The curve with the least sum of squared relative distances from the points (points,), which are logarithms.

    The fixed cost may come out negative: were it held at zero, noise could only push exponents one way.
    """
    if len(values) < FEWEST_FOR_FIXED:
        exponent, log_coefficient = (float(number) for number in np.polyfit(np.log(values), log_times, 1))
        return Fit(0.0, exp(log_coefficient), exponent)

    from scipy.optimize import curve_fit

    scaled = values / values[-1]  # so that the coefficient is of the order of the times, whatever the exponent
    largest_s = float(np.exp(log_times[-1]))
    times = np.exp(log_times - log_times[-1])
    start = float(np.clip(np.polyfit(np.log(scaled[-3:]), log_times[-3:], 1)[0], 1 - STEEPEST, STEEPEST - 1))
    (fixed, coefficient, exponent), _ = curve_fit(
        lambda n, fixed, coefficient, exponent: fixed + coefficient * n**exponent,
        scaled,
        times,
        p0=(0.0, 1.0, start),
        sigma=times,
        bounds=((-np.inf, -np.inf, start - 1), (np.inf, np.inf, start + 1)),
    )
    return Fit(fixed * largest_s, coefficient * largest_s / float(values[-1]) ** exponent, float(exponent))
