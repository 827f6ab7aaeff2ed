"""Registers, occupancy and PTX of numba-cuda's kernels, compiled for any architecture without a GPU."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from lcbench.errors import LcbenchError
from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda.backend import INSTALL
from lcbench.losses.implementation import Unavailable

# Occupancy of a multiprocessor, computed as in NVIDIA's occupancy calculator.
#
# The limits are those of the CUDA Programming Guide, "Technical Specifications per Compute Capability". Registers are
# allocated per warp in units of 256, from four partitions that own a quarter each. Shared memory is allocated per block
# in units of 128 bytes (256 bytes on Turing and older), plus 1 KiB for the system since Ampere.

WARP = 32
REGISTERS = 64 * 1024
"""32-bit registers of a multiprocessor, and the maximum of a block."""

_MAX_REGISTERS_PER_THREAD = 255
_MAX_THREADS_PER_BLOCK = 1024
_REGISTER_UNIT = 256
_PARTITIONS = 4
_KIB = 1024

Architecture = tuple[int, int]
"""Compute capability, for example (9, 0) for Hopper."""


@dataclass(frozen=True)
class MultiprocessorLimits:
    """Maximum of resident blocks, of resident warps and of shared memory of one multiprocessor."""

    blocks: int
    warps: int
    shared_bytes: int


LIMITS: dict[Architecture, MultiprocessorLimits] = {
    (7, 0): MultiprocessorLimits(32, 64, 96 * _KIB),
    (7, 5): MultiprocessorLimits(16, 32, 64 * _KIB),
    (8, 0): MultiprocessorLimits(32, 64, 164 * _KIB),
    (8, 6): MultiprocessorLimits(16, 48, 100 * _KIB),
    (8, 7): MultiprocessorLimits(16, 48, 164 * _KIB),
    (8, 9): MultiprocessorLimits(24, 48, 100 * _KIB),
    (9, 0): MultiprocessorLimits(32, 64, 228 * _KIB),
    (10, 0): MultiprocessorLimits(32, 64, 228 * _KIB),
    (10, 3): MultiprocessorLimits(32, 64, 228 * _KIB),
    (11, 0): MultiprocessorLimits(24, 48, 228 * _KIB),
    (12, 0): MultiprocessorLimits(24, 48, 100 * _KIB),
    (12, 1): MultiprocessorLimits(24, 48, 100 * _KIB),
}


def limits_of(architecture: Architecture) -> MultiprocessorLimits:
    """Return the limits of a multiprocessor of `architecture`.

    Raise LcbenchError for an architecture that is not in `LIMITS`.
    """
    if architecture not in LIMITS:
        known = ", ".join(f"{major}.{minor}" for major, minor in LIMITS)
        raise LcbenchError(
            f"compute capability {architecture[0]}.{architecture[1]} is not supported; use one of {known}"
        )
    return LIMITS[architecture]


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps of a kernel that are resident on a multiprocessor at once.

    most_warps: maximum of the multiprocessor. share: warps / most_warps.
    limited_by: "warps", "blocks", "registers" or "shared memory"; the first in this order if several limits are equal.
    """

    blocks: int
    warps: int
    most_warps: int
    share: float
    limited_by: str


