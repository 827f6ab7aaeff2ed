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
#   32 registers   scores 4 rows x 5 classes = 20    gradient 10 classes x 2 vectors or 5 x 4 = 20
#   16 registers   scores 2 rows x 5 classes = 10    gradient 5 classes x 2 vectors = 10
ROWS, CLASSES, VECTORS = (4, 5, 4) if jit.vector_registers() == 32 else (2, 5, 2)
"""Tile sizes: ROWS x CLASSES dot products for the scores, CLASSES x (VECTORS * lanes) sums for the gradient."""

WIDE_CLASSES, WIDE_VECTORS = (10, 2) if jit.vector_registers() == 32 else (CLASSES, VECTORS)
"""Gradient tile with as many sums that reads X half as often. With one vector every FMA would need a broadcast."""

PACK_ROWS = jit.vector_registers() == 16
"""True if the score tiles of the first classes copy the rows of a block into panels, which the gradient tiles read.

A panel holds one vector of features of every row of the block. Rows of X are about 12 KB apart and not aligned: without
the copy, the cache lines that a tile of the gradient reads compete for two sets of the L1 cache. The tiles that copy
also prefetch later rows. With 32 registers the gradient tiles read X and prefetch.
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


def _row(context: Any, builder: ir.IRBuilder, order: Any, value: ir.Value, position: ir.Value) -> ir.Value:
    """Return the row of X at a position: the position itself, or order[position]."""
    if order is types.none:
        return position
    rows = context.make_array(order)(context, builder, value)
    return builder.load(builder.gep(rows.data, [position]))


def _make_score_tile(pack: bool) -> Any:
    @intrinsic
    def score_tile(
        typing: Any, X: Any, order: Any, row: Any, last: Any, Wt: Any, c: Any, f: Any, stop: Any, scores: Any, out: Any,
        sums: Any, panels: Any, fetched: Any, furthest: Any,
    ) -> Any:  # fmt: skip
        number = types.int64
        signature = types.void(
            X, order, number, number, Wt, number, number, number, scores, number, sums, panels, number, number
        )

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            vectors = Vectors(context, builder, X.dtype)
            x = Matrix(context, builder, X, arguments[0])
            w = Matrix(context, builder, Wt, arguments[4])
            s = Matrix(context, builder, scores, arguments[8])
            kept = Matrix(context, builder, sums, arguments[10])
            p = Matrix(context, builder, panels, arguments[11])
            row, last, c, first, stop, out, fetched, furthest = (arguments[k] for k in (2, 3, 5, 6, 7, 9, 12, 13))
            features, width = x.shape[1], _INT64(vectors.count)

            def rows_from(position: ir.Value, last: ir.Value) -> list[ir.Value]:
                positions = [smaller(builder, builder.add(position, _INT64(r)), last) for r in range(ROWS)]
                return [_row(context, builder, order, arguments[1], position) for position in positions]

            def vector_at(pointer: ir.Value, number: int) -> ir.Value:
                return cgutils.pointer_add(builder, pointer, _INT64(number * VECTOR_BYTES))

            rows = rows_from(row, last)
            panel, place = builder.sdiv(c, _INT64(CLASSES)), builder.mul(out, width)
            tile = accumulators(builder, vectors.type, ROWS * CLASSES)
            kept_here = kept.at(panel, builder.mul(out, builder.mul(width, _INT64(CLASSES))))
            with builder.if_else(builder.icmp_signed("==", first, _INT64(0))) as (begin, resume):
                with begin:
                    for accumulator in tile:
                        builder.store(vectors.zero(), accumulator)
                with resume:
                    for number, accumulator in enumerate(tile):
                        builder.store(vectors.load(vector_at(kept_here, number)), accumulator)

            def add_products(f: ir.Value, load_x: Callable[[ir.Value], ir.Value]) -> None:
                xs = [load_x(x.at(r, f)) for r in rows]
                if pack:
                    target = p.at(builder.udiv(f, width), place)
                    for r, vector in enumerate(xs):
                        vectors.store(vector, vector_at(target, r))
                source = w.at(panel, builder.mul(f, _INT64(CLASSES)))
                for k in range(CLASSES):
                    weights = vectors.load(vector_at(source, k))
                    for r in range(ROWS):
                        accumulator = tile[r * CLASSES + k]
                        builder.store(vectors.multiply_add(xs[r], weights, builder.load(accumulator)), accumulator)

            whole = builder.mul(builder.sdiv(features, width), width)
            later = rows_from(fetched, furthest) if pack else []
            with cgutils.for_range_slice(builder, first, smaller(builder, stop, whole), width) as (f, _):
                if pack:
                    # A line has two vectors, so each of the two rows is asked for in every other step.
                    step_is_odd = builder.trunc(builder.udiv(f, width), ir.IntType(1))
                    prefetch(builder, x.at(builder.select(step_is_odd, later[1], later[0]), f), level=2)
                add_products(f, vectors.load)

            with builder.if_else(builder.icmp_signed("<", stop, features)) as (interrupt, finish):
                with interrupt:
                    for number, accumulator in enumerate(tile):
                        vectors.store(builder.load(accumulator), vector_at(kept_here, number))
                with finish:
                    rest = builder.sub(features, whole)
                    with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
                        add_products(whole, lambda pointer: vectors.load_first(pointer, rest))
                    for r in range(ROWS):
                        for k in range(CLASSES):
                            total = vectors.sum(builder.load(tile[r * CLASSES + k]))
                            pointer = s.at(builder.add(out, _INT64(r)), builder.add(c, _INT64(k)))
                            builder.store(total, builder.bitcast(pointer, vectors.element.as_pointer()))
            return context.get_dummy_value()

        return signature, emit

    return score_tile


def _make_gradient_tile(tile_classes: int, tile_vectors: int, fetch: bool) -> Any:
    @intrinsic
    def gradient_tile(
        typing: Any, X: Any, order: Any, row: Any, rows: Any, dscores: Any, weight: Any, c: Any, f: Any, Gt: Any,
        last: Any,
    ) -> Any:  # fmt: skip
        number = types.int64
        signature = types.void(X, order, number, number, dscores, X.dtype, number, number, Gt, number)

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            vectors = Vectors(context, builder, X.dtype)
            x = Matrix(context, builder, X, arguments[0])
            row, rows, c, f, last = (arguments[k] for k in (2, 3, 6, 7, 9))
            tile = _GradientTile(
                vectors, tile_classes, tile_vectors, Matrix(context, builder, dscores, arguments[4]), c,
                Matrix(context, builder, Gt, arguments[8]), f,
            )  # fmt: skip
            lines = tile.starts[:: max(1, CACHE_LINE // VECTOR_BYTES)]

            def add_rows(load_x: Callable[[int, ir.Value], ir.Value]) -> None:
                with cgutils.for_range(builder, rows, intp=_INT64) as loop:
                    position = builder.add(row, loop.index)
                    here = _row(context, builder, order, arguments[1], position)
                    xs = [load_x(v, x.at(here, start)) for v, start in enumerate(tile.starts)]
                    if fetch:
                        ahead = builder.add(position, rows)
                        ahead = _row(context, builder, order, arguments[1], smaller(builder, ahead, last))
                        for line in lines:
                            prefetch(builder, x.at(ahead, line), level=2)
                    tile.add_row(loop.index, xs)

            features = x.shape[1]
            end = builder.add(f, _INT64(tile_vectors * vectors.count))
            with builder.if_else(builder.icmp_signed("<=", end, features)) as (whole, partial):
                with whole:
                    add_rows(lambda v, pointer: vectors.load(pointer))
                with partial:
                    add_rows(lambda v, pointer: vectors.load_first(pointer, builder.sub(features, tile.starts[v])))
            tile.add_to_gradient(arguments[5])
            return context.get_dummy_value()

        return signature, emit

    return gradient_tile


@intrinsic
def _packed_gradient_tile(
    typing: Any, panels: Any, rows: Any, dscores: Any, weight: Any, c: Any, f: Any, Gt: Any
) -> Any:
    number = types.int64
    signature = types.void(panels, number, dscores, panels.dtype, number, number, Gt)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, panels.dtype)
        p = Matrix(context, builder, panels, arguments[0])
        rows, c, f = (arguments[k] for k in (1, 4, 5))
        tile = _GradientTile(
            vectors, CLASSES, VECTORS, Matrix(context, builder, dscores, arguments[2]), c,
            Matrix(context, builder, Gt, arguments[6]), f,
        )  # fmt: skip
        width = _INT64(vectors.count)
        with cgutils.for_range(builder, rows, intp=_INT64) as loop:
            place = builder.mul(loop.index, width)
            tile.add_row(loop.index, [vectors.load(p.at(builder.udiv(start, width), place)) for start in tile.starts])
        tile.add_to_gradient(arguments[3])
        return context.get_dummy_value()

    return signature, emit


class _GradientTile:
    """Sums over rows, held in registers, for a tile of `tile_classes` classes by `tile_vectors` vectors of features.

    The sums begin at zero and are then added to Gt, so that Gt is rounded once a block, not once a row.
    """

    def __init__(
        self, vectors: Vectors, tile_classes: int, tile_vectors: int, dscores: Matrix, c: ir.Value, Gt: Matrix,
        f: ir.Value,
    ) -> None:  # fmt: skip
        self._vectors, self._dscores, self._Gt = vectors, dscores, Gt
        builder = vectors.builder
        self._classes = [builder.add(c, _INT64(k)) for k in range(tile_classes)]
        self.starts = [builder.add(f, _INT64(v * vectors.count)) for v in range(tile_vectors)]
        """First features of the vectors."""
        self._sums = accumulators(builder, vectors.type, tile_classes * tile_vectors)
        for accumulator in self._sums:
            builder.store(vectors.zero(), accumulator)

    def add_row(self, row: ir.Value, xs: list[ir.Value]) -> None:
        """Add the products of a row's dscores and its vectors of features."""
        vectors, builder = self._vectors, self._vectors.builder
        for k, class_ in enumerate(self._classes):
            dscore = vectors.broadcast(self._dscores.at(row, class_))
            for v, x in enumerate(xs):
                accumulator = self._sums[k * len(xs) + v]
                builder.store(vectors.multiply_add(x, dscore, builder.load(accumulator)), accumulator)

    def add_to_gradient(self, weight: ir.Value) -> None:
        """Add `weight` times the sums to Gt."""
        vectors, builder = self._vectors, self._vectors.builder
        factor = vectors.splat(weight)
        for k, class_ in enumerate(self._classes):
            for v, start in enumerate(self.starts):
                there = self._Gt.at(class_, start)
                total = builder.load(self._sums[k * len(self.starts) + v])
                vectors.store(vectors.multiply_add(total, factor, vectors.load(there)), there)


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


