"""CUDA kernels in Numba. X is read from memory once if the problem fits `cuda.one_pass`, else twice.

A call launches one kernel (`cuda.one_pass`) or three (`cuda.by_stages`) that compute slabs of the gradient, then
`merge`, which adds up the slabs. The host adds a few hundred partial sums of the loss in float64. Buffers are kept
between calls.

X stays on the device between calls. If it is too large, or if `prepare` is told to leave it on the host, each call
copies it to the device in chunks, while the device computes on earlier chunks.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench.losses.cuda import tiles as cuda_tiles
from lcbench.losses.cuda.backend import compiled_kernel, cuda, limits, require_device
from lcbench.losses.cuda.by_stages import STAGES, ByStages, Real, build_sum_over_block
from lcbench.losses.cuda.matrix import DeviceMatrix, HostMatrix, pieces, stride_of
from lcbench.losses.cuda.one_pass import OnePass
from lcbench.losses.implementation import LossName

MERGE_BLOCK = (32, 8)
"""Threads of a block of `merge`: (elements of a slab, shares of the slabs)."""

SHARE_OF_MEMORY = 0.9
"""Share of the free device memory that X may use; a larger X stays on the host. The rest is for slabs, W and dW."""

# Numba warns of small grids. Small inputs are measured on purpose.
warnings.filterwarnings("ignore", message="Grid size .* low occupancy")


@lru_cache(maxsize=8)
def build_merge(dtype: Any, lanes: int, warps: int) -> Any:
    """Return the kernel ``merge(slabs, W, columns, two_reg, dW, sums)`` in `dtype`.

    Its blocks have (lanes, warps) threads. lanes * warps must be a power of two.
    """
    LANES, WARPS, THREADS = lanes, warps, lanes * warps
    sum_over_block = build_sum_over_block()

    @compiled_kernel(dtype, lanes, warps)
    def merge(slabs: Any, W: Any, columns: int, two_reg: Any, dW: Any, sums: Any) -> None:
        r"""Compute dW (C, stride) = the sum of slabs (B, C, stride) + two_reg W, and sums[block] = sum(W * W).

        dW is zero from column `columns` on. A block computes LANES elements of dW. Its warps divide the slabs::

            warp 0   slab 0, WARPS, ...     \
            warp 1   slab 1, WARPS + 1, ...  > each its own sum; then warp 0 adds the sums in order
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


class LaunchPlan:
    """Kernels, their grids and the buffers between them on the device: everything that depends on shapes only.

    Allocating device memory waits for the device, so the buffers are kept between calls. A plan is used by one host
    thread.
    """

    def __init__(self, dtype: Real, pixels: bool, rows: int, features: int, classes: int) -> None:
        """Build the plan for at most `rows` rows of X (N, features) at a time, uint8 if `pixels`, else of `dtype`."""
        self.dtype, self.features, self.classes = dtype, features, classes
        stride, device = stride_of(features), limits()
        tile = cuda_tiles.one_pass_tile(features, classes, pixels, device) if dtype is np.float32 else None
        self.kernels: OnePass | ByStages
        if tile:
            self.kernels = OnePass(tile, cuda_tiles.resident_blocks(tile, device), rows, stride, classes, pixels)
        else:
            self.kernels = ByStages(dtype, rows, stride, classes, STAGES[dtype])
        lanes, warps = MERGE_BLOCK
        merge_blocks = pieces(classes * stride, lanes)
        self.merge = build_merge(dtype, lanes, warps)[merge_blocks, MERGE_BLOCK]
        self.sums = cuda.device_array(self.kernels.loss_count + merge_blocks, dtype)
        self.loss_sums = self.sums[: self.kernels.loss_count]
        self.square_sums = self.sums[self.kernels.loss_count :]
        self.sums_on_host = cuda.pinned_array(self.sums.shape, dtype)

    def run(
        self, loss: LossName, W: DeviceMatrix, X: DeviceMatrix | HostMatrix, y: Any, reg: float
    ) -> tuple[float, Any]:
        """Return the loss and dW (C, D), a new matrix on the device, for W (C, D), X (N, D) and y (N,).

        The device has finished when this returns.
        """
        dW = DeviceMatrix.empty(self.classes, self.features, self.dtype)
        self.queue(loss, W, X, y, reg, dW)
        self.sums.copy_to_host(self.sums_on_host)  # this waits for all the kernels
        sums, rows = self.sums_on_host.astype(np.float64), y.shape[0]
        return float(sums[: self.kernels.loss_count].sum() / rows + reg * sums[self.kernels.loss_count :].sum()), dW

    def queue(
        self, loss: LossName, W: DeviceMatrix, X: DeviceMatrix | HostMatrix, y: Any, reg: float, dW: DeviceMatrix
    ) -> None:
        """Queue the kernels that compute `dW` and the partial sums of the loss. If X is on the host, wait for them."""
        rows = y.shape[0]
        if isinstance(X, HostMatrix):

            def use(chunk: DeviceMatrix, start: int, stop: int, stream: Any) -> None:
                self.kernels.add(loss, W, chunk, y[start:stop], 1 / rows, start == 0, self.loss_sums, stream)

            X.for_each_chunk(use)
        else:
            self.kernels.add(loss, W, X, y, 1 / rows, True, self.loss_sums, 0)
        self.merge(self.kernels.slabs, W.grid, self.features, self.dtype(2 * reg), dW.grid, self.square_sums)


@lru_cache(maxsize=2)
def _plan(dtype: Real, pixels: bool, rows: int, features: int, classes: int, host_thread: int) -> LaunchPlan:
    return LaunchPlan(dtype, pixels, rows, features, classes)


