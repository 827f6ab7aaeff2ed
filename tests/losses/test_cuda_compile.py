"""What can be read off the compiled kernels, for several architectures. No device is needed.

From PTX: no float64 arithmetic in float32 kernels, no arrays that fell out of registers into local memory, fused
multiply-adds where the work is, pixels read as bytes. From the linked machine code: no spills, and a block that fits
on a multiprocessor.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from lcbench.losses import numba_cuda
from lcbench.losses.cuda_backend import cuda, is_simulator
from lcbench.losses.numba_cuda import TILES, build_kernels

ARCHITECTURES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0)]
CIFAR_CLASSES = 10
MIXES = [(np.float32, np.float32), (np.float32, np.uint8), (np.float64, np.float64)]

STATIC_SHARED_MEMORY = 48 * 1024  # bytes a block
REGISTERS = 64 * 1024  # a multiprocessor, on every architecture here


def _compiler() -> tuple[frozenset[tuple[int, int]], str]:
    """The architectures that the installed compiler knows, and why there are none."""
    if is_simulator():
        return frozenset(), "Numba's simulator compiles nothing"
    try:
        nvrtc = importlib.import_module("numba.cuda.cudadrv.nvrtc")
        known = frozenset((int(major), int(minor)) for major, minor in nvrtc.get_supported_ccs())
        # the first use of NVVM tells whether it is there
        cuda.compile(lambda: None, "void()", cc=max(known), device=False, abi="numba", output="ptx")
    except Exception as error:  # each release has its own error for each missing library
        return frozenset(), f"no CUDA compiler, pip install 'numba-cuda[cu13]': {error!r}"
    return known, ""


KNOWN, WHY_NONE = _compiler()


def _skip_unless_known(architecture: tuple[int, int]) -> None:
    if WHY_NONE:
        pytest.skip(WHY_NONE)
    if architecture not in KNOWN:
        pytest.skip(f"this compiler does not know sm_{architecture[0]}{architecture[1]}")


@cache
def _ptx(kernel: str, dtype: Any, pixels: Any, classes: int, architecture: tuple[int, int]) -> str:
    from numba import from_dtype, int32, int64

    real, x = from_dtype(np.dtype(dtype)), from_dtype(np.dtype(pixels))
    arguments = {
        "scores": (x[:, ::1], real[:, ::1], real[:, ::1]),
        "svm_step": (real[:, ::1], int32[::1], real, real[::1]),
        "softmax_step": (real[:, ::1], int32[::1], real, real[::1]),
        "gradient_slabs": (x[:, ::1], real[:, ::1], int64, real[:, :, ::1]),
        "merge": (real[:, :, ::1], real[:, ::1], real, real[:, ::1], real[::1]),
    }
    function = getattr(build_kernels(dtype, TILES[dtype], classes), kernel).py_func
    ptx, _ = cuda.compile(function, arguments[kernel], cc=architecture, device=False, abi="numba", output="ptx")
    return str(ptx)


READING_X = ("scores", "gradient_slabs")
ALL = (*READING_X, "svm_step", "softmax_step", "merge")


def _kernels(pixels: Any) -> tuple[str, ...]:
    """The kernels whose code depends on the type of X, once the others were seen with a float X."""
    return READING_X if pixels is np.uint8 else ALL


@pytest.mark.parametrize(("dtype", "pixels"), MIXES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
def test_instructions(architecture: tuple[int, int], dtype: Any, pixels: Any) -> None:
    _skip_unless_known(architecture)
    for kernel in _kernels(pixels):
        ptx = _ptx(kernel, dtype, pixels, CIFAR_CLASSES, architecture)
        assert f"sm_{architecture[0]}{architecture[1]}" in ptx
        assert not re.search(r"^\s*\.local\b|\b(ld|st)\.local\b", ptx, re.MULTILINE), f"{kernel}: local memory"
        if dtype is np.float32:
            assert ".f64" not in ptx, f"{kernel}: float64 arithmetic"
        if kernel in READING_X:
            tiles = TILES[dtype]
            held = tiles.rows_per_warp if kernel == "scores" else tiles.columns_per_thread
            real = "f32" if dtype is np.float32 else "f64"
            multiply_adds = len(re.findall(rf"fma\.rn\.{real}", ptx))
            assert multiply_adds >= CIFAR_CLASSES * held, f"{kernel}: the tile is not unrolled"
            reads_bytes = re.search(r"\bld\.global(\.\w+)*\.[usb]8\b", ptx) is not None
            assert reads_bytes == (pixels is np.uint8), f"{kernel}: how X is read"


@pytest.mark.parametrize(("dtype", "pixels"), MIXES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("architecture", [(7, 5), (9, 0), (10, 0)], ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
def test_a_block_fits_and_nothing_spills(architecture: tuple[int, int], dtype: Any, pixels: Any) -> None:
    nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink")
    _skip_unless_known(architecture)
    tiles = TILES[dtype]
    threads = {
        "scores": tiles.lanes * tiles.score_warps,
        "gradient_slabs": tiles.lanes * tiles.gradient_warps,
        "svm_step": tiles.step_threads,
        "softmax_step": tiles.step_threads,
        "merge": tiles.lanes * tiles.merge_warps,
    }
    for kernel in _kernels(pixels):
        usage = _linked_usage(nvjitlink, _ptx(kernel, dtype, pixels, tiles.classes, architecture), architecture)
        assert usage["stack"] == usage["lmem"] == 0, f"{kernel}: {usage}"
        assert usage["smem"] <= STATIC_SHARED_MEMORY, f"{kernel}: {usage}"
        assert usage["registers"] * threads[kernel] <= REGISTERS, f"{kernel}: {usage}"


def _linked_usage(nvjitlink: Any, ptx: str, architecture: tuple[int, int]) -> dict[str, int]:
    """Registers a thread; bytes of stack, shared ("smem") and local memory ("lmem"), as the linker reports them."""
    options = [f"-arch=sm_{architecture[0]}{architecture[1]}", "-verbose"]
    linker = nvjitlink.create(len(options), options)
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, ptx.encode(), len(ptx), "kernel")
        nvjitlink.complete(linker)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    finally:
        nvjitlink.destroy(linker)
    found = re.findall(r"(\d+) (?:bytes )?(registers|stack|smem|lmem)", log.decode())
    return {"smem": 0} | {what: int(amount) for amount, what in found}


def test_every_kernel_is_compiled_here() -> None:
    assert set(ALL) == set(numba_cuda.Kernels.__dataclass_fields__)
