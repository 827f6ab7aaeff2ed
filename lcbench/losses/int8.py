"""Micro-kernels on bytes: products of pixels with signed digits, exact in int32, by the fastest unit of the processor.

`UNITS` is the table of the units. A unit multiplies unsigned by signed bytes and adds four products to each int32::

    unit       instruction            score tile                 gradient tile
    amx        tdpbusd, tdpbsud       32 rows x 32 columns       32 or 16 columns x 32 features
    vnni       vpdpbusd, 512 bits     8 rows x 32 columns        10 or 5 columns x 32 features
    avx-vnni   vpdpbusd, 256 bits     3 rows x 32 columns        5 columns x 16 features

A column is one digit of one class: of its weights, or of the gradient with respect to its scores. All units read and
write the same memory::

    rows    (B, F')     uint8  rows of X, padded with zeros, unless the score tiles can read X in place
    quads   (B/4, 4F')  uint8  four rows interleaved: the bytes of feature f of rows 4g..4g+3 are adjacent, the features
                               of each 64 in the order `FEATURE_ORDER`
    Wq      (F/4, 4K)   int8   digits of the weights: the bytes of features 4i..4i+3 of column k are adjacent
    S       (B, K)      int32  scores of the digits
    dq      (K', B)     int8   digits of the gradient with respect to the scores
    G       (K', F')    int32  gradient of the digits, features in the order of quads

Each micro-kernel is defined by a NumPy function, which also replaces it if Numba's JIT is off. Without the instruction,
a unit that is named by `VARIABLE` computes the same with ordinary instructions: slowly, for tests.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import jit
from lcbench.losses.implementation import Unavailable
from lcbench.losses.simd import CACHE_LINE, Matrix, accumulators, call_intrinsic, prefetch, row_at, smaller

VARIABLE = "LCBENCH_INT8"
"""Environment variable that names the unit to use instead of the fastest one; "float" for none."""

COLUMNS = 32
"""Columns of a score tile."""


@dataclass(frozen=True)
class Unit:
    """Unit of a processor that multiplies bytes.

    features: those of the processor, as LLVM names them, that the code needs. lanes: int32 numbers of a vector, or of a
    row of a tile register. block_rows: rows of a block. tile_rows: rows of a score tile. wide, narrow: columns of the
    two gradient tiles; the columns are padded to a multiple of `narrow`. tile_features: features of a gradient tile.
    row_multiple: the gradient sums multiples of so many rows. most_classes, rows_per_class: up to so many classes, from
    so many rows for each class, one pass on bytes was measured to be faster than two products of converted rows.
    """

    name: str
    instruction: str
    features: tuple[str, ...]
    lanes: int
    block_rows: int
    tile_rows: int
    wide: int
    narrow: int
    tile_features: int
    row_multiple: int
    most_classes: int
    rows_per_class: int

    @property
    def chain_products(self) -> int:
        """Products of bytes in one round of `chains`."""
        return TILE_CHAINS * 16 * 16 * 64 if self.name == "amx" else self.vector_chains * self.lanes * 4

    @property
    def vector_chains(self) -> int:
        """Independent vectors that hide the latency of the instruction and fit the registers."""
        return 20 if self.lanes == 16 else 10

    @property
    def native(self) -> bool:
        """True if the processor for which Numba compiles has the instruction."""
        return jit.has_features(*self.features)


UNITS = {
    unit.name: unit
    for unit in (
        Unit("amx", "tdpbusd", ("amx-tile", "amx-int8"), 16, 128, 32, 32, 16, 32, 64, 127, 10),
        Unit("vnni", "vpdpbusd", ("avx512vnni", "avx512bw"), 16, 48, 8, 10, 5, 32, 4, 64, 20),
        Unit("avx-vnni", "vpdpbusd", ("avxvnni",), 8, 48, 3, 5, 5, 16, 4, 64, 20),
    )
}
"""Units by name, fastest first."""


def _find_unit() -> Unit | None:
    """Return the unit that `VARIABLE` names, or the fastest one that the processor and the system offer, or None."""
    named = os.environ.get(VARIABLE, "")
    if named == "float":
        return None
    if named:
        if named not in UNITS:
            raise Unavailable(f"{VARIABLE} is {named!r}: it must be {', '.join(UNITS)} or float")
        if named == "amx" and UNITS[named].native:
            allow_tiles()
        return UNITS[named]
    if config.DISABLE_JIT:
        return None
    return next((unit for unit in UNITS.values() if unit.native and (unit.name != "amx" or allow_tiles())), None)


def allow_tiles() -> bool:
    """Return whether Linux permits this process to use tile registers, after asking for the permission.

    Source: "Using XSTATE features in user space applications", kernel documentation: arch_prctl(ARCH_REQ_XCOMP_PERM).
    """
    if sys.platform != "linux":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0


UNIT = _find_unit()
"""Unit of this process, or None: uint8 rows are then converted to floats block by block."""

# Kernels are compiled for one unit, whose sizes are constants in them.
_CHOSEN = UNIT or UNITS["vnni"]
BLOCK_ROWS, TILE_ROWS = _CHOSEN.block_rows, _CHOSEN.tile_rows
WIDE, NARROW, TILE_FEATURES = _CHOSEN.wide, _CHOSEN.narrow, _CHOSEN.tile_features

GROUP = 64
"""Features that are interleaved together."""

FEATURE_ORDER = np.array([16 * (p >> 2 & 3) + 4 * (p >> 4) + (p & 3) for p in range(GROUP)])
"""Feature at each position of a group of `quads` and `G`: the order in which the unpack instructions leave them."""

TILE_CHAINS = 6
"""Independent tile registers that hide the latency of the instruction; two more hold the factors."""

_INT8, _INT32, _INT64 = (ir.IntType(bits) for bits in (8, 32, 64))


class _Bytes:
    """Emitter of products of bytes, for one unit, into one LLVM function."""

    def __init__(self, builder: ir.IRBuilder, unit: Unit) -> None:
        self.builder, self.native, self.lanes = builder, unit.native, unit.lanes
        self.type = ir.VectorType(_INT32, self.lanes)
        self.bytes = ir.VectorType(_INT8, 4 * self.lanes)

    def zero(self) -> ir.Constant:
        """Return a vector of zeros."""
        return ir.Constant(self.type, [0] * self.lanes)

    def load(self, pointer: ir.Value) -> ir.Value:
        """Load one vector from `pointer`."""
        return self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()), align=4)

    def store(self, vector: ir.Value, pointer: ir.Value) -> None:
        """Store one vector to `pointer`."""
        self.builder.store(vector, self.builder.bitcast(pointer, self.type.as_pointer()), align=4)

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        """Load the four bytes at `pointer` into every lane."""
        scalar = self.builder.load(self.builder.bitcast(pointer, _INT32.as_pointer()), align=1)
        first = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, _INT32(0))
        return self.builder.shuffle_vector(first, first, ir.Constant(self.type, [0] * self.lanes))

    def dot(self, sums: ir.Value, unsigned: ir.Value, signed: ir.Value) -> ir.Value:
        """Return sums + the products of each lane's four unsigned bytes with its four signed bytes."""
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}" if self.native else f"lcbench.dot.{self.lanes}"
        function = ir.FunctionType(self.type, [self.type] * 3)
        found = cgutils.get_or_insert_function(self.builder.module, function, name)
        if not self.native and found.is_declaration:
            self._define(found)
        return self.builder.call(found, [sums, unsigned, signed])

    def _define(self, function: ir.Function) -> None:
        """Define what the instruction does. The function is not inlined, which would take long to compile."""
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        sums, *factors = function.args
        a, b = (builder.bitcast(factor, self.bytes) for factor in factors)
        for byte in range(4):
            every_fourth = ir.Constant(self.type, [4 * lane + byte for lane in range(self.lanes)])
            x = builder.zext(builder.shuffle_vector(a, a, every_fourth), self.type)
            w = builder.sext(builder.shuffle_vector(b, b, every_fourth), self.type)
            sums = builder.add(sums, builder.mul(x, w))
        builder.ret(sums)