def svm_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    """Return the multiclass hinge loss with margin 1 (Weston & Watkins, 1999) and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers in [0, C), each a host array or as returned by
    `prepare`. The loss is a float. dW (D, C) has W's dtype and is on the host or the device, as W is.

    Raise ValueError if the shapes do not match, Unavailable if there is no device.
    """
    return _loss("svm", W, X, y, reg)


def softmax_loss(W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    """Return the softmax cross-entropy loss and its gradient.

    W (D, C) float32 or float64, X (N, D) float or uint8, y (N,) integers in [0, C), each a host array or as returned by
    `prepare`. The loss is a float. dW (D, C) has W's dtype and is on the host or the device, as W is.

    Raise ValueError if the shapes do not match, Unavailable if there is no device.
    """
    return _loss("softmax", W, X, y, reg)


def prepare(W: Any, X: Any, y: Any, resident: bool | None = None) -> tuple[Any, Any, Any]:
    """Return W, X and y as the kernels take them. Arrays that are already prepared are returned unchanged.

    W becomes a transposed `DeviceMatrix` (C, D), and y int32 on the device. X becomes a `DeviceMatrix` (N, D) of W's
    dtype, or of uint8 (a quarter of the bytes of float32) if it is uint8. With resident=False, or if X does not fit the
    device, it becomes a `HostMatrix`, which leaves it in host memory and locks it there: do not change it.

    Raise ValueError if the shapes do not match or a label is outside [0, C), Unavailable if there is no device.
    """
    require_device()
    if not isinstance(W, DeviceMatrix):
        W = _weights(W)
    if not isinstance(X, DeviceMatrix | HostMatrix):
        X = _rows(X, W.dtype, resident)
    if X.dtype not in (W.dtype, np.uint8):
        raise ValueError(
            f"X is prepared as {X.dtype}, W as {W.dtype}: X must be as W is, or uint8; prepare both together"
        )
    features, classes = W.shape[::-1]
    if X.shape[1] != features:
        raise ValueError(
            f"X {X.shape} and W {(features, classes)} do not fit: X has {X.shape[1]} features, W {features}"
        )
    if not _on_device(y):
        y = _labels(y, classes)
    if y.shape != (X.shape[0],):
        raise ValueError(f"y must be ({X.shape[0]},), a label for each row of X, not {y.shape}")
    return W, X, y


def without_waiting(loss: LossName, W: Any, X: Any, y: Any, reg: float) -> Callable[[], None]:
    """Return a function that queues the kernels of a call and does not wait for them, for arrays of `prepare`.

    It is meant for measurements of the device: the loss is not read, and all its calls write to the same dW.
    """
    rows = X.chunk_rows if isinstance(X, HostMatrix) else X.shape[0]
    classes, features = W.shape
    plan = _plan(W.dtype.type, X.dtype == np.uint8, rows, features, classes, threading.get_ident())
    return partial(plan.queue, loss, W, X, y, reg, DeviceMatrix.empty(classes, features, W.dtype))


def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """Return the loss as a float and dW (D, C) as a NumPy array."""
    return float(loss), np.ascontiguousarray(dW.copy_to_host().T) if isinstance(dW, DeviceMatrix) else np.asarray(dW)


def _loss(loss: LossName, W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    from_host = not isinstance(W, DeviceMatrix)
    W, X, y = prepare(W, X, y)
    dtype: Real = W.dtype.type
    rows = X.chunk_rows if isinstance(X, HostMatrix) else X.shape[0]
    plan = _plan(dtype, X.dtype == np.uint8, rows, *W.shape[::-1], threading.get_ident())
    value, dW = plan.run(loss, W, X, y, reg)
    return fetch(value, dW) if from_host else (value, dW)


def _on_device(array: Any) -> bool:
    return hasattr(array, "copy_to_host")


def _weights(W: ArrayLike) -> DeviceMatrix:
    """Check W (D, C) and return it transposed on the device."""
    W = np.asarray(W)
    if W.dtype.type not in STAGES:
        raise ValueError(f"W must be float32 or float64, not {W.dtype}")
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"W must be (D, C) with D and C at least 1, not {W.shape}")
    features, classes = W.shape
    matrix = DeviceMatrix.empty(classes, features, W.dtype)
    padded = np.zeros(matrix.grid.shape, W.dtype)
    padded[:, :features] = W.T
    matrix.line.copy_to_device(padded.ravel())
    return matrix


def _rows(X: ArrayLike, dtype: np.dtype[Any], resident: bool | None) -> DeviceMatrix | HostMatrix:
    """Check X and return it on the device, or as a `HostMatrix`."""
    X = np.asarray(X)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must be (N, D) with N and D at least 1, not {X.shape}")
    X = np.ascontiguousarray(X, X.dtype if X.dtype == np.uint8 else dtype)
    if resident is None:
        resident = X.shape[0] * stride_of(X.shape[1]) * X.itemsize <= SHARE_OF_MEMORY * limits().free_memory
    return DeviceMatrix.copy_of(X) if resident else HostMatrix(X).pin()


def _labels(y: ArrayLike, classes: int) -> Any:
    """Check y and return it on the device as int32: kernels index by labels without a check."""
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must be integers, not {y.dtype}")
    outside = np.flatnonzero((y < 0) | (y >= classes))
    if outside.size:
        first = int(outside[0])
        raise ValueError(f"y[{first}] is {y.flat[first]}, outside [0, {classes}): W has {classes} classes")
    return cuda.to_device(np.ascontiguousarray(y, np.int32))
