"""Which CUDA kernels there are to inspect, and how they are launched. The one place that knows them by name."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda.backend import INSTALL
from lcbench.losses.implementation import Unavailable
from lcbench.machine_code import occupancy
from lcbench.machine_code.occupancy import REGISTERS, Architecture

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
    from lcbench.losses.cuda.backend import DeviceLimits
    from lcbench.losses.cuda.by_stages import STAGES, build_kernels, pieces, stride_of
    from lcbench.losses.cuda.one_pass import build_kernel
    from lcbench.losses.cuda.tiles import build_merge

    scalar: Any = np.dtype(dtype).type
    real, y = from_dtype(np.dtype(dtype)), int32[::1]
    x = from_dtype(np.dtype(np.uint8)) if pixels else real
    slabs, sums = real[:, :, ::1], real[::1]
    device = DeviceLimits(architecture, registers_a_block=REGISTERS, registers_a_multiprocessor=REGISTERS)
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


# What stands in a kernel's PTX, the assembly that NVIDIA's driver finishes for each GPU.

_INSTRUCTION = re.compile(r"^\s+(?:@!?%\w+\s+)?([a-z]\w*(?:[.:]+\w+)*)", re.MULTILINE)
_TYPE = re.compile(r"\.[bfsu](\d+)$")
_VECTOR = re.compile(r"\.v(\d)\b")
_FLOAT64 = re.compile(r"(?!ld|st|mov|bar)\w+(\.\w+)*\.f64\b")


@dataclass(frozen=True)
class PtxCounts:
    """Instructions in the whole kernel, as they stand there: loops are not multiplied out.

    fma: fused multiply-adds of the kernel's own dtype; on pairs of numbers, two each.
    stray_float64: instructions in a float32 kernel that compute with float64 numbers or convert them.
    local: loads and stores of local memory, where arrays land that registers cannot hold.
    loads: how many loads from global memory are so many bytes wide. async_copies: from global to shared memory.
    """

    fma: int
    stray_float64: int
    local: int
    loads: dict[int, int]
    async_copies: int


def count_ptx(ptx: str, dtype: str) -> PtxCounts:
    """The counts of one kernel's PTX; its dtype is "float32" or "float64"."""
    names = _INSTRUCTION.findall(ptx)
    real = "f32" if dtype == "float32" else "f64"
    loads = Counter(_bytes(name) for name in names if name.startswith("ld.global"))
    return PtxCounts(
        fma=sum(name.startswith("fma.") * (2 if name.endswith("x2") else 1) for name in names if f".{real}" in name),
        stray_float64=sum(bool(_FLOAT64.match(name)) for name in names) if dtype == "float32" else 0,
        local=sum(name.startswith(("ld.local", "st.local")) for name in names),
        loads=dict(sorted(loads.items())),
        async_copies=sum(name.startswith("cp.async") and name.count(".shared") > 0 for name in names),
    )


def _bytes(load: str) -> int:
    item, vector = _TYPE.search(load), _VECTOR.search(load)
    return int(item[1]) // 8 * (int(vector[1]) if vector else 1) if item else 0


# What NVIDIA's linker says of a kernel: the same linker that finishes it for a GPU, which needs none to do so.


@dataclass(frozen=True)
class KernelUsage:
    """What a thread and a block take. registers: a thread's. shared_bytes: a block's, what the kernel declares.

    spill_bytes: stored and loaded, in the code, since registers ran out. stack_bytes: a thread's, for arrays that
    registers cannot hold, and for the spills.
    """

    registers: int
    shared_bytes: int
    spill_bytes: int
    stack_bytes: int


def link(
    code: bytes, architecture: Architecture, link_time: bool, most_registers: int | None
) -> tuple[KernelUsage, str]:
    """Usage and final PTX of one kernel, from PTX or, with `link_time`, from what link-time optimisation starts from.

    most_registers: what the kernel's decorator allows a thread. Raises Unavailable where the linker is not installed,
    or is too old for the code or the architecture.
    """
    options = [f"-arch=sm_{architecture[0]}{architecture[1]}", "-verbose"]
    options += ["-lto"] if link_time else []
    options += [f"-maxrregcount={most_registers}"] if most_registers else []
    _, log = _linked(code, options, link_time)
    ptx, _ = _linked(code, [*options, "-ptx"], link_time) if link_time else (code, "")
    return kernel_usage(log, link_time), ptx.decode(errors="replace").rstrip("\0")


def kernel_usage(log: str, link_time: bool) -> KernelUsage:
    """The numbers in what the linker prints.

    Without link-time optimisation it counts the 1 KiB of shared memory that the system keeps since Ampere as the
    block's own.
    """

    def largest(pattern: str) -> int:
        return max(map(int, re.findall(pattern, log)), default=0)

    shared = largest(r"(\d+) bytes smem")
    reserved = 0 if link_time or re.search(r"sm_7\d", log) else 1024
    return KernelUsage(
        registers=largest(r"[Uu]sed (\d+) registers"),
        shared_bytes=max(0, shared - reserved),
        spill_bytes=largest(r"(\d+) bytes spill stores") + largest(r"(\d+) bytes spill loads"),
        stack_bytes=max(largest(r"(\d+) bytes stack frame"), largest(r"(\d+) bytes lmem")),
    )