class _Tiles:
    """Emitter of products of tile registers of 16 rows x 64 bytes into one LLVM function.

    Without the instructions a tile is 1,024 bytes of the stack.
    """

    def __init__(self, context: Any, builder: ir.IRBuilder, unit: Unit) -> None:
        self.builder, self.native = builder, unit.native
        self.vectors = _Bytes(builder, unit)
        self.memory = [] if self.native else [cgutils.alloca_once(builder, _INT8, size=1024) for _ in range(8)]

    def _emit(self, name: str, *arguments: ir.Value) -> None:
        call_intrinsic(self.builder, f"llvm.x86.{name}", ir.VoidType(), list(arguments))

    def _rows(self, tile: int, pointer: ir.Value, stride: ir.Value, store: bool) -> None:
        with cgutils.for_range(self.builder, _INT64(16), intp=_INT64) as loop:
            outside = cgutils.pointer_add(self.builder, pointer, self.builder.mul(loop.index, stride))
            inside = self._row(tile, loop.index)
            source, target = (inside, outside) if store else (outside, inside)
            self.vectors.store(self.vectors.load(source), target)

    def _row(self, tile: int, row: ir.Value) -> ir.Value:
        return cgutils.pointer_add(self.builder, self.memory[tile], self.builder.mul(row, _INT64(64)))

    def zero(self, tile: int) -> None:
        """Set the tile to zeros."""
        if self.native:
            self._emit("tilezero", _INT8(tile))
            return
        with cgutils.for_range(self.builder, _INT64(16), intp=_INT64) as loop:
            self.vectors.store(self.vectors.zero(), self._row(tile, loop.index))

    def load(self, tile: int, pointer: ir.Value, stride: ir.Value) -> None:
        """Load 16 rows of 64 bytes, `stride` bytes apart."""
        if self.native:
            self._emit("tileloadd64", _INT8(tile), self.builder.bitcast(pointer, _INT8.as_pointer()), stride)
        else:
            self._rows(tile, pointer, stride, store=False)

    def store(self, tile: int, pointer: ir.Value, stride: ir.Value) -> None:
        """Store 16 rows of 64 bytes, `stride` bytes apart."""
        if self.native:
            self._emit("tilestored64", _INT8(tile), self.builder.bitcast(pointer, _INT8.as_pointer()), stride)
        else:
            self._rows(tile, pointer, stride, store=True)

    def dot(self, sums: int, a: int, b: int, a_is_signed: bool) -> None:
        """Add to sums[m, n] the products of the bytes a[m, 4 k ...] and b[k, 4 n ...], summed over k.

        One of them is signed, the other unsigned.
        """
        if self.native:
            self._emit("tdpbsud" if a_is_signed else "tdpbusd", _INT8(sums), _INT8(a), _INT8(b))
            return
        sixteen = _INT64(16)
        with (
            cgutils.for_range(self.builder, sixteen, intp=_INT64) as row,
            cgutils.for_range(self.builder, sixteen, intp=_INT64) as k,
        ):
            total = self._row(sums, row.index)
            offset = self.builder.mul(k.index, _INT64(4))
            left = self.vectors.broadcast(cgutils.pointer_add(self.builder, self._row(a, row.index), offset))
            right = self.vectors.load(self._row(b, k.index))
            unsigned, signed = (right, left) if a_is_signed else (left, right)
            self.vectors.store(self.vectors.dot(self.vectors.load(total), unsigned, signed), total)


