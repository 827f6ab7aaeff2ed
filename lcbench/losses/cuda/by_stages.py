"""Matrices on the device, with rows that begin where wide accesses may, and X that stays on the host."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cuda.backend import cuda, is_simulator
from lcbench.losses.cuda.tiles import build_sum_over_block
from lcbench.losses.implementation import LossName

CHUNK_BYTES = 64 << 20
"""Rows on their way to the device at a time. Enough to hide what starting a copy and three kernels costs."""


def pieces(count: int, size: int) -> int:
    """How many pieces of `size` cover `count`."""
    return -(-count // size)


def stride_of(columns: int) -> int:
    """Columns that a row of `columns` takes in memory: zeros are added so that every row begins at a whole access.

    A multiple of 4 columns is what an access needs; of 32, what makes float32 rows whole cache lines as well, where it
    adds at most a few percent. It depends on the columns alone, so that X and W are laid out alike.
    """
    step = 32 if columns >= 512 else 4
    return pieces(columns, step) * step


@dataclass(frozen=True, eq=False)
class DeviceMatrix:
    """A matrix on the device, row after row.

    grid (rows, stride), line (rows * stride,): the same memory, contiguous, zero from `columns` on.
    """

    grid: Any
    line: Any
    columns: int

    @classmethod
    def empty(cls, rows: int, columns: int, dtype: Any) -> DeviceMatrix:
        """Of any content, the columns beyond the last included."""
        line = cuda.device_array(rows * stride_of(columns), dtype)
        return cls(line.reshape(rows, stride_of(columns)), line, columns)

    @classmethod
    def copy_of(cls, matrix: NDArray[Any]) -> DeviceMatrix:
        """`matrix` (rows, columns), copied in chunks: beside it, the device holds two chunks for the time being."""
        rows, columns = matrix.shape
        made = cls.empty(rows, columns, matrix.dtype)
        Feed(matrix).each(lambda *_: None, into=made)
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.grid.shape[0], self.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return np.dtype(self.grid.dtype)

    def copy_to_host(self) -> NDArray[Any]:
        """(rows, columns), a NumPy array."""
        host: NDArray[Any] = self.line.copy_to_host()
        return np.ascontiguousarray(host.reshape(self.grid.shape)[:, : self.columns])


Use = Callable[[DeviceMatrix, int, int, Any], None]
"""``(chunk, start, stop, stream)``: the chunk's first rows are rows start to stop; work on it goes to `stream`."""


