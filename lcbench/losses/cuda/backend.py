"""CUDA backend: the package that compiles the kernels, and the device that runs them.

`cuda` is the module with which the kernels are written. It is ``numba.cuda``: that of the numba-cuda package if it is
installed (it replaces Numba's own), else that of Numba. With NUMBA_ENABLE_CUDASIM=1 in the environment before the first
import of Numba, it is a simulator that runs kernels in Python. If ``numba.cuda`` does not import and there is a device,
`cuda` is numba-cuda-mlir, the successor of numba-cuda. LCBENCH_CUDA_BACKEND selects one of the two.

Access to `cuda` imports Numba. The functions about the device call the driver directly and import nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from lcbench.losses.implementation import Unavailable

INSTALL = "pip install 'numba-cuda[cu13]'"

BACKEND_VARIABLE = "LCBENCH_CUDA_BACKEND"
BACKENDS = {"numba-cuda": "numba.cuda", "numba-cuda-mlir": "numba_cuda_mlir.cuda"}
"""Module of each backend, in the order in which they are tried."""

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


def __getattr__(name: str) -> Any:
    if name != "cuda":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _backend()[1]


def _backend() -> tuple[str, Any]:
    """Return the name and the module of the backend. Raise Unavailable if none, or not the selected one, imports."""
    selected = os.environ.get(BACKEND_VARIABLE, "").strip()
    if selected and selected not in BACKENDS:
        raise Unavailable(f"{BACKEND_VARIABLE} is {selected!r}: it must be one of {', '.join(BACKENDS)}, or not set")
    first_error: Unavailable | None = None
    for name in [selected] if selected else BACKENDS:
        try:
            module = _import(name)
        except Exception as error:  # not only ImportError: for example AttributeError, if a dependency is too new
            reason = f"{BACKENDS[name]} does not import: {' '.join(str(error).split())}"
            first_error = first_error or Unavailable(reason, INSTALL if name == "numba-cuda" else f"pip install {name}")
            if is_simulator() or why_no_gpu() is not None:
                break  # numba-cuda-mlir has no simulator and does not compile without a driver
        else:
            if is_simulator():
                _patch_simulator()
            return name, module
    assert first_error is not None
    raise first_error


def _import(name: str) -> Any:
    """Return the module of the backend `name`."""
    module = importlib.import_module(BACKENDS[name])
    if name == "numba-cuda" and not is_simulator() and importlib.util.find_spec("numba_cuda") is not None:
        import numpy

        # numba-cuda up to 0.30.4 reads numpy.row_stack when it compiles its first kernel. NumPy 2.5 has removed it.
        missing = not hasattr(numpy, "row_stack")
        if missing:
            vars(numpy)["row_stack"] = numpy.vstack
        try:
            importlib.import_module("numba.cuda.np.arrayobj")
        finally:
            if missing:
                del vars(numpy)["row_stack"]
    return module


@cache
def _patch_simulator() -> None:
    """Let the simulator run the threads of a block in turn, each up to its next barrier, in an order that changes.

    It runs them at the same time, and polls them. That takes three times as long, threads may create a shared array
    twice, and a missing barrier has an effect only by chance.
    """
    import random

    import numpy
    from numba.cuda.simulator import kernel

    orders = random.Random(0)

    class Thread(kernel.BlockThread):
        """Thread that runs while it has its turn. It ends its turn at a barrier, and for good when it is `over`."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.over = False
            self._has_turn, self._turn_is_over = threading.Semaphore(0), threading.Semaphore(0)

        def take_turn(self) -> None:
            self._has_turn.release()
            self._turn_is_over.acquire()

        def run(self) -> None:
            self._has_turn.acquire()
            super().run()  # an exception becomes an attribute
            self.over = True
            self._turn_is_over.release()

        def syncthreads(self) -> None:
            self._turn_is_over.release()
            self._has_turn.acquire()
            if self.abort:
                raise RuntimeError("another thread of the block failed")

    def run(block: Any, index: Any, *arguments: Any) -> None:
        places = numpy.ndindex(*block._block_dim)
        threads = [Thread(lambda: block._f(*arguments), block, index, place, block._debug) for place in places]
        for thread in threads:
            thread.start()
        live = threads
        while live:
            for thread in orders.sample(live, len(live)):
                thread.take_turn()
            live = [thread for thread in live if not thread.over]
            failed = [thread.exception for thread in threads if thread.exception]
            if failed:
                for thread in live:
                    thread.abort = True
                    thread.take_turn()
                error, traceback = failed[0]
                raise error.with_traceback(traceback)

    kernel.BlockManager.run = run


def is_simulator() -> bool:
    """Return True if the kernels run in Numba's simulator.

    Numba reads NUMBA_ENABLE_CUDASIM once, when it is imported. Before that, this function reads it.
    """
    numba_cuda = sys.modules.get("numba.cuda")
    if numba_cuda is not None:
        return bool(numba_cuda.config.ENABLE_CUDASIM)
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0").strip() not in ("", "0")


