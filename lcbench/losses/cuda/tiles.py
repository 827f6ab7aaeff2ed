"""Tile of the one-pass kernel for a problem and a device, and its accesses to four columns at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lcbench.losses.cuda.backend import DeviceLimits, cuda, has_llvm

REGISTERS_A_THREAD = 255
"""Maximum of all CUDA architectures so far."""

_MAX_MULTIPLY_ADDS = 720
"""Multiply-adds of a thread for the scores of a tile. The compiler was observed to unroll 720, but not 800: then the
arrays are in local memory."""

_MAX_TAIL = 4
"""Columns beyond the tile that the row step can compute without a loss of speed, as the ones column of CIFAR-10."""


@dataclass(frozen=True)
class Tile:
    """Work of one block of the one-pass kernel. Tests use small tiles, so that tiny inputs span several blocks.

    threads: threads of a block, a multiple of `lanes` and at least rows * classes.
    groups: groups of 4 * threads columns. Thread t owns columns 4 t to 4 t + 3 of each group.
    rows: rows of X held at a time.
    tail: columns of X beyond `columns`, which the row step computes.
    lanes: threads that add up their values without shared memory: a warp on the device.
    """

    threads: int
    groups: int
    rows: int
    tail: int = 0
    lanes: int = 32

    @property
    def columns(self) -> int:
        """Columns of X owned by the threads."""
        return WIDTH * self.threads * self.groups


def one_pass_tile(features: int, classes: int, pixels: bool, device: DeviceLimits) -> Tile | None:
    """Return the tile for X (N, features), uint8 if `pixels` else float32, or None if no tile fits.

    Every score of a row needs all columns of the row, so a block owns all columns: dW (features, classes) is in the
    registers of its threads, beside a few rows of X. The 3,073 x 10 numbers of CIFAR-10 fit; 100 classes do not.

    Of the tiles that fit, the function selects the one with the fewest unused columns, then with the most rows (W is
    read once for all of them), then with the smallest blocks (several per multiprocessor hide latencies).
    """
    best: tuple[tuple[int, int, int], Tile] | None = None
    for threads in (32, 64, 128, 256):
        registers = min(REGISTERS_A_THREAD, device.registers_a_block // threads) - _other_registers(device)
        for groups in range(1, 1 + registers // (WIDTH * classes)):
            tail = max(0, features - WIDTH * threads * groups)
            for rows in (2, 3, 4, 6, 8):
                tile = Tile(threads, groups, rows, tail)
                too_large = (
                    tail > _MAX_TAIL
                    or rows * classes > threads
                    or rows * WIDTH * groups * classes > _MAX_MULTIPLY_ADDS
                    or _registers(tile, classes, pixels) > registers
                )
                if too_large:
                    continue
                rank = (tile.columns, -rows, threads)
                if best is None or rank < best[0]:
                    best = rank, tile
    return best[1] if best else None


def _registers(tile: Tile, classes: int, pixels: bool) -> int:
    """Return the registers of a thread for numbers: the maximum of those for the scores and for the gradient."""
    sums = WIDTH * tile.groups * classes
    held = tile.rows * tile.groups * (1 if pixels else WIDTH)
    unpacked = tile.rows * WIDTH if pixels else 0
    return sums + held + max(held, tile.rows * classes + unpacked) + 2 * tile.tail


def _other_registers(device: DeviceLimits) -> int:
    """Return the registers of a thread for addresses, counters and operands, as observed for each architecture.

    If the number is too low, some values are spilled once a tile, which costs little time.
    """
    return 50 if device.compute_capability in ((7, 5), (8, 0)) else 34


def resident_blocks(tile: Tile, device: DeviceLimits) -> int:
    """Return how many blocks a device runs at a time. A grid of this size processes all of X, one slab of dW each."""
    return device.multiprocessors * max(
        1, device.registers_a_multiprocessor // (tile.threads * (REGISTERS_A_THREAD + 1))
    )


# Loads of four adjacent columns of a matrix in one access: 16 bytes of float32, 4 bytes of uint8.
#
# The compiler combines adjacent accesses only if it can prove their alignment, which it cannot for a pointer known only
# at run time. So these loads are written in PTX. Rows must begin at a multiple of 16 bytes, which `DeviceMatrix`
# ensures.
#
# In Numba's simulator, and with a backend other than numba-cuda, the same functions load one column at a time. Each
# device function is created by a call, since Numba reads its global names when it compiles the kernel.

WIDTH = 4
"""Columns in one access."""


def load_floats() -> Any:
    """Return ``load(X, at, to, r, g)``: to[r, g, 0:4] = X[at : at + 4], float32, not cached in L1."""
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
    """Return ``load(X, at, to, r, g)``: to[r, g, 0] = X[at : at + 4], four uint8 in one uint32.

    The first is in the lowest byte.
    """
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
    """Return ``load(W, at, to)``: to[0:4] = W[at : at + 4], float32, cached in L1 since every tile reads it."""
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


def load_word() -> Any:
    """Return ``load(words, at)``: words[at], uint64, from L2 or from memory, not from L1."""
    if has_llvm():
        return _reader("ld.global.cg.u64", "l", 1)

    @cuda.jit(device=True, inline="always")
    def load(words: Any, at: Any) -> Any:
        return words[at]

    return load


def _reader(instruction: str, register: str, count: int) -> Any:
    """Return ``read(array, at)``, which returns the `count` registers loaded by `instruction` from array[at].

    It is marked as having side effects. Otherwise the compiler would load all of W before the first tile, since W does
    not change, into more registers than exist.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    outputs = ", ".join(f"${i}" for i in range(count))
    target = f"{{{outputs}}}" if count > 1 else outputs
    code = f"{instruction} {target}, [${count}];"
    constraints = ",".join([f"={register}"] * count) + ",l"
    output, element = {
        "r": (ir.IntType(32), types.uint32),
        "l": (ir.IntType(64), types.uint64),
        "f": (ir.FloatType(), types.float32),
    }[register]
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
