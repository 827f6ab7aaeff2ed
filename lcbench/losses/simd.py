"""Micro-kernels written as LLVM vectors: the two inner loops of a linear classifier, held in registers.

LLVM's vectoriser loses these loops easily and silently, so they are emitted as vector instructions instead, portable
all the same: LLVM lowers a vector of any width to what the target has, and ``fmuladd`` to a fused or a separate
multiply and add. `jit` tells how wide the registers are and how many there are; the tiles are sized to fill them.

Where Numba's JIT is switched off, each micro-kernel is the NumPy function beside it, which is also its definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import jit

VECTOR_BYTES = jit.vector_bytes()

# Accumulators fill the registers but for those that hold operands:
#   32 registers   scores 4 rows x 5 classes = 20    gradient 5 classes x 4 vectors = 20
#   16 registers   scores 2 rows x 5 classes = 10    gradient 5 classes x 2 vectors = 10
ROWS, CLASSES, VECTORS = (4, 5, 4) if jit.vector_registers() == 32 else (2, 5, 2)
"""A score tile is ROWS x CLASSES dot products; a gradient tile is CLASSES x (VECTORS * lanes) sums."""

_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)


def lanes(itemsize: int) -> int:
    """Numbers of `itemsize` bytes in one vector register."""
    return VECTOR_BYTES // itemsize


class Vectors:
    """Emits vector instructions of one element type into one LLVM function."""

    def __init__(self, context: Any, builder: ir.IRBuilder, element: types.Float) -> None:
        self.builder = builder
        self.element = context.get_value_type(element)
        self.itemsize = element.bitwidth // 8
        self.count = lanes(self.itemsize)
        self.type = ir.VectorType(self.element, self.count)
        self.suffix = f"v{self.count}f{element.bitwidth}"

    def _call(self, name: str, result: ir.Type, arguments: list[ir.Value], **flags: Any) -> ir.Value:
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(result, [argument.type for argument in arguments]), name
        )
        return self.builder.call(function, arguments, **flags)

    def zero(self) -> ir.Constant:
        """A vector of zeros."""
        return ir.Constant(self.type, [0.0] * self.count)

    def load(self, pointer: ir.Value) -> ir.Value:
        """One vector from `pointer`."""
        # Rows of X are aligned to their elements and to nothing more.
        return self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()), align=self.itemsize)

    def store(self, vector: ir.Value, pointer: ir.Value) -> None:
        """One vector to `pointer`."""
        self.builder.store(vector, self.builder.bitcast(pointer, self.type.as_pointer()), align=self.itemsize)

    def load_first(self, pointer: ir.Value, count: ir.Value) -> ir.Value:
        """The first `count` elements and zeros; nothing behind them is touched."""
        numbers = ir.VectorType(_INT64, self.count)
        positions = ir.Constant(numbers, list(range(self.count)))
        mask = self.builder.icmp_signed("<", positions, self.splat(count, numbers))
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        alignment = _INT32(self.itemsize)
        return self._call(f"llvm.masked.load.{self.suffix}.p0", self.type, [pointer, alignment, mask, self.zero()])

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        """The number at `pointer` in every lane."""
        scalar = self.builder.load(self.builder.bitcast(pointer, self.element.as_pointer()))
        return self.splat(scalar)

    def splat(self, scalar: ir.Value, vector: ir.VectorType | None = None) -> ir.Value:
        """The same scalar in every lane."""
        vector = vector or self.type
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, _INT32(0))
        everywhere = ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
        return self.builder.shuffle_vector(first, first, everywhere)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, fused where the target has it."""
        return self._call(f"llvm.fmuladd.{self.suffix}", self.type, [a, b, c])

    def sum(self, vector: ir.Value) -> ir.Value:
        """The sum of the lanes."""
        zero = ir.Constant(self.element, 0.0)
        return self._call(f"llvm.vector.reduce.fadd.{self.suffix}", self.element, [zero, vector], fastmath=("reassoc",))

    def prefetch_to_l2(self, pointer: ir.Value) -> None:
        """Asks for the cache line at `pointer`; any address will do."""
        pointer = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        read, into_l2, data = _INT32(0), _INT32(2), _INT32(1)
        self._call("llvm.prefetch.p0", ir.VoidType(), [pointer, read, into_l2, data])


