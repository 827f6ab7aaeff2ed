"""Coverage of the confidence intervals of a sweep's growth, on simulated sweeps.

python tests/benchmarks/bench_sweep.py [SWEEPS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcbench.stats.growth import growths
from simulated_sweeps import sweep

ROWS = [round(value) for value in np.geomspace(100, 100_000, 10)]
COEFFICIENT = 4e-7
LAWS = ((2e-5, 1.05), (0.0, 1.0), (1e-3, 1.0))
"""Fixed cost in seconds, and exponent."""

if __name__ == "__main__":
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print("rounds  fixed  p     covers p  covers fixed  bias of p")
    for rounds in (3, 5, 10):
        for fixed_s, exponent in LAWS:
            law = {"numpy": lambda n, fixed_s=fixed_s, p=exponent: fixed_s + COEFFICIENT * n**p}
            found = [growths(sweep("rows", ROWS, law, noise=0.02, blocks=rounds, seed=k))[0] for k in range(sweeps)]
            of_p = np.mean([each.low <= exponent <= each.high for each in found])
            of_fixed = np.mean([each.fixed_low <= fixed_s <= each.fixed_high for each in found])
            bias = np.mean([each.exponent for each in found]) - exponent
            print(f"{rounds:6}  {fixed_s:5g}  {exponent:4}  {of_p:8.1%}  {of_fixed:12.1%}  {bias:+.1e}")
