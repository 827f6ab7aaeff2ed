"""Micro-kernels written as LLVM vector instructions: the two inner loops of a linear classifier, in registers.

LLVM's vectoriser may fail on these loops without a message, so they are emitted as vector instructions. They are
portable: LLVM lowers a vector of any width to what the target has, and ``fmuladd`` to a fused or a separate multiply
and add. `jit` returns the width and the number of the registers. The tiles are sized to fill them.

Each micro-kernel is defined by a NumPy function, which also replaces it if Numba's JIT is off.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import jit

VECTOR_BYTES = jit.vector_bytes()

# The accumulators fill all registers except those that hold operands:
#   32 registers   scores 4 rows x 5 classes or 2 x 10 = 20    gradient 5 classes x 4 vectors = 20
#   16 registers   scores 2 rows x 5 classes = 10              gradient 5 classes x 2 vectors = 10
ROWS, CLASSES, VECTORS = (4, 5, 4) if jit.vector_registers() == 32 else (2, 5, 2)
"""Tile sizes: ROWS x CLASSES dot products for the scores, CLASSES x (VECTORS * lanes) sums for the gradient."""

WIDE_ROWS, WIDE_CLASSES = (2, 10) if jit.vector_registers() == 32 else (ROWS, CLASSES)
"""Packing score tile with as many sums for at least WIDE_CLASSES classes.

It copies half as many rows in a step, so that the arithmetic hides more of the copying.
"""

CACHE_LINE = 64

LOWEST_EXPONENT = {4: -87.0, 8: -708.0}
"""By item size: lowest argument of the exponential. Its result is just above the smallest normal number."""

_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)


def lanes(itemsize: int) -> int:
    """Return the count of `itemsize`-byte numbers in one vector register."""
    return VECTOR_BYTES // itemsize


def up_to(count: int, tile: int) -> int:
    """Return the smallest multiple of `tile` that is at least `count`."""
    return -(-count // tile) * tile


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialised array that begins at a cache line, since a vector across two lines takes two loads."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


@jit.compiled
def panels_for(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return an array for the columns of matrix (R, P), P a multiple of the lanes, as panels (P / lanes, R * lanes)."""
    width = VECTOR_BYTES // matrix.itemsize
    return np.empty((matrix.shape[1] // width, matrix.shape[0] * width), matrix.dtype)


@jit.compiled
def copy_to_panels(matrix: NDArray[Any], panels: NDArray[Any]) -> None:
    """Copy matrix (R, P) to panels (P / lanes, R * lanes): one vector of every row, one after the other."""
    width = VECTOR_BYTES // matrix.itemsize
    for r in range(matrix.shape[0]):
        for panel in range(panels.shape[0]):
            for lane in range(width):
                panels[panel, r * width + lane] = matrix[r, panel * width + lane]


def call_intrinsic(
    builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value], **flags: Any
) -> ir.Value:
    """Emit a call of LLVM's intrinsic `name` and return its result."""
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments, **flags)


def prefetch(builder: ir.IRBuilder, pointer: ir.Value, level: int) -> None:
    """Emit a prefetch of the cache line at `pointer`, which may be any address, into the L1 or L2 cache."""
    read, locality, data = _INT32(0), _INT32(4 - level), _INT32(1)
    pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
    call_intrinsic(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, read, locality, data])