def make_score_tile(unit: Unit, fetch: bool) -> Any:
    """Return the score tile of a unit. With `fetch` it prefetches rows of the next block while it computes."""

    @intrinsic
    def score_tile(
        typing: Any, rows: Any, r: Any, Wq: Any, k: Any, S: Any, out: Any, X: Any, order: Any, ahead: Any, last: Any
    ) -> Any:
        number = types.int64
        signature = types.void(rows, number, Wq, number, S, number, X, order, number, number)

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            x, w, s, source = (
                Matrix(context, builder, kind, arguments[place]) for kind, place in ((rows, 0), (Wq, 2), (S, 4), (X, 6))
            )
            r, k, out, ahead, last = (arguments[place] for place in (1, 3, 5, 8, 9))

            def next_row(number: ir.Value) -> ir.Value:
                """Return the address of a row of the next block, counted from position `ahead`."""
                row = row_at(context, builder, order, arguments[7], builder.add(ahead, number), last)
                return source.at(row, _INT64(0))

            emit_tile = _emit_score_tile_of_tiles if unit.name == "amx" else _emit_score_tile_of_vectors
            emit_tile(context, builder, unit, x, r, w, k, s, out, source.shape[1], next_row if fetch else None)
            return context.get_dummy_value()

        return signature, emit

    return score_tile


