"""Times of the CUDA implementations on the GPU of this machine: ``python tests/benchmarks/bench_cuda.py results.json``.

One process times every installed implementation, both losses, from a small batch to a million rows. It checks each
result in float64 and measures the memory bandwidth of the device. It prints a table and writes all samples to the file,
again after each implementation, so that a run that is stopped keeps what it has measured. The exit code is 2 if there
is no GPU.

Host seconds are those of the whole call, until the result is complete. X stays on the device between calls, except for
"host-fed". At 200 rows X is in the L2 cache.

Device seconds are those of a call among many that are queued without waiting, between two events on the default stream.
If queueing a call takes the host longer than that (queue seconds, marked with "<" in the table), they are the time
of the host, and only an upper limit of that of the device. JAX uses its own streams, where no events can be recorded:
its device seconds are read from the clock of the host. Cold seconds are those of one call between two events, after the
L2 cache was overwritten. They include the gaps between its kernels.

Clocks, throttle reasons and temperature are read while the queued calls run, if nvidia-ml-py is installed.

To try the program without a GPU, run it in Numba's simulator with tiny sizes (--rows 3,8 --features 9 --bytes 4096).
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from lcbench import files
from lcbench.losses import catalog, vectorized
from lcbench.losses.cuda.backend import gpu_name, is_simulator, limits, why_no_gpu
from lcbench.losses.implementation import Implementation, Unavailable

LOSSES = ("svm", "softmax")
IMPLEMENTATIONS = (
    "numba-cuda",
    "numba-cuda host-fed",
    "torch-cuda",
    "torch-cuda linear",
    "torch-cuda columns",
    "torch-compile-cuda",
    "torch-compile-cuda reduce-overhead",
    "torch-compile-cuda max-autotune",
    "jax-cuda",
    "cupy",
)
"""Names in the catalog. A second word names another form: X in host memory, or one that `load` knows."""

NO_EVENTS = ("jax-cuda",)
FLUSHED_BYTES = 256 << 20
"""Bytes written to empty the L2 cache, more than any GPU has so far."""

QUEUED_SECONDS = 0.05
MOST_QUEUED = 200
"""Calls queued at a time: for about `QUEUED_SECONDS`, and not more than the driver accepts without waiting."""
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


def timed(call: Callable[[], Any], seconds: float, most: int) -> list[float]:
    """Return host seconds of each call, for about `seconds` seconds."""
    samples: list[float] = []
    begin = perf_counter()
    while len(samples) < 5 or (perf_counter() - begin < seconds and len(samples) < most):
        start = perf_counter()
        call()
        samples.append(perf_counter() - start)
    return samples


def between_events(call: Callable[[], Any]) -> float:
    """Return the seconds of the device between two events around the call."""
    from lcbench.losses.cuda.backend import cuda

    before, after = cuda.event(), cuda.event()
    before.record()
    call()
    after.record()
    after.synchronize()
    return before.elapsed_time(after) / 1e3


def on_device(
    call: Callable[[], Any], wait: Callable[[Any], Any], seconds: float, estimate: float, events: bool
) -> tuple[list[float], list[float], list[dict[str, Any]]]:
    """Return device and queue seconds of a call among queued ones, for about `seconds` seconds, and the GPU's states.

    call: queues one call. wait: waits for the result of a call. estimate: seconds of a call that waits.
    """
    count = max(2, min(MOST_QUEUED, int(QUEUED_SECONDS / max(estimate, 1e-6))))
    device: list[float] = []
    queueing: list[float] = []
    states = []

    def queue() -> None:
        start = perf_counter()
        for _ in range(count):
            result = call()
        queueing.append((perf_counter() - start) / count)
        states.append(state())
        if not events:
            wait(result)

    begin = perf_counter()
    while len(device) < 5 or (perf_counter() - begin < seconds and len(device) < 50):
        wait(call())
        start = perf_counter()
        elapsed = between_events(queue) if events else (queue(), perf_counter() - start)[1]
        device.append(elapsed / count)
    return device, queueing, states


def cold(call: Callable[[], Any], times: int) -> list[float]:
    """Return device seconds of a call after the L2 cache was overwritten."""
    from lcbench.losses.cuda.backend import cuda

    one, other = (cuda.device_array(FLUSHED_BYTES // 4, np.float32) for _ in range(2))
    samples = []
    for _ in range(times):
        one.copy_to_device(other)
        cuda.synchronize()
        samples.append(between_events(call))
    return samples


@cache
def _gpu() -> Any:
    from lcbench.host.gpu_state import Gpu

    try:
        return Gpu()
    except Unavailable:
        return None


def state() -> dict[str, Any]:
    """Return clocks, throttle reasons and temperature of the GPU at this moment, or nothing without NVML."""
    gpu = _gpu()
    if gpu is None:
        return {}
    names = ("sm_clock_mhz", "throttle_reasons", "temperature_c")
    return {name: getattr(gpu, name)() for name in names}


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
        rates[name] = bytes_moved / statistics.median(between_events(call) for _ in range(20))
    assert float(sums.copy_to_host().astype(np.float64).sum()) == count, "the reading kernel does not read everything"
    return rates


def measure(problem: Problem, name: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield one record per loss of the implementation `name`. Raise Unavailable if it cannot run here."""
    implementation = load(name)
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
        on_host = timed(call, seconds, 300)
        device, queueing, states, cold_samples = [], [], [], []
        queued, wait = without_waiting(name, loss, implementation, arrays, problem.reg)
        if queued is not None:
            events = name not in NO_EVENTS
            device, queueing, states = on_device(queued, wait, seconds, statistics.median(on_host), events)
            cold_samples = cold(queued, 20) if events else []
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
            "device_s": _median(device),
            "queue_s": _median(queueing),
            "cold_s": _median(cold_samples),
            "host_s": statistics.median(on_host),
            "device_samples_s": device,
            "queue_samples_s": queueing,
            "cold_samples_s": cold_samples,
            "host_samples_s": on_host,
            "gpu": states,
            "error_loss": abs(value - expected) / abs(expected),
            "error_grad": float(np.linalg.norm(gradient - slope) / np.linalg.norm(slope)),
        }


