"""Times of the CUDA implementations on the GPU of this machine: ``python tests/benchmarks/bench_cuda.py results.json``.

One process times every installed implementation, both losses, from a small batch to a million rows. It checks each
result in float64 and measures the memory bandwidth of the device. It prints a table and writes all samples to the file.
The exit code is 2 if there is no GPU.

Device seconds are measured between two events on the default stream, so they include the time in which the device waits
for the next launch. JAX uses its own streams and has no device seconds. Host seconds are those of the whole call, until
the result is complete. X stays on the device between calls, except for "host-fed". At 200 rows X is in the L2 cache.

To try the program without a GPU, run it in Numba's simulator with tiny sizes (--rows 3,8 --features 9 --bytes 4096).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from lcbench.losses import catalog, vectorized
from lcbench.losses.cuda.backend import gpu_name, is_simulator, limits, why_no_gpu
from lcbench.losses.implementation import Unavailable

LOSSES = ("svm", "softmax")
IMPLEMENTATIONS = ("numba-cuda", "numba-cuda host-fed", "torch-cuda", "torch-compile-cuda", "jax-cuda", "cupy")
NO_EVENTS = ("jax-cuda",)
PACKAGES = ("numba-cuda", "numba", "numpy", "torch", "jax", "cupy-cuda13x", "cupy-cuda12x")

BASE_ROWS = 10_000
"""Larger X repeat this many rows, so that X and its expected loss and gradient are computed quickly."""


class Problem:
    """W (D, C), X (N, D), y (N,), and their losses and gradients in float64."""

    def __init__(self, rows: int, features: int, classes: int, pixels: bool) -> None:
        rng = np.random.default_rng(rows)
        base = min(rows, BASE_ROWS)
        images = rng.integers(0, 256, (base, features), np.uint8)
        labels = rng.integers(0, classes, base)
        scale = 1 / 256 if pixels else 1.0
        self.W = (rng.standard_normal((features, classes)) * scale / np.sqrt(features)).astype(np.float32)
        block = images if pixels else ((images - np.float32(127.5)) / np.float32(74)).astype(np.float32)
        self.X = np.empty((rows, features), block.dtype)
        for start in range(0, rows, base):
            self.X[start : start + base] = block[: rows - start]
        self.y = np.resize(labels, rows)
        self.reg = 1e-3
        self._block, self._labels = block, labels

    def expected(self, loss: str) -> tuple[float, Any]:
        """Return loss and gradient: the mean over complete blocks and the remainder, weighted by their rows."""
        function = getattr(vectorized, f"{loss}_loss")
        W, base = self.W.astype(np.float64), len(self._block)
        whole, rest = divmod(len(self.X), base)
        value, gradient = 0.0, np.zeros_like(W)
        for rows, times in ((base, whole), (rest, 1)):
            if rows * times:
                part, slope = function(W, self._block[:rows].astype(np.float64), self._labels[:rows], 0.0)
                value += part * rows * times / len(self.X)
                gradient += slope * (rows * times / len(self.X))
        return value + self.reg * float((W * W).sum()), gradient + 2 * self.reg * W


def timed(call: Callable[[], Any], seconds: float, most: int, events: bool) -> tuple[list[float], list[float]]:
    """Return device seconds (empty without events) and host seconds of each call, for about `seconds` seconds."""
    from lcbench.losses.cuda.backend import cuda

    before, after = cuda.event(), cuda.event()
    on_device, on_host = [], []
    begin = perf_counter()
    while len(on_host) < 5 or (perf_counter() - begin < seconds and len(on_host) < most):
        if events:
            before.record()
        start = perf_counter()
        call()
        on_host.append(perf_counter() - start)
        if events:
            after.record()
            after.synchronize()
            on_device.append(before.elapsed_time(after) / 1e3)
    return on_device, on_host


def memory_rates(size: int) -> dict[str, float]:
    """Return bytes per second: of a kernel that only reads, and of a copy on the device (read and written)."""
    global cuda  # the simulator needs the global name
    from lcbench.losses.cuda.backend import cuda
    from lcbench.losses.cuda.tiles import WIDTH, load_floats

    load, float32 = load_floats(), np.float32
    UNROLLED = 4

    @cuda.jit
    def read(numbers: Any, sums: Any) -> None:
        held = cuda.local.array((UNROLLED, 1, WIDTH), float32)
        at = cuda.grid(1)
        threads = cuda.gridsize(1)
        total = float32(0)
        for first in range(at * WIDTH, numbers.shape[0], UNROLLED * threads * WIDTH):
            for k in range(UNROLLED):
                load(numbers, first + k * threads * WIDTH, held, k, 0)
            for k in range(UNROLLED):
                for j in range(WIDTH):
                    total += held[k, 0, j]
        sums[at] = total

    threads = 4 if is_simulator() else 256
    blocks = 2 if is_simulator() else 8 * limits().multiprocessors
    step = UNROLLED * threads * blocks * WIDTH
    count = max(1, size // 4 // step) * step  # no thread reads past the end
    numbers = cuda.to_device(np.ones(count, np.float32))
    sums = cuda.device_array(threads * blocks, np.float32)
    target = cuda.device_array(count, np.float32)
    run_read, run_copy = partial(read[blocks, threads], numbers, sums), partial(target.copy_to_device, numbers)
    rates = {}
    for name, call, bytes_moved in (("read", run_read, 4 * count), ("copy", run_copy, 8 * count)):
        for _ in range(3):
            call()
        on_device, _ = timed(call, 0.5, 100, events=True)
        rates[name] = bytes_moved / statistics.median(on_device)
    assert float(sums.copy_to_host().astype(np.float64).sum()) == count, "the reading kernel does not read everything"
    return rates


def measure(problem: Problem, name: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield one record per loss of the implementation `name`. Raise Unavailable if it cannot run here."""
    implementation = catalog.load(name.split()[0])
    prepare = partial(implementation.prepare, resident=False) if name.endswith("host-fed") else implementation.prepare
    start = perf_counter()
    arrays = prepare(problem.W, problem.X, problem.y)
    prepare_s = perf_counter() - start
    for loss in LOSSES:
        call = partial(implementation.functions[loss], *arrays, problem.reg)
        start = perf_counter()
        result = call()
        first_s = perf_counter() - start
        for _ in range(3):
            result = call()
        value, gradient = implementation.fetch(*result)
        expected, slope = problem.expected(loss)
        on_device, on_host = timed(call, seconds, 300, name not in NO_EVENTS)
        yield {
            "implementation": name,
            "loss": loss,
            "rows": len(problem.X),
            "features": problem.X.shape[1],
            "classes": problem.W.shape[1],
            "data": str(problem.X.dtype),
            "x_bytes": problem.X.nbytes,
            "prepare_s": prepare_s,
            "first_call_s": first_s,
            "device_s": statistics.median(on_device) if on_device else None,
            "host_s": statistics.median(on_host),
            "device_samples_s": on_device,
            "host_samples_s": on_host,
            "error_loss": abs(value - expected) / abs(expected),
            "error_grad": float(np.linalg.norm(gradient - slope) / np.linalg.norm(slope)),
        }


