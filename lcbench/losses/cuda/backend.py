"""Which CUDA for Python the kernels are compiled with, and whether there is a device to run them on.

`cuda`, the module that the kernels are written for, is ``numba.cuda``: the numba-cuda package's where that is installed
(it puts itself in that place), else the one that Numba carries. With NUMBA_ENABLE_CUDASIM=1 in the environment before
Numba is first imported, either is a simulator that runs kernels in Python, thread by thread. Where ``numba.cuda`` does
not import and there is a device, `cuda` is numba-cuda's successor, numba-cuda-mlir. LCBENCH_CUDA_BACKEND names one of
the two and leaves no choice.

Asking for `cuda` imports Numba; the questions about the device are put to the driver itself and import nothing.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

from lcbench.losses.implementation import Unavailable

INSTALL = "pip install 'numba-cuda[cu13]' 'numpy<2.5'"

BACKEND_VARIABLE = "LCBENCH_CUDA_BACKEND"
BACKENDS = {"numba-cuda": "numba.cuda", "numba-cuda-mlir": "numba_cuda_mlir.cuda"}
"""The module behind each name, in the order in which they are tried."""

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


def __getattr__(name: str) -> Any:
    if name != "cuda":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _backend()[1]


def _backend() -> tuple[str, Any]:
    """The backend's name and its module. Raises Unavailable where none imports, or the one asked for does not."""
    wanted = os.environ.get(BACKEND_VARIABLE, "").strip()
    if wanted and wanted not in BACKENDS:
        raise Unavailable(f"{BACKEND_VARIABLE} is {wanted!r}: it must be one of {', '.join(BACKENDS)}, or not set")
    first_error: Unavailable | None = None
    for name in [wanted] if wanted else BACKENDS:
        try:
            module = importlib.import_module(BACKENDS[name])
        except ImportError as error:
            # numba-cuda does so with NumPy 2.5, and without NVIDIA's cuda-bindings
            reason = f"{BACKENDS[name]} does not import: {' '.join(str(error).split())}"
            first_error = first_error or Unavailable(reason, INSTALL if name == "numba-cuda" else f"pip install {name}")
            if is_simulator() or why_no_gpu() is not None:
                break  # the successor neither has a simulator nor compiles without a driver
        else:
            if is_simulator():
                _mend_simulator()
            return name, module
    assert first_error is not None
    raise first_error


@cache
def _mend_simulator() -> None:
    """Make the simulator as fast as it can be, and reliable."""
    # it polls its threads; with Python's usual turn of 5 ms it takes 5 to 10 times as long
    sys.setswitchinterval(1e-4)
    from numba.cuda.simulator import kernelapi

    class Allocations(dict[Any, Any]):
        """A block's shared arrays. Two threads that ask for one at the same time would get two: the second waits."""

        def __init__(self) -> None:
            super().__init__()
            self._making = threading.Lock()

        def get(self, key: Any, default: Any = None) -> Any:
            self._making.acquire()
            found = super().get(key, default)
            if found is not None:
                self._making.release()
            return found  # where it is None, the simulator goes on to make the array and to set it

        def __setitem__(self, key: Any, array: Any) -> None:
            super().__setitem__(key, array)
            self._making.release()

    made_as_shipped = kernelapi.FakeCUDAShared.__init__

    def made(self: Any, *arguments: Any) -> None:
        made_as_shipped(self, *arguments)
        self._allocations = Allocations()

    kernelapi.FakeCUDAShared.__init__ = made


def is_simulator() -> bool:
    """Whether the kernels run in Numba's simulator.

    Numba reads NUMBA_ENABLE_CUDASIM once, when it is imported; before that, this says what it is going to read.
    """
    numba_cuda = sys.modules.get("numba.cuda")
    if numba_cuda is not None:
        return bool(numba_cuda.config.ENABLE_CUDASIM)
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0").strip() not in ("", "0")


def has_shuffles() -> bool:
    """Whether the lanes of a warp can exchange values. The simulator has none."""
    return not is_simulator()


def has_llvm() -> bool:
    """Whether device functions can be written in LLVM's language and PTX, as `wide` does."""
    return not is_simulator() and _backend()[0] == "numba-cuda"


@cache
def why_no_gpu() -> str | None:
    """None where a CUDA device can be used, else one line that says what is missing.

    It starts the CUDA driver in this process (once), which a process forked from it cannot use any more.
    """
    driver = _driver()
    if driver is None:
        return f"no CUDA driver: {_library_name()} is not found; install the NVIDIA driver"
    error = driver.cuInit(0)
    if error == _NO_DEVICE:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        because = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})"
        return f"the CUDA driver finds no device{because}"
    if error:
        return f"the CUDA driver does not start: cuInit returned {_error_name(driver, error)}"
    count = ctypes.c_int()
    error = driver.cuDeviceGetCount(ctypes.byref(count))
    if error:
        return f"the CUDA driver does not count its devices: cuDeviceGetCount returned {_error_name(driver, error)}"
    return None if count.value else "the CUDA driver finds no device"


def gpu_name() -> str | None:
    """The name of the first CUDA device, as "NVIDIA H200"; None where there is none."""
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
    """What a device has. The figures here are those of the simulator, which has room for four small blocks."""

    compute_capability: tuple[int, int] = (0, 0)
    multiprocessors: int = 4
    registers_a_block: int = 65536
    registers_a_multiprocessor: int = 65536
    free_memory: float = float("inf")


def limits() -> DeviceLimits:
    """Of the current device; free_memory in bytes, at this moment."""
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
    """Raise Unavailable, with the reason, unless kernels can run here: on a device or in the simulator."""
    if is_simulator():
        return
    reason = why_no_gpu()
    if reason is not None:
        raise Unavailable(f"{reason}; NUMBA_ENABLE_CUDASIM=1 runs the kernels in Numba's simulator instead, slowly")


def _library_name() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def _driver() -> Any:
    """The driver's library, or None."""
    try:
        return ctypes.CDLL(_library_name())
    except OSError:
        return None


def _error_name(driver: Any, error: int) -> str:
    """The driver's own name for an error, with its number."""
    name = ctypes.c_char_p()
    if driver.cuGetErrorName(error, ctypes.byref(name)) or name.value is None:
        return str(error)
    return f"{error} ({name.value.decode()})"
