"""Costs of a Dask cluster: `dask` on local workers compared with `numba-parallel` in one process.

``python tests/benchmarks/bench_dask.py [ROWS]`` measures the terms of the model in docs/cluster.md. It needs all cores
of the machine, and about three times the memory of X. ``python tests/benchmarks/bench_dask.py model k a t h b``
measures
nothing: it prints the model for these figures, in the units in which they are printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

import lcbench
from lcbench.losses import jit
from lcbench.losses.cluster import chunks
from lcbench.losses.cluster.connection import connection, release
from lcbench.losses.peers import dask

FEATURES, CLASSES = 3073, 10
PAIRS = 15
THREADS_PER_NODE = 32
MAX_NODES = 5000
"""Limit of the search for the best number of nodes."""

EFFICIENT = 0.7
"""Share of the threads' time spent in the kernel."""

MAX_TRANSFERS = 50
"""Workers that fetch W from one worker at the same time: Dask's `worker.connections.outgoing`."""

TASKS = 2000
PAUSE_S = 0.03
"""Pause before a call: the scheduler and the workers clean up after the last one, on the same cores."""


def main(rows: int) -> None:
    """Print the efficiency, then the costs that make up a call."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, FEATURES), dtype=np.float32)
    y = rng.integers(0, CLASSES, rows)
    W = (1e-2 * rng.standard_normal((FEATURES, CLASSES))).astype(np.float32)
    one_process = lcbench.implementation("numba-parallel").functions["softmax"]

    start = perf_counter()
    prepared = dask.prepare(W, X, y)
    print(f"{connection().parts} workers, {connection().threads} threads, {rows:,} x {FEATURES:,} float32")
    print(f"prepare                    {perf_counter() - start:8.2f} s")

    def here() -> Any:
        return one_process(W, X, y, 0.1)

    def there() -> Any:
        return dask.softmax_loss(*prepared, 0.1)

    (loss, dW), (right_loss, right_dW) = there(), here()
    print(f"differences                {abs(loss / right_loss - 1):8.0e} loss, "
          f"{np.linalg.norm(dW - right_dW) / np.linalg.norm(right_dW):.0e} gradient")  # fmt: skip
    pairs = [(in_steady_state(here), in_steady_state(there)) for _ in range(PAIRS)]
    alone_s, call_s = (median(column) for column in zip(*pairs, strict=True))
    print(f"one process, {jit.thread_count()} threads     {1e3 * alone_s:8.1f} ms")
    print(f"dask                       {1e3 * call_s:8.1f} ms")
    print(f"efficiency                 {100 * median(a / b for a, b in pairs):8.0f} %")
    found = costs(W, prepared[1], prepared[2], rows)
    workers = connection().parts
    print(f"model                      {1e3 * found.seconds(rows, workers, 1):8.0f} ms")
    release()
    predict(found)


@dataclass(frozen=True)
class Costs:
    """Terms of the model, in seconds.

    row: one row in the kernel of one thread. call: first task and last result of a call. task: one task among many.
    hop: one task that waits for another. byte: transfer of a byte between workers. size: bytes of W, and of dW.
    """

    row: float
    call: float
    task: float
    hop: float
    byte: float
    size: int

    def seconds(self, rows: float, nodes: int, threads: int = THREADS_PER_NODE) -> float:
        """Return the seconds of one call: computation, scheduling, and transfer of W down and dW up the tree."""
        computing = rows * self.row / (nodes * threads)
        if nodes <= dask.FAN_IN:
            return computing + self.call + nodes * (self.task + 2 * self.size * self.byte)
        tasks = 1 + nodes + nodes / (dask.FAN_IN - 1)
        adding = ceil(log(nodes, dask.FAN_IN)) - 1
        down = ceil(log(nodes, MAX_TRANSFERS)) * (self.hop + MAX_TRANSFERS * self.size * self.byte)
        up = adding * (self.hop + dask.FAN_IN * self.size * self.byte)
        return computing + self.call + tasks * self.task + down + up

    def efficiency(self, rows: float, nodes: int) -> float:
        """Return the share of the threads' time spent in the kernel."""
        return rows * self.row / (nodes * THREADS_PER_NODE) / self.seconds(rows, nodes)

    def best_nodes(self, rows: float) -> int:
        """Return the number of nodes with the shortest call."""
        return min(range(1, MAX_NODES), key=lambda nodes: self.seconds(rows, nodes))

    def rows_for(self, nodes: int) -> float:
        """Return the number of rows from which `nodes` nodes are faster than any smaller number."""
        work = self.row / THREADS_PER_NODE  # seconds per row of one node
        fixed = [self.seconds(0, n) for n in range(1, nodes + 1)]
        return max((fixed[-1] - fixed[n - 1]) / (work / n - work / nodes) for n in range(1, nodes))

    def rows_efficient(self, nodes: int) -> float:
        """Return the number of rows from which the efficiency of `nodes` nodes is `EFFICIENT`."""
        return EFFICIENT / (1 - EFFICIENT) * self.seconds(0, nodes) * nodes * THREADS_PER_NODE / self.row