def why_too_large(rows: int, features: int, itemsize: int) -> str:
    """Return the reason, or "" if X and its copies fit: two on the host, three on the device."""
    needed = rows * features * itemsize
    if 2 * needed > psutil.virtual_memory().available:
        return f"{2 * needed / 1e9:.0f} GB of memory needed"
    if 3 * needed > limits().free_memory:
        return f"{3 * needed / 1e9:.0f} GB of device memory needed"
    return ""


def release() -> None:
    """Free the device memory that the libraries keep for reuse."""
    gc.collect()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.empty_cache()
    if "cupy" in sys.modules:
        sys.modules["cupy"].get_default_memory_pool().free_all_blocks()


def show(console: Console, records: list[dict[str, Any]], rates: dict[str, float]) -> None:
    """Print a table for each number of rows and loss, fastest first."""
    for rows in sorted({record["rows"] for record in records}):
        for loss in LOSSES:
            table = Table(title=f"{loss}: {rows:,} rows", title_justify="left")
            for heading in (
                "implementation",
                "device",
                "host",
                "GB/s of X",
                "of read rate",
                "error loss",
                "error grad",
            ):
                table.add_column(heading, justify="left" if heading == "implementation" else "right")
            chosen = [record for record in records if (record["rows"], record["loss"]) == (rows, loss)]
            for record in sorted(chosen, key=lambda record: record["host_s"]):
                device = record["device_s"]
                rate = record["x_bytes"] / (device or record["host_s"])
                table.add_row(
                    record["implementation"],
                    f"{1e6 * device:,.1f} us" if device else "",
                    f"{1e6 * record['host_s']:,.1f} us",
                    f"{rate / 1e9:,.0f}",
                    f"{100 * rate / rates['read']:.0f}%",
                    f"{record['error_loss']:.0e}",
                    f"{record['error_grad']:.0e}",
                )
            console.print(table)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="JSON file to write")
    parser.add_argument("--rows", default="200,10000,49000,1000000", help="comma-separated (%(default)s)")
    parser.add_argument("--features", type=int, default=3073)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--data", choices=("float32", "uint8"), default="float32")
    parser.add_argument("--impl", default=",".join(IMPLEMENTATIONS), help="comma-separated (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="duration for each loss of each implementation (%(default)s)"
    )
    parser.add_argument(
        "--bytes", type=int, default=4 << 30, help="bytes to read for the memory bandwidth (%(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    console = Console(width=120)
    if not is_simulator() and why_no_gpu():
        print(f"no GPU: {why_no_gpu()}", file=sys.stderr)
        return 2
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would allocate most of the device memory
    names = options.impl.split(",")
    try:
        rates = memory_rates(options.bytes)
    except Unavailable as error:
        print(f"no clock: {error.reason}", file=sys.stderr)
        return 2
    console.print(f"{gpu_name() or 'simulator'}: {', '.join(f'{k} {v / 1e9:,.0f} GB/s' for k, v in rates.items())}")
    records: list[dict[str, Any]] = []
    skipped: list[str] = []
    for rows in (int(number) for number in options.rows.split(",")):
        reason = why_too_large(rows, options.features, np.dtype(options.data).itemsize)
        if reason:
            skipped.append(f"{rows:,} rows: {reason}")
            continue
        problem = Problem(rows, options.features, options.classes, options.data == "uint8")
        for name in names:
            try:
                records.extend(measure(problem, name, options.seconds))
            except Unavailable as error:
                skipped.append(f"{name}: {error.reason}")
            except Exception as error:  # for example out of memory; continue with the others
                skipped.append(f"{name}, {rows:,} rows: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            release()
    show(console, records, rates)
    for line in dict.fromkeys(skipped):
        console.print(f"not measured: {line}", markup=False)
    options.path.write_text(
        json.dumps(
            {
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "gpu": gpu_name() or "simulator",
                "python": platform.python_version(),
                "packages": {name: _version(name) for name in PACKAGES if _version(name)},
                "bytes_per_second": rates,
                "records": records,
                "not_measured": list(dict.fromkeys(skipped)),
            },
            indent=1,
        )
    )
    return 0 if records else 2


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
