"""The last kernel of a call: the slabs' sum and the regularisation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lcbench.losses.cuda.backend import cuda


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
