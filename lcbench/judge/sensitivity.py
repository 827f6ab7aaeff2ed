"""What the noise of identical work leaves visible."""

from __future__ import annotations

from math import expm1, sqrt
from statistics import stdev

from lcbench.judge.estimates import t_quantile
from lcbench.judge.gate import ALPHA_SLOWER
from lcbench.judge.verdicts import POWER


def detectable(log_ratios: list[float], block_s: float, budget_s: float = 60.0) -> float | None:
    """Smallest slowdown (0.05 is 5 %) that a gate of `budget_s` seconds sees with probability `POWER`.

    log_ratios: of identical work, one a block, at least two. block_s: seconds that a block takes. None where fewer
    than two blocks fit. By Student's test (1908) of the paired log-ratios at the gate's own error, one-sided. It is the
    best to hope for: the budget also pays for the first calls, and the gate's implementations may take longer to start.
    """
    blocks = int(budget_s / block_s)
    if blocks < 2:
        return None
    quantiles = t_quantile(1 - ALPHA_SLOWER, blocks - 1) + t_quantile(POWER, blocks - 1)
    return expm1(stdev(log_ratios) / sqrt(blocks) * quantiles)
