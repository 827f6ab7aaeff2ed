"""Properties of the compiled kernels for several architectures. No device is needed.

PTX: no float64 arithmetic in float32 kernels, no arrays in local memory, unrolled fused multiply-adds, wide accesses to
X and W, pixels read as bytes. Linked machine code: no spills, and a block fits on a multiprocessor.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lcbench.losses.cuda import by_stages as cuda_by_stages
from lcbench.losses.cuda import one_pass as cuda_one_pass
from lcbench.losses.cuda import tiles as cuda_tiles
from lcbench.losses.cuda.backend import DeviceLimits, cuda, is_simulator
from lcbench.losses.cuda.by_stages import STAGES, build_kernels
from lcbench.losses.cuda.matrix import build_pad, stride_of
from lcbench.losses.numba_cuda import MERGE_BLOCK, build_merge

ARCHITECTURES = [
    (9, 0),
    *(pytest.param(other, marks=pytest.mark.nightly) for other in [(7, 5), (8, 0), (8, 6), (8, 9), (10, 0)]),
]
CIFAR_FEATURES, CIFAR_CLASSES = 3073, 10
MIXES = [(np.float32, np.float32), (np.float32, np.uint8), (np.float64, np.float64)]

STATIC_SHARED_MEMORY = 48 * 1024  # bytes per block
REGISTERS = 64 * 1024  # per multiprocessor, for every architecture here
MAX_SPILLED = 64
"""Bytes per thread that the one-pass kernel may spill: values that do not change from tile to tile."""


def _compiler() -> tuple[frozenset[tuple[int, int]], str]:
    """Return the architectures that the installed compiler supports, or why there are none."""
    if is_simulator():
        return frozenset(), "Numba's simulator compiles nothing"
    try:
        nvrtc = importlib.import_module("numba.cuda.cudadrv.nvrtc")
        known = frozenset((int(major), int(minor)) for major, minor in nvrtc.get_supported_ccs())
        # the first use of NVVM raises if it is missing
        cuda.compile(lambda: None, "void()", cc=max(known), device=False, abi="numba", output="ptx")
    except Exception as error:  # the error depends on the release and on the missing library
        return frozenset(), f"no CUDA compiler, pip install 'numba-cuda[cu13]': {error!r}"
    return known, ""


SUPPORTED, REASON = _compiler()


def _skip_unless_supported(architecture: tuple[int, int]) -> None:
    if REASON:
        pytest.skip(REASON)
    if architecture not in SUPPORTED:
        pytest.skip(f"this compiler does not support sm_{architecture[0]}{architecture[1]}")


def _compile(function: Any, arguments: tuple[Any, ...], architecture: tuple[int, int]) -> str:
    ptx, _ = cuda.compile(function.py_func, arguments, cc=architecture, device=False, abi="numba", output="ptx")
    return str(ptx)


@cache
def _ptx(kernel: str, dtype: Any, pixels: Any, classes: int, architecture: tuple[int, int]) -> str:
    from numba import from_dtype, int32, int64

    real, x = from_dtype(np.dtype(dtype)), from_dtype(np.dtype(pixels))
    arguments = {
        "scores": (x[:, ::1], real[:, ::1], int64, real[:, ::1]),
        "svm_step": (real[:, ::1], int32[::1], real, int64, real[::1]),
        "softmax_step": (real[:, ::1], int32[::1], real, int64, real[::1]),
        "gradient_slabs": (x[:, ::1], real[:, ::1], int64, int64, int64, real[:, :, ::1]),
        "merge": (real[:, :, ::1], real[:, ::1], int64, real, real[:, ::1], real[::1]),
        "pad": (x[:, ::1], int64, x[:, ::1], int64),
    }
    if kernel == "merge":
        function = build_merge(dtype, *MERGE_BLOCK)
    elif kernel == "pad":
        function = build_pad()
    else:
        function = getattr(build_kernels(dtype, STAGES[dtype], classes), kernel)
    return _compile(function, arguments[kernel], architecture)


def _one_pass_tile(pixels: Any, architecture: tuple[int, int]) -> cuda_tiles.Tile:
    device = DeviceLimits(compute_capability=architecture)
    tile = cuda_tiles.one_pass_tile(CIFAR_FEATURES, CIFAR_CLASSES, pixels is np.uint8, device)
    assert tile, "CIFAR-10 is computed in one pass"
    return tile


def _one_pass(loss: Any, pixels: Any, architecture: tuple[int, int]) -> tuple[Any, tuple[Any, ...]]:
    """Return the kernel and the types of its arguments."""
    from numba import float32, from_dtype, int32, int64

    tile, x = _one_pass_tile(pixels, architecture), from_dtype(np.dtype(pixels))
    kernel = cuda_one_pass.build_kernel(loss, tile, CIFAR_CLASSES, stride_of(CIFAR_FEATURES), pixels is np.uint8)
    arguments = (x[::1], float32[::1], int32[::1], float32, int64, float32[:, :, ::1], float32[::1])
    return kernel, arguments


@cache
def _one_pass_ptx(loss: Any, pixels: Any, architecture: tuple[int, int]) -> str:
    return _compile(*_one_pass(loss, pixels, architecture), architecture)


LOCAL_MEMORY = re.compile(r"^\s*\.local\b|\b(ld|st)\.local\b", re.MULTILINE)

READING_X = ("scores", "gradient_slabs", "pad")
ALL = (*READING_X, "svm_step", "softmax_step", "merge")


def _kernels(pixels: Any) -> tuple[str, ...]:
    """Return the kernels to check: for uint8, only those whose code depends on the type of X."""
    return READING_X if pixels is np.uint8 else ALL


def _name(architecture: tuple[int, int]) -> str:
    return f"sm_{architecture[0]}{architecture[1]}"


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=_name)
@pytest.mark.parametrize("loss", ["svm", "softmax"])
@pytest.mark.parametrize("pixels", [np.float32, np.uint8], ids=lambda t: t.__name__)
def test_one_pass(architecture: tuple[int, int], loss: Any, pixels: Any) -> None:
    nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink")
    _skip_unless_supported(architecture)
    tile = _one_pass_tile(pixels, architecture)
    ptx = _one_pass_ptx(loss, pixels, architecture)
    assert _name(architecture) in ptx
    assert not LOCAL_MEMORY.search(ptx)
    assert ".f64" not in ptx
    # one multiply-add per column, row and class in the scores, and one in the gradient
    multiply_adds = 2 * 4 * tile.groups * tile.rows * CIFAR_CLASSES
    assert len(re.findall(r"fma\.rn\.f32", ptx)) >= multiply_adds, "the tile is not unrolled"
    # X of the first tile and of the next one; W once for each group and class
    wide_x = r"ld\.global\.L1::no_allocate\.u32" if pixels is np.uint8 else r"ld\.global\.L1::no_allocate\.v4\.f32"
    assert len(re.findall(wide_x, ptx)) == 2 * tile.groups * tile.rows
    assert len(re.findall(r"ld\.global\.nc\.v4\.f32", ptx)) == tile.groups * CIFAR_CLASSES
    assert len(re.findall(r"shfl\.sync\.bfly", ptx)) >= tile.rows * CIFAR_CLASSES

    usage = _linked_usage(nvjitlink, ptx, architecture)
    assert usage["registers"] * tile.threads <= REGISTERS
    assert usage["smem"] <= STATIC_SHARED_MEMORY
    assert usage["spilled"] <= (0 if pixels is np.float32 and architecture < (10, 0) else MAX_SPILLED), usage


@pytest.mark.parametrize(("dtype", "pixels"), MIXES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=_name)
def test_stages(architecture: tuple[int, int], dtype: Any, pixels: Any) -> None:
    _skip_unless_supported(architecture)
    for kernel in _kernels(pixels):
        ptx = _ptx(kernel, dtype, pixels, CIFAR_CLASSES, architecture)
        assert _name(architecture) in ptx
        assert not LOCAL_MEMORY.search(ptx), f"{kernel}: local memory"
        if dtype is np.float32:
            assert ".f64" not in ptx, f"{kernel}: float64 arithmetic"
        if kernel in ("scores", "gradient_slabs"):
            stages = STAGES[dtype]
            held = stages.rows_per_warp if kernel == "scores" else stages.columns_per_thread
            real = "f32" if dtype is np.float32 else "f64"
            multiply_adds = len(re.findall(rf"fma\.rn\.{real}", ptx))
            assert multiply_adds >= CIFAR_CLASSES * held, f"{kernel}: the tile is not unrolled"
            reads_bytes = re.search(r"\bld\.global(\.\w+)*\.[usb]8\b", ptx) is not None
            assert reads_bytes == (pixels is np.uint8), f"{kernel}: how X is read"


@pytest.mark.parametrize(("dtype", "pixels"), MIXES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=_name)
def test_blocks_fit_and_nothing_spills(architecture: tuple[int, int], dtype: Any, pixels: Any) -> None:
    nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink")
    _skip_unless_supported(architecture)
    stages = STAGES[dtype]
    threads = {
        "scores": stages.lanes * stages.score_warps,
        "gradient_slabs": stages.lanes * stages.gradient_warps,
        "svm_step": stages.step_threads,
        "softmax_step": stages.step_threads,
        "merge": MERGE_BLOCK[0] * MERGE_BLOCK[1],
        "pad": 256,
    }
    for kernel in _kernels(pixels):
        usage = _linked_usage(nvjitlink, _ptx(kernel, dtype, pixels, stages.classes, architecture), architecture)
        assert usage["spilled"] == usage["lmem"] == 0, f"{kernel}: {usage}"
        assert usage["smem"] <= STATIC_SHARED_MEMORY, f"{kernel}: {usage}"
        assert usage["registers"] * threads[kernel] <= REGISTERS, f"{kernel}: {usage}"


@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_one_pass_as_a_launch_links_it(loss: Any) -> None:
    # A launch optimises again during linking, which PTX does not show.
    nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink")
    _skip_unless_supported((9, 0))
    kernel, arguments = _one_pass(loss, np.float32, (9, 0))
    code, _ = cuda.compile(kernel.py_func, arguments, cc=(9, 0), device=False, abi="numba", output="ltoir")
    usage = _linked_usage(nvjitlink, code, (9, 0))
    assert usage["spilled"] == 0, usage
    assert usage["registers"] * _one_pass_tile(np.float32, (9, 0)).threads <= REGISTERS


def _linked_usage(nvjitlink: Any, code: str | bytes, architecture: tuple[int, int]) -> dict[str, int]:
    """Return registers per thread and bytes of shared ("smem"), local ("lmem") and spilled memory, from the linker.

    code: PTX, or LTO-IR, which is optimised during linking.
    """
    if isinstance(code, str):
        kind, code, more = nvjitlink.InputType.PTX, code.encode(), []
    else:
        kind, more = nvjitlink.InputType.LTOIR, ["-lto"]
    options = [f"-arch={_name(architecture)}", "-verbose", *more]
    linker = nvjitlink.create(len(options), options)
    try:
        nvjitlink.add_data(linker, kind, code, len(code), "kernel")
        nvjitlink.complete(linker)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    finally:
        nvjitlink.destroy(linker)
    text = log.decode()
    found = re.findall(r"(\d+) (?:bytes )?(registers|smem|lmem)", text)
    spilled = re.search(r"(\d+) bytes spill stores", text)
    assert spilled, f"the linker's report has changed: {text}"
    return {"smem": 0, "lmem": 0, "spilled": int(spilled[1])} | {what: int(amount) for amount, what in found}


def test_every_kernel_is_checked() -> None:
    assert set(ALL) - {"merge", "pad"} == set(cuda_by_stages.Kernels.__dataclass_fields__)


def test_addresses_are_64_bit() -> None:
    # 1,000,000 rows of 3,073 features are more than 2^31 numbers.
    architecture = (9, 0)
    _skip_unless_supported(architecture)
    for loss in ("svm", "softmax"):
        ptx = _one_pass_ptx(loss, np.float32, architecture)
        stride = stride_of(CIFAR_FEATURES)
        # row number times stride in 64 bits, in elements or in bytes
        wide = re.findall(r"(?:mul\.wide\.[su]32|mul\.lo\.s64|mad\.lo\.s64|mad\.wide\.[su]32).*\b(\d+)", ptx)
        assert {str(stride), str(4 * stride)} & set(wide), "addresses of rows are not computed in 64 bits"


class _Device:
    compute_capability = (9, 0)
    id = 0


def test_compiled_kernels_are_found_again_under_keys_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _skip_unless_supported((9, 0))
    from numba import float32, int64
    from numba.cuda import codegen, dispatcher
    from numba.cuda.core import config

    compiled: list[str] = []
    compile_cuda = dispatcher.compile_cuda

    def counted(function: Any, *arguments: Any, **options: Any) -> Any:
        compiled.append(function.__name__)
        return compile_cuda(function, *arguments, **options)

    # what compiling asks the device
    monkeypatch.setattr(dispatcher, "compile_cuda", counted)
    monkeypatch.setattr(dispatcher, "get_current_device", _Device)
    monkeypatch.setattr(dispatcher._Kernel, "bind", lambda kernel: kernel.library.get_cubin((9, 0, "a")))
    monkeypatch.setattr(codegen.devices, "get_context", lambda *_: SimpleNamespace(device=_Device()))
    monkeypatch.setattr(codegen.JITCUDACodegen, "magic_tuple", lambda _: ((13, 0), (9, 0)))
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    slabs, matrix, sums = float32[:, :, ::1], float32[:, ::1], float32[::1]
    arguments = slabs, matrix, int64, float32, matrix, sums

    def build(warps: int) -> bytes:
        build_merge.cache_clear()  # another process builds it anew, with other device functions in its closure
        cubin = build_merge(np.float32, 4, warps).compile(arguments).library.get_cubin((9, 0, "a"))
        return bytes(getattr(cubin, "code", cubin))

    first = build(2)
    assert build(2) == first
    assert compiled == ["merge"]
    assert build(4) != first
    assert build(2) == first
    assert compiled == ["merge"] * 2
    build_merge.cache_clear()


def test_keys_of_compiled_kernels_are_the_same_in_every_process() -> None:
    _skip_unless_supported((9, 0))
    program = (
        "from types import SimpleNamespace\n"
        "import numpy as np\n"
        "from lcbench.losses.cuda import one_pass\n"
        "from lcbench.losses.cuda.tiles import Tile\n"
        "for loss in ('svm', 'softmax'):\n"
        "    for rows in (2, 3):\n"
        "        kernel = one_pass.build_kernel(loss, Tile(32, 1, rows), 3, 128, False)\n"
        "        print(kernel._cache._index_key((), SimpleNamespace(magic_tuple=tuple)))\n"
    )
    printed = []
    for seed in "12":
        variables = {"PYTHONHASHSEED": seed, "NUMBA_CACHE_DIR": "/nowhere/x", "NUMBA_ENABLE_CUDASIM": "0"}
        environment = os.environ | variables | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
        printed.append(child.stdout.splitlines())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 4