def occupancy(architecture: Architecture, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """Return the occupancy of a kernel.

    threads: per block. registers: per thread. shared_bytes: per block.

    Raise LcbenchError for an architecture that is not in `LIMITS`.
    """
    limits = limits_of(architecture)
    warps = -(-threads // WARP)
    blocks_allowed = {
        "warps": limits.warps // warps if threads <= _MAX_THREADS_PER_BLOCK else 0,
        "blocks": limits.blocks,
        "registers": _blocks_by_registers(warps, registers),
        "shared memory": _blocks_by_shared_memory(architecture, limits, shared_bytes),
    }
    limited_by = min(blocks_allowed, key=lambda resource: blocks_allowed[resource])
    blocks = blocks_allowed[limited_by]
    return Occupancy(blocks, blocks * warps, limits.warps, blocks * warps / limits.warps, limited_by)


def _blocks_by_registers(warps: int, registers: int) -> int:
    if registers > _MAX_REGISTERS_PER_THREAD:
        return 0
    per_warp = max(_REGISTER_UNIT, _round_up(registers * WARP, _REGISTER_UNIT))
    # The driver checks a launch as if all partitions allocated the same number of warps.
    if per_warp * _round_up(warps, _PARTITIONS) > REGISTERS:
        return 0
    return REGISTERS // _PARTITIONS // per_warp * _PARTITIONS // warps


def _blocks_by_shared_memory(architecture: Architecture, limits: MultiprocessorLimits, shared_bytes: int) -> int:
    ampere_or_later = architecture >= (8, 0)
    per_block = _round_up(shared_bytes + (_KIB if ampere_or_later else 0), 128 if ampere_or_later else 256)
    return limits.shared_bytes // per_block if per_block else limits.blocks


def _round_up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit


FEATURES = 3073
"""Number of features of CIFAR-10 with the bias column, from which tiles are chosen."""


@dataclass(frozen=True)
class Kernel:
    """Kernel compiled for one architecture. threads: per block. code: PTX."""

    name: str
    threads: int
    usage: KernelUsage
    occupancy: Occupancy
    counts: PtxCounts
    code: str

    @property
    def verdict(self) -> str:
        """Summary of the kernel, for example "16 of 64 warps, limited by registers, no spills"."""
        fits = self.occupancy
        resident = f"{fits.warps} of {fits.most_warps} warps"
        if fits.share < 1:
            resident += f", limited by {fits.limited_by}" if fits.blocks else f": no block fits its {fits.limited_by}"
        spills = f"spills {self.usage.spill_bytes} bytes" if self.usage.spill_bytes else "no spills"
        local = f", {self.usage.stack_bytes} bytes of local memory a thread" if self.usage.stack_bytes else ""
        stray = f", {self.counts.stray_float64} operations in float64" if self.counts.stray_float64 else ""
        return f"{resident}, {spills}{local}{stray}"


def inspect_gpu(architecture: Architecture, dtype: str, classes: int, pixels: bool) -> list[Kernel]:
    """Return numba-cuda's kernels compiled for `architecture`, in the order in which they run.

    dtype: in which they compute. pixels: X is uint8.

    Raise Unavailable if the compiler is missing and LcbenchError for an unknown architecture.
    """
    limits_of(architecture)
    if cuda_backend.is_simulator():
        raise Unavailable("NUMBA_ENABLE_CUDASIM is set, and Numba's simulator compiles nothing: unset it")
    if find_spec("numba_cuda") is None:  # the CUDA target inside Numba has no compiler
        raise Unavailable("numba-cuda, which brings the CUDA compiler, is not installed", INSTALL)
    cuda = cuda_backend.cuda
    sources = kernels_to_inspect(architecture, dtype, classes, pixels)
    return [_compile(cuda, source, architecture, dtype) for source in sources]


def _compile(cuda: Any, source: KernelToInspect, architecture: Architecture, dtype: str) -> Kernel:
    options = source.kernel.targetoptions
    link_time = bool(options.get("lto"))
    try:
        code, _ = cuda.compile(
            source.kernel.py_func,
            source.signature,
            cc=architecture,
            device=False,
            abi="numba",
            fastmath=bool(options.get("fastmath")),
            output="ltoir" if link_time else "ptx",
        )
    except Exception as error:  # each release has its own error for each missing library
        reason = " ".join(str(error).split()).rstrip(":; ")
        target = f"sm_{architecture[0]}{architecture[1]}"
        raise Unavailable(f"{source.name} does not compile for {target}: {reason}", INSTALL) from error
    code = code.encode() if isinstance(code, str) else bytes(code)
    usage, ptx = link(code, architecture, link_time, options.get("max_registers"))
    fits = occupancy(architecture, source.threads, usage.registers, usage.shared_bytes)
    return Kernel(source.name, source.threads, usage, fits, count_ptx(ptx, dtype), ptx)


# Kernels and their launch configurations


@dataclass(frozen=True)
class KernelToInspect:
    """Kernel with the types of its arguments and the threads per block of its launch."""

    name: str
    kernel: Any
    signature: tuple[Any, ...]
    threads: int


def kernels_to_inspect(architecture: Architecture, dtype: str, classes: int, pixels: bool) -> list[KernelToInspect]:
    """Return the kernels that numba-cuda would launch on a GPU of `architecture`."""
    from numba import from_dtype, int32, int64

    from lcbench.losses import numba_cuda
    from lcbench.losses.cuda import tiles as cuda_tiles
    from lcbench.losses.cuda.backend import DeviceLimits
    from lcbench.losses.cuda.by_stages import STAGES, build_kernels
    from lcbench.losses.cuda.matrix import pieces, stride_of
    from lcbench.losses.cuda.one_pass import build_kernel

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
    merge = numba_cuda.build_merge(scalar, lanes, warps)
    return [
        *found,
        KernelToInspect("merge", merge, (slabs, real[:, ::1], int64, real, real[:, ::1], sums), lanes * warps),
    ]


# Counts of PTX instructions

_INSTRUCTION = re.compile(r"^\s+(?:@!?%\w+\s+)?([a-z]\w*(?:[.:]+\w+)*)", re.MULTILINE)
_TYPE = re.compile(r"\.[bfsu](\d+)$")
_VECTOR = re.compile(r"\.v(\d)\b")
_FLOAT64 = re.compile(r"(?!ld|st|mov|bar)\w+(\.\w+)*\.f64\b")


@dataclass(frozen=True)
class PtxCounts:
    """Static counts of instructions in a kernel, where the body of a loop counts once.

    fma: fused multiply-adds of the kernel's dtype; one on a pair of numbers counts as two.
    stray_float64: instructions of a float32 kernel that compute with float64 numbers or convert them.
    local: loads and stores of local memory, which holds arrays that do not fit in registers.
    loads: number of loads from global memory by their width in bytes.
    async_copies: copies from global to shared memory.
    """

    fma: int
    stray_float64: int
    local: int
    loads: dict[int, int]
    async_copies: int


def count_ptx(ptx: str, dtype: str) -> PtxCounts:
    """Return the counts of one kernel, which computes in `dtype`, "float32" or "float64"."""
    names = _INSTRUCTION.findall(ptx)
    real = "f32" if dtype == "float32" else "f64"
    loads = Counter(_load_bytes(name) for name in names if name.startswith("ld.global"))
    return PtxCounts(
        fma=sum(name.startswith("fma.") * (2 if name.endswith("x2") else 1) for name in names if f".{real}" in name),
        stray_float64=sum(bool(_FLOAT64.match(name)) for name in names) if dtype == "float32" else 0,
        local=sum(name.startswith(("ld.local", "st.local")) for name in names),
        loads=dict(sorted(loads.items())),
        async_copies=sum(name.startswith("cp.async") and name.count(".shared") > 0 for name in names),
    )


def _load_bytes(load: str) -> int:
    item, vector = _TYPE.search(load), _VECTOR.search(load)
    return int(item[1]) // 8 * (int(vector[1]) if vector else 1) if item else 0


# Resource usage, from NVIDIA's linker nvJitLink, which needs no GPU


@dataclass(frozen=True)
class KernelUsage:
    """Registers and memory of a kernel.

    registers: per thread. shared_bytes: static shared memory per block.
    spill_bytes: bytes of spill stores and spill loads in the code.
    stack_bytes: local memory per thread, for spills and for arrays that do not fit in registers.
    """

    registers: int
    shared_bytes: int
    spill_bytes: int
    stack_bytes: int


def link(
    code: bytes, architecture: Architecture, link_time: bool, max_registers: int | None
) -> tuple[KernelUsage, str]:
    """Link one kernel; return its usage and its final PTX.

    code: PTX or, with `link_time`, LTO-IR. max_registers: limit per thread that the kernel's decorator sets.

    Raise Unavailable if the linker is not installed or too old for the code or the architecture.
    """
    options = [f"-arch=sm_{architecture[0]}{architecture[1]}", "-verbose"]
    options += ["-lto"] if link_time else []
    options += [f"-maxrregcount={max_registers}"] if max_registers else []
    _, log = _run_linker(code, options, link_time)
    ptx, _ = _run_linker(code, [*options, "-ptx"], link_time) if link_time else (code, "")
    return kernel_usage(log, link_time), ptx.decode(errors="replace").rstrip("\0")


def kernel_usage(log: str, link_time: bool) -> KernelUsage:
    """Return the usage that the linker's verbose log states.

    Without link-time optimisation the log includes the 1 KiB of shared memory that the system reserves since Ampere.
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


def _run_linker(code: bytes, options: list[str], link_time: bool) -> tuple[bytes, str]:
    """Return the linked PTX, which is empty without the option ``-ptx``, and the linker's log."""
    try:
        nvjitlink = importlib.import_module("cuda.bindings.nvjitlink")
    except ImportError as error:
        raise Unavailable("NVIDIA's linker is not installed", INSTALL) from error
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
        raise Unavailable(f"NVIDIA's linker failed: {' '.join(str(error).split())}", INSTALL) from error
    return bytes(linked), log.decode(errors="replace")
