"""Whether the one-pass kernel fits a problem on a device, and with which tile. The one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lcbench.losses.cuda.backend import DeviceLimits, cuda, has_llvm

REGISTERS_A_THREAD = 255
"""The most that any CUDA architecture so far can address."""

_MOST_MULTIPLY_ADDS = 720
"""A thread's in the scores of a tile. The compiler was seen to unroll so many, and with 800 to leave loops: then the
numbers are in local memory."""

_MOST_TAIL = 4
"""Columns beyond the tile that the row step can take along without being felt: CIFAR's ones column is one."""


@dataclass(frozen=True)
class Tile:
    """What one block of the one-pass kernel holds. Tests shrink it, so that tiny inputs span several blocks.

    threads: of a block, a multiple of `lanes` and at least rows * classes.
    groups: thread t owns columns 4 t to 4 t + 3 of each of so many stretches of 4 * threads columns.
    rows: of X that are held at a time.
    tail: columns of X beyond `columns`; the row step computes them.
    lanes: threads that add up without meeting in shared memory: a warp, on the device.
    """

    threads: int
    groups: int
    rows: int
    tail: int = 0
    lanes: int = 32

    @property
    def columns(self) -> int:
        """Columns of X that the threads own."""
        return WIDTH * self.threads * self.groups