class Feed:
    """X (N, D) in host memory, contiguous, that passes through the device in chunks of rows, as often as asked.

    While one chunk is computed with, the next is copied. Copies run at the bus's full rate where X is pinned (locked in
    memory), which `pin` does in place; where the system refuses that, they are slower and right all the same.

                      copying stream    copy 0   copy 1   copy 2 ...       two raw buffers in turn
                    computing stream             pad 0, use 0   pad 1, use 1 ...
    """

    def __init__(self, matrix: NDArray[Any], chunk_bytes: int | None = None) -> None:
        self.matrix = matrix
        rows, columns = matrix.shape
        self.chunk_rows = max(1, min(rows, (chunk_bytes or CHUNK_BYTES) // (columns * matrix.itemsize)))
        self._pinned = contextlib.ExitStack()
        self._raw: list[Any] = []
        self._padded: DeviceMatrix | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of X."""
        return self.matrix.dtype

    def pin(self) -> Feed:
        """Lock X in memory for as long as this lives, if the system lets us."""
        with contextlib.suppress(Exception):  # each backend has its own error for memory that cannot be locked
            self._pinned.enter_context(cuda.pinned(self.matrix))
        return self

    def each(self, use: Use, into: DeviceMatrix | None = None) -> None:
        """Call `use` for every chunk in turn, and wait until the device has finished with the last.

        into: where all the rows are kept; without it, they pass through a buffer of one chunk.
        """
        if not self._raw:
            self._raw = [cuda.device_array((self.chunk_rows, self.shape[1]), self.dtype) for _ in range(2)]
        if into is None and self._padded is None:
            self._padded = DeviceMatrix.empty(self.chunk_rows, self.shape[1], self.dtype)
        chunk = into or self._padded
        assert chunk is not None
        raw, threads = self._raw, 4 if is_simulator() else 256
        copying, computing = cuda.stream(), cuda.stream()
        copied, released = [cuda.event(), cuda.event()], [cuda.event(), cuda.event()]
        pad = build_pad()
        for i, start in enumerate(range(0, self.shape[0], self.chunk_rows)):
            stop = min(start + self.chunk_rows, self.shape[0])
            turn = i % 2
            if i >= 2:
                released[turn].wait(copying)
            raw[turn][: stop - start].copy_to_device(self.matrix[start:stop], stream=copying)
            copied[turn].record(copying)
            copied[turn].wait(computing)
            at = start if into is not None else 0
            pad[min(stop - start, 4096), threads, computing](raw[turn], stop - start, chunk.grid, at)
            released[turn].record(computing)
            use(chunk, start, stop, computing)
        computing.synchronize()


@lru_cache(maxsize=1)
def build_pad() -> Any:
    """The kernel ``pad(raw, rows, padded, at)``: padded[at : at + rows] = the first rows of raw, and zeros beyond."""

    @cuda.jit
    def pad(raw: Any, rows: int, padded: Any, at: int) -> None:
        columns = raw.shape[1]
        for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            for column in range(cuda.threadIdx.x, padded.shape[1], cuda.blockDim.x):
                if column < columns:
                    padded[at + row, column] = raw[row, column]
                else:
                    padded[at + row, column] = 0

    return pad


# Scores, row step and gradient as three kernels, for what `one_pass` does not hold: float64, many classes.
#
# X (N, D) is read twice, by the first kernel and by the third; everything between them is small::
#
#     X (N, D), W (C, D) --scores--> S (C, N) --row step--> dS (C, N), in place  and a partial sum of the loss a block
#     X (N, D), dS (C, N) --gradient slabs--> a slab (C, D) for each chunk of rows
#
# Scores lie class by class, so that threads that own neighbouring rows touch neighbouring numbers whatever C is. Every
# sum has a fixed order and no number has two writers: the same input on the same device gives the same bits.
#
# Chunks of rows that stay in the L2 cache from the first kernel to the third would read memory once, too; but they
# would have to be so small (25 MB) that launching three kernels for each takes longer than reading it again.
#
# float32 kernels hold no float64 arithmetic: literals are wrapped in the dtype, since a bare one would promote. The
# partial sums, a few hundred, are added up in float64 on the host.
#
# One source serves the device and the simulator, which has no warp operations: threads meet in shared memory only.

Real = Any
"""np.float32 or np.float64: the type itself, with which kernels convert."""


@dataclass(frozen=True)
class Stages:
    """How much one thread block holds, kernel by kernel. Tests shrink it, so that tiny inputs span several blocks.

    A block's threads are `lanes` side by side (a warp, on the device) times a number of warps.

    score_warps, rows_per_warp: of the scores kernel, whose block so takes `score_warps * rows_per_warp` rows.
    features: rows of W that it keeps in shared memory at a time. A multiple of `lanes`.
    step_threads: the row step's, one a row. A power of two.
    gradient_warps, columns_per_thread: that many times `lanes` columns of X in a block of the gradient kernel.
    rows_in_flight: rows whose loads that kernel issues together. It divides `lanes`.
    classes: the most that a thread holds in registers; with more classes, blocks share them out evenly.
    blocks_wanted: the gradient is cut into as many chunks of rows as make about so many blocks.
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
        """Rows in a block of the scores kernel."""
        return self.score_warps * self.rows_per_warp

    @property
    def columns(self) -> int:
        """Columns in a block of the gradient kernel."""
        return self.lanes * self.gradient_warps * self.columns_per_thread


STAGES: dict[Real, Stages] = {
    np.float32: Stages(),
    # half the rows, the same registers
    np.float64: Stages(rows_per_warp=2),
}


@dataclass(frozen=True)
class Kernels:
    """The kernels for one dtype and one number of classes a thread, `merge` apart."""

    scores: Any
    svm_step: Any
    softmax_step: Any
    gradient_slabs: Any


@lru_cache(maxsize=16)
def build_kernels(dtype: Real, stages: Stages, classes: int) -> Kernels:
    """Kernels that compute in `dtype` (np.float32 or np.float64) with `classes` classes a thread.

    X may be of `dtype` or uint8: each kernel compiles on its first launch with either. Sizes are constants to the
    compiler, so that a thread's own tile (`cuda.local.array`) is unrolled into registers.
    """
    LANES, LANES_PADDED = stages.lanes, stages.lanes + 1  # an odd stride: a column spreads over the memory banks
    SCORE_WARPS, ROWS_PER_WARP, FEATURES = stages.score_warps, stages.rows_per_warp, stages.features
    STEP_THREADS = stages.step_threads
    GRADIENT_WARPS, GRADIENT_THREADS = stages.gradient_warps, stages.gradient_warps * LANES
    COLUMNS, COLUMNS_PER_THREAD = stages.columns, stages.columns_per_thread
    ROWS_IN_FLIGHT = stages.rows_in_flight
    CLASSES = classes

    @cuda.jit
    def scores(X: Any, W: Any, rows: int, S: Any) -> None:
        """S (C, N) = W X^T, for X (N, D) and W (C, D).

        Each warp takes ROWS_PER_WARP rows of X and CLASSES classes, and walks along the features, LANES at a time::

                            LANES                           FEATURES
                        +------------+                +------+------+-----+
            ROWS_PER_   |  X, straight to      CLASSES|  w_tile, shared   |    for the block, FEATURES at a time
            WARP        |  registers |                |  by the warps     |
                        +------------+                +------+------+-----+

        A lane holds ROWS_PER_WARP x CLASSES sums in registers, over every LANES-th feature. At the end the sums of the
        lanes meet in shared memory, a row at a time, where lane c adds them up for class c.
        """
        w_tile = cuda.shared.array((CLASSES, FEATURES), dtype)
        lane_sums = cuda.shared.array((SCORE_WARPS, CLASSES, LANES_PADDED), dtype)
        held = cuda.local.array((ROWS_PER_WARP, CLASSES), dtype)
        x = cuda.local.array(ROWS_PER_WARP, dtype)

        lane = cuda.threadIdx.x
        warp = cuda.threadIdx.y
        # blocks that share rows are neighbours, so that they find X in L2
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
                        x[r] = dtype(X[min(first_row + r, last_row), feature])  # a row beyond the last is not stored
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

    @cuda.jit
    def svm_step(S: Any, y: Any, one_over_rows: Any, anew: Any, sums: Any) -> None:
        """Scores S (C, N) become their gradients in place; sums[block] is the rows' hinge loss; `anew` 0: grows by it.

        A thread walks down the classes of its own row::

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
            if anew:
                sums[cuda.blockIdx.x] = block_losses[0]
            else:
                sums[cuda.blockIdx.x] += block_losses[0]

    @cuda.jit
    def softmax_step(S: Any, y: Any, one_over_rows: Any, anew: Any, sums: Any) -> None:
        """Scores S (C, N) become their gradients in place; sums[block] is the rows' loss; `anew` 0: grows by it.

        A thread walks down the classes of its own row three times: for the highest score; for the exponentials, kept
        in place, and their sum; for the gradient (p - [c = y]) / N.
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
            if anew:
                sums[cuda.blockIdx.x] = block_losses[0]
            else:
                sums[cuda.blockIdx.x] += block_losses[0]

    @cuda.jit
    def gradient_slabs(X: Any, dS: Any, rows: int, rows_per_chunk: int, anew: Any, slabs: Any) -> None:
        """slabs[chunk] (C, D) = dS X over one chunk of rows; where `anew` is 0, added to what is there.

        A block takes COLUMNS columns of X, CLASSES classes and one chunk, and stages dscores LANES rows at a time::

                                    COLUMNS                                         CLASSES
                         +-----------------------------+                         +---------+
            the chunk's  |  X, straight to registers:  |                  LANES  | ds_tile |    in shared memory
            rows         |  one thread uses a number   |                         +---------+
                         +-----------------------------+

        Each thread holds COLUMNS_PER_THREAD x CLASSES sums in registers while the rows stream by; ds_tile is a
        broadcast to all. Beyond the last row and the last column the last one is read again, which needs no branch:
        such a row meets a dscore of zero, such a column is not stored.
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
                    if anew:
                        slabs[cuda.blockIdx.z, first_class + c, column] = held[j, c]
                    else:
                        slabs[cuda.blockIdx.z, first_class + c, column] += held[j, c]

    return Kernels(scores, svm_step, softmax_step, gradient_slabs)


class ByStages:
    """The three kernels with their grids and the buffers between them, for at most `rows` rows at a time.

    slabs (chunks, C, stride) and losses: what `add` has gathered, for `merge`.
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
        anew: bool,
        losses: Any,
        stream: Any,
    ) -> None:
        """Add the rows that y (n,) counts, the first of X, to the slabs and to losses; `anew` starts both from nothing.

        scale: 1 / (rows in all). Returns at once: the work is on `stream`.
        """
        stages, kernels, dtype, rows = self.stages, self.kernels, self.dtype, y.shape[0]
        step = kernels.svm_step if loss == "svm" else kernels.softmax_step
        score_blocks = pieces(rows, stages.rows) * self.class_blocks
        kernels.scores[score_blocks, (stages.lanes, stages.score_warps), stream](X.grid, W.grid, rows, self.scores)
        step[self.step_blocks, stages.step_threads, stream](self.scores, y, dtype(scale), int(anew), losses)
        grid = (self.column_blocks, self.class_blocks, self.slabs.shape[0])
        kernels.gradient_slabs[grid, (stages.lanes, stages.gradient_warps), stream](
            X.grid, self.scores, rows, self.rows_per_chunk, int(anew), self.slabs
        )
