"""Limits of the CPU: bytes read per second by all cores, and floating-point operations per second of their FMA units.

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for multicore
architectures". Both limits are measured in the same run as the implementations. The FMA loop uses registers only, since
a matrix product does not reach the full rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import int8, jit, pixels
from lcbench.losses.simd import Vectors, prefetch
from lcbench.ranges import dtype_of_W
from lcbench.record import MachinePeak

CHAINS = 20 if jit.vector_registers() == 32 else 12
"""Independent chains: enough to hide the latency of an FMA (4 or 5 cycles) on two units.

They must fit the registers beside the factor. A chain in memory would be slower, and the limit too low.
"""

STREAMS = 8
"""Vectors read per iteration, each with its own sum."""

PREFETCH_DISTANCES = (0, 1024, 4096)
"""Prefetch distances in bytes. The fastest one counts; it depends on the cache level and the processor."""

# The threads start in about 50 us. The timed work must take much longer.
FMA_ROUNDS = 2_000_000
BYTE_ROUNDS = 1_000_000
MIN_READ_BYTES = 500_000_000
"""Bytes of one timed read. A small footprint is read repeatedly."""


class Limit:
    """Limits of the CPU on an X of one dtype and footprint in bytes, with `threads` threads.

    peak: best rates measured so far.
    """

    def __init__(self, dtype: str, footprint: int, threads: int) -> None:
        self._dtype, self._footprint, self._threads = dtype, footprint, threads
        self._floats = np.dtype(dtype_of_W(dtype))
        """Type of the numbers that are read, of which only the bytes matter, and of those that are multiplied."""
        self._pool = ThreadPoolExecutor(threads)
        count = max(threads, footprint // self._floats.itemsize)
        self._parts = np.array_split(np.ones(count, self._floats), threads)
        self._times = -(-MIN_READ_BYTES // footprint)
        self._ahead = 0
        self._best_read = self._best_flops = 0.0
        self._bytes = int8.UNIT if dtype == "uint8" else None

    def warm_up(self) -> None:
        """Start the threads, load the compiled code, and find the best prefetch distance."""
        for ahead in PREFETCH_DISTANCES:  # the first reads touch the data and load the code
            self._read_bytes_s(ahead)
        rates = {ahead: max(self._read_bytes_s(ahead) for _ in range(2)) for ahead in PREFETCH_DISTANCES}
        self._ahead = max(rates, key=rates.__getitem__)
        self._flops_s()

    def call_s(self, bytes: int, flops: int) -> float:
        """Return the shortest possible time of a call, in seconds, from one measurement of both rates.

        bytes: memory traffic of the call. flops: its floating-point operations.
        """
        read_bytes_s, flops_s = self._read_bytes_s(self._ahead), self._flops_s()
        self._best_read, self._best_flops = max(self._best_read, read_bytes_s), max(self._best_flops, flops_s)
        return max(bytes / read_bytes_s, flops / flops_s)

    @property
    def peak(self) -> MachinePeak:
        """Best rates so far."""
        return MachinePeak(
            dtype=self._dtype,
            footprint=self._footprint,
            read_bytes_s=self._best_read,
            flops_s=self._best_flops,
            unit=self._bytes.instruction if self._bytes else "FMA",
        )

    def _read_bytes_s(self, ahead: int) -> float:
        read = [self._times * part.nbytes for part in self._parts]
        return self._rate(lambda thread: _read(self._parts[thread], self._times, ahead), read)

    def _flops_s(self) -> float:
        """Return the rate of the arithmetic unit that `numba-parallel` uses for this dtype.

        Products of pixels by a unit of bytes are products of digits. The hinge loss needs the fewest of them.
        """
        if self._bytes:
            flops = BYTE_ROUNDS * self._bytes.chain_products * 2 / pixels.PRODUCTS["svm"]
            return self._rate(lambda thread: _multiply_bytes(BYTE_ROUNDS), [flops] * self._threads)
        number = self._floats.type(0.5)
        flops = FMA_ROUNDS * CHAINS * jit.vector_bytes() // self._floats.itemsize * 2
        return self._rate(lambda thread: _multiply_add(FMA_ROUNDS, number), [flops] * self._threads)

    def _rate(self, work: Callable[[int], Any], amounts: Sequence[float]) -> float:
        """Return the sum of the rates of the threads, of which each does its amount of work.

        The cores may differ. The slowest one does not limit a kernel that gives it less work.
        """
        return sum(amount / seconds for amount, seconds in zip(amounts, self._run(work), strict=True))

    def _run(self, work: Callable[[int], Any]) -> list[float]:
        """Return the seconds that each thread takes for work(thread)."""

        def timed(thread: int) -> float:
            start = perf_counter()
            work(thread)
            return perf_counter() - start

        return list(self._pool.map(timed, range(self._threads)))


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
                prefetch(builder, cgutils.pointer_add(builder, address, arguments[1]), level=1)
                vector = vectors.load(address)
                builder.store(builder.fadd(builder.load(accumulator), vector), accumulator)
        total = vectors.zero()
        for accumulator in sums:
            total = builder.fadd(total, builder.load(accumulator))
        return vectors.sum(total)

    return signature, emit


@jit.compiled
def _read(numbers: NDArray[Any], times: int, ahead: int) -> float:
    total = numbers.dtype.type(0)
    for _ in range(times):
        total += _stream(numbers, ahead)
        numbers = numbers[
            : numbers.size - 1
        ]  # a different array in each repetition, or the compiler would hoist the loop
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


@jit.compiled
def _multiply_bytes(rounds: int) -> int:
    int8.begin_tiles()
    total = int8.chains(rounds)
    int8.end_tiles()
    return total
