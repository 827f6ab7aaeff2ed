"""CUDA kernels in Numba: scores, row step, gradient slabs, and their sum.

X (N, D) is read twice, by the first kernel and by the third; everything between them is small::

    X (N, D), W (D, C) --scores--> S (C, N) --row step--> dS (C, N), in place     and a partial sum of the loss a block
    X (N, D), dS (C, N) --gradient slabs--> a slab (C, D) for each chunk of rows
    slabs, W --merge--> dW (D, C)                                                 and a partial sum of W * W a block

Scores lie class by class, so that threads that own neighbouring rows touch neighbouring numbers whatever C is. Every
sum has a fixed order and no number has two writers: the same input on the same device gives the same bits.

float32 kernels hold no float64 arithmetic: literals are wrapped in the dtype, since a bare one would promote. The
partial sums, a few hundred, are added up in float64 on the host.

One source serves the device and the simulator, which has no warp operations: threads meet in shared memory only.
"""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench.losses.cuda_backend import cuda, require_device
from lcbench.losses.implementation import LossName

Real = Any
"""np.float32 or np.float64: the type itself, with which kernels convert."""

# Small inputs make small grids. That is no news to a benchmark that reports their time.
warnings.filterwarnings("ignore", message="Grid size .* low occupancy")


@dataclass(frozen=True)
class Tiles:
    """How much one thread block holds, kernel by kernel. Tests shrink it, so that tiny inputs span several blocks.

    A block's threads are `lanes` side by side (a warp, on the device) times a number of warps.

    score_warps, rows_per_warp: of the scores kernel, whose block so takes `score_warps * rows_per_warp` rows.
    features: rows of W that it keeps in shared memory at a time. A multiple of `lanes`.
    step_threads: the row step's, one a row. A power of two.
    gradient_warps, columns_per_thread: that many times `lanes` columns of X in a block of the gradient kernel.
    rows_in_flight: rows whose loads that kernel issues together. It divides `lanes`.
    merge_warps: share out the slabs. `lanes * merge_warps` is a power of two.
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
    merge_warps: int = 8
    classes: int = 16
    blocks_wanted: int = 2048

    def __post_init__(self) -> None:
        for threads in (self.step_threads, self.lanes * self.merge_warps):
            if threads & (threads - 1):
                raise ValueError(f"sums by halves need a power of two of threads, not {threads}")
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


TILES: dict[Real, Tiles] = {
    np.float32: Tiles(),
    # half the rows, the same registers
    np.float64: Tiles(rows_per_warp=2),
}


@dataclass(frozen=True)
class Kernels:
    """The kernels for one dtype and one number of classes a thread."""

    scores: Any
    svm_step: Any
    softmax_step: Any
    gradient_slabs: Any
    merge: Any


@lru_cache(maxsize=16)
def build_kernels(dtype: Real, tiles: Tiles, classes: int) -> Kernels:
    """Kernels that compute in `dtype` (np.float32 or np.float64) with `classes` classes a thread.

    X may be of `dtype` or uint8: each kernel compiles on its first launch with either. Sizes are constants to the
    compiler, so that a thread's own tile (`cuda.local.array`) is unrolled into registers.
    """
    LANES, LANES_PADDED = tiles.lanes, tiles.lanes + 1  # an odd stride: a column spreads over the memory banks
    SCORE_WARPS, ROWS_PER_WARP, FEATURES = tiles.score_warps, tiles.rows_per_warp, tiles.features
    STEP_THREADS = tiles.step_threads
    GRADIENT_WARPS, GRADIENT_THREADS = tiles.gradient_warps, tiles.gradient_warps * LANES
    COLUMNS, COLUMNS_PER_THREAD = tiles.columns, tiles.columns_per_thread
    ROWS_IN_FLIGHT = tiles.rows_in_flight
    MERGE_WARPS, MERGE_THREADS = tiles.merge_warps, tiles.merge_warps * LANES
    CLASSES = classes

    @cuda.jit
    def scores(X: Any, W: Any, S: Any) -> None:
        """S (C, N) = (X W)^T.

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
        class_blocks = (W.shape[1] + CLASSES - 1) // CLASSES
        first_row = (cuda.blockIdx.x // class_blocks * SCORE_WARPS + warp) * ROWS_PER_WARP
        first_class = cuda.blockIdx.x % class_blocks * CLASSES
        last_row = X.shape[0] - 1

        for r in range(ROWS_PER_WARP):
            for c in range(CLASSES):
                held[r, c] = dtype(0)

        for first_feature in range(0, X.shape[1], FEATURES):
            for c in range(warp, CLASSES, SCORE_WARPS):
                for k in range(0, FEATURES, LANES):
                    w = dtype(0)
                    if first_feature + k + lane < W.shape[0] and first_class + c < W.shape[1]:
                        w = W[first_feature + k + lane, first_class + c]
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
                if first_class + c < S.shape[0] and first_row + r < S.shape[1]:
                    score = dtype(0)
                    for other in range(LANES):
                        score += lane_sums[warp, c, other]
                    S[first_class + c, first_row + r] = score
            cuda.syncthreads()

    @cuda.jit(device=True, inline="always")  # called as a function, it could be compiled with a device at hand only
    def sum_over_block(values: Any, thread: int, threads: int) -> None:
        """values[0] = sum(values), in shared memory, one a thread, by halves. All threads of the block must call it."""
        half = threads // 2
        cuda.syncthreads()
        while half > 0:
            if thread < half:
                values[thread] += values[thread + half]
            cuda.syncthreads()
            half //= 2

    @cuda.jit
    def svm_step(S: Any, y: Any, one_over_rows: Any, sums: Any) -> None:
        """Scores S (C, N) become their gradients in place; sums[block] is the hinge loss of the block's rows.

        A thread walks down the classes of its own row::

                     threads ->
            class 0  s s s s s s        margin = s - s_y + 1, counted where it is > 0
            class 1  s s s s s s        dS = 1/N there, and -count/N at the true class
        """
        block_losses = cuda.shared.array(STEP_THREADS, dtype)
        thread = cuda.threadIdx.x
        row = cuda.blockIdx.x * STEP_THREADS + thread
        loss = dtype(0)
        if row < S.shape[1]:
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
            sums[cuda.blockIdx.x] = block_losses[0]

    @cuda.jit
    def softmax_step(S: Any, y: Any, one_over_rows: Any, sums: Any) -> None:
        """Scores S (C, N) become their gradients in place; sums[block] is the cross-entropy of the block's rows.

        A thread walks down the classes of its own row three times: for the highest score; for the exponentials, kept
        in place, and their sum; for the gradient (p - [c = y]) / N.
        """
        block_losses = cuda.shared.array(STEP_THREADS, dtype)
        thread = cuda.threadIdx.x
        row = cuda.blockIdx.x * STEP_THREADS + thread
        loss = dtype(0)
        if row < S.shape[1]:
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
            sums[cuda.blockIdx.x] = block_losses[0]

    @cuda.jit
    def gradient_slabs(X: Any, dS: Any, rows_per_chunk: int, slabs: Any) -> None:
        """slabs[chunk] (C, D) = dS X over one chunk of rows.

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
        end_row = min(first_row + rows_per_chunk, X.shape[0])
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
                    slabs[cuda.blockIdx.z, first_class + c, column] = held[j, c]

    @cuda.jit
    def merge(slabs: Any, W: Any, two_reg: Any, dW: Any, sums: Any) -> None:
        """dW (D, C) = the slabs' sum, transposed, + 2 reg W; sums[block] is the sum of W * W over the block's elements.

        A block takes LANES numbers of a slab (C, D), read as one line, and its warps share out the slabs::

            warp 0   slab 0, MERGE_WARPS, ...     \\
            warp 1   slab 1, MERGE_WARPS + 1, ...  > each its own sum; then warp 0 adds them, one after the other
            ...                                   /
        """
        partial = cuda.shared.array((MERGE_WARPS, LANES), dtype)
        squares = cuda.shared.array(MERGE_THREADS, dtype)
        lane = cuda.threadIdx.x
        warp = cuda.threadIdx.y
        at = cuda.blockIdx.x * LANES + lane
        class_ = at // dW.shape[0]
        feature = at % dW.shape[0]

        total = dtype(0)
        if class_ < dW.shape[1]:
            for slab in range(warp, slabs.shape[0], MERGE_WARPS):
                total += slabs[slab, class_, feature]
        partial[warp, lane] = total
        cuda.syncthreads()

        square = dtype(0)
        if warp == 0 and class_ < dW.shape[1]:
            for other in range(1, MERGE_WARPS):
                total += partial[other, lane]
            w = W[feature, class_]
            dW[feature, class_] = total + two_reg * w
            square = w * w
        thread = warp * LANES + lane
        squares[thread] = square
        sum_over_block(squares, thread, MERGE_THREADS)
        if thread == 0:
            sums[cuda.blockIdx.x] = squares[0]

    return Kernels(scores, svm_step, softmax_step, gradient_slabs, merge)


class Plan:
    """All that depends on shapes only: the kernels, their grids, and the buffers between them on the device.

    Allocating on a device waits for it, so the buffers outlive the call. A plan serves one host thread.
    """

    def __init__(self, dtype: Real, rows: int, features: int, classes: int, tiles: Tiles) -> None:
        self.dtype, self.rows, self.features, self.classes = dtype, rows, features, classes
        self.tiles = tiles
        self.class_blocks = _ceil(classes, tiles.classes)
        self.kernels = build_kernels(dtype, tiles, _ceil(classes, self.class_blocks))

        self.score_blocks = _ceil(rows, tiles.rows) * self.class_blocks
        self.step_blocks = _ceil(rows, tiles.step_threads)
        self.column_blocks = _ceil(features, tiles.columns)
        chunks = min(_ceil(tiles.blocks_wanted, self.column_blocks * self.class_blocks), _ceil(rows, tiles.lanes))
        self.rows_per_chunk = _ceil(rows, chunks)
        self.chunks = _ceil(rows, self.rows_per_chunk)
        self.merge_blocks = _ceil(features * classes, tiles.lanes)

        self.scores = cuda.device_array((classes, rows), dtype)
        self.slabs = cuda.device_array((self.chunks, classes, features), dtype)
        self.sums = cuda.device_array(self.step_blocks + self.merge_blocks, dtype)
        self.loss_sums = self.sums[: self.step_blocks]
        self.square_sums = self.sums[self.step_blocks :]

    def run(self, loss: LossName, W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
        """Loss and dW (D, C) of device arrays; dW a new device array. Waits for the device."""
        tiles, kernels, dtype = self.tiles, self.kernels, self.dtype
        step = kernels.svm_step if loss == "svm" else kernels.softmax_step
        dW = cuda.device_array((self.features, self.classes), dtype)
        kernels.scores[self.score_blocks, (tiles.lanes, tiles.score_warps)](X, W, self.scores)
        step[self.step_blocks, tiles.step_threads](self.scores, y, dtype(1 / self.rows), self.loss_sums)
        kernels.gradient_slabs[
            (self.column_blocks, self.class_blocks, self.chunks), (tiles.lanes, tiles.gradient_warps)
        ](X, self.scores, self.rows_per_chunk, self.slabs)
        kernels.merge[self.merge_blocks, (tiles.lanes, tiles.merge_warps)](
            self.slabs, W, dtype(2 * reg), dW, self.square_sums
        )
        sums = self.sums.copy_to_host().astype(np.float64)  # this waits for all the kernels
        data_loss = sums[: self.step_blocks].sum() / self.rows
        return float(data_loss + reg * sums[self.step_blocks :].sum()), dW


@lru_cache(maxsize=2)
def _plan(dtype: Real, rows: int, features: int, classes: int, tiles: Tiles, host_thread: int) -> Plan:
    return Plan(dtype, rows, features, classes, tiles)


def _ceil(count: int, size: int) -> int:
    """How many pieces of `size` cover `count`."""
    return -(-count // size)


def svm_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    """Multiclass hinge loss, margin 1 (Weston & Watkins, 1999), and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers in [0, C), each a host array or as `prepare`
    returns it. Returns the loss, a float, and dW (D, C) of W's dtype: where W came from, on the host or the device.
    Raises ValueError for arrays that do not fit, Unavailable where there is no device.
    """
    return _loss("svm", W, X, y, reg)


def softmax_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    """Softmax cross-entropy loss and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers in [0, C), each a host array or as `prepare`
    returns it. Returns the loss, a float, and dW (D, C) of W's dtype: where W came from, on the host or the device.
    Raises ValueError for arrays that do not fit, Unavailable where there is no device.
    """
    return _loss("softmax", W, X, y, reg)


def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
    """W, X and y as contiguous arrays on the device; what is there already stays as it is.

    X becomes W's dtype unless it is uint8, which stays (a quarter of float32's bytes); y becomes int32.
    Raises ValueError for arrays that do not fit and for a label outside [0, C), Unavailable where there is no device.
    """
    require_device()
    if not _on_device(W):
        W = _weights(W)
    dtype = np.dtype(W.dtype)
    if not _on_device(X):
        X = np.asarray(X)
        if X.ndim != 2 or X.size == 0:
            raise ValueError(f"X must be (N, D) with N and D at least 1, not {X.shape}")
        X = cuda.to_device(np.ascontiguousarray(X, X.dtype if X.dtype == np.uint8 else dtype))
    if X.dtype not in (dtype, np.uint8):
        raise ValueError(f"X on the device must be {dtype} as W is, or uint8, not {X.dtype}: prepare both together")
    if X.shape[1] != W.shape[0]:
        raise ValueError(f"X {X.shape} and W {W.shape} do not fit: X has {X.shape[1]} features, W {W.shape[0]}")
    if not _on_device(y):
        y = _labels(y, classes=W.shape[1])
    if y.shape != (X.shape[0],):
        raise ValueError(f"y must be ({X.shape[0]},), a label for each row of X, not {y.shape}")
    return W, X, y


def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """The loss as a float and dW as a NumPy array."""
    return float(loss), dW.copy_to_host() if _on_device(dW) else np.asarray(dW)


def _loss(loss: LossName, W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    from_host = not _on_device(W)
    W, X, y = prepare(W, X, y)
    dtype: Real = np.dtype(W.dtype).type
    plan = _plan(dtype, *X.shape, W.shape[1], TILES[dtype], threading.get_ident())
    value, dW = plan.run(loss, W, X, y, reg)
    return (value, dW.copy_to_host()) if from_host else (value, dW)


def _on_device(array: Any) -> bool:
    return hasattr(array, "copy_to_host")


def _weights(W: ArrayLike) -> Any:
    """W on the device, checked."""
    W = np.asarray(W)
    if W.dtype.type not in TILES:
        raise ValueError(f"W must be float32 or float64, not {W.dtype}")
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"W must be (D, C) with D and C at least 1, not {W.shape}")
    return cuda.to_device(np.ascontiguousarray(W, W.dtype.type))


def _labels(y: ArrayLike, classes: int) -> Any:
    """y on the device as int32, checked: a kernel must never index by a label that is no class."""
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must be integers, not {y.dtype}")
    outside = np.flatnonzero((y < 0) | (y >= classes))
    if outside.size:
        first = int(outside[0])
        raise ValueError(f"y[{first}] is {y.flat[first]}, outside [0, {classes}): W has {classes} classes")
    return cuda.to_device(np.ascontiguousarray(y, np.int32))
