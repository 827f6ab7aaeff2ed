"""CUDA kernels in Numba. X is read from memory once where the problem fits `cuda.one_pass`, else twice.

Three launches at most between a call and its result, two in one pass: the gradient's slabs (`cuda.one_pass`, or
`cuda.by_stages`), their sum (`cuda.merge`); then a few hundred partial sums of the loss come to the host, and are added
up in float64. Buffers outlive the call.

X stays on the device from one call to the next. Where it is too large for that, or `prepare` is asked to leave it on
the host, each call passes it through the device in chunks, copied while others are computed with.
"""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench.losses.cuda import tiles as cuda_tiles
from lcbench.losses.cuda.backend import cuda, limits, require_device
from lcbench.losses.cuda.by_stages import STAGES, ByStages, DeviceMatrix, Feed, Real, pieces, stride_of
from lcbench.losses.cuda.one_pass import OnePass
from lcbench.losses.cuda.tiles import build_merge
from lcbench.losses.implementation import LossName

MERGE_BLOCK = (32, 8)
"""Threads of the last kernel's blocks: numbers of a slab, and shares of the slabs."""

SHARE_OF_MEMORY = 0.9
"""Of the free memory of a device: X beyond it stays on the host. The rest is for slabs, W and dW."""

# Small inputs make small grids. That is no news to a benchmark that reports their time.
warnings.filterwarnings("ignore", message="Grid size .* low occupancy")


class LaunchPlan:
    """All that depends on shapes only: the kernels, their grids, and the buffers between them on the device.

    Allocating on a device waits for it, so the buffers outlive the call. A plan serves one host thread.
    """

    def __init__(self, dtype: Real, pixels: bool, rows: int, features: int, classes: int) -> None:
        """For at most `rows` rows of X (N, features) at a time, uint8 where `pixels`, else of `dtype`."""
        self.dtype, self.features, self.classes = dtype, features, classes
        stride, device = stride_of(features), limits()
        tile = cuda_tiles.one_pass_tile(features, classes, pixels, device) if dtype is np.float32 else None
        self.slabs: OnePass | ByStages
        if tile:
            self.slabs = OnePass(tile, cuda_tiles.resident_blocks(tile, device), rows, stride, classes, pixels)
        else:
            self.slabs = ByStages(dtype, rows, stride, classes, STAGES[dtype])
        lanes, warps = MERGE_BLOCK
        merge_blocks = pieces(classes * stride, lanes)
        self.merge = build_merge(dtype, lanes, warps)[merge_blocks, MERGE_BLOCK]
        self.sums = cuda.device_array(self.slabs.loss_count + merge_blocks, dtype)
        self.loss_sums = self.sums[: self.slabs.loss_count]
        self.square_sums = self.sums[self.slabs.loss_count :]
        self.sums_on_host = cuda.pinned_array(self.sums.shape, dtype)

    def run(self, loss: LossName, W: DeviceMatrix, X: DeviceMatrix | Feed, y: Any, reg: float) -> tuple[float, Any]:
        """Loss and dW (C, D), a new matrix on the device, of W (C, D), X (N, D) and y (N,). Waits for the device."""
        rows = y.shape[0]
        if isinstance(X, Feed):

            def use(chunk: DeviceMatrix, start: int, stop: int, stream: Any) -> None:
                self.slabs.add(loss, W, chunk, y[start:stop], 1 / rows, start == 0, self.loss_sums, stream)

            X.each(use)
        else:
            self.slabs.add(loss, W, X, y, 1 / rows, True, self.loss_sums, 0)
        dW = DeviceMatrix.empty(self.classes, self.features, self.dtype)
        self.merge(self.slabs.slabs, W.grid, self.features, self.dtype(2 * reg), dW.grid, self.square_sums)
        self.sums.copy_to_host(self.sums_on_host)  # this waits for all the kernels
        sums = self.sums_on_host.astype(np.float64)
        return float(sums[: self.slabs.loss_count].sum() / rows + reg * sums[self.slabs.loss_count :].sum()), dW


@lru_cache(maxsize=2)
def _plan(dtype: Real, pixels: bool, rows: int, features: int, classes: int, host_thread: int) -> LaunchPlan:
    return LaunchPlan(dtype, pixels, rows, features, classes)


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


def prepare(W: Any, X: Any, y: Any, resident: bool | None = None) -> tuple[Any, Any, Any]:
    """W, X and y as the kernels take them; what is prepared already stays as it is.

    W becomes a `DeviceMatrix` (C, D), transposed, and y int32 on the device. X becomes W's dtype unless it is uint8,
    which stays (a quarter of float32's bytes), and a `DeviceMatrix` (N, D); with resident=False, and by itself where it
    does not fit the device, a `Feed`, which leaves it in host memory, locked there: do not change it meanwhile.
    Raises ValueError for arrays that do not fit and for a label outside [0, C), Unavailable where there is no device.
    """
    require_device()
    if not isinstance(W, DeviceMatrix):
        W = _weights(W)
    if not isinstance(X, DeviceMatrix | Feed):
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


def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
    """The loss as a float and dW (D, C) as a NumPy array."""
    return float(loss), np.ascontiguousarray(dW.copy_to_host().T) if isinstance(dW, DeviceMatrix) else np.asarray(dW)


def _loss(loss: LossName, W: Any, X: Any, y: Any, reg: float) -> tuple[float, Any]:
    from_host = not isinstance(W, DeviceMatrix)
    W, X, y = prepare(W, X, y)
    dtype: Real = W.dtype.type
    rows = X.chunk_rows if isinstance(X, Feed) else X.shape[0]
    plan = _plan(dtype, X.dtype == np.uint8, rows, *W.shape[::-1], threading.get_ident())
    value, dW = plan.run(loss, W, X, y, reg)
    return fetch(value, dW) if from_host else (value, dW)


def _on_device(array: Any) -> bool:
    return hasattr(array, "copy_to_host")


def _weights(W: ArrayLike) -> DeviceMatrix:
    """W (D, C) transposed on the device, checked."""
    W = np.asarray(W)
    if W.dtype.type not in STAGES:
        raise ValueError(f"W must be float32 or float64, not {W.dtype}")
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"W must be (D, C) with D and C at least 1, not {W.shape}")
    features, classes = W.shape
    made = DeviceMatrix.empty(classes, features, W.dtype)
    padded = np.zeros(made.grid.shape, W.dtype)
    padded[:, :features] = W.T
    made.line.copy_to_device(padded.ravel())
    return made


def _rows(X: ArrayLike, dtype: np.dtype[Any], resident: bool | None) -> DeviceMatrix | Feed:
    """X on the device, or on its way there in chunks, checked."""
    X = np.asarray(X)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must be (N, D) with N and D at least 1, not {X.shape}")
    X = np.ascontiguousarray(X, X.dtype if X.dtype == np.uint8 else dtype)
    if resident is None:
        resident = X.shape[0] * stride_of(X.shape[1]) * X.itemsize <= SHARE_OF_MEMORY * limits().free_memory
    return DeviceMatrix.copy_of(X) if resident else Feed(X).pin()


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