def load(name: str) -> Implementation:
    """Return the implementation of the catalog, or another form of it: "torch-cuda linear"."""
    implementation, _, form = name.partition(" ")
    loaded = catalog.load(implementation)
    if form and form != "host-fed":
        torch = importlib.import_module("lcbench.losses.peers.torch")
        namespace = (torch.on_cuda if implementation == "torch-cuda" else torch.compiled_on_cuda)(form)
        loaded = Implementation(name, "cuda", catalog.functions_of(namespace), **catalog.data_movers(namespace))
    return loaded


def without_waiting(
    name: str, loss: Any, implementation: Implementation, arrays: Any, reg: float
) -> tuple[Callable[[], Any] | None, Callable[[Any], Any]]:
    """Return a function that queues a call, or None if there is none, and one that waits for its result."""
    from lcbench.losses.cuda.backend import cuda

    if name == "numba-cuda" and not is_simulator():
        from lcbench.losses import numba_cuda

        return numba_cuda.without_waiting(loss, *arrays, reg), lambda _: cuda.synchronize()
    function = getattr(implementation.functions[loss], "__wrapped__", None)
    queued = None if function is None else partial(function, *arrays, reg)
    if name in NO_EVENTS:
        return queued, importlib.import_module("jax").block_until_ready
    return queued, lambda _: cuda.synchronize()


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
                "cold",
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
                    f"{'< ' if record['queue_s'] >= 0.95 * device else ''}{1e6 * device:,.1f} us" if device else "",
                    f"{1e6 * record['cold_s']:,.1f} us" if record["cold_s"] else "",
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
                for record in measure(problem, name, options.seconds):
                    records.append(record)
                    write(options.path, rates, records, skipped)
            except Unavailable as error:
                skipped.append(f"{name}: {error.reason}")
            except Exception as error:  # for example out of memory; continue with the others
                skipped.append(f"{name}, {rows:,} rows: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            release()
    show(console, records, rates)
    for line in dict.fromkeys(skipped):
        console.print(f"not measured: {line}", markup=False)
    write(options.path, rates, records, skipped)
    return 0 if records else 2


def write(path: Path, rates: dict[str, float], records: list[dict[str, Any]], skipped: list[str]) -> None:
    """Write all that was measured so far, in place of what was written before."""
    content = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": gpu_name() or "simulator",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "bytes_per_second": rates,
        "records": records,
        "not_measured": list(dict.fromkeys(skipped)),
    }
    files.write_file(path, json.dumps(content, indent=1))


def _median(samples: list[float]) -> float | None:
    return statistics.median(samples) if samples else None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