def predict(costs: Costs) -> None:
    """Print the tables of docs/cluster.md."""
    nodes = (1, 10, 100, 1000)
    print(f"\nSeconds per call, and share of the time of {THREADS_PER_NODE} threads per node spent in the kernel:\n")
    print("| N | " + " | ".join(f"{n:,}" for n in nodes) + " | best |\n|---|" + "---|" * (len(nodes) + 1))
    for rows in (1e6, 1e7, 1e8, 1e9, 1e10):
        cells = [f"{plain(costs.seconds(rows, n))} s, {100 * costs.efficiency(rows, n):.0f} %" for n in nodes]
        best = costs.best_nodes(rows)
        print(f"| {power(rows)} | " + " | ".join(cells) + f" | {best}: {plain(costs.seconds(rows, best))} s |")
    print(f"\n| nodes | faster than fewer from N | {100 * EFFICIENT:.0f} % efficient from N |\n|---|---|---|")
    for n in nodes[1:]:
        print(f"| {n:,} | {power(costs.rows_for(n))} | {power(costs.rows_efficient(n))} |")


def plain(number: float) -> str:
    """Return the number with two digits, without a power of ten."""
    return f"{float(f'{number:.2g}'):g}"


def power(number: float) -> str:
    """Return the number with two digits and a power of ten, such as 1e6 or 2.7e7."""
    digits, exponent = f"{number:.1e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def costs(W: Any, X: Any, y: Any, rows: int) -> Costs:
    """Measure and print the terms of the model. This needs two workers."""
    client, workers = connection().client, connection().workers()
    held = zip(X.chunks, y.chunks, X.owners, strict=True)
    kernels = client.gather(
        [client.submit(kernel_s, W, chunk, labels, workers=[owner], pure=False) for chunk, labels, owner in held]
    )
    call = median_s(lambda: client.submit(abs, 1, pure=False).result())
    many = [seconds(lambda: client.gather(client.map(abs, range(TASKS), pure=False))) / TASKS for _ in range(3)]
    small, large = (median_s(lambda n=n: hop(n, workers)) for n in (W.nbytes, 100 * W.nbytes))
    byte = (large - small) / (99 * W.nbytes)
    found = rounded(1e6 * max(kernels) * len(workers) / rows, 1e3 * call, 1e3 * median(many), 1e3 * (small - call),
                    1e9 * byte, W.nbytes)  # fmt: skip
    print(f"k: kernel, per row, thread {1e6 * found.row:7.3g} us")
    print(f"a: one task and its result {1e3 * found.call:8.2g} ms")
    print(f"t: one task among many     {1e3 * found.task:8.2g} ms")
    print(f"h: a task after another    {1e3 * found.hop:8.2g} ms")
    print(f"b: one byte                {1e9 * found.byte:8.2g} ns")
    print(f"B: W, dW                   {found.size:8,} bytes each")
    return found


def rounded(k: float, a: float, t: float, h: float, b: float, size: int = 4 * FEATURES * CLASSES) -> Costs:
    """Return the costs, rounded as they are printed, since the tables must follow from the printed numbers."""
    k, a, t, h, b = float(f"{k:.3g}"), *(float(f"{value:.2g}") for value in (a, t, h, b))
    return Costs(1e-6 * k, 1e-3 * a, 1e-3 * t, 1e-3 * h, 1e-9 * b, size)


def kernel_s(W: Any, chunk: Any, y: Any) -> float:
    """Return the seconds of a worker's kernel on its chunk."""
    return median_s(lambda: chunks.partial_sum("softmax", W, chunk, y, None, len(chunk.X)), 5)


def hop(size: int, workers: list[str]) -> float:
    """Create `size` bytes on one worker and fetch them from another. Neither is kept."""
    client = connection().client
    made = client.submit(np.ones, size, np.uint8, workers=workers[:1], pure=False)
    return client.submit(len, made, workers=workers[1:2], pure=False).result()


def seconds(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    sleep(PAUSE_S)
    start = perf_counter()
    call()
    return perf_counter() - start


def in_steady_state(call: Callable[[], Any]) -> float:
    """Return the seconds of a call directly after another one, as in training."""
    sleep(PAUSE_S)
    call()
    start = perf_counter()
    call()
    return perf_counter() - start


def median_s(call: Callable[[], Any], times: int = 20) -> float:
    """Return the median seconds of `times` calls."""
    return median(seconds(call) for _ in range(times))


if __name__ == "__main__":
    if sys.argv[1:2] == ["model"]:
        predict(rounded(*map(float, sys.argv[2:])))
    else:
        main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 200_000)