def has_shuffles() -> bool:
    """Return True if the lanes of a warp can exchange values by shuffles. The simulator has none."""
    return not is_simulator()


def has_llvm() -> bool:
    """Return True if device functions can be written in LLVM IR and PTX, as in `tiles`."""
    return not is_simulator() and _backend()[0] == "numba-cuda"


@cache
def why_no_gpu() -> str | None:
    """Return None if a CUDA device can be used, else what is missing, in one line.

    The first call initialises the CUDA driver in this process. Processes forked afterwards cannot use the driver.
    """
    driver = _driver()
    if driver is None:
        return f"no CUDA driver: {_library_name()} is not found; install the NVIDIA driver"
    error = driver.cuInit(0)
    if error == _NO_DEVICE:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        cause = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})"
        return f"the CUDA driver finds no device{cause}"
    if error:
        return f"the CUDA driver does not start: cuInit returned {_error_name(driver, error)}"
    count = ctypes.c_int()
    error = driver.cuDeviceGetCount(ctypes.byref(count))
    if error:
        return f"the CUDA driver does not count its devices: cuDeviceGetCount returned {_error_name(driver, error)}"
    return None if count.value else "the CUDA driver finds no device"


def compiled_kernel(*constants: Any) -> Callable[[Callable[..., None]], Any]:
    """Return the decorator of a kernel, which is compiled on its first launch with each type of its arguments.

    If NUMBA_CACHE_DIR is set, as a benchmark run does for its workers, compiled code is kept in that folder, and later
    processes load it. constants: everything on which the code depends, beside the modules of the CUDA kernels.
    """

    def decorate(function: Callable[..., None]) -> Any:
        kernel = _backend()[1].jit(function)
        if "NUMBA_CACHE_DIR" in os.environ and has_llvm():
            kernel._cache = _kernel_cache()(function, constants)  # what enable_caching() sets
        return kernel

    return decorate


@cache
def _kernel_cache() -> Any:
    """Return numba-cuda's cache of compiled kernels, with keys that are the same in every process.

    Numba's keys contain the pickled closure of the kernel. Its device functions and intrinsics have an identity that
    differs between processes, so that nothing would be found again.
    """
    from numba.cuda.dispatcher import CUDACache

    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(__file__).parents[1] / "numba_cuda.py"]
    code = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    versions = tuple(_version(name) for name in ("numba", "numba-cuda", "nvidia-nvvm", "nvidia-nvjitlink"))

    class KernelCache(CUDACache):
        def __init__(self, function: Callable[..., None], constants: tuple[Any, ...]) -> None:
            super().__init__(function)
            self._constants = repr(constants)

        def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
            return signature, codegen.magic_tuple(), versions, code, self._constants

        def save_overload(self, signature: Any, kernel: Any) -> None:
            with contextlib.suppress(OSError):  # without space on the disk, the next process compiles again
                super().save_overload(signature, kernel)

    return KernelCache


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def gpu_name() -> str | None:
    """Return the name of the first CUDA device, for example "NVIDIA H200", or None if there is none."""
    driver = _driver()
    if driver is None or why_no_gpu() is not None:
        return None
    device = ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    if driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetName(name, len(name), device):
        return None
    return name.value.decode(errors="replace")


@dataclass(frozen=True)
class DeviceLimits:
    """Resources of a device. The defaults are those of the simulator, which runs four small blocks."""

    compute_capability: tuple[int, int] = (0, 0)
    multiprocessors: int = 4
    registers_a_block: int = 65536
    registers_a_multiprocessor: int = 65536
    free_memory: float = float("inf")


def limits() -> DeviceLimits:
    """Return the limits of the current device. free_memory is the current value, in bytes."""
    if is_simulator():
        return DeviceLimits()
    cuda = _backend()[1]
    device = cuda.get_current_device()
    return DeviceLimits(
        compute_capability=tuple(device.compute_capability),
        multiprocessors=device.MULTIPROCESSOR_COUNT,
        registers_a_block=device.MAX_REGISTERS_PER_BLOCK,
        registers_a_multiprocessor=device.MAX_REGISTERS_PER_MULTIPROCESSOR,
        free_memory=cuda.current_context().get_memory_info()[0],
    )


def require_device() -> None:
    """Raise Unavailable, with the reason, unless kernels can run on a device or in the simulator."""
    if is_simulator():
        return
    reason = why_no_gpu()
    if reason is not None:
        raise Unavailable(f"{reason}; NUMBA_ENABLE_CUDASIM=1 runs the kernels in Numba's simulator instead, slowly")


def _library_name() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def _driver() -> Any:
    """Return the library of the driver, or None if it is not found."""
    try:
        return ctypes.CDLL(_library_name())
    except OSError:
        return None


def _error_name(driver: Any, error: int) -> str:
    """Return the number of an error and the driver's name for it."""
    name = ctypes.c_char_p()
    if driver.cuGetErrorName(error, ctypes.byref(name)) or name.value is None:
        return str(error)
    return f"{error} ({name.value.decode()})"