def _linked(code: bytes, options: list[str], link_time: bool) -> tuple[bytes, str]:
    """What was linked, in PTX where `options` ask for it, and the linker's log."""
    try:
        nvjitlink = importlib.import_module("cuda.bindings.nvjitlink")
    except ImportError as error:
        raise Unavailable(f"NVIDIA's linker is not installed: {INSTALL}", INSTALL) from error
    kind = nvjitlink.InputType.LTOIR if link_time else nvjitlink.InputType.PTX
    try:
        linker = nvjitlink.create(len(options), options)
        try:
            nvjitlink.add_data(linker, kind, code, len(code), "kernel")
            nvjitlink.complete(linker)
            log = bytearray(nvjitlink.get_info_log_size(linker))
            nvjitlink.get_info_log(linker, log)
            linked = bytearray()
            if "-ptx" in options:
                linked = bytearray(nvjitlink.get_linked_ptx_size(linker))
                nvjitlink.get_linked_ptx(linker, linked)
        finally:
            nvjitlink.destroy(linker)
    except Exception as error:  # the library's own errors, and those of a library that is not found
        raise Unavailable(f"NVIDIA's linker fails: {' '.join(str(error).split())}; {INSTALL}", INSTALL) from error
    return bytes(linked), log.decode(errors="replace")


# What Numba and NVIDIA's linker make of the CUDA kernels, for any architecture. No GPU is needed.


@dataclass(frozen=True)
class Kernel:
    """One kernel for one architecture. threads: of a block. code: its PTX."""

    name: str
    threads: int
    usage: KernelUsage
    occupancy: occupancy.Occupancy
    counts: PtxCounts
    code: str

    @property
    def verdict(self) -> str:
        """The kernel in a few words: "16 of 64 warps, limited by registers, no spills"."""
        fits = self.occupancy
        resident = f"{fits.warps} of {fits.most_warps} warps"
        if fits.share < 1:
            resident += f", limited by {fits.limited_by}" if fits.blocks else f": no block fits its {fits.limited_by}"
        memory = f"spills {self.usage.spill_bytes} bytes" if self.usage.spill_bytes else "no spills"
        local = f", {self.usage.stack_bytes} bytes of local memory a thread" if self.usage.stack_bytes else ""
        stray = f", {self.counts.stray_float64} operations in float64" if self.counts.stray_float64 else ""
        return f"{resident}, {memory}{local}{stray}"


def inspect_gpu(architecture: occupancy.Architecture, dtype: str, classes: int, pixels: bool) -> list[Kernel]:
    """numba-cuda's kernels compiled for `architecture`, in the order in which they run.

    Raises Unavailable where there is no compiler for it, LcbenchError where the architecture is not known.
    """
    occupancy.limits_of(architecture)
    if cuda_backend.is_simulator():
        raise Unavailable("NUMBA_ENABLE_CUDASIM is set, and Numba's simulator compiles nothing: unset it")
    if find_spec("numba_cuda") is None:  # what Numba itself carries brings no compiler
        install = cuda_backend.INSTALL
        raise Unavailable(f"numba-cuda is not installed, which brings the CUDA compiler: {install}", install)
    try:
        cuda = cuda_backend.cuda
    except Unavailable as error:
        raise Unavailable(f"{error}; {error.install}", error.install) from error
    kernels = kernels_to_inspect(architecture, dtype, classes, pixels)
    return [_compiled(cuda, kernel, architecture, dtype) for kernel in kernels]


def _compiled(cuda: Any, one: KernelToInspect, architecture: occupancy.Architecture, dtype: str) -> Kernel:
    options = one.kernel.targetoptions
    link_time = bool(options.get("lto"))
    try:
        code, _ = cuda.compile(
            one.kernel.py_func,
            one.signature,
            cc=architecture,
            device=False,
            abi="numba",
            fastmath=bool(options.get("fastmath")),
            output="ltoir" if link_time else "ptx",
        )
    except Exception as error:  # each release has its own error for each missing library
        why = " ".join(str(error).split()).rstrip(":; ")
        where = f"sm_{architecture[0]}{architecture[1]}"
        raise Unavailable(
            f"{one.name} does not compile for {where}: {why}",
            cuda_backend.INSTALL,
        ) from error
    code = code.encode() if isinstance(code, str) else bytes(code)
    usage, text = link(code, architecture, link_time, options.get("max_registers"))
    fits = occupancy.occupancy(architecture, one.threads, usage.registers, usage.shared_bytes)
    return Kernel(one.name, one.threads, usage, fits, count_ptx(text, dtype), text)