def _score_tile_in_numpy(pack: bool) -> Callable[..., None]:
    def score_tile(
        X: NDArray[Any], order: NDArray[Any] | None, row: int, last: int, Wt: NDArray[Any], c: int, f: int, stop: int,
        scores: NDArray[Any], out: int, sums: NDArray[Any], panels: NDArray[Any], fetched: int, furthest: int,
    ) -> None:  # fmt: skip
        """Compute scores[out + r, c + k] = X[row + r] . W[:, c + k] for a tile of ROWS x CLASSES.

        X (N, D) with contiguous rows, Wt: W as `numba_parallel.interleave` stores it, zero beyond the classes and
        features, scores (rows', C'). With `order` (M,), row r is X[order[r]]. Rows after `last` repeat `last`: a
        remainder costs a few unused products, but needs no separate code.

        Only the features f..stop are used, f and stop multiples of the lanes. sums (C' / CLASSES, rows' * CLASSES *
        lanes) holds the sums between two such calls; the one with stop >= D writes the scores.

        A packing tile also copies its rows into panels (D' / lanes, rows' * lanes), from row `out` on, and may prefetch
        those from position `fetched` on, up to `furthest`.
        """
        rows = np.minimum(np.arange(row, row + ROWS), last)
        if order is not None:
            rows = order[rows]
        width, end = lanes(X.itemsize), min(stop, X.shape[1])
        x = np.zeros((ROWS, up_to(end, width) - f), X.dtype)
        x[:, : end - f] = X[rows, f:end]
        weights = Wt[c // CLASSES].reshape(-1, CLASSES, width)[f // width : f // width + x.shape[1] // width]
        kept = sums[c // CLASSES].reshape(-1, CLASSES, width)[out : out + ROWS]
        if f == 0:
            kept[:] = 0
        kept += np.einsum("rvl,vkl->rkl", x.reshape(ROWS, -1, width), weights)
        if stop >= X.shape[1]:
            scores[out : out + ROWS, c : c + CLASSES] = kept.sum(axis=2)
        if pack:
            targets = panels.reshape(len(panels), -1, width)[f // width :, out : out + ROWS]
            targets[: x.shape[1] // width] = x.reshape(ROWS, -1, width).transpose(1, 0, 2)

    return score_tile


def _gradient_tile_in_numpy(tile_classes: int, tile_vectors: int) -> Callable[..., None]:
    def gradient_tile(
        X: NDArray[Any], order: NDArray[Any] | None, row: int, rows: int, dscores: NDArray[Any], weight: Any, c: int,
        f: int, Gt: NDArray[Any], last: int,
    ) -> None:  # fmt: skip
        """Add `weight` times the sum over r of dscores[r, c + k] * X[row + r, f ...] to Gt[c + k, f ...].

        A tile is `tile_classes` classes by `tile_vectors` vectors of features.

        X (N, D) with contiguous rows, `order` as for the scores, dscores (rows', C'), Gt (C', D') with D' a multiple of
        the tile. `weight` has X's dtype. Rows after this block may be prefetched, up to `last`.
        """
        end = min(f + tile_vectors * lanes(X.itemsize), X.shape[1])
        block = np.arange(row, row + rows) if order is None else order[row : row + rows]
        Gt[c : c + tile_classes, f:end] += weight * (dscores[:rows, c : c + tile_classes].T @ X[block, f:end])

    return gradient_tile


def _packed_gradient_tile_in_numpy(
    panels: NDArray[Any], rows: int, dscores: NDArray[Any], weight: Any, c: int, f: int, Gt: NDArray[Any]
) -> None:
    """Do what a gradient tile of CLASSES by VECTORS does, with the rows that were packed into panels."""
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


# The "fetching" gradient tiles prefetch the same columns of the next block of rows into L2, since memory access and
# arithmetic do not overlap by themselves.
if config.DISABLE_JIT:
    score_tile, packing_score_tile = (_score_tile_in_numpy(pack) for pack in (False, True))
    packed_gradient_tile = _packed_gradient_tile_in_numpy
    gradient_tile = gradient_tile_fetching = _gradient_tile_in_numpy(CLASSES, VECTORS)
    wide_gradient_tile = wide_gradient_tile_fetching = _gradient_tile_in_numpy(WIDE_CLASSES, WIDE_VECTORS)
    exponentials = _exponentials_in_numpy
else:
    score_tile, packing_score_tile = (_make_score_tile(pack) for pack in (False, True))
    packed_gradient_tile = _packed_gradient_tile
    gradient_tile, gradient_tile_fetching = (_make_gradient_tile(CLASSES, VECTORS, fetch) for fetch in (False, True))
    wide_gradient_tile, wide_gradient_tile_fetching = (
        _make_gradient_tile(WIDE_CLASSES, WIDE_VECTORS, fetch) for fetch in (False, True)
    )
    exponentials = _exponentials
