"""Four neighbouring columns of a matrix in one access: 16 bytes of float32, 4 bytes of uint8.

The compiler joins neighbouring accesses only where it can prove that they are aligned, which a pointer that arrives at
run time never is. So these are written as PTX. Rows must begin at a multiple of 16 bytes: `matrix` pads them.

In Numba's simulator, and with a CUDA for Python other than numba-cuda's, the same functions take one column at a time.
Each function is made by a call, since Numba reads what a device function refers to when it compiles the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lcbench.losses.cuda.backend import cuda, has_llvm

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
