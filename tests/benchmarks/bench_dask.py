"""What a Dask cluster costs: `dask` on local workers beside `numba-parallel` in one process, and the terms of the model
in docs/cluster.md.

``python tests/benchmarks/bench_dask.py [ROWS]`` needs every core of the machine, and about three times X's memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, sqrt
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

import lcbench
from lcbench.losses import jit
from lcbench.losses.cluster import tasks
from lcbench.losses.cluster.connection import connection, release
from lcbench.losses.peers import dask

FEATURES, CLASSES = 3073, 10
PAIRS = 15
THREADS_A_NODE = 32
SERVED_AT_ONCE = 50
"""Workers that fetch W from one that has it at a time: Dask's `worker.connections.outgoing`."""

TASKS = 2000
UNTIL_QUIET_S = 0.03
"""The scheduler and the workers tidy up after a call, on the cores on which the next one is timed."""


def main(rows: int) -> None:
    """Prints the efficiency, then the costs of which a call consists."""
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
    release()
    predict(found)


@dataclass(frozen=True)
class Costs:
    """Seconds: of a row in one thread's kernel, a call's first task and last result, a task among many, one more task
    that waits for another, and a byte from one worker to the next. size: bytes of W, and of dW."""

    row: float
    call: float
    task: float
    hop: float
    byte: float
    size: int

    def seconds(self, rows: float, nodes: int, threads: int = THREADS_A_NODE) -> float:
        """Of one call: computing, scheduling, and W and dW on their ways down and up the tree."""
        computing = rows * self.row / (nodes * threads)
        if nodes <= dask.FAN_IN:
            return computing + self.call + nodes * (self.task + 2 * self.size * self.byte)
        tasks = 1 + nodes + nodes / (dask.FAN_IN - 1)
        adding = ceil(log(nodes, dask.FAN_IN)) - 1
        down = ceil(log(nodes, SERVED_AT_ONCE)) * (self.hop + SERVED_AT_ONCE * self.size * self.byte)
        up = adding * (self.hop + dask.FAN_IN * self.size * self.byte)
        return computing + self.call + tasks * self.task + down + up

    def most_nodes(self, rows: float, threads: int = THREADS_A_NODE) -> float:
        """Where one node more saves as much computing as it costs scheduling."""
        return sqrt(rows * self.row / threads / (self.task * (1 + 1 / (dask.FAN_IN - 1))))


def predict(costs: Costs) -> None:
    """The table of docs/cluster.md."""
    nodes = (1, 10, 100, 1000)
    print(f"\nseconds a call, and the part of {THREADS_A_NODE} threads a node that computes")
    print("| N | " + " | ".join(f"{n:,}" for n in nodes) + " | pays up to |\n|---|" + "---|" * (len(nodes) + 1))
    for rows in (1e6, 1e7, 1e8, 1e9, 1e10):
        one = rows * costs.row / THREADS_A_NODE
        times = [(n, costs.seconds(rows, n)) for n in nodes]
        cells = [f"{t:.3g} s, {100 * one / (n * t):.0f} %" for n, t in times]
        print(f"| {rows:.0e} | " + " | ".join(cells) + f" | {costs.most_nodes(rows):.0f} nodes |")


def costs(W: Any, X: Any, y: Any, rows: int) -> Costs:
    """Measures and prints the terms of the model. Needs two workers."""
    client, workers = connection().client, connection().workers()
    placed = zip(X.chunks, y.chunks, X.homes, strict=True)
    kernels = client.gather(
        [client.submit(kernel_s, W, chunk, own, workers=[home], pure=False) for chunk, own, home in placed]
    )
    call = often(lambda: client.submit(abs, 1, pure=False).result())
    many = [seconds(lambda: client.gather(client.map(abs, range(TASKS), pure=False))) / TASKS for _ in range(3)]
    small, large = (often(lambda n=n: hop(n, workers)) for n in (W.nbytes, 100 * W.nbytes))
    byte = (large - small) / (99 * W.nbytes)
    found = Costs(max(kernels) * len(workers) / rows, call, median(many), small - call, byte, W.nbytes)
    print(f"kernel, a row and thread   {1e6 * found.row:8.3f} us")
    print(f"W, dW                      {found.size:8,} bytes each")
    print(f"one task and its result    {1e3 * found.call:8.2f} ms")
    print(f"a task among many          {1e3 * found.task:8.3f} ms")
    print(f"a task after another       {1e3 * found.hop:8.2f} ms")
    print(f"a byte of a hop            {1e9 * found.byte:8.2f} ns")
    return found


def kernel_s(W: Any, chunk: Any, y: Any) -> float:
    """Seconds that a worker's kernel takes on its chunk."""
    return often(lambda: tasks.part("softmax", W, chunk, y, None, len(chunk.X)), 5)


def hop(size: int, workers: list[str]) -> float:
    """Has one worker make so many bytes and another one fetch them; None is kept."""
    client = connection().client
    made = client.submit(np.ones, size, np.uint8, workers=workers[:1], pure=False)
    return client.submit(len, made, workers=workers[1:2], pure=False).result()


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    sleep(UNTIL_QUIET_S)
    start = perf_counter()
    call()
    return perf_counter() - start


def in_steady_state(call: Callable[[], Any]) -> float:
    """Seconds of one call right after another, as a training makes them."""
    sleep(UNTIL_QUIET_S)
    call()
    start = perf_counter()
    call()
    return perf_counter() - start


def often(call: Callable[[], Any], times: int = 20) -> float:
    """The median of so many calls."""
    return median(seconds(call) for _ in range(times))


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 200_000)