def _emit_score_tile_of_vectors(
    context: Any, builder: ir.IRBuilder, unit: Unit, x: Matrix, r: ir.Value, w: Matrix, k: ir.Value, s: Matrix,
    out: ir.Value, features: ir.Value, next_row: Callable[[ir.Value], ir.Value] | None,
) -> None:  # fmt: skip
    vectors = _Bytes(builder, unit)
    count = COLUMNS // unit.lanes
    sums = accumulators(builder, vectors.type, unit.tile_rows * count)
    for accumulator in sums:
        builder.store(vectors.zero(), accumulator)
    here = [builder.add(r, _INT64(i)) for i in range(unit.tile_rows)]
    columns = [builder.mul(builder.add(k, _INT64(v * unit.lanes)), _INT64(4)) for v in range(count)]
    steps, tile_rows = w.shape[0], _INT64(unit.tile_rows)
    # The steps are divided among the rows of the next block, each of which is prefetched in the order of memory.
    steps_a_row = builder.add(builder.sdiv(steps, tile_rows), _INT64(1))
    stride = builder.add(builder.sdiv(features, steps_a_row), _INT64(1))
    with cgutils.for_range(builder, tile_rows, intp=_INT64) as part:
        begin = builder.mul(part.index, steps_a_row)
        end = smaller(builder, builder.add(begin, steps_a_row), steps)
        fetched = next_row(part.index) if next_row else None
        with cgutils.for_range_slice(builder, begin, end, _INT64(1)) as (step, _):
            if fetched is not None:
                offset = builder.mul(builder.sub(step, begin), stride)
                prefetch(builder, cgutils.pointer_add(builder, fetched, offset), level=2)
            weights = [vectors.load(w.at(step, column)) for column in columns]
            for i, row in enumerate(here):
                pixels = vectors.broadcast(x.at(row, builder.mul(step, _INT64(4))))
                for v in range(count):
                    accumulator = sums[i * count + v]
                    builder.store(vectors.dot(builder.load(accumulator), pixels, weights[v]), accumulator)
    for i in range(unit.tile_rows):
        row = builder.add(out, _INT64(i))
        for v in range(count):
            vectors.store(builder.load(sums[i * count + v]), s.at(row, builder.add(k, _INT64(v * unit.lanes))))


def _emit_score_tile_of_tiles(
    context: Any, builder: ir.IRBuilder, unit: Unit, x: Matrix, r: ir.Value, w: Matrix, k: ir.Value, s: Matrix,
    out: ir.Value, features: ir.Value, next_row: Callable[[ir.Value], ir.Value] | None,
) -> None:  # fmt: skip
    tiles = _Tiles(context, builder, unit)
    sums, left, right = ((0, 1), (2, 3)), (4, 5), (6, 7)
    for tile in sums[0] + sums[1]:
        tiles.zero(tile)
    here = [builder.add(r, _INT64(16 * i)) for i in range(2)]
    columns = [builder.add(k, _INT64(16 * j)) for j in range(2)]
    with cgutils.for_range(builder, builder.sdiv(w.shape[0], _INT64(16)), intp=_INT64) as group:
        byte = builder.mul(group.index, _INT64(64))
        for i in range(2):
            tiles.load(left[i], x.at(here[i], byte), x.row_stride)
        for j in range(2):
            column = builder.mul(columns[j], _INT64(4))
            tiles.load(right[j], w.at(builder.mul(group.index, _INT64(16)), column), w.row_stride)
        for i in range(2):
            for j in range(2):
                tiles.dot(sums[i][j], left[i], right[j], a_is_signed=False)
        if next_row:
            # One line of each row of the next block: as many steps as lines in a row.
            for number in range(unit.tile_rows):
                prefetch(builder, cgutils.pointer_add(builder, next_row(_INT64(number)), byte), level=2)
    for i in range(2):
        for j in range(2):
            tiles.store(sums[i][j], s.at(builder.add(out, _INT64(16 * i)), columns[j]), s.row_stride)


def make_gradient_tile(unit: Unit, columns: int) -> Any:
    """Return the gradient tile of a unit, for `columns` columns: its `wide` or `narrow`."""

    @intrinsic
    def gradient_tile(typing: Any, quads: Any, rows: Any, dq: Any, k: Any, f: Any, G: Any) -> Any:
        signature = types.void(quads, types.int64, dq, types.int64, types.int64, G)

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            x, d, g = (
                Matrix(context, builder, kind, arguments[place]) for kind, place in ((quads, 0), (dq, 2), (G, 5))
            )
            rows, k, f = (arguments[place] for place in (1, 3, 4))
            emit_tile = _emit_gradient_tile_of_tiles if unit.name == "amx" else _emit_gradient_tile_of_vectors
            emit_tile(context, builder, unit, columns, x, rows, d, k, f, g)
            return context.get_dummy_value()

        return signature, emit

    return gradient_tile


