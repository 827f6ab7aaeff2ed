"""Growth of time and memory of numba-parallel with the rows of X: 1,000 to 400,000 rows of CIFAR-10's width, float32.

python tests/benchmarks/bench_scaling.py [--most-rows N] [--rounds R] [--json FILE]

One process. In each round both losses are timed for each number of rows, in random order; a point is the median. The
exponent is the slope of a line fitted to the logarithms, with its 95 % confidence interval. X is one array, and smaller
problems use its first rows. The resident memory beyond X and the compiled code is sampled during calls of each size.
Calls may reuse memory freed after compilation, so their allocations are counted too, and the larger of the two numbers
is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import tracemalloc
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from scipy import stats

from lcbench.losses import jit, numba_parallel

MIN_ROWS, FEATURES, CLASSES = 1_000, 3_073, 10
POINTS = 9
SECONDS_PER_TURN = 0.1
REPEATED_ROWS = 1_000
SAMPLE_INTERVAL_S = 0.001
LOSSES = {"svm": numba_parallel.svm_loss, "softmax": numba_parallel.softmax_loss}


class ResidentMemory:
    """Context manager that samples the resident memory of this process every millisecond. most: maximum, in bytes."""

    def __enter__(self) -> ResidentMemory:
        self._process = psutil.Process()
        self.before = self.most = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._take_sample()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            self._take_sample()

    def _take_sample(self) -> None:
        self.most = max(self.most, self._process.memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most-rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()

    W, X, y = problem(chosen.most_rows)
    counts = np.unique(np.geomspace(MIN_ROWS, chosen.most_rows, POINTS).round().astype(int))
    compile_kernels()
    peak = memory_peak(W, X, y, counts)
    times = turns(W, X, y, counts, chosen.rounds)

    table = Table("rows", "X, MB", "svm, ms", "ns per row", "softmax, ms", "ns per row", "memory above X, MB")
    for column in table.columns:
        column.justify = "right"
    medians = {(loss, rows): statistics.median(times[loss, rows]) for loss in LOSSES for rows in counts}
    for rows in counts:
        cells = [(f"{1e3 * t:.2f}", f"{1e9 * t / rows:.0f}") for t in (medians[loss, rows] for loss in LOSSES)]
        table.add_row(f"{rows:,}", f"{4e-6 * rows * FEATURES:,.0f}", *cells[0], *cells[1], f"{peak[rows] / 1e6:.1f}")
    console = Console()
    console.print(table)
    for loss in LOSSES:
        slope, margin = exponent(counts, [medians[loss, rows] for rows in counts])
        console.print(f"{loss}: time grows as N to the power of {slope:.3f} +- {margin:.3f}", highlight=False)
    console.print(f"most memory above X: {max(peak.values()) / 1e6:.1f} MB; {jit.thread_count()} threads")
    if chosen.json:
        samples = [{"loss": loss, "rows": int(rows), "seconds": found} for (loss, rows), found in times.items()]
        chosen.json.write_text(json.dumps({"times": samples, "memory": {str(rows): peak[rows] for rows in counts}}))


def compile_kernels() -> None:
    """Compile the kernels and start the threads, with arrays smaller than those of the problems."""
    W, X = np.zeros((25, CLASSES), np.float32), np.zeros((20_000, 25), np.float32)
    assert not numba_parallel.prefer_two_products(len(X), W)
    for loss in LOSSES.values():
        loss(W, X, np.zeros(len(X), np.int64), 0.1)


def problem(rows: int) -> tuple[Any, Any, Any]:
    """Return W (D, C), X (N, D) and y (N,). X repeats a thousand rows."""
    rng = np.random.default_rng(0)
    some = rng.standard_normal((REPEATED_ROWS, FEATURES), np.float32)
    X = np.empty((rows, FEATURES), np.float32)
    for start in range(0, rows, REPEATED_ROWS):
        X[start : start + REPEATED_ROWS] = some[: rows - start]
    W = (0.01 * rng.standard_normal((FEATURES, CLASSES))).astype(np.float32)
    return W, X, rng.integers(0, CLASSES, rows)


def memory_peak(W: Any, X: Any, y: Any, counts: Any) -> dict[int, int]:
    """Return, by number of rows, the growth of the resident memory or the bytes allocated, whichever is larger."""
    peak = {}
    before = psutil.Process().memory_info().rss
    for rows in counts:
        tracemalloc.start()
        with ResidentMemory() as memory:
            for loss in LOSSES.values():
                loss(W, X[:rows], y[:rows], 0.1)
        _, allocated = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peak[rows] = max(memory.most - before, allocated)
    return peak


def turns(W: Any, X: Any, y: Any, counts: Any, rounds: int) -> dict[tuple[str, int], list[float]]:
    """Return the seconds per call, one number per round."""
    times = defaultdict(list)
    order = [(loss, rows) for loss in LOSSES for rows in counts]
    for seed in range(rounds):
        random.Random(seed).shuffle(order)
        for name, rows in order:
            loss, of_turn = LOSSES[name], list[float]()
            while len(of_turn) < 2 or sum(of_turn) < SECONDS_PER_TURN:
                start = perf_counter()
                loss(W, X[:rows], y[:rows], 0.1)
                of_turn.append(perf_counter() - start)
            times[name, rows].append(statistics.median(of_turn))
    return times


def exponent(counts: Any, seconds: list[float]) -> tuple[float, float]:
    """Return the slope of log seconds over log rows, and half the width of its 95 % confidence interval."""
    line = stats.linregress(np.log(counts), np.log(seconds))
    return line.slope, stats.t.ppf(0.975, len(counts) - 2) * line.stderr


if __name__ == "__main__":
    main()