class _Matrix:
    """Addresses of a 2-D array whose rows are contiguous."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: types.Array, value: ir.Value) -> None:
        self.builder = builder
        array = context.make_array(array_type)(context, builder, value)
        self.data = array.data
        self.row_stride = cgutils.unpack_tuple(builder, array.strides)[0]
        self.shape = cgutils.unpack_tuple(builder, array.shape)
        self.itemsize = array_type.dtype.bitwidth // 8

    def at(self, row: ir.Value, column: ir.Value) -> ir.Value:
        offset = self.builder.mul(row, self.row_stride)
        offset = self.builder.add(offset, self.builder.mul(column, _INT64(self.itemsize)))
        return cgutils.pointer_add(self.builder, self.data, offset)


def _smaller(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _accumulators(builder: ir.IRBuilder, vectors: Vectors, count: int) -> list[ir.Value]:
    # Stack slots that LLVM turns into registers: simpler to read than phi nodes, and the same machine code.
    return [cgutils.alloca_once(builder, vectors.type) for _ in range(count)]


@intrinsic
def _score_tile(typing: Any, X: Any, row: Any, last: Any, Wt: Any, c: Any, scores: Any, out: Any) -> Any:
    signature = types.void(X, types.int64, types.int64, Wt, types.int64, scores, types.int64)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, X.dtype)
        x = _Matrix(context, builder, X, arguments[0])
        w = _Matrix(context, builder, Wt, arguments[3])
        s = _Matrix(context, builder, scores, arguments[5])
        row, last, c, out = (arguments[k] for k in (1, 2, 4, 6))

        rows = [_smaller(builder, builder.add(row, _INT64(r)), last) for r in range(ROWS)]
        classes = [builder.add(c, _INT64(k)) for k in range(CLASSES)]
        sums = _accumulators(builder, vectors, ROWS * CLASSES)
        for accumulator in sums:
            builder.store(vectors.zero(), accumulator)

        def add_products(f: ir.Value, load_x: Callable[[ir.Value], ir.Value]) -> None:
            xs = [load_x(x.at(r, f)) for r in rows]
            for k, class_ in enumerate(classes):
                weights = vectors.load(w.at(class_, f))
                for r in range(ROWS):
                    accumulator = sums[r * CLASSES + k]
                    builder.store(vectors.multiply_add(xs[r], weights, builder.load(accumulator)), accumulator)

        features, width = x.shape[1], _INT64(vectors.count)
        whole = builder.mul(builder.sdiv(features, width), width)
        with cgutils.for_range_slice(builder, _INT64(0), whole, width) as (f, _):
            add_products(f, vectors.load)
        rest = builder.sub(features, whole)
        with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
            add_products(whole, lambda pointer: vectors.load_first(pointer, rest))

        for r in range(ROWS):
            for k, class_ in enumerate(classes):
                total = vectors.sum(builder.load(sums[r * CLASSES + k]))
                pointer = s.at(builder.add(out, _INT64(r)), class_)
                builder.store(total, builder.bitcast(pointer, vectors.element.as_pointer()))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _gradient_tile(typing: Any, X: Any, row: Any, rows: Any, dscores: Any, c: Any, f: Any, Gt: Any) -> Any:
    signature = types.void(X, types.int64, types.int64, dscores, types.int64, types.int64, Gt)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(context, builder, X.dtype)
        x = _Matrix(context, builder, X, arguments[0])
        d = _Matrix(context, builder, dscores, arguments[3])
        g = _Matrix(context, builder, Gt, arguments[6])
        row, rows, c, f = (arguments[k] for k in (1, 2, 4, 5))

        classes = [builder.add(c, _INT64(k)) for k in range(CLASSES)]
        starts = [builder.add(f, _INT64(v * vectors.count)) for v in range(VECTORS)]
        sums = _accumulators(builder, vectors, CLASSES * VECTORS)

        def add_rows(load_x: Callable[[int, ir.Value], ir.Value]) -> None:
            with cgutils.for_range(builder, rows, intp=_INT64) as loop:
                here = builder.add(row, loop.index)
                xs = [load_x(v, x.at(here, start)) for v, start in enumerate(starts)]
                for start in starts:
                    vectors.prefetch_to_l2(x.at(builder.add(here, rows), start))
                for k, class_ in enumerate(classes):
                    weight = vectors.broadcast(d.at(loop.index, class_))
                    for v in range(VECTORS):
                        accumulator = sums[k * VECTORS + v]
                        builder.store(vectors.multiply_add(xs[v], weight, builder.load(accumulator)), accumulator)

        # The rows' sum begins at zero and is added to Gt as a whole: Gt is rounded once a block, not once a row.
        for accumulator in sums:
            builder.store(vectors.zero(), accumulator)
        features = x.shape[1]
        end = builder.add(f, _INT64(VECTORS * vectors.count))
        with builder.if_else(builder.icmp_signed("<=", end, features)) as (whole, partial):
            with whole:
                add_rows(lambda v, pointer: vectors.load(pointer))
            with partial:
                add_rows(lambda v, pointer: vectors.load_first(pointer, builder.sub(features, starts[v])))
        for k, class_ in enumerate(classes):
            for v, start in enumerate(starts):
                there = g.at(class_, start)
                total = builder.fadd(vectors.load(there), builder.load(sums[k * VECTORS + v]))
                vectors.store(total, there)
        return context.get_dummy_value()

    return signature, emit


def _score_tile_in_numpy(
    X: NDArray[Any], row: int, last: int, Wt: NDArray[Any], c: int, scores: NDArray[Any], out: int
) -> None:
    """scores[out + r, c + k] = X[row + r] . Wt[c + k] for a tile of ROWS x CLASSES.

    X (N, D) with contiguous rows, Wt (C', D') zero beyond the classes and features, scores (rows', C'). Rows behind
    `last` repeat `last`: a remainder costs a few spare products instead of code of its own.
    """
    rows = np.minimum(np.arange(row, row + ROWS), last)
    scores[out : out + ROWS, c : c + CLASSES] = X[rows] @ Wt[c : c + CLASSES, : X.shape[1]].T


def _gradient_tile_in_numpy(
    X: NDArray[Any], row: int, rows: int, dscores: NDArray[Any], c: int, f: int, Gt: NDArray[Any]
) -> None:
    """Gt[c + k, f ...] += sum over r of dscores[r, c + k] * X[row + r, f ...] for a tile of CLASSES x VECTORS.

    X (N, D) with contiguous rows, dscores (rows', C'), Gt (C', D') with D' a multiple of the tile. While it sums, the
    same place of the next `rows` rows is fetched into L2: memory and arithmetic do not overlap by themselves.
    """
    end = min(f + VECTORS * lanes(X.itemsize), X.shape[1])
    Gt[c : c + CLASSES, f:end] += dscores[:rows, c : c + CLASSES].T @ X[row : row + rows, f:end]


score_tile = _score_tile_in_numpy if config.DISABLE_JIT else _score_tile
gradient_tile = _gradient_tile_in_numpy if config.DISABLE_JIT else _gradient_tile
