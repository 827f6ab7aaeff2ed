"""Which CUDA kernels there are to inspect, and how they are launched. The one place that knows them by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lcbench.measure.machine_code.occupancy import REGISTERS, Architecture

FEATURES = 3073
"""CIFAR-10's with the ones column. Tiles are chosen by it."""


@dataclass(frozen=True)
class KernelToInspect:
    """A kernel, the types of its arguments, and how many threads a block is launched with."""

    name: str
    kernel: Any
    signature: tuple[Any, ...]
    threads: int


def kernels_to_inspect(architecture: Architecture, dtype: str, classes: int, pixels: bool) -> list[KernelToInspect]:
    """The kernels that numba-cuda would launch on a GPU of `architecture`, which need not be there.

    They compute in `dtype` for so many classes, with X of uint8 where `pixels`.
    """
    from numba import from_dtype, int32, int64

    from lcbench.losses import numba_cuda
    from lcbench.losses.cuda import tiles as cuda_tiles
    from lcbench.losses.cuda.backend import Limits
    from lcbench.losses.cuda.by_stages import STAGES, build_kernels
    from lcbench.losses.cuda.matrix import pieces, stride_of
    from lcbench.losses.cuda.merge import build_merge
    from lcbench.losses.cuda.one_pass import build_kernel

    scalar: Any = np.dtype(dtype).type
    real, y = from_dtype(np.dtype(dtype)), int32[::1]
    x = from_dtype(np.dtype(np.uint8)) if pixels else real
    slabs, sums = real[:, :, ::1], real[::1]
    device = Limits(architecture, registers_a_block=REGISTERS, registers_a_multiprocessor=REGISTERS)
    tile = cuda_tiles.one_pass_tile(FEATURES, classes, pixels, device) if dtype == "float32" else None
    if tile:
        one_pass = (x[::1], real[::1], y, real, int64, slabs, sums)
        found = [
            KernelToInspect(
                f"one_pass {loss}",
                build_kernel(loss, tile, classes, stride_of(FEATURES), pixels),
                one_pass,
                tile.threads,
            )
            for loss in ("svm", "softmax")
        ]
    else:
        stages = STAGES[scalar]
        kernels = build_kernels(scalar, stages, pieces(classes, pieces(classes, stages.classes)))
        X, matrix = x[:, ::1], real[:, ::1]
        step = (matrix, y, real, int64, sums)
        gradient = (X, matrix, int64, int64, int64, slabs)
        found = [
            KernelToInspect("scores", kernels.scores, (X, matrix, int64, matrix), stages.lanes * stages.score_warps),
            KernelToInspect("svm_step", kernels.svm_step, step, stages.step_threads),
            KernelToInspect("softmax_step", kernels.softmax_step, step, stages.step_threads),
            KernelToInspect("gradient_slabs", kernels.gradient_slabs, gradient, stages.lanes * stages.gradient_warps),
        ]
    lanes, warps = numba_cuda.MERGE_BLOCK
    merge = build_merge(scalar, lanes, warps)
    return [
        *found,
        KernelToInspect("merge", merge, (slabs, real[:, ::1], int64, real, real[:, ::1], sums), lanes * warps),
    ]