def _emit_gradient_tile_of_vectors(
    context: Any, builder: ir.IRBuilder, unit: Unit, columns: int, x: Matrix, rows: ir.Value, d: Matrix, k: ir.Value,
    f: ir.Value, g: Matrix,
) -> None:  # fmt: skip
    vectors = _Bytes(builder, unit)
    count = unit.tile_features // unit.lanes
    sums = accumulators(builder, vectors.type, columns * count)
    here = [builder.add(k, _INT64(column)) for column in range(columns)]
    starts = [builder.add(f, _INT64(v * unit.lanes)) for v in range(count)]
    totals = [g.at(column, start) for column in here for start in starts]
    for accumulator, total in zip(sums, totals, strict=True):
        builder.store(vectors.load(total), accumulator)
    with cgutils.for_range(builder, builder.sdiv(builder.add(rows, _INT64(3)), _INT64(4)), intp=_INT64) as quad:
        pixels = [vectors.load(x.at(quad.index, builder.mul(start, _INT64(4)))) for start in starts]
        first = d.at(k, builder.mul(quad.index, _INT64(4)))
        for i in range(columns):
            # The stride is a constant: one address for all columns, where there are few registers for addresses.
            digits = vectors.broadcast(cgutils.pointer_add(builder, first, _INT64(i * unit.block_rows)))
            for v in range(count):
                accumulator = sums[i * count + v]
                builder.store(vectors.dot(builder.load(accumulator), pixels[v], digits), accumulator)
    for accumulator, total in zip(sums, totals, strict=True):
        vectors.store(builder.load(accumulator), total)


def _emit_gradient_tile_of_tiles(
    context: Any, builder: ir.IRBuilder, unit: Unit, columns: int, x: Matrix, rows: ir.Value, d: Matrix, k: ir.Value,
    f: ir.Value, g: Matrix,
) -> None:  # fmt: skip
    tiles = _Tiles(context, builder, unit)
    high = columns // 16
    sums, left, right = ((0, 1), (2, 3))[:high], (4, 5)[:high], (6, 7)
    here = [builder.add(k, _INT64(16 * i)) for i in range(high)]
    starts = [builder.add(f, _INT64(16 * j)) for j in range(2)]
    for i in range(high):
        for j in range(2):
            tiles.load(sums[i][j], g.at(here[i], starts[j]), g.row_stride)
    with cgutils.for_range(builder, builder.sdiv(builder.add(rows, _INT64(63)), _INT64(64)), intp=_INT64) as group:
        for i in range(high):
            tiles.load(left[i], d.at(here[i], builder.mul(group.index, _INT64(64))), d.row_stride)
        for j in range(2):
            start = builder.mul(starts[j], _INT64(4))
            tiles.load(right[j], x.at(builder.mul(group.index, _INT64(16)), start), x.row_stride)
        for i in range(high):
            for j in range(2):
                tiles.dot(sums[i][j], left[i], right[j], a_is_signed=True)
    for i in range(high):
        for j in range(2):
            tiles.store(sums[i][j], g.at(here[i], starts[j]), g.row_stride)


