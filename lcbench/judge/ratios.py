"""How much faster one row is than another: ratios of times with their intervals."""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple

import numpy as np

from lcbench.judge.estimates import block_medians, interval
from lcbench.record import Row


class Ratio(NamedTuple):
    """A ratio of times, and its 95 % interval."""

    value: float
    low: float
    high: float


def speedup(row: Row, baseline: Row) -> Ratio:
    """Time of `baseline` over time of `row`, from the same run: paired by block, since neighbours in time share noise.

    Geometric mean over blocks, with Student's interval of the paired log-ratios.
    """
    logs = [log(b / a) for a, b in zip(block_medians(row), block_medians(baseline), strict=False)]
    return Ratio(exp(float(np.mean(logs))), *interval(logs))
