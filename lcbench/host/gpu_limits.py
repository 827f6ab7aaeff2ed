"""Limits of a GPU: bytes read and copied per second, and floating-point operations per second of its FMA units.

The method is that of `lcbench.host.limits`. One kernel reads a footprint repeatedly, so that the L2 cache has the same
effect as for a workload of that size. The loads pass the L1 caches, which every launch of a kernel finds empty: 1,000
rows of CIFAR-10 would fit into those of all multiprocessors. The FMA loop uses registers only. Device events measure
the time of one launch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda.backend import cuda
from lcbench.losses.cuda.tiles import load_word
from lcbench.ranges import dtype_of_W
from lcbench.record import MachinePeak

THREADS = 256
BLOCKS_PER_SM = 8
"""With `THREADS`, these are the 2048 threads that a multiprocessor can hold."""

LOADS = 4
"""Independent loads of 8 bytes in each step of a thread."""

CHAINS = 8
"""Independent chains of FMAs per thread, which hide the latency together with the other threads of the SM."""

UNROLLED = 16
"""Steps of each chain per iteration, which make the cost of the loop itself negligible."""

FMA_ROUNDS = 2_000
REPEATS = 5
MIN_READ_BYTES = 20_000_000_000
"""Bytes of one timed read. It takes milliseconds, which is long compared with the launch of a kernel."""


def gpu_peaks(wanted: list[tuple[str, int]]) -> list[MachinePeak]:
    """Return the limits of the first GPU for each (dtype, footprint in bytes): the best of `REPEATS` measurements.

    The result is empty in the simulator. Raise Unavailable if there is no GPU.
    """
    if cuda_backend.is_simulator():
        return []
    cuda_backend.require_device()
    blocks = BLOCKS_PER_SM * cuda.get_current_device().MULTIPROCESSOR_COUNT
    flops = {dtype: _flops_s(np.dtype(dtype_of_W(dtype)), blocks) for dtype in {dtype for dtype, _ in wanted}}
    peaks = []
    for dtype, footprint in wanted:
        read_bytes_s, copy_bytes_s = _bytes_s(footprint, blocks)
        peak = MachinePeak(
            device="cuda",
            dtype=dtype,
            footprint=footprint,
            read_bytes_s=read_bytes_s,
            flops_s=flops[dtype],
            copy_bytes_s=copy_bytes_s,
        )
        peaks.append(peak)
    return peaks


def _bytes_s(footprint: int, most_blocks: int) -> tuple[float, float]:
    """Return the bytes per second of reading, and of copying, approximately `footprint` bytes."""
    blocks, words = launch_shape(footprint, most_blocks)
    times = -(-MIN_READ_BYTES // (8 * words))
    source = cuda.to_device(np.arange(words, dtype=np.uint64))
    sums = cuda.device_array(THREADS * blocks, np.uint64)
    reading = _best(lambda: peak_kernels().read[blocks, THREADS](source, times, sums))
    out = cuda.device_array(words, np.uint64)
    copying = _best(lambda: peak_kernels().copy[blocks, THREADS](source, times, out))
    return 8 * words * times / reading, 2 * 8 * words * times / copying


def launch_shape(footprint: int, most_blocks: int) -> tuple[int, int]:
    """Return the number of blocks, and the number of words of 8 bytes within `footprint`.

    All threads have the same number of steps.
    """
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
    """Return the three kernels. The size of their 1-D arrays is a multiple of `LOADS` times the threads of the grid.

    read(words, times, sums): exclusive or of all words, repeated `times` times, with one partial result per thread.
    copy(words, times, out): copy `words` to `out`, repeated `times` times.
    multiply_add(rounds, factor, sums): `CHAINS` chains of x <- x * factor + factor, added to one sum per thread.
    """
    load = load_word()

    # Indices are unsigned: a signed index needs a test for negative values. Mixing both types would give a float.

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
                a ^= load(words, k)
                b ^= load(words, k + threads)
                c ^= load(words, k + two)
                d ^= load(words, k + three)
                k += two + two
            # Read the part of another thread in the next repetition, or the compiler would hoist the loads.
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
                a, b = load(words, k), load(words, k + threads)
                c, d = load(words, k + two), load(words, k + three)
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
        # The chains have different start values, or the compiler would merge them.
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
