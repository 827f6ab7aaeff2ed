"""Scores, row step and gradient as three kernels, for problems that `one_pass` does not hold: float64, many classes.

X (N, D) is read twice, by the first kernel and by the third. Everything between them is small::

    X (N, D), W (C, D) --scores--> S (C, N) --row step--> dS (C, N), in place, and one partial sum of the loss per block
    X (N, D), dS (C, N) --gradient slabs--> one slab (C, D) for each chunk of rows

S is stored class by class, so that threads that own adjacent rows access adjacent numbers for any C. Every sum has a
fixed order and every number is written by one thread: the same input on the same device gives the same bits.

Chunks of rows that stay in the L2 cache from the first kernel to the third would also read X from memory once only. But
they would have to be so small (25 MB) that three launches per chunk take longer than reading the chunk again.

float32 kernels contain no float64 arithmetic: literals are converted to the dtype, since plain ones would promote. The
partial sums, a few hundred, are added in float64 on the host.

The same source serves the device and the simulator, which has no warp operations: threads exchange values in shared
memory only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lcbench.losses.cuda.backend import compiled_kernel, cuda
from lcbench.losses.cuda.matrix import DeviceMatrix, pieces
from lcbench.losses.implementation import LossName

Real = Any
"""np.float32 or np.float64: the type, which kernels also call to convert numbers."""


@dataclass(frozen=True)
class Stages:
    """Work of one block of each kernel. Tests use small values, so that tiny inputs span several blocks.

    The threads of a block are `lanes` (a warp on the device) times a number of warps.

    score_warps, rows_per_warp: a block of the scores kernel computes `score_warps * rows_per_warp` rows.
    features: features of W that the scores kernel keeps in shared memory at a time, a multiple of `lanes`.
    step_threads: threads of a block of the row step, one per row, a power of two.
    gradient_warps, columns_per_thread: a block of the gradient kernel computes `lanes` times these columns of X.
    rows_in_flight: rows that the gradient kernel loads together. It divides `lanes`.
    classes: maximum number of classes that a thread holds in registers. More classes are divided evenly among blocks.
    blocks_wanted: approximate number of blocks of the gradient kernel, which determines the chunks of rows.
    """

    lanes: int = 32
    score_warps: int = 8
    rows_per_warp: int = 4
    features: int = 64
    step_threads: int = 256
    gradient_warps: int = 4
    columns_per_thread: int = 2
    rows_in_flight: int = 4
    classes: int = 16
    blocks_wanted: int = 2048

    def __post_init__(self) -> None:
        if self.step_threads & (self.step_threads - 1):
            raise ValueError(f"sums by halves need a power of two of threads, not {self.step_threads}")
        if self.lanes % self.rows_in_flight or self.features % self.lanes:
            raise ValueError("rows_in_flight must divide lanes, and lanes must divide features")

    @property
    def rows(self) -> int:
        """Number of rows in a block of the scores kernel."""
        return self.score_warps * self.rows_per_warp

    @property
    def columns(self) -> int:
        """Number of columns in a block of the gradient kernel."""
        return self.lanes * self.gradient_warps * self.columns_per_thread


STAGES: dict[Real, Stages] = {
    np.float32: Stages(),
    # half the rows need the same registers
    np.float64: Stages(rows_per_warp=2),
}


def build_sum_over_block() -> Any:
    """Return ``sum_over_block(values, thread, threads)``: values[0] = sum(values), by halves.

    values: one per thread, in shared memory. threads: a power of two. All threads of the block must call it.
    """

    @cuda.jit(device=True, inline="always")  # without inlining, compiling it would need a device
    def sum_over_block(values: Any, thread: int, threads: int) -> None:
        half = threads // 2
        cuda.syncthreads()
        while half > 0:
            if thread < half:
                values[thread] += values[thread + half]
            cuda.syncthreads()
            half //= 2

    return sum_over_block


@dataclass(frozen=True)
class Kernels:
    """Kernels for one dtype and one number of classes per thread, without `merge`."""

    scores: Any
    svm_step: Any
    softmax_step: Any
    gradient_slabs: Any


@lru_cache(maxsize=16)
def build_kernels(dtype: Real, stages: Stages, classes: int) -> Kernels:
    """Return the kernels that compute in `dtype` (np.float32 or np.float64) with `classes` classes per thread.

    X is of `dtype` or uint8: each kernel compiles on its first launch with either. Sizes are constants for the
    compiler, so that the local arrays of a thread (`cuda.local.array`) are unrolled into registers.
    """
    LANES, LANES_PADDED = stages.lanes, stages.lanes + 1  # an odd stride distributes a column over the memory banks
    SCORE_WARPS, ROWS_PER_WARP, FEATURES = stages.score_warps, stages.rows_per_warp, stages.features
    STEP_THREADS = stages.step_threads
    GRADIENT_WARPS, GRADIENT_THREADS = stages.gradient_warps, stages.gradient_warps * LANES
    COLUMNS, COLUMNS_PER_THREAD = stages.columns, stages.columns_per_thread
    ROWS_IN_FLIGHT = stages.rows_in_flight
    CLASSES = classes

    @compiled_kernel(dtype, stages, classes)
    def scores(X: Any, W: Any, rows: int, S: Any) -> None:
        """Compute S (C, N) = W X^T, for X (N, D) and W (C, D).

        Each warp computes ROWS_PER_WARP rows of X and CLASSES classes, and loops over the features, LANES at a time::

                            LANES                           FEATURES
                        +------------+                +------+------+-----+
            ROWS_PER_   |  X, straight to      CLASSES|  w_tile, shared   |    for the block, FEATURES at a time
            WARP        |  registers |                |  by the warps     |
                        +------------+                +------+------+-----+

        A lane holds ROWS_PER_WARP x CLASSES sums over every LANES-th feature in registers. At the end the lanes write
        their sums to shared memory, one row at a time, and lane c adds them up for class c.
        """
        w_tile = cuda.shared.array((CLASSES, FEATURES), dtype)
        lane_sums = cuda.shared.array((SCORE_WARPS, CLASSES, LANES_PADDED), dtype)
        held = cuda.local.array((ROWS_PER_WARP, CLASSES), dtype)
        x = cuda.local.array(ROWS_PER_WARP, dtype)

        lane = cuda.threadIdx.x
        warp = cuda.threadIdx.y
        # blocks with the same rows are adjacent, so that they find X in L2
        class_blocks = (W.shape[0] + CLASSES - 1) // CLASSES
        first_row = (cuda.blockIdx.x // class_blocks * SCORE_WARPS + warp) * ROWS_PER_WARP
        first_class = cuda.blockIdx.x % class_blocks * CLASSES
        last_row = rows - 1

        for r in range(ROWS_PER_WARP):
            for c in range(CLASSES):
                held[r, c] = dtype(0)

        for first_feature in range(0, X.shape[1], FEATURES):
            for c in range(warp, CLASSES, SCORE_WARPS):
                for k in range(0, FEATURES, LANES):
                    w = dtype(0)
                    if first_feature + k + lane < W.shape[1] and first_class + c < W.shape[0]:
                        w = W[first_class + c, first_feature + k + lane]
                    w_tile[c, k + lane] = w
            cuda.syncthreads()
            for k in range(0, FEATURES, LANES):
                feature = first_feature + k + lane
                for r in range(ROWS_PER_WARP):
                    x[r] = dtype(0)
                    if feature < X.shape[1]:
                        x[r] = dtype(X[min(first_row + r, last_row), feature])  # rows after the last are not stored
                for c in range(CLASSES):
                    w = w_tile[c, k + lane]
                    for r in range(ROWS_PER_WARP):
                        held[r, c] += x[r] * w
            cuda.syncthreads()

        for r in range(ROWS_PER_WARP):
            for c in range(CLASSES):
                lane_sums[warp, c, lane] = held[r, c]
            cuda.syncthreads()
            for c in range(lane, CLASSES, LANES):
                if first_class + c < S.shape[0] and first_row + r < rows:
                    score = dtype(0)
                    for other in range(LANES):
                        score += lane_sums[warp, c, other]
                    S[first_class + c, first_row + r] = score
            cuda.syncthreads()

    sum_over_block = build_sum_over_block()

    @compiled_kernel(dtype, stages, classes)
    def svm_step(S: Any, y: Any, one_over_rows: Any, overwrite: Any, sums: Any) -> None:
        """Replace the scores S (C, N) by their gradients. Write the hinge loss of the rows to sums[block].

        If `overwrite` is 0, the loss is added to sums[block]. A thread loops over the classes of its own row::

                     threads ->
            class 0  s s s s s s        margin = s - s_y + 1, counted where it is > 0
            class 1  s s s s s s        dS = 1/N there, and -count/N at the true class
        """
        block_losses = cuda.shared.array(STEP_THREADS, dtype)
        thread = cuda.threadIdx.x
        row = cuda.blockIdx.x * STEP_THREADS + thread
        loss = dtype(0)
        if row < y.shape[0]:
            label = y[row]
            true_score = S[label, row]
            positive = dtype(0)
            for c in range(S.shape[0]):
                margin = S[c, row] - true_score + dtype(1)
                gradient = dtype(0)
                if margin > dtype(0) and c != label:
                    loss += margin
                    positive += dtype(1)
                    gradient = one_over_rows
                S[c, row] = gradient
            S[label, row] = -positive * one_over_rows
        block_losses[thread] = loss
        sum_over_block(block_losses, thread, STEP_THREADS)
        if thread == 0:
            if overwrite:
                sums[cuda.blockIdx.x] = block_losses[0]
            else:
                sums[cuda.blockIdx.x] += block_losses[0]

    @compiled_kernel(dtype, stages, classes)
    def softmax_step(S: Any, y: Any, one_over_rows: Any, overwrite: Any, sums: Any) -> None:
        """Replace the scores S (C, N) by their gradients. Write the cross-entropy of the rows to sums[block].

        If `overwrite` is 0, the loss is added to sums[block]. A thread loops over the classes of its own row three
        times: for the maximum score; for the exponentials, stored in place, and their sum; for the gradient (p - [c =
        y]) / N.
        """
        block_losses = cuda.shared.array(STEP_THREADS, dtype)
        thread = cuda.threadIdx.x
        row = cuda.blockIdx.x * STEP_THREADS + thread
        loss = dtype(0)
        if row < y.shape[0]:
            label = y[row]
            highest = S[0, row]
            for c in range(1, S.shape[0]):
                highest = max(highest, S[c, row])
            true_score = S[label, row] - highest
            total = dtype(0)
            for c in range(S.shape[0]):
                exponential = dtype(math.exp(S[c, row] - highest))
                S[c, row] = exponential
                total += exponential
            loss = dtype(math.log(total)) - true_score
            for c in range(S.shape[0]):
                probability = S[c, row] / total
                if c == label:
                    probability -= dtype(1)
                S[c, row] = probability * one_over_rows
        block_losses[thread] = loss
        sum_over_block(block_losses, thread, STEP_THREADS)
        if thread == 0:
            if overwrite:
                sums[cuda.blockIdx.x] = block_losses[0]
            else:
                sums[cuda.blockIdx.x] += block_losses[0]

    @compiled_kernel(dtype, stages, classes)
    def gradient_slabs(X: Any, dS: Any, rows: int, rows_per_chunk: int, overwrite: Any, slabs: Any) -> None:
        """Compute slabs[chunk] (C, D) = dS X over one chunk of rows. If `overwrite` is 0, add to slabs[chunk].

        A block computes COLUMNS columns of X, CLASSES classes and one chunk. It stages dscores, LANES rows at a time::

                                    COLUMNS                                         CLASSES
                         +-----------------------------+                         +---------+
            the chunk's  |  X, straight to registers:  |                  LANES  | ds_tile |    in shared memory
            rows         |  one thread uses a number   |                         +---------+
                         +-----------------------------+

        Each thread holds COLUMNS_PER_THREAD x CLASSES sums in registers while it loops over the rows. Reads of ds_tile
        are broadcasts. After the last row and the last column, the last one is read again, which needs no branch: the
        dscore of such a row is zero, and such a column is not stored.
        """
        ds_tile = cuda.shared.array((LANES, CLASSES), dtype)
        held = cuda.local.array((COLUMNS_PER_THREAD, CLASSES), dtype)
        x = cuda.local.array((ROWS_IN_FLIGHT, COLUMNS_PER_THREAD), dtype)

        lane = cuda.threadIdx.x
        warp = cuda.threadIdx.y
        first_column = cuda.blockIdx.x * COLUMNS + warp * LANES + lane
        first_class = cuda.blockIdx.y * CLASSES
        first_row = cuda.blockIdx.z * rows_per_chunk
        end_row = min(first_row + rows_per_chunk, rows)
        last_column = X.shape[1] - 1

        for j in range(COLUMNS_PER_THREAD):
            for c in range(CLASSES):
                held[j, c] = dtype(0)

        for staged_row in range(first_row, end_row, LANES):
            for c in range(warp, CLASSES, GRADIENT_WARPS):
                ds = dtype(0)
                if first_class + c < dS.shape[0] and staged_row + lane < end_row:
                    ds = dS[first_class + c, staged_row + lane]
                ds_tile[lane, c] = ds
            cuda.syncthreads()
            for first in range(0, LANES, ROWS_IN_FLIGHT):
                for r in range(ROWS_IN_FLIGHT):
                    row = min(staged_row + first + r, end_row - 1)
                    for j in range(COLUMNS_PER_THREAD):
                        x[r, j] = dtype(X[row, min(first_column + j * GRADIENT_THREADS, last_column)])
                for r in range(ROWS_IN_FLIGHT):
                    for c in range(CLASSES):
                        ds = ds_tile[first + r, c]
                        for j in range(COLUMNS_PER_THREAD):
                            held[j, c] += x[r, j] * ds
            cuda.syncthreads()

        for c in range(CLASSES):
            for j in range(COLUMNS_PER_THREAD):
                column = first_column + j * GRADIENT_THREADS
                if first_class + c < slabs.shape[1] and column < slabs.shape[2]:
                    if overwrite:
                        slabs[cuda.blockIdx.z, first_class + c, column] = held[j, c]
                    else:
                        slabs[cuda.blockIdx.z, first_class + c, column] += held[j, c]

    return Kernels(scores, svm_step, softmax_step, gradient_slabs)


class ByStages:
    """Three kernels with their grids and the buffers between them, for at most `rows` rows at a time.

    slabs (chunks, C, stride): partial gradients, which `merge` adds up.
    """

    def __init__(self, dtype: Real, rows: int, stride: int, classes: int, stages: Stages) -> None:
        self.dtype, self.stages = dtype, stages
        self.class_blocks = pieces(classes, stages.classes)
        self.kernels = build_kernels(dtype, stages, pieces(classes, self.class_blocks))
        self.column_blocks = pieces(stride, stages.columns)
        chunks = min(pieces(stages.blocks_wanted, self.column_blocks * self.class_blocks), pieces(rows, stages.lanes))
        self.rows_per_chunk = pieces(rows, chunks)
        self.scores = cuda.device_array((classes, rows), dtype)
        self.slabs = cuda.device_array((pieces(rows, self.rows_per_chunk), classes, stride), dtype)
        self.step_blocks = pieces(rows, stages.step_threads)
        self.loss_count = self.step_blocks

    def add(
        self,
        loss: LossName,
        W: DeviceMatrix,
        X: DeviceMatrix,
        y: Any,
        scale: float,
        overwrite: bool,
        losses: Any,
        stream: Any,
    ) -> None:
        """Add the first len(y) rows of X to the slabs and to losses, or overwrite both if `overwrite`.

        scale: 1 / (total number of rows). Return at once: the work is queued on `stream`.
        """
        stages, kernels, dtype, rows = self.stages, self.kernels, self.dtype, y.shape[0]
        step = kernels.svm_step if loss == "svm" else kernels.softmax_step
        score_blocks = pieces(rows, stages.rows) * self.class_blocks
        kernels.scores[score_blocks, (stages.lanes, stages.score_warps), stream](X.grid, W.grid, rows, self.scores)
        step[self.step_blocks, stages.step_threads, stream](self.scores, y, dtype(scale), int(overwrite), losses)
        grid = (self.column_blocks, self.class_blocks, self.slabs.shape[0])
        kernels.gradient_slabs[grid, (stages.lanes, stages.gradient_warps), stream](
            X.grid, self.scores, rows, self.rows_per_chunk, int(overwrite), self.slabs
        )
