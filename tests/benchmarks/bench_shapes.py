"""Ratio of the times of numpy and numba-parallel for many combinations of rows, features and classes.

python tests/benchmarks/bench_shapes.py [--loss svm|softmax] [--dtype float32|uint8] [--markdown FILE]

One process, W in float32. With --dtype uint8, X is pixels: numba-parallel reads them in place, and numpy converts them
to float32 in every call. For each cell the two alternate for a few rounds; a cell is the ratio of their median times.
After NumPy's turn the program waits until the threads of BLAS have stopped spinning, which takes 0.1 s after a product.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from lcbench.losses import numba_parallel, vectorized

ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
FEATURES = (1, 10, 100, 1_000, 3_073, 10_000)
CLASSES = (2, 3, 10, 30, 100, 1_000)

MAX_BYTES = 1_300_000_000
MAX_FLOPS = 1e11
BLAS_SPIN_S = 0.12
ROUNDS = 3
SECONDS_PER_TURN = 0.02


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loss", choices=["svm", "softmax"], default="softmax")
    parser.add_argument("--dtype", choices=["float32", "uint8"], default="float32", help="data type of X")
    parser.add_argument("--markdown", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    pixels = chosen.dtype == "uint8"
    numbers: Any = (
        rng.integers(0, 256, MAX_BYTES // 4, np.uint8) if pixels else rng.standard_normal(MAX_BYTES // 4, np.float32)
    )
    scale = 1e-4 if pixels else 0.01  # scores of the same size
    cells = {}
    for features, rows, classes in itertools.product(FEATURES, ROWS, CLASSES):
        if 4 * rows * features > MAX_BYTES or 4.0 * rows * features * classes > MAX_FLOPS:
            continue
        X = numbers[: rows * features].reshape(rows, features)
        W = (scale * rng.standard_normal((features, classes))).astype(np.float32)
        y = rng.integers(0, classes, rows)
        cells[features, rows, classes] = ratio(chosen.loss, W, X, y)
        print(f"D {features:6} N {rows:7} C {classes:5}  {cells[features, rows, classes]:6.2f}", flush=True)
    table = as_markdown(cells)
    losing = sum(cell < 1 for cell in cells.values())
    print(f"{len(cells)} cells, {losing} where numpy is faster, least {min(cells.values()):.2f}", file=sys.stderr)
    if chosen.markdown:
        chosen.markdown.write_text(table)


def ratio(loss: str, *problem: Any) -> float:
    """Return NumPy's time divided by numba-parallel's."""
    of_numpy, ours = (getattr(module, f"{loss}_loss") for module in (vectorized, numba_parallel))
    ours(*problem, 0.1)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        times[0].append(turn(of_numpy, *problem, 0.1))
        sleep(BLAS_SPIN_S)
        times[1].append(turn(ours, *problem, 0.1))
    return statistics.median(times[0]) / statistics.median(times[1])


def turn(loss: Callable[..., Any], *arguments: Any) -> float:
    """Return the median seconds of a call."""
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < SECONDS_PER_TURN and len(seconds) < 200):
        start = perf_counter()
        loss(*arguments)
        seconds.append(perf_counter() - start)
    return statistics.median(seconds)


def as_markdown(cells: dict[tuple[int, int, int], float]) -> str:
    """Return one table per number of features: rows down, classes across, bold if numpy is faster."""
    lines = []
    for features in FEATURES:
        lines += [f"D = {features:,}", "", "| N \\\\ C | " + " | ".join(f"{c:,}" for c in CLASSES) + " |"]
        lines += ["|---" * (len(CLASSES) + 1) + "|"]
        for rows in ROWS:
            row = [cells.get((features, rows, classes)) for classes in CLASSES]
            shown = ["" if cell is None else f"{cell:.1f}" if cell >= 1 else f"**{cell:.2f}**" for cell in row]
            lines.append(f"| {rows:,} | " + " | ".join(shown) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
