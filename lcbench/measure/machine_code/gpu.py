"""What Numba and NVIDIA's linker make of the CUDA kernels, for any architecture. No GPU is needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.errors import Unavailable
from lcbench.measure.machine_code import linker, occupancy, ptx
from lcbench.measure.machine_code.kernels import KernelToInspect, kernels_to_inspect


@dataclass(frozen=True)
class Kernel:
    """One kernel for one architecture. threads: of a block. code: its PTX."""

    name: str
    threads: int
    usage: linker.Usage
    occupancy: occupancy.Occupancy
    counts: ptx.Counts
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


def inspect(architecture: occupancy.Architecture, dtype: str, classes: int, pixels: bool) -> list[Kernel]:
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
    usage, text = linker.link(code, architecture, link_time, options.get("max_registers"))
    fits = occupancy.occupancy(architecture, one.threads, usage.registers, usage.shared_bytes)
    return Kernel(one.name, one.threads, usage, fits, ptx.counts(text, dtype), text)
