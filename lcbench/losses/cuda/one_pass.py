"""One-pass kernel: scores, row step and gradient of a tile of rows while the tile is in registers.

X is read from memory once. All blocks of the grid run at the same time until all of X is processed. Block b computes
the tiles b, b + grid, ... and adds up one slab of dW. `merge` adds the slabs of the blocks in a fixed order.

Data in registers and memory, for CIFAR-10 in float32 (256 threads, 4 rows, 3 groups of 4 columns, 10 classes)::

                      thread 0     thread 1           thread 255
                    +-----------+-----------+-------+-----------+
    group 0         | 0 1 2 3   | 4 5 6 7   |  ...  |     .. 1023|     columns of X that a thread owns, 12 in all
    group 1         | 1024 ..   | 1028 ..   |  ...  |     .. 2047|
    group 2         | 2048 ..   | 2052 ..   |  ...  |     .. 3071|
                    +-----------+-----------+-------+-----------+
    column 3072: the tail, computed in the row step

    registers of a thread     dW    12 columns x 10 classes   120     sums, for the lifetime of the block
                              X     12 columns x  4 rows       48     this tile
                              X'    12 columns x  4 rows       48     the next tile, being loaded
                              S      4 rows    x 10 classes    40     partial scores, dead before X' is loaded
    L1 cache                  W     10 classes x 3,073          123 KB, read once a tile
    shared memory             the warps' partial scores, scores, dscores, labels, the tail: 4 KB

Alternatives to X' in registers are shared memory beyond 48 KB, which CUDA provides on request only, and asynchronous
copies to shared memory. numba-cuda supports neither. The loads of X' are issued before the row step and used one tile
later.

The partial scores of a warp are added up by halves, which exchange their values: 40 sums over 32 lanes take 20 + 10 + 5
+ 3 + 2 = 40 shuffles, not 200. Numba's simulator has no warps and uses shared memory.

Every sum has a fixed order and every number is written by one thread: the same input on the same device gives the same
bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lcbench.losses.cuda.backend import compiled_kernel, cuda, has_shuffles
from lcbench.losses.cuda.matrix import DeviceMatrix, pieces
from lcbench.losses.cuda.tiles import WIDTH, Tile, load_floats, load_pixels, load_weights
from lcbench.losses.implementation import LossName

float32 = np.float32
int32 = np.int32
uint32 = np.uint32
uint8 = np.uint8

ALL_LANES = 0xFFFFFFFF
NO_ROW = int32(-1)


@lru_cache(maxsize=16)
def build_kernel(loss: LossName, tile: Tile, classes: int, stride: int, pixels: bool) -> Any:
    """Return the kernel ``one_pass(X, W, y, one_over_rows, overwrite, slabs, losses)``. See its docstring.

    stride: columns of a padded row of X and W. Sizes are constants for the compiler, so that the local arrays of a
    thread (`cuda.local.array`) are unrolled into registers.
    """
    THREADS, GROUPS, ROWS, TAIL = tile.threads, tile.groups, tile.rows, tile.tail
    CLASSES, COLUMNS, WARPS = classes, tile.columns, tile.threads // tile.lanes
    VALUES = ROWS * CLASSES
    TAILS = max(TAIL, 1)  # an array must have at least one element
    GROUP_COLUMNS = WIDTH * THREADS
    STRIDE, LAST_COLUMN = stride, stride - WIDTH
    WHOLE = stride >= COLUMNS
    HELD, HELD_TYPE = ((ROWS, GROUPS, 1), uint32) if pixels else ((ROWS, GROUPS, WIDTH), float32)
    WORDS = HELD[2]
    load_x, load_w = (load_pixels() if pixels else load_floats()), load_weights()
    number = _pixel() if pixels else _float()
    row_step = _svm_step() if loss == "svm" else _softmax_step()
    reduction = (_by_shuffles if has_shuffles() else _in_shared_memory)(tile, VALUES)
    sum_over_warp, index_of, SUMS, STRIDE_OF_WARPS = (
        reduction.sum_over_warp,
        reduction.index_of,
        reduction.size,
        reduction.stride,
    )

    @cuda.jit(device=True, inline="always")
    def load_tile(X: Any, first_row: Any, last_row: Any, thread: Any, to: Any) -> None:
        # after the last row, the last row is read again, with dscores of zero
        for r in range(ROWS):
            start = min(first_row + r, last_row) * STRIDE + WIDTH * thread
            for g in range(GROUPS):
                if WHOLE or g * GROUP_COLUMNS + WIDTH * thread <= LAST_COLUMN:
                    load_x(X, start + g * GROUP_COLUMNS, to, r, g)
                else:
                    for j in range(WORDS):
                        to[r, g, j] = HELD_TYPE(0)

    @compiled_kernel(loss, tile, classes, stride, pixels, has_shuffles())
    def one_pass(X: Any, W: Any, y: Any, one_over_rows: Any, overwrite: Any, slabs: Any, losses: Any) -> None:
        """Compute slabs[block] (C, stride) = dscores^T X and losses[block] over the rows of a block.

        X (N, stride) float32 or uint8 and W (C, stride) float32, both flat; y (N,) int32. one_over_rows: 1 / (total
        number of rows), by which the dscores are scaled. overwrite: 1 to overwrite slabs and losses, 0 to add to them.
        """
        warp_sums = cuda.shared.array(SUMS, float32)
        # Values that a thread needs once a tile are in shared memory, since the registers are full.
        own = cuda.shared.array(THREADS, int32)  # its own index
        scores = cuda.shared.array(VALUES, float32)
        dscores = cuda.shared.array(VALUES, float32)
        # one element per thread of the row step; thread r * CLASSES + c computes class c of row r
        places = cuda.shared.array(VALUES, int32)  # its row in the tile
        indices = cuda.shared.array(VALUES, int32)  # where its score is in the sums of the first warp
        labels = cuda.shared.array(VALUES, int32)
        row_losses = cuda.shared.array(VALUES, float32)
        tail_x = cuda.shared.array((TAILS, VALUES), float32)
        tail_sums = cuda.shared.array((TAILS, VALUES), float32)

        sums = cuda.local.array((CLASSES, GROUPS, WIDTH), float32)
        x = cuda.local.array(HELD, HELD_TYPE)
        next_x = cuda.local.array(HELD, HELD_TYPE)
        partial = cuda.local.array(VALUES, float32)
        w = cuda.local.array(WIDTH, float32)
        group = cuda.local.array((ROWS, WIDTH), float32)
        row_x = cuda.local.array((GROUPS, WIDTH), float32)
        next_tail_x = cuda.local.array(TAILS, float32)

        thread = cuda.threadIdx.x
        rows = int32(y.shape[0])
        last_row = int32(rows - 1)
        step = int32(cuda.gridDim.x * ROWS)

        for c in range(CLASSES):
            for g in range(GROUPS):
                for j in range(WIDTH):
                    sums[c, g, j] = float32(0)
        own[thread] = thread

        first_row = int32(cuda.blockIdx.x * ROWS)
        if thread < VALUES:
            places[thread] = thread // CLASSES
            indices[thread] = index_of(thread)
            row_losses[thread] = float32(0)
            row = first_row + places[thread]
            labels[thread] = y[row] if row < rows else NO_ROW
            for j in range(TAIL):
                tail_x[j, thread] = float32(X[min(row, last_row) * STRIDE + COLUMNS + j])
                tail_sums[j, thread] = float32(0)
        load_tile(X, first_row, last_row, thread, x)
        cuda.syncthreads()

        while first_row < rows:
            for v in range(VALUES):
                partial[v] = float32(0)
            for g in range(GROUPS):
                column = g * GROUP_COLUMNS + WIDTH * thread
                if not WHOLE:
                    column = min(column, LAST_COLUMN)  # where x is zero
                for r in range(ROWS):
                    for j in range(WIDTH):
                        group[r, j] = number(x, r, g, j)
                for c in range(CLASSES):
                    load_w(W, c * STRIDE + column, w)
                    for r in range(ROWS):
                        for j in range(WIDTH):
                            partial[r * CLASSES + c] += group[r, j] * w[j]
            sum_over_warp(partial, own[thread], warp_sums)

            # the registers of the partial scores are free: load the next tile into them during the row step
            next_row = int32(first_row + step)
            load_tile(X, next_row, last_row, thread, next_x)
            next_label = NO_ROW
            if thread < VALUES:
                row = next_row + places[thread]
                if row < rows:
                    next_label = y[row]
                for j in range(TAIL):
                    next_tail_x[j] = float32(X[min(row, last_row) * STRIDE + COLUMNS + j])

            cuda.syncthreads()
            if thread < VALUES:
                score = float32(0)
                for other in range(WARPS):
                    score += warp_sums[other * STRIDE_OF_WARPS + indices[thread]]
                class_ = thread - places[thread] * CLASSES
                for j in range(TAIL):
                    score += tail_x[j, thread] * W[class_ * STRIDE + COLUMNS + j]
                scores[thread] = score
            cuda.syncthreads()
            if thread < VALUES:
                dscore = float32(0)
                if labels[thread] != NO_ROW:
                    start = places[thread] * CLASSES
                    dscore, row_loss = row_step(scores, start, CLASSES, thread - start, labels[thread])
                    dscore *= one_over_rows
                    row_losses[thread] += row_loss
                dscores[thread] = dscore
                for j in range(TAIL):
                    tail_sums[j, thread] += dscore * tail_x[j, thread]
            cuda.syncthreads()

            for r in range(ROWS):
                for g in range(GROUPS):
                    for j in range(WIDTH):
                        row_x[g, j] = number(x, r, g, j)
                for c in range(CLASSES):
                    d = dscores[r * CLASSES + c]
                    for g in range(GROUPS):
                        for j in range(WIDTH):
                            sums[c, g, j] += row_x[g, j] * d

            if thread < VALUES:
                labels[thread] = next_label
                for j in range(TAIL):
                    tail_x[j, thread] = next_tail_x[j]
            for r in range(ROWS):
                for g in range(GROUPS):
                    for j in range(WORDS):
                        x[r, g, j] = next_x[r, g, j]
            first_row = next_row

        block = cuda.blockIdx.x
        if overwrite:
            for c in range(CLASSES):
                for g in range(GROUPS):
                    column = g * GROUP_COLUMNS + WIDTH * thread
                    if WHOLE or column <= LAST_COLUMN:
                        for j in range(WIDTH):
                            slabs[block, c, column + j] = sums[c, g, j]
        else:
            for c in range(CLASSES):
                for g in range(GROUPS):
                    column = g * GROUP_COLUMNS + WIDTH * thread
                    if WHOLE or column <= LAST_COLUMN:
                        for j in range(WIDTH):
                            slabs[block, c, column + j] += sums[c, g, j]

        cuda.syncthreads()
        if thread < CLASSES:
            for j in range(TAIL):
                total = float32(0)
                for r in range(ROWS):
                    total += tail_sums[j, r * CLASSES + thread]
                if not overwrite:
                    total += slabs[block, thread, COLUMNS + j]
                slabs[block, thread, COLUMNS + j] = total
        if thread == 0:
            total = float32(0)
            for r in range(ROWS):
                total += row_losses[r * CLASSES]  # the threads of all classes of a row have added the same loss
            if not overwrite:
                total += losses[block]
            losses[block] = total

    return one_pass


class OnePass:
    """Kernel with its grid and its slabs, for at most `rows` rows at a time.

    slabs (blocks, C, stride): partial gradients, which `merge` adds up.
    """

    def __init__(self, tile: Tile, blocks: int, rows: int, stride: int, classes: int, pixels: bool) -> None:
        self.tile = tile
        self.stride, self.classes, self.pixels = stride, classes, pixels
        self.blocks = self.loss_count = min(blocks, pieces(rows, tile.rows))
        self.slabs = cuda.device_array((self.blocks, classes, stride), float32)

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
        kernel = build_kernel(loss, self.tile, self.classes, self.stride, self.pixels)
        kernel[self.blocks, self.tile.threads, stream](
            X.line, W.line, y, float32(scale), int(overwrite), self.slabs, losses
        )


def _float() -> Any:
    """Return ``number(held, r, g, j)``: column j of group g of row r as float32, from float32."""

    @cuda.jit(device=True, inline="always")
    def number(held: Any, r: Any, g: Any, j: Any) -> Any:
        return held[r, g, j]

    return number


def _pixel() -> Any:
    """Return ``number(held, r, g, j)``: column j of group g of row r as float32, from four uint8 in a uint32."""

    @cuda.jit(device=True, inline="always")
    def number(held: Any, r: Any, g: Any, j: Any) -> Any:
        return float32(uint8(held[r, g, 0] >> uint32(8 * j)))

    return number


def _svm_step() -> Any:
    """Return ``row_step(scores, start, classes, class_, label)`` for the hinge loss.

    It returns the gradient with respect to one score, and the loss of the row. scores[start : start + classes] are the
    scores of the row. Every thread of a row loops over all its classes: if the threads divided them, they would lose
    the saved time at a barrier.
    """

    @cuda.jit(device=True, inline="always")
    def row_step(scores: Any, start: Any, classes: Any, class_: Any, label: Any) -> Any:
        true_score = scores[start + label]
        loss = float32(0)
        positive = float32(0)
        for c in range(classes):
            margin = scores[start + c] - true_score + float32(1)
            if margin > float32(0) and c != label:
                loss += margin
                positive += float32(1)
        dscore = float32(0)
        if class_ == label:
            dscore = -positive
        elif scores[start + class_] - true_score + float32(1) > float32(0):
            dscore = float32(1)
        return dscore, loss

    return row_step


def _softmax_step() -> Any:
    """Return ``row_step`` for softmax: dscore = p - [class = label], loss = -log p of the label."""

    @cuda.jit(device=True, inline="always")
    def row_step(scores: Any, start: Any, classes: Any, class_: Any, label: Any) -> Any:
        highest = scores[start]
        for c in range(1, classes):
            highest = max(highest, scores[start + c])
        total = float32(0)
        for c in range(classes):
            total += float32(math.exp(scores[start + c] - highest))
        dscore = float32(math.exp(scores[start + class_] - highest)) / total
        if class_ == label:
            dscore -= float32(1)
        return dscore, float32(math.log(total)) - (scores[start + label] - highest)

    return row_step


@dataclass(frozen=True)
class Reduction:
    """Device functions that add up the partial scores of the threads of a warp.

    sum_over_warp: ``(partial, thread, warp_sums)`` writes the sum of partial[v] over the lanes of each warp to
        warp_sums[index_of(v) + warp * stride].
    index_of: ``(v)``.
    size: elements of warp_sums, some of which may be unused. Each element is written by one thread.
    """

    sum_over_warp: Any
    index_of: Any
    size: int
    stride: int


def _by_shuffles(tile: Tile, values: int) -> Reduction:
    """Return the reduction by shuffles, in five steps between lanes that are 16, 8, 4, 2 and 1 apart.

    In each step the lower lane keeps the first half of the values and the upper lane the second half, and each adds the
    values of the other lane. For 40 values, a lane holds 40, 20, 10, 5, 3, 2 values. With an odd count the upper lane
    has one value less: its last sum is unused.
    """
    COUNT_16, COUNT_8, COUNT_4, COUNT_2, COUNT_1, LEFT = (_halved(values, times) for times in range(6))
    exchange_16, exchange_8, exchange_4 = _exchange(16, COUNT_16), _exchange(8, COUNT_8), _exchange(4, COUNT_4)
    exchange_2, exchange_1 = _exchange(2, COUNT_2), _exchange(1, COUNT_1)
    THREADS, LANES = tile.threads, tile.lanes

    @cuda.jit(device=True, inline="always")
    def index_of(value: Any) -> Any:
        # the lane that holds the sum, and which of the sums of that lane it is
        lane = 0
        if value >= COUNT_8:
            lane += 16
            value -= COUNT_8
        if value >= COUNT_4:
            lane += 8
            value -= COUNT_4
        if value >= COUNT_2:
            lane += 4
            value -= COUNT_2
        if value >= COUNT_1:
            lane += 2
            value -= COUNT_1
        if value >= LEFT:
            lane += 1
            value -= LEFT
        return value * THREADS + lane

    @cuda.jit(device=True, inline="always")
    def sum_over_warp(partial: Any, thread: Any, warp_sums: Any) -> None:
        lane = thread % LANES
        exchange_16(partial, lane)
        exchange_8(partial, lane)
        exchange_4(partial, lane)
        exchange_2(partial, lane)
        exchange_1(partial, lane)
        for i in range(LEFT):
            warp_sums[i * THREADS + thread] = partial[i]

    return Reduction(sum_over_warp, index_of, LEFT * THREADS, LANES)


def _halved(count: int, times: int) -> int:
    """Return `count` halved `times` times, rounded up each time."""
    for _ in range(times):
        count = (count + 1) // 2
    return count


def _exchange(apart: int, count: int) -> Any:
    """Return ``exchange(partial, lane)``: one step of `_by_shuffles`, on the first `count` values."""
    HALF = (count + 1) // 2

    @cuda.jit(device=True, inline="always")
    def exchange(partial: Any, lane: Any) -> None:
        upper = (lane & apart) != 0
        for i in range(HALF):
            low = partial[i]
            high = partial[i + HALF] if i + HALF < count else float32(0)
            keep = high if upper else low
            send = low if upper else high
            partial[i] = keep + cuda.shfl_xor_sync(ALL_LANES, send, apart)

    return exchange


def _in_shared_memory(tile: Tile, values: int) -> Reduction:
    """Return the reduction in shared memory: slower, but without warp operations, which the simulator lacks."""
    THREADS, LANES = tile.threads, tile.lanes

    @cuda.jit(device=True, inline="always")
    def index_of(value: Any) -> Any:
        return value

    @cuda.jit(device=True, inline="always")
    def sum_over_warp(partial: Any, thread: Any, warp_sums: Any) -> None:
        lane_values = cuda.shared.array(THREADS, float32)
        for v in range(values):
            lane_values[thread] = partial[v]
            cuda.syncthreads()
            if thread % LANES == 0:
                total = float32(0)
                for other in range(LANES):
                    total += lane_values[thread + other]
                warp_sums[thread // LANES * values + v] = total
            cuda.syncthreads()

    return Reduction(sum_over_warp, index_of, THREADS // LANES * values, values)
