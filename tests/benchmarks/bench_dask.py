"""What a Dask cluster costs: `dask` on local workers beside `numba-parallel` in one process, and the terms of the model
in docs/cluster.md.

``python tests/benchmarks/bench_dask.py [ROWS]`` needs every core of the machine, and about three times X's memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    costs(W, prepared[1], prepared[2], rows)
    release()


def costs(W: Any, X: Any, y: Any, rows: int) -> None:
    """The terms of the model: seconds a row, a task, a call, a hop between two workers, and bytes a hop."""
    client, workers = connection().client, connection().workers()
    kernels = client.gather(
        [client.submit(kernel_s, W, c, own, workers=[home], pure=False)
         for c, own, home in zip(X.chunks, y.chunks, X.homes, strict=True)]
    )  # fmt: skip
    print(f"kernel, a row and thread   {1e6 * max(kernels) * len(workers) / rows:8.3f} us")
    print(f"W, dW                      {W.nbytes:8,} bytes each")
    print(f"one task and its result    {1e3 * often(lambda: client.submit(abs, 1, pure=False).result()):8.2f} ms")
    many = [seconds(lambda: client.gather(client.map(abs, range(TASKS), pure=False))) / TASKS for _ in range(3)]
    print(f"a task among many          {1e3 * median(many):8.3f} ms")
    if len(workers) > 1:
        small, large = (often(lambda n=n: hop(n, workers)) for n in (W.nbytes, 100 * W.nbytes))
        print(f"a hop of W                 {1e3 * small:8.2f} ms")
        print(f"a byte of a hop            {1e9 * (large - small) / (99 * W.nbytes):8.2f} ns")


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