def one_pass_tile(features: int, classes: int, pixels: bool, device: DeviceLimits) -> Tile | None:
    """The tile for X (N, features), uint8 where `pixels` else float32, or None where no tile holds it.

    Every score of a row needs all its columns, so a block owns them all: dW (features, classes) lies in the registers
    of its threads, beside a few rows of X. CIFAR-10's 3,073 x 10 fit; 100 classes do not.

    Of the tiles that fit, the one that computes the fewest columns in vain, then holds the most rows (each row more
    spreads the reading of W wider), then has the smallest blocks (several a multiprocessor hide each other's waits).
    """
    best: tuple[tuple[int, int, int], Tile] | None = None
    for threads in (32, 64, 128, 256):
        registers = min(REGISTERS_A_THREAD, device.registers_a_block // threads) - _other_registers(device)
        for groups in range(1, 1 + registers // (WIDTH * classes)):
            tail = max(0, features - WIDTH * threads * groups)
            for rows in (2, 3, 4, 6, 8):
                tile = Tile(threads, groups, rows, tail)
                too_large = (
                    tail > _MOST_TAIL
                    or rows * classes > threads
                    or rows * WIDTH * groups * classes > _MOST_MULTIPLY_ADDS
                    or _registers(tile, classes, pixels) > registers
                )
                if too_large:
                    continue
                rank = (tile.columns, -rows, threads)
                if best is None or rank < best[0]:
                    best = rank, tile
    return best[1] if best else None


def _registers(tile: Tile, classes: int, pixels: bool) -> int:
    """Registers of a thread for numbers: the more of what the scores and what the gradient hold at a time."""
    sums = WIDTH * tile.groups * classes
    held = tile.rows * tile.groups * (1 if pixels else WIDTH)
    unpacked = tile.rows * WIDTH if pixels else 0
    return sums + held + max(held, tile.rows * classes + unpacked) + 2 * tile.tail


def _other_registers(device: DeviceLimits) -> int:
    """Registers of a thread for addresses, counters and operands, as each architecture's compiler was seen to use.

    A guess that is too low costs a little time, for values that are stored and read again once a tile.
    """
    return 50 if device.compute_capability in ((7, 5), (8, 0)) else 34


def resident_blocks(tile: Tile, device: DeviceLimits) -> int:
    """Blocks that a device runs at a time: a grid of so many stays for the whole of X, each with one slab of dW."""
    return device.multiprocessors * max(
        1, device.registers_a_multiprocessor // (tile.threads * (REGISTERS_A_THREAD + 1))
    )


# Four neighbouring columns of a matrix in one access: 16 bytes of float32, 4 bytes of uint8.
#
# The compiler joins neighbouring accesses only where it can prove that they are aligned, which a pointer that arrives
# at run time never is. So these are written as PTX. Rows must begin at a multiple of 16 bytes: `matrix` pads them.
#
# In Numba's simulator, and with a CUDA for Python other than numba-cuda's, the same functions take one column at a
# time. Each function is made by a call, since Numba reads what a device function refers to when it compiles the kernel.

WIDTH = 4
"""Columns in one access."""


def load_floats() -> Any:
    """``load(X, at, to, r, g)``: to[r, g, 0:4] = X[at : at + 4], float32, read once: not for L1."""
    if has_llvm():
        read = _reader("ld.global.L1::no_allocate.v4.f32", "f", WIDTH)

        @cuda.jit(device=True, inline="always")
        def load(X: Any, at: Any, to: Any, r: Any, g: Any) -> None:
            to[r, g, 0], to[r, g, 1], to[r, g, 2], to[r, g, 3] = read(X, at)
    else:

        @cuda.jit(device=True, inline="always")
        def load(X: Any, at: Any, to: Any, r: Any, g: Any) -> None:
            for j in range(WIDTH):
                to[r, g, j] = X[at + j]

    return load


def load_pixels() -> Any:
    """``load(X, at, to, r, g)``: to[r, g, 0] = X[at : at + 4], uint8, the first in the lowest byte of a uint32."""
    if has_llvm():
        read = _reader("ld.global.L1::no_allocate.u32", "r", 1)

        @cuda.jit(device=True, inline="always")
        def load(X: Any, at: Any, to: Any, r: Any, g: Any) -> None:
            to[r, g, 0] = read(X, at)
    else:
        uint32 = np.uint32

        @cuda.jit(device=True, inline="always")
        def load(X: Any, at: Any, to: Any, r: Any, g: Any) -> None:
            word = uint32(0)
            for j in range(WIDTH):
                word |= uint32(X[at + j]) << uint32(8 * j)
            to[r, g, 0] = word

    return load


def load_weights() -> Any:
    """``load(W, at, to)``: to[0:4] = W[at : at + 4], float32, which every tile reads again: for L1."""
    if has_llvm():
        read = _reader("ld.global.nc.v4.f32", "f", WIDTH)

        @cuda.jit(device=True, inline="always")
        def load(W: Any, at: Any, to: Any) -> None:
            to[0], to[1], to[2], to[3] = read(W, at)
    else:

        @cuda.jit(device=True, inline="always")
        def load(W: Any, at: Any, to: Any) -> None:
            for j in range(WIDTH):
                to[j] = W[at + j]

    return load


def _reader(instruction: str, register: str, count: int) -> Any:
    """``read(array, at)``: the `count` registers that `instruction` fills from the address of array[at], in one line.

    Marked as having side effects: W does not change from tile to tile, and the compiler would otherwise read all of it
    before the first one, into registers that do not exist.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    outputs = ", ".join(f"${i}" for i in range(count))
    target = f"{{{outputs}}}" if count > 1 else outputs
    code = f"{instruction} {target}, [${count}];"
    constraints = ",".join([f"={register}"] * count) + ",l"
    output, element = (ir.IntType(32), types.uint32) if register == "r" else (ir.FloatType(), types.float32)
    outputs_type = ir.LiteralStructType([output] * count) if count > 1 else output
    result = types.UniTuple(element, count) if count > 1 else element

    @intrinsic
    def read(typing_context: Any, array: Any, at: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array_type, index_type = signature.args
            data = context.make_array(array_type)(context, builder, value=arguments[0]).data
            address = builder.ptrtoint(
                builder.gep(data, [context.cast(builder, arguments[1], index_type, types.intp)]), ir.IntType(64)
            )
            assembly = ir.InlineAsm(ir.FunctionType(outputs_type, [address.type]), code, constraints, side_effect=True)
            value = builder.call(assembly, [address])
            if count == 1:
                return value
            return context.make_tuple(builder, result, [builder.extract_value(value, i) for i in range(count)])

        return result(array, at), emit

    return read


# The last kernel of a call: the slabs' sum and the regularisation.


def build_sum_over_block() -> Any:
    """``sum_over_block(values, thread, threads)``: values[0] = sum(values), in shared memory, one a thread, by halves.

    `threads` is a power of two, and all threads of the block must call it.
    """

    @cuda.jit(device=True, inline="always")  # called as a function, it could be compiled with a device at hand only
    def sum_over_block(values: Any, thread: int, threads: int) -> None:
        half = threads // 2
        cuda.syncthreads()
        while half > 0:
            if thread < half:
                values[thread] += values[thread + half]
            cuda.syncthreads()
            half //= 2

    return sum_over_block


@lru_cache(maxsize=8)
def build_merge(dtype: Any, lanes: int, warps: int) -> Any:
    """The kernel ``merge(slabs, W, columns, two_reg, dW, sums)`` in `dtype`, for blocks of (lanes, warps) threads.

    lanes * warps is a power of two.
    """
    LANES, WARPS, THREADS = lanes, warps, lanes * warps
    sum_over_block = build_sum_over_block()

    @cuda.jit
    def merge(slabs: Any, W: Any, columns: int, two_reg: Any, dW: Any, sums: Any) -> None:
        """dW (C, stride) = the sum of slabs (B, C, stride) + two_reg W; sums[block] = sum(W * W) over its elements.

        Zero from column `columns` on. A block takes LANES numbers of a slab, read as one line, and its warps share out
        the slabs::

            warp 0   slab 0, WARPS, ...     \\
            warp 1   slab 1, WARPS + 1, ...  > each its own sum; then warp 0 adds them, one after the other
            ...                             /
        """
        partial = cuda.shared.array((WARPS, LANES), dtype)
        squares = cuda.shared.array(THREADS, dtype)
        lane = cuda.threadIdx.x
        warp = cuda.threadIdx.y
        at = cuda.blockIdx.x * LANES + lane
        class_ = at // dW.shape[1]
        column = at % dW.shape[1]
        inside = class_ < dW.shape[0] and column < columns

        total = dtype(0)
        if inside:
            for slab in range(warp, slabs.shape[0], WARPS):
                total += slabs[slab, class_, column]
        partial[warp, lane] = total
        cuda.syncthreads()

        square = dtype(0)
        if warp == 0 and class_ < dW.shape[0]:
            if inside:
                for other in range(1, WARPS):
                    total += partial[other, lane]
                w = W[class_, column]
                total += two_reg * w
                square = w * w
            dW[class_, column] = total
        thread = warp * LANES + lane
        squares[thread] = square
        sum_over_block(squares, thread, THREADS)
        if thread == 0:
            sums[cuda.blockIdx.x] = squares[0]

    return merge
