"""A GPU's own limits: bytes a second that it reads and copies, floating-point operations a second of its FMA units.

The counterpart of `roofline`, by the same rules: a footprint is read over and over inside one kernel, so that its
caches count as they do for a workload of that size, and the FMA loop never leaves the registers. Times are those of
device events around one launch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda.backend import cuda
from lcbench.record import MachinePeak

THREADS = 256
BLOCKS_A_PROCESSOR = 8
"""Together the 2048 threads that a multiprocessor holds."""

LOADS = 4
"""Words of 8 bytes that a thread asks for before it needs the first of them."""

CHAINS = 8
"""Independent sums of a thread. With the other threads of its multiprocessor they cover any latency."""

UNROLLED = 16
"""Steps of every chain in one turn of the loop, so that its own instructions weigh nothing."""

FMA_ROUNDS = 2_000
REPEATS = 5
LEAST_READ = 20_000_000_000
"""Bytes in one timed reading: milliseconds, long beside the microseconds of a launch."""


def gpu_peaks(wanted: list[tuple[str, int]]) -> list[MachinePeak]:
    """Best of `REPEATS` measurements of the first GPU for every (dtype, footprint in bytes).

    Raises Unavailable where there is no GPU; the simulator is none.
    """
    if cuda_backend.is_simulator():
        return []
    cuda_backend.require_device()
    blocks = BLOCKS_A_PROCESSOR * cuda.get_current_device().MULTIPROCESSOR_COUNT
    flops = {dtype: _flops_s(np.dtype(dtype), blocks) for dtype in {dtype for dtype, _ in wanted}}
    found = []
    for dtype, footprint in wanted:
        read_bytes_s, copy_bytes_s = _bytes_s(footprint, blocks)
        ceiling = MachinePeak(
            device="cuda",
            dtype=dtype,
            footprint=footprint,
            read_bytes_s=read_bytes_s,
            flops_s=flops[dtype],
            copy_bytes_s=copy_bytes_s,
        )
        found.append(ceiling)
    return found


def _bytes_s(footprint: int, most_blocks: int) -> tuple[float, float]:
    """Rates of reading about `footprint` bytes (whole steps of all threads), and of reading and writing as many."""
    blocks, words = launch_shape(footprint, most_blocks)
    times = -(-LEAST_READ // (8 * words))
    source = cuda.to_device(np.arange(words, dtype=np.uint64))
    sums = cuda.device_array(THREADS * blocks, np.uint64)
    reading = _best(lambda: peak_kernels().read[blocks, THREADS](source, times, sums))
    out = cuda.device_array(words, np.uint64)
    copying = _best(lambda: peak_kernels().copy[blocks, THREADS](source, times, out))
    return 8 * words * times / reading, 2 * 8 * words * times / copying


def launch_shape(footprint: int, most_blocks: int) -> tuple[int, int]:
    """Blocks, and words of 8 bytes: as many as fit into `footprint` so that every thread has equally many steps."""
    step = THREADS * LOADS
    words = max(step, footprint // 8)
    steps = -(-words // (step * most_blocks))
    blocks = words // (step * steps)
    return blocks, step * steps * blocks


def _flops_s(dtype: np.dtype[Any], blocks: int) -> float:
    sums = cuda.to_device(np.zeros(THREADS * blocks, dtype))
    seconds = _best(lambda: peak_kernels().multiply_add[blocks, THREADS](FMA_ROUNDS, dtype.type(0.5), sums))
    return 2 * CHAINS * UNROLLED * FMA_ROUNDS * THREADS * blocks / seconds


def _best(launch: Callable[[], None]) -> float:
    launch()  # compiled and warm
    seconds = []
    for _ in range(REPEATS):
        start, end = cuda.event(), cuda.event()
        start.record()
        launch()
        end.record()
        end.synchronize()
        seconds.append(cuda.event_elapsed_time(start, end) / 1000)
    return min(seconds)


@cache
def peak_kernels() -> SimpleNamespace:
    """The three kernels, on 1-D arrays whose size is a multiple of `LOADS` times the threads of the grid.

    read(words, times, sums): exclusive or of all words, `times` over, a share a thread.
    copy(words, times, out): the words into `out`, `times` over.
    multiply_add(rounds, factor, sums): `CHAINS` chains of x <- x * factor + factor, their sum in place of the thread's.
    """
    # Places are unsigned, since a signed index may be negative and costs a test; unsigned with signed would be a float.

    @cuda.jit
    def read(words: Any, times: int, sums: Any) -> None:
        here, one = np.uint64(cuda.grid(1)), np.uint64(1)
        threads, end = np.uint64(cuda.gridsize(1)), np.uint64(words.size)
        two, three = threads + threads, threads + threads + threads
        first = here
        a = b = c = d = np.uint64(0)
        for _ in range(times):
            k = first
            while k < end:
                a ^= words[k]
                b ^= words[k + threads]
                c ^= words[k + two]
                d ^= words[k + three]
                k += two + two
            # Another thread's share the next time, or the compiler would read once.
            first += one
            if first == threads:
                first -= threads
        sums[here] = a ^ b ^ c ^ d

    @cuda.jit
    def copy(words: Any, times: int, out: Any) -> None:
        one, threads, end = np.uint64(1), np.uint64(cuda.gridsize(1)), np.uint64(words.size)
        two, three = threads + threads, threads + threads + threads
        first = np.uint64(cuda.grid(1))
        for _ in range(times):
            k = first
            while k < end:
                a, b, c, d = words[k], words[k + threads], words[k + two], words[k + three]
                out[k] = a
                out[k + threads] = b
                out[k + two] = c
                out[k + three] = d
                k += two + two
            first += one
            if first == threads:
                first -= threads

    @cuda.jit
    def multiply_add(rounds: int, factor: Any, sums: Any) -> None:
        # Each chain begins elsewhere, or one would do for all.
        a = sums[cuda.grid(1)]
        b = a + factor
        c = b + factor
        d = c + factor
        e = d + factor
        f = e + factor
        g = f + factor
        h = g + factor
        for _ in range(rounds):
            for _ in range(UNROLLED):
                a = cuda.fma(a, factor, factor)
                b = cuda.fma(b, factor, factor)
                c = cuda.fma(c, factor, factor)
                d = cuda.fma(d, factor, factor)
                e = cuda.fma(e, factor, factor)
                f = cuda.fma(f, factor, factor)
                g = cuda.fma(g, factor, factor)
                h = cuda.fma(h, factor, factor)
        sums[cuda.grid(1)] = a + b + c + d + e + f + g + h

    return SimpleNamespace(read=read, copy=copy, multiply_add=multiply_add)
