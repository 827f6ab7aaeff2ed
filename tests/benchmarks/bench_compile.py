"""Compile time of the CPU kernels, in new processes without a cache.

python tests/benchmarks/bench_compile.py [RUNS]

The sum is the time that a user waits who calls everything: both losses, float32 and float64, rows in order, by index
and from pixels, and the stochastic descent. Each line is the time of a first call minus that of a second call, in this
order. Code compiled for an earlier line is not compiled again. The medians of RUNS processes (default 3) are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROWS, FEATURES, CLASSES = 64, 257, 10


def main() -> None:
    if sys.argv[1:] == ["--once"]:
        print(json.dumps(seconds_by_call()))
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    times = [
        json.loads(subprocess.check_output([sys.executable, __file__, "--once"], env=environment)) for _ in range(runs)
    ]
    table = Table("first call", "seconds", title=f"compile time, median of {runs} processes")
    for name in times[0]:
        table.add_row(name, f"{statistics.median(run[name] for run in times):.2f}")
    sums = [sum(run.values()) for run in times]
    table.add_section()
    table.add_row("sum", f"{statistics.median(sums):.1f} [{min(sums):.1f}, {max(sums):.1f}]")
    Console().print(table)


def seconds_by_call() -> dict[str, float]:
    """Return the seconds of each first call minus those of the second call."""
    start = perf_counter()
    from lcbench.losses import numba_njit, numba_parallel, numba_sgd

    seconds = {"import": perf_counter() - start}
    for name, call in calls(numba_njit, numba_parallel, numba_sgd):
        times = []
        for _ in range(2):
            start = perf_counter()
            call()
            times.append(perf_counter() - start)
        seconds[name] = times[0] - times[1]
    return seconds


def calls(numba_njit: Any, numba_parallel: Any, numba_sgd: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield name and function of every call that compiles something. Each calls both losses."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (ROWS, FEATURES - 1), np.uint8)
    y = rng.integers(0, CLASSES, ROWS)
    rows = np.arange(ROWS)

    def both(module: Any, *arguments: Any, **keywords: Any) -> None:
        for loss in (module.svm_loss, module.softmax_loss):
            loss(*arguments, y, 0.1, **keywords)

    def descend(*arguments: Any, **keywords: Any) -> None:
        for loss in ("svm", "softmax"):
            numba_sgd.descend(loss, *arguments, y, rows[None], 1e-3, 0.1, **keywords)

    for dtype in ("float32", "float64"):
        mean = pixels.mean(axis=0).astype(dtype)
        X = np.ones((ROWS, FEATURES), dtype)
        X[:, :-1] = pixels - mean
        W = (0.01 * rng.standard_normal((FEATURES, CLASSES))).astype(dtype)
        yield f"numba-njit, {dtype}", partial(both, numba_njit, W, X)
        forms = {
            "in order": partial(both, numba_parallel, W, X),
            "by index": partial(both, numba_parallel, W, X, rows=rows),
            "pixels": partial(both, numba_parallel, W, pixels, mean=mean),
            "pixels by index": partial(both, numba_parallel, W, pixels, mean=mean, rows=rows),
        }
        for by, answer in (("one pass", False), ("products", True)):
            numba_parallel.prefer_two_products = lambda *_, answer=answer: answer
            for form, call in forms.items():
                yield f"numba-parallel, {dtype}, {by}, {form}", call
        yield f"descend, {dtype}", partial(descend, W, X)
        yield f"descend, {dtype}, pixels", partial(descend, W, pixels, mean=mean)


if __name__ == "__main__":
    main()
