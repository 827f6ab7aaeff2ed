"""How much faster one row is than another: ratios of times with their intervals."""

from __future__ import annotations

from math import exp, log
from statistics import median
from typing import NamedTuple

import numpy as np

from lcbench.judge.estimates import interval
from lcbench.judge.quiet import kept_blocks
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
    times, base_times = row.blocks, baseline.blocks
    logs = [log(median(base_times[block]) / median(times[block])) for block in kept_blocks(row, baseline)]
    return Ratio(exp(float(np.mean(logs))), *interval(logs))
