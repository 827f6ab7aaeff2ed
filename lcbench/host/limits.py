"""The machine's own limits: bytes a second that all cores read, floating-point operations a second of their FMA units.

Williams, Waterman & Patterson 2009, "Roofline". Both are measured in the same run as the implementations. The FMA rate
comes from a loop that never leaves the registers, since a matrix product reaches only part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import jit
from lcbench.losses.simd import Vectors
from lcbench.record import MachinePeak

CHAINS = 20
"""Independent sums: enough to cover the latency of an FMA (4 cycles) on two units, few enough for the registers."""

STREAMS = 8
"""Vectors read at a time, each into a sum of its own."""

AHEAD = (0, 1024, 4096)
"""How far before the reading, in bytes, cache lines are asked for: the fastest counts, which differs between caches,
memory and processors. 0 asks for what is read anyway."""

# Starting the threads takes some 50 us: what is timed must be long beside that.
FMA_ROUNDS = 2_000_000
LEAST_READ = 500_000_000
"""Bytes in one timed reading: a small footprint is read again and again."""

REPEATS = 4


def cpu_peaks(wanted: list[tuple[str, int]], threads: int) -> list[MachinePeak]:
    """Best of `REPEATS` measurements for every (dtype, footprint in bytes), `threads` threads together."""
    with ThreadPoolExecutor(threads) as pool:
        flops = {dtype: _flops_s(np.dtype(dtype), threads, pool) for dtype in {dtype for dtype, _ in wanted}}
        return [
            MachinePeak(
                dtype=dtype,
                footprint=footprint,
                read_bytes_s=_read_bytes_s(np.dtype(dtype), footprint, threads, pool),
                flops_s=flops[dtype],
            )
            for dtype, footprint in wanted
        ]


def _read_bytes_s(dtype: np.dtype[Any], footprint: int, threads: int, pool: ThreadPoolExecutor) -> float:
    parts = np.array_split(np.ones(max(threads, footprint // dtype.itemsize), dtype), threads)
    times = -(-LEAST_READ // footprint)
    ways = [lambda thread, ahead=ahead: _read(parts[thread], times, ahead) for ahead in AHEAD]
    seconds = min(_best(way, threads, pool) for way in ways)
    return times * sum(part.nbytes for part in parts) / seconds


def _flops_s(dtype: np.dtype[Any], threads: int, pool: ThreadPoolExecutor) -> float:
    number = dtype.type(0.5)
    seconds = _best(lambda thread: _multiply_add(FMA_ROUNDS, number), threads, pool)
    lanes = jit.vector_bytes() // dtype.itemsize
    return threads * FMA_ROUNDS * CHAINS * lanes * 2 / seconds


def _best(work: Callable[[int], Any], threads: int, pool: ThreadPoolExecutor) -> float:
    list(pool.map(work, range(threads)))  # compiled and warm
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        list(pool.map(work, range(threads)))
        seconds.append(perf_counter() - start)
    return min(seconds)


@intrinsic
def _stream(typing: Any, numbers: Any, ahead: Any) -> Any:
    signature = numbers.dtype(numbers, types.int64)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, numbers.dtype)
        array = context.make_array(numbers)(context, builder, arguments[0])
        sums = [cgutils.alloca_once_value(builder, vectors.zero()) for _ in range(STREAMS)]
        step = ir.IntType(64)(STREAMS * vectors.count)
        end = builder.mul(builder.sdiv(array.nitems, step), step)
        with cgutils.for_range_slice(builder, step.type(0), end, step) as (start, _):
            for k, accumulator in enumerate(sums):
                position = builder.add(start, step.type(k * vectors.count))
                address = builder.gep(array.data, [position])
                _prefetch(builder, cgutils.pointer_add(builder, address, arguments[1]))
                vector = vectors.load(address)
                builder.store(builder.fadd(builder.load(accumulator), vector), accumulator)
        total = vectors.zero()
        for accumulator in sums:
            total = builder.fadd(total, builder.load(accumulator))
        return vectors.sum(total)

    return signature, emit


def _prefetch(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Asks for the cache line at `address` into the first level; any address will do."""
    pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    prefetch = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [pointer, number, number, number]), "llvm.prefetch.p0"
    )
    read, into_l1, data = number(0), number(3), number(1)
    builder.call(prefetch, [builder.bitcast(address, pointer), read, into_l1, data])


@jit.compiled
def _read(numbers: NDArray[Any], times: int, ahead: int) -> float:
    total = numbers.dtype.type(0)
    for _ in range(times):
        total += _stream(numbers, ahead)
        numbers = numbers[: numbers.size - 1]  # another array each time, or the compiler would read once
    return total


@intrinsic
def _chains(typing: Any, rounds: Any, number: Any) -> Any:
    signature = number(types.int64, number)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, number)
        factor = vectors.splat(arguments[1])
        sums = [cgutils.alloca_once_value(builder, vectors.zero()) for _ in range(CHAINS)]
        with cgutils.for_range(builder, arguments[0]):
            for accumulator in sums:
                builder.store(vectors.multiply_add(builder.load(accumulator), factor, factor), accumulator)
        total = vectors.zero()
        for accumulator in sums:
            total = builder.fadd(total, builder.load(accumulator))
        return vectors.sum(total)

    return signature, emit


@jit.compiled
def _multiply_add(rounds: int, number: float) -> float:
    return _chains(rounds, number)


# The rate of NumPy's own matrix product: a line of reference beside the machine's limits, and none of them.

GEMM_SIZE = 1536
"""Rows and columns: the operands outgrow the caches of one core, and a product takes some hundredths of a second."""

GEMM_REPEATS = 5


def gemm_flops_s(dtype: str) -> float:
    """Floating-point operations a second of ``A @ B``, both (SIZE, SIZE) of `dtype`, at its best."""
    rng = np.random.default_rng(0)
    A, B = (rng.random((GEMM_SIZE, GEMM_SIZE)).astype(dtype) for _ in range(2))
    out = A @ B
    seconds = []
    for _ in range(GEMM_REPEATS):
        start = perf_counter()
        np.matmul(A, B, out=out)
        seconds.append(perf_counter() - start)
    return 2 * GEMM_SIZE**3 / min(seconds)