class Vectors:
    """Emitter of vector instructions of one element type into one LLVM function."""

    def __init__(self, context: Any, builder: ir.IRBuilder, element: types.Float) -> None:
        self.builder = builder
        self.element = context.get_value_type(element)
        self.itemsize = element.bitwidth // 8
        self.count = lanes(self.itemsize)
        self.type = ir.VectorType(self.element, self.count)
        self.suffix = f"v{self.count}f{element.bitwidth}"

    def zero(self) -> ir.Constant:
        """Return a vector of zeros."""
        return ir.Constant(self.type, [0.0] * self.count)

    def at(self, pointer: ir.Value, number: int) -> ir.Value:
        """Return the address of a vector, counted from `pointer`."""
        return cgutils.pointer_add(self.builder, pointer, _INT64(number * VECTOR_BYTES))

    def load(self, pointer: ir.Value) -> ir.Value:
        """Load one vector from `pointer`."""
        # Rows of X are aligned to their elements only.
        return self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()), align=self.itemsize)

    def store(self, vector: ir.Value, pointer: ir.Value) -> None:
        """Store one vector to `pointer`."""
        self.builder.store(vector, self.builder.bitcast(pointer, self.type.as_pointer()), align=self.itemsize)

    def load_first(self, pointer: ir.Value, count: ir.Value) -> ir.Value:
        """Load the first `count` elements, and zeros. Memory behind them is not read."""
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        arguments = [pointer, _INT32(self.itemsize), self._first(count), self.zero()]
        return call_intrinsic(self.builder, f"llvm.masked.load.{self.suffix}.p0", self.type, arguments)

    def _first(self, count: ir.Value) -> ir.Value:
        numbers = ir.VectorType(_INT64, self.count)
        positions = ir.Constant(numbers, list(range(self.count)))
        return self.builder.icmp_signed("<", positions, self.splat(count, numbers))

    def store_first(self, vector: ir.Value, pointer: ir.Value, count: ir.Value) -> None:
        """Store the first `count` elements to `pointer`. Memory behind them is not written."""
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        arguments = [vector, pointer, _INT32(self.itemsize), self._first(count)]
        call_intrinsic(self.builder, f"llvm.masked.store.{self.suffix}.p0", ir.VoidType(), arguments)

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        """Load the number at `pointer` into every lane."""
        scalar = self.builder.load(self.builder.bitcast(pointer, self.element.as_pointer()))
        return self.splat(scalar)

    def splat(self, scalar: ir.Value, vector: ir.VectorType | None = None) -> ir.Value:
        """Return a vector with the scalar in every lane."""
        vector = vector or self.type
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, _INT32(0))
        everywhere = ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
        return self.builder.shuffle_vector(first, first, everywhere)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return a * b + c, fused if the target has the instruction."""
        return call_intrinsic(self.builder, f"llvm.fmuladd.{self.suffix}", self.type, [a, b, c])

    def sum(self, vector: ir.Value) -> ir.Value:
        """Return the sum of the lanes."""
        zero = ir.Constant(self.element, 0.0)
        return call_intrinsic(
            self.builder, f"llvm.vector.reduce.fadd.{self.suffix}", self.element, [zero, vector], fastmath=("reassoc",)
        )


class Matrix:
    """Addresses of the elements of a 2-D array with contiguous rows."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: types.Array, value: ir.Value) -> None:
        self.builder = builder
        array = context.make_array(array_type)(context, builder, value)
        self.data = array.data
        self.row_stride = cgutils.unpack_tuple(builder, array.strides)[0]
        self.shape = cgutils.unpack_tuple(builder, array.shape)
        self.itemsize = array_type.dtype.bitwidth // 8

    def at(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """Return the address of the element in a row and a column."""
        offset = self.builder.mul(row, self.row_stride)
        offset = self.builder.add(offset, self.builder.mul(column, _INT64(self.itemsize)))
        return cgutils.pointer_add(self.builder, self.data, offset)


def smaller(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Return the smaller one of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def accumulators(builder: ir.IRBuilder, vector: ir.VectorType, count: int) -> list[ir.Value]:
    """Return stack slots of vectors, which LLVM converts to registers.

    They are easier to read than phi nodes and give the same machine code.
    """
    return [cgutils.alloca_once(builder, vector) for _ in range(count)]


def row_at(
    context: Any, builder: ir.IRBuilder, order: Any, value: ir.Value, position: ir.Value, last: ir.Value
) -> ir.Value:
    """Return the row of X at a position, at most `last`. A position is a row or, if `order` has any, one of `order`."""
    position = smaller(builder, position, last)
    row = cgutils.alloca_once(builder, _INT64)
    builder.store(position, row)
    rows = context.make_array(order)(context, builder, value)
    with builder.if_then(builder.icmp_signed(">", rows.nitems, _INT64(0))):
        builder.store(builder.load(builder.gep(rows.data, [position])), row)
    return builder.load(row)


class _ScoreTile:
    """Sums of products over features, held in registers, for a tile of `rows` rows by `classes` classes.

    Between two parts of the features the sums are kept in memory, as vectors.
    """

    def __init__(
        self, vectors: Vectors, rows: int, classes: int, Wt: Matrix, c: ir.Value, sums: Matrix, out: ir.Value,
        first: ir.Value,
    ) -> None:  # fmt: skip
        self._vectors, self._rows, self._classes, self._Wt, self._out, self._c = vectors, rows, classes, Wt, out, c
        builder = vectors.builder
        self._width = _INT64(vectors.count)
        strip = builder.sdiv(c, _INT64(CLASSES))
        self._strips = [builder.add(strip, _INT64(k)) for k in range(classes // CLASSES)]
        """Rows of Wt and of the kept sums that belong to the classes of the tile, CLASSES each."""
        place = builder.mul(out, builder.mul(self._width, _INT64(CLASSES)))
        self._kept = [
            vectors.at(sums.at(strip, place), number) for strip in self._strips for number in range(rows * CLASSES)
        ]
        self._sums = accumulators(builder, vectors.type, rows * classes)
        with builder.if_else(builder.icmp_signed("==", first, _INT64(0))) as (begin, resume):
            with begin:
                for accumulator in self._sums:
                    builder.store(vectors.zero(), accumulator)
            with resume:
                for accumulator, kept in zip(self._sums, self._kept, strict=True):
                    builder.store(vectors.load(kept), accumulator)

    def _sum(self, row: int, class_: int) -> ir.Value:
        return self._sums[class_ // CLASSES * self._rows * CLASSES + row * CLASSES + class_ % CLASSES]

    def add_products(self, f: ir.Value, xs: list[ir.Value]) -> None:
        """Add the products of one vector of features of each row, from feature f on."""
        vectors, builder = self._vectors, self._vectors.builder
        for number, strip in enumerate(self._strips):
            source = self._Wt.at(strip, builder.mul(f, _INT64(CLASSES)))
            for k in range(CLASSES):
                weights = vectors.load(vectors.at(source, k))
                for r, x in enumerate(xs):
                    accumulator = self._sum(r, number * CLASSES + k)
                    builder.store(vectors.multiply_add(x, weights, builder.load(accumulator)), accumulator)

    def keep(self) -> None:
        """Store the sums until the next part of the features."""
        for accumulator, kept in zip(self._sums, self._kept, strict=True):
            self._vectors.store(self._vectors.builder.load(accumulator), kept)

    def finish(self, scores: Matrix) -> None:
        """Store the scores."""
        vectors, builder = self._vectors, self._vectors.builder
        for r in range(self._rows):
            for k in range(self._classes):
                total = vectors.sum(builder.load(self._sum(r, k)))
                pointer = scores.at(builder.add(self._out, _INT64(r)), builder.add(self._c, _INT64(k)))
                builder.store(total, builder.bitcast(pointer, vectors.element.as_pointer()))


def _panel_after_panel(
    builder: ir.IRBuilder, panels: Matrix, panel: ir.Value, place: ir.Value
) -> Callable[[], ir.Value]:
    """Return a function that emits the address of a place in a panel, and each time it runs, in the next one.

    To advance a pointer takes one register less than to compute the address from the number of the panel.
    """
    pointer = panels.at(panel, place)
    slot = cgutils.alloca_once(builder, pointer.type)
    builder.store(pointer, slot)

    def emit() -> ir.Value:
        current = builder.load(slot)
        builder.store(cgutils.pointer_add(builder, current, panels.row_stride), slot)
        return current

    return emit


def _make_packing_score_tile(tile_rows: int, tile_classes: int) -> Any:
    @intrinsic
    def packing_score_tile(
        typing: Any, X: Any, order: Any, row: Any, last: Any, Wt: Any, f: Any, stop: Any, scores: Any, out: Any,
        sums: Any, panels: Any, fetched: Any, furthest: Any, place: Any,
    ) -> Any:  # fmt: skip
        number = types.int64
        signature = types.void(
            X, order, number, number, Wt, number, number, scores, number, sums, panels, number, number, number
        )

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            vectors = Vectors(context, builder, X.dtype)
            x, w, s, kept, p = (
                Matrix(context, builder, kind, arguments[place])
                for kind, place in ((X, 0), (Wt, 4), (scores, 7), (sums, 9), (panels, 10))
            )
            row, last, first, stop, out = (arguments[k] for k in (2, 3, 5, 6, 8))
            fetched, furthest, place = arguments[11:]
            features, width = x.shape[1], _INT64(vectors.count)
            tile = _ScoreTile(vectors, tile_rows, tile_classes, w, _INT64(0), kept, out, first)

            def rows_from(position: ir.Value, last: ir.Value, count: int) -> list[ir.Value]:
                positions = [builder.add(position, _INT64(r)) for r in range(count)]
                return [row_at(context, builder, order, arguments[1], position, last) for position in positions]

            rows = rows_from(row, last, tile_rows)
            later = [x.at(r, builder.sub(place, first)) for r in rows_from(fetched, furthest, tile_rows // 2)]
            next_panel = _panel_after_panel(builder, p, builder.udiv(first, width), builder.mul(out, width))

            def add_products(f: ir.Value, load_x: Callable[[ir.Value], ir.Value]) -> None:
                xs = [load_x(x.at(r, f)) for r in rows]
                panel = next_panel()
                for r, vector in enumerate(xs):
                    vectors.store(vector, vectors.at(panel, r))
                tile.add_products(f, xs)

            whole = builder.mul(builder.sdiv(features, width), width)
            with cgutils.for_range_slice(builder, first, smaller(builder, stop, whole), width) as (f, _):
                for pointer in later:
                    offset = builder.mul(f, _INT64(vectors.itemsize))
                    prefetch(builder, cgutils.pointer_add(builder, pointer, offset), level=2)
                add_products(f, vectors.load)
            with builder.if_else(builder.icmp_signed("<", stop, features)) as (interrupt, finish):
                with interrupt:
                    tile.keep()
                with finish:
                    rest = builder.sub(features, whole)
                    with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
                        add_products(whole, lambda pointer: vectors.load_first(pointer, rest))
                    tile.finish(s)
            return context.get_dummy_value()

        return signature, emit

    return packing_score_tile


@intrinsic
def _score_tile(
    typing: Any, panels: Any, features: Any, Wt: Any, c: Any, f: Any, stop: Any, scores: Any, out: Any, sums: Any
) -> Any:
    number = types.int64
    signature = types.void(panels, number, Wt, number, number, number, scores, number, sums)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, panels.dtype)
        p, w, s, kept = (
            Matrix(context, builder, kind, arguments[place])
            for kind, place in ((panels, 0), (Wt, 2), (scores, 6), (sums, 8))
        )
        features, c, first, stop, out = (arguments[k] for k in (1, 3, 4, 5, 7))
        width = _INT64(vectors.count)
        tile = _ScoreTile(vectors, ROWS, CLASSES, w, c, kept, out, first)
        next_panel = _panel_after_panel(builder, p, builder.udiv(first, width), builder.mul(out, width))
        with cgutils.for_range_slice(builder, first, smaller(builder, stop, features), width) as (f, _):
            panel = next_panel()
            tile.add_products(f, [vectors.load(vectors.at(panel, r)) for r in range(ROWS)])
        with builder.if_else(builder.icmp_signed("<", stop, features)) as (interrupt, finish):
            with interrupt:
                tile.keep()
            with finish:
                tile.finish(s)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _gradient_tile(
    typing: Any, panels: Any, rows: Any, dscores: Any, weight: Any, c: Any, f: Any, Gt: Any, X: Any, later: Any,
    offset: Any,
) -> Any:  # fmt: skip
    number = types.int64
    signature = types.void(panels, number, dscores, panels.dtype, number, number, Gt, X, later, number)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, panels.dtype)
        p, d, g = (
            Matrix(context, builder, kind, arguments[place]) for kind, place in ((panels, 0), (dscores, 2), (Gt, 6))
        )
        rows, weight, c, f, offset = (arguments[k] for k in (1, 3, 4, 5, 9))
        start_of_lines = cgutils.pointer_add(builder, Matrix(context, builder, X, arguments[7]).data, offset)
        lines = context.make_array(later)(context, builder, arguments[8])
        width = _INT64(vectors.count)
        classes = [builder.add(c, _INT64(k)) for k in range(CLASSES)]
        starts = [builder.add(f, _INT64(v * vectors.count)) for v in range(VECTORS)]
        sums = accumulators(builder, vectors.type, CLASSES * VECTORS)
        for accumulator in sums:
            builder.store(vectors.zero(), accumulator)
        with cgutils.for_range(builder, rows, intp=_INT64) as loop:
            line = builder.load(builder.gep(lines.data, [loop.index]))
            prefetch(builder, cgutils.pointer_add(builder, start_of_lines, line), level=2)
            place = builder.mul(loop.index, width)
            xs = [vectors.load(p.at(builder.udiv(start, width), place)) for start in starts]
            for k, class_ in enumerate(classes):
                dscore = vectors.broadcast(d.at(loop.index, class_))
                for v, x in enumerate(xs):
                    accumulator = sums[k * VECTORS + v]
                    builder.store(vectors.multiply_add(x, dscore, builder.load(accumulator)), accumulator)
        # The sums begin at zero and are then added to Gt, so that Gt is rounded once a block, not once a row.
        factor = vectors.splat(weight)
        for k, class_ in enumerate(classes):
            for v, start in enumerate(starts):
                there = g.at(class_, start)
                total = builder.load(sums[k * VECTORS + v])
                vectors.store(vectors.multiply_add(total, factor, vectors.load(there)), there)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _exponentials(typing: Any, numbers: Any, count: Any) -> Any:
    signature = types.void(numbers, types.int64)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, numbers.dtype)
        array = context.make_array(numbers)(context, builder, arguments[0])
        count, width = arguments[1], _INT64(vectors.count)
        whole = builder.mul(builder.sdiv(count, width), width)
        with cgutils.for_range_slice(builder, _INT64(0), whole, width) as (k, _):
            pointer = builder.gep(array.data, [k])
            vectors.store(_exponential(vectors, vectors.load(pointer)), pointer)
        rest = builder.sub(count, whole)
        with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
            pointer = builder.gep(array.data, [whole])
            vectors.store_first(_exponential(vectors, vectors.load_first(pointer, rest)), pointer, rest)
        return context.get_dummy_value()

    return signature, emit


def _exponential(vectors: Vectors, x: ir.Value) -> ir.Value:
    # exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2: Cody & Waite, "Software Manual for the Elementary
    # Functions" (1980), chapter 6. exp(r) is its Taylor series, to the precision of the type.
    builder = vectors.builder
    single = vectors.itemsize == 4
    mantissa, degree, lowest = (23, 7, LOWEST_EXPONENT[4]) if single else (52, 13, LOWEST_EXPONENT[8])
    ln2_high = float(np.float32(0.693359375)) if single else 0.6931471803691238
    ln2_low = log(2) - ln2_high if single else 1.9082149292705877e-10

    def constant(number: float) -> ir.Constant:
        return ir.Constant(vectors.type, [number] * vectors.count)

    # The result must not be below the smallest normal number. NaN is not less than anything and stays.
    x = builder.select(builder.fcmp_ordered("<", x, constant(lowest)), constant(lowest), x)
    # Adding 1.5 * 2^mantissa leaves the nearest integer in the lowest bits.
    shifter = constant(1.5 * 2.0**mantissa)
    shifted = vectors.multiply_add(x, constant(1 / log(2)), shifter)
    # Own flags: with those of Numba the compiler could reorder the sum and remove the rounding.
    n = builder.fsub(shifted, shifter, flags=("nsz",))
    r = vectors.multiply_add(n, constant(-ln2_high), x)
    r = vectors.multiply_add(n, constant(-ln2_low), r)
    series = constant(1 / factorial(degree))
    for power in range(degree - 1, -1, -1):
        series = vectors.multiply_add(series, r, constant(1 / factorial(power)))
    integers = ir.VectorType(ir.IntType(8 * vectors.itemsize), vectors.count)
    bits = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [mantissa] * vectors.count))
    bits = builder.add(bits, builder.bitcast(constant(1.0), integers))
    return builder.fmul(series, builder.bitcast(bits, vectors.type))


def _packing_score_tile_in_numpy(tile_rows: int, tile_classes: int) -> Callable[..., None]:
    def packing_score_tile(
        X: NDArray[Any], order: NDArray[Any], row: int, last: int, Wt: NDArray[Any], f: int, stop: int,
        scores: NDArray[Any], out: int, sums: NDArray[Any], panels: NDArray[Any], fetched: int, furthest: int,
        place: int,
    ) -> None:  # fmt: skip
        """Compute the scores of a tile of rows and the first classes, and copy the rows into panels.

        X (N, D) with contiguous rows, from row `row` on; if `order` (M,) is not empty, row r is X[order[r]]. Rows after
        `last` repeat it: a remainder costs a few unused products, but needs no separate code. panels (D' / lanes, at
        least rows' * lanes): the copies begin at row `out`, zero beyond the features. Of half as many rows, from
        position `fetched` to `furthest`, as many features from `place` on may be prefetched.

        Wt, f, stop, scores, out and sums are as in `score_tile`.
        """
        rows = np.minimum(np.arange(row, row + tile_rows), last)
        if order.size:
            rows = order[rows]
        width, end = lanes(X.itemsize), min(stop, X.shape[1])
        x = np.zeros((tile_rows, up_to(end, width) - f), X.dtype)
        x[:, : end - f] = X[rows, f:end]
        vectors = x.reshape(tile_rows, -1, width).transpose(1, 0, 2)
        targets = panels.reshape(len(panels), -1, width)[f // width :, out : out + tile_rows]
        targets[: len(vectors)] = vectors
        for c in range(0, tile_classes, CLASSES):
            _add_scores(panels, tile_rows, X.shape[1], Wt, c, f, stop, scores, out, sums)

    return packing_score_tile


def _score_tile_in_numpy(
    panels: NDArray[Any], features: int, Wt: NDArray[Any], c: int, f: int, stop: int, scores: NDArray[Any], out: int,
    sums: NDArray[Any],
) -> None:  # fmt: skip
    """Compute scores[out + r, c + k] = X[r] . W[:, c + k] for a tile of ROWS x CLASSES.

    panels: the rows of X, from row `out` on, as a packing tile copies them. Wt: W as `numba_parallel.interleave` stores
    it, zero beyond the classes and features. scores (rows', C').

    Only the features f..stop are used, f and stop multiples of the lanes. sums (C' / CLASSES, rows' * CLASSES * lanes)
    holds the sums between two such calls; the one with stop >= features writes the scores.
    """
    _add_scores(panels, ROWS, features, Wt, c, f, stop, scores, out, sums)


def _add_scores(
    panels: NDArray[Any], rows: int, features: int, Wt: NDArray[Any], c: int, f: int, stop: int, scores: NDArray[Any],
    out: int, sums: NDArray[Any],
) -> None:  # fmt: skip
    width = lanes(panels.itemsize)
    part = slice(f // width, -(-min(stop, features) // width))
    x = panels.reshape(len(panels), -1, width)[part, out : out + rows]
    weights = Wt[c // CLASSES].reshape(-1, CLASSES, width)[part]
    kept = sums[c // CLASSES].reshape(-1, CLASSES, width)[out : out + rows]
    if f == 0:
        kept[:] = 0
    kept += np.einsum("vrl,vkl->rkl", x, weights)
    if stop >= features:
        scores[out : out + rows, c : c + CLASSES] = kept.sum(axis=2)


def _gradient_tile_in_numpy(
    panels: NDArray[Any], rows: int, dscores: NDArray[Any], weight: Any, c: int, f: int, Gt: NDArray[Any],
    X: NDArray[Any], later: NDArray[Any], offset: int,
) -> None:  # fmt: skip
    """Add `weight` times the sum over r of dscores[r, c + k] * X[r, f ...] to Gt[c + k, f ...].

    A tile is CLASSES classes by VECTORS vectors of features. The rows of X are those of the panels.

    dscores (rows', C'), Gt (C', D') with D' a multiple of the tile. `weight` has the dtype of X. For each row, the
    line at byte later[r] + offset of X may be prefetched.
    """
    width = lanes(panels.itemsize)
    X = panels.reshape(len(panels), -1, width)[f // width : f // width + VECTORS, :rows]
    X = X.transpose(1, 0, 2).reshape(rows, VECTORS * width)
    Gt[c : c + CLASSES, f : f + X.shape[1]] += weight * (dscores[:rows, c : c + CLASSES].T @ X)


def _exponentials_in_numpy(numbers: NDArray[Any], count: int) -> None:
    """Replace numbers[:count] by their exponentials, to within 2 units in the last place. They must not be positive.

    numbers (M,) contiguous. Numbers below LOWEST_EXPONENT are clipped to it. NaN stays.
    """
    with np.errstate(under="ignore", invalid="ignore"):
        numbers[:count] = np.exp(np.maximum(numbers[:count], numbers.dtype.type(LOWEST_EXPONENT[numbers.itemsize])))


if config.DISABLE_JIT:
    packing_score_tile = _packing_score_tile_in_numpy(ROWS, CLASSES)
    wide_packing_score_tile = _packing_score_tile_in_numpy(WIDE_ROWS, WIDE_CLASSES)
    score_tile, gradient_tile, exponentials = _score_tile_in_numpy, _gradient_tile_in_numpy, _exponentials_in_numpy
else:
    packing_score_tile = _make_packing_score_tile(ROWS, CLASSES)
    wide_packing_score_tile = _make_packing_score_tile(WIDE_ROWS, WIDE_CLASSES)
    score_tile, gradient_tile, exponentials = _score_tile, _gradient_tile, _exponentials