@intrinsic
def _interleave(
    typing: Any, X: Any, order: Any, position: Any, last: Any, rows: Any, r: Any, quads: Any, copy: Any
) -> Any:
    signature = types.void(X, order, types.int64, types.int64, rows, types.int64, quads, types.boolean)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        source, x, q = (
            Matrix(context, builder, kind, arguments[place]) for kind, place in ((X, 0), (rows, 4), (quads, 6))
        )
        position, last, r = (arguments[place] for place in (2, 3, 5))
        sources = [
            source.at(
                row_at(context, builder, order, arguments[1], builder.add(position, _INT64(number)), last), _INT64(0)
            )
            for number in range(4)
        ]
        copies = [x.at(builder.add(r, _INT64(number)), _INT64(0)) for number in range(4)]
        quad = q.at(builder.sdiv(r, _INT64(4)), _INT64(0))
        line = ir.VectorType(_INT8, GROUP)

        def unpack(a: ir.Value, b: ir.Value, size: int, high: bool) -> ir.Value:
            """Return the elements of `size` bytes of the lower or upper halves of a and b in turn, each 16 bytes."""
            order: list[int] = []
            for lane in range(0, GROUP, 16):
                for start in range(lane + 8 * high, lane + 8 * high + 8, size):
                    order += [*range(start, start + size), *range(GROUP + start, GROUP + start + size)]
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, GROUP), order))

        def store(vector: ir.Value, pointer: ir.Value, offset: ir.Value) -> None:
            pointer = builder.bitcast(cgutils.pointer_add(builder, pointer, offset), line.as_pointer())
            builder.store(vector, pointer, align=CACHE_LINE)

        def interleave(f: ir.Value, load: Callable[[ir.Value], ir.Value]) -> None:
            a, b, c, d = (load(cgutils.pointer_add(builder, row, f)) for row in sources)
            with builder.if_then(arguments[7]):
                for vector, target in zip((a, b, c, d), copies, strict=True):
                    store(vector, target, f)
            halves = [(unpack(a, b, 1, high), unpack(c, d, 1, high)) for high in (False, True)]
            parts = [unpack(ab, cd, 2, high) for ab, cd in halves for high in (False, True)]
            for number, part in enumerate(parts):
                store(part, quad, builder.mul(builder.add(f, _INT64(16 * number)), _INT64(4)))

        def load_first(pointer: ir.Value, count: ir.Value) -> ir.Value:
            numbers = ir.VectorType(_INT8, GROUP)
            first = builder.insert_element(ir.Constant(numbers, ir.Undefined), builder.trunc(count, _INT8), _INT32(0))
            counts = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT32, GROUP), [0] * GROUP))
            mask = builder.icmp_unsigned("<", ir.Constant(numbers, list(range(GROUP))), counts)
            pointer = builder.bitcast(pointer, line.as_pointer())
            arguments = [pointer, _INT32(1), mask, ir.Constant(line, [0] * GROUP)]
            return call_intrinsic(builder, f"llvm.masked.load.v{GROUP}i8.p0", line, arguments)

        features = source.shape[1]
        whole = builder.mul(builder.sdiv(features, _INT64(GROUP)), _INT64(GROUP))
        with cgutils.for_range_slice(builder, _INT64(0), whole, _INT64(GROUP)) as (f, _):
            interleave(f, lambda pointer: builder.load(builder.bitcast(pointer, line.as_pointer()), align=1))
        rest = builder.sub(features, whole)
        with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
            interleave(whole, lambda pointer: load_first(pointer, rest))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _chains(typing: Any, rounds: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = _Bytes(builder, _CHOSEN)
        memory = cgutils.alloca_once(builder, _INT8, size=1024)
        if _CHOSEN.name == "amx":
            tiles = _Tiles(context, builder, _CHOSEN)
            for tile in range(8):
                tiles.zero(tile)
            with cgutils.for_range(builder, arguments[0]):
                for tile in range(TILE_CHAINS):
                    tiles.dot(tile, 6, 7, a_is_signed=False)
            total = ir.Constant(vectors.type, [0] * vectors.lanes)
            for tile in range(TILE_CHAINS):
                tiles.store(tile, memory, _INT64(64))
                total = builder.add(total, vectors.load(memory))
        else:
            factor = builder.insert_element(vectors.zero(), builder.trunc(arguments[0], _INT32), _INT32(0))
            sums = accumulators(builder, vectors.type, _CHOSEN.vector_chains)
            for accumulator in sums:
                builder.store(vectors.zero(), accumulator)
            with cgutils.for_range(builder, arguments[0]):
                for accumulator in sums:
                    builder.store(vectors.dot(builder.load(accumulator), factor, factor), accumulator)
            total = vectors.zero()
            for accumulator in sums:
                total = builder.add(total, builder.load(accumulator))
        return builder.sext(builder.extract_element(total, _INT32(0)), _INT64)

    return types.int64(types.int64), emit


@intrinsic
def _begin_tiles(typing: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        if UNIT and UNIT.name == "amx" and UNIT.native:
            # Palette 1, then from byte 16 the bytes of a row and from byte 48 the rows of each of the 8 tiles.
            bytes_of_rows = [number for _ in range(8) for number in (64, 0)]
            numbers = [1, *[0] * 15, *bytes_of_rows, *[0] * 16, *[16] * 8, *[0] * 8]
            memory = cgutils.alloca_once_value(builder, ir.Constant(ir.ArrayType(_INT8, 64), bytearray(numbers)))
            call_intrinsic(builder, "llvm.x86.ldtilecfg", ir.VoidType(), [builder.bitcast(memory, _INT8.as_pointer())])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def _end_tiles(typing: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        if UNIT and UNIT.name == "amx" and UNIT.native:
            call_intrinsic(builder, "llvm.x86.tilerelease", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), emit


def score_tile_in_numpy(unit: Unit) -> Callable[..., None]:
    """Return the definition of the score tile of a unit."""

    def score_tile(
        rows: NDArray[Any], r: int, Wq: NDArray[Any], k: int, S: NDArray[Any], out: int, X: NDArray[Any],
        order: NDArray[Any], ahead: int, last: int,
    ) -> None:  # fmt: skip
        """Set S[out ..., k ...] to the products of `tile_rows` rows, from r on, with COLUMNS columns of Wq.

        Rows of X from position `ahead` on may be prefetched, up to position `last`. A position is a row of X or, if
        `order` is not empty, of `order`.
        """
        digits = Wq.reshape(len(Wq), -1, 4)[:, k : k + COLUMNS].transpose(0, 2, 1).reshape(4 * len(Wq), COLUMNS)
        pixels = rows[r : r + unit.tile_rows, : len(digits)]
        S[out : out + unit.tile_rows, k : k + COLUMNS] = pixels.astype(np.int32) @ digits.astype(np.int32)

    return score_tile


def gradient_tile_in_numpy(unit: Unit, columns: int) -> Callable[..., None]:
    """Return the definition of the gradient tile of a unit, for `columns` columns."""

    def gradient_tile(quads: NDArray[Any], rows: int, dq: NDArray[Any], k: int, f: int, G: NDArray[Any]) -> None:
        """Add to G[k ..., f ...] the products of the digits dq[k ..., :rows] with `tile_features` features of `quads`.

        dq has `block_rows` columns. The digits from `rows` on, up to a multiple of `row_multiple`, must be zero.
        """
        pixels = quads.reshape(len(quads), -1, 4)[: -(-rows // 4), f : f + unit.tile_features]
        pixels = pixels.transpose(0, 2, 1).reshape(-1, unit.tile_features).astype(np.int32)
        digits = dq[k : k + columns, : len(pixels)].astype(np.int32)
        G[k : k + columns, f : f + unit.tile_features] += digits @ pixels

    return gradient_tile


def interleave_in_numpy(
    X: NDArray[Any], order: NDArray[Any], position: int, last: int, rows: NDArray[Any], r: int, quads: NDArray[Any],
    copy: bool,
) -> None:  # fmt: skip
    """Write the four rows of X from a position on to row r / 4 of `quads`, interleaved. X has contiguous rows.

    Positions after `last` repeat it. The features are filled up with zeros to a multiple of GROUP. With `copy` the rows
    are also written to rows r... of `rows`.
    """
    positions = np.minimum(np.arange(position, position + 4), last)
    features = X.shape[1]
    padded = -(-features // GROUP) * GROUP
    four = np.zeros((4, padded), np.uint8)
    four[:, :features] = X[order[positions] if order.size else positions]
    if copy:
        rows[r : r + 4, :padded] = four
    places = (np.arange(0, padded, GROUP)[:, None] + FEATURE_ORDER).reshape(-1)
    quads[r // 4, : 4 * padded] = four[:, places].T.reshape(-1)


def _chains_in_python(rounds: int) -> int:
    """Multiply and add bytes in registers, `chain_products` in each of `rounds` rounds, to measure the rate."""
    return 0


def _nothing() -> None:
    """Load the configuration of the tile registers, or release them. Other units need neither."""


if config.DISABLE_JIT:
    score_tile = score_tile_fetching = score_tile_in_numpy(_CHOSEN)
    wide_gradient_tile, narrow_gradient_tile = (gradient_tile_in_numpy(_CHOSEN, columns) for columns in (WIDE, NARROW))
    interleave, chains = interleave_in_numpy, _chains_in_python
    begin_tiles = end_tiles = _nothing
else:
    score_tile, score_tile_fetching = (make_score_tile(_CHOSEN, fetch) for fetch in (False, True))
    wide_gradient_tile, narrow_gradient_tile = (make_gradient_tile(_CHOSEN, columns) for columns in (WIDE, NARROW))
    interleave, chains = _interleave, _chains
    begin_tiles, end_tiles = _begin_tiles, _end_tiles
