"""Which CUDA for Python the kernels are compiled with, and whether there is a device to run them on.

`cuda`, the module that the kernels are written for, is ``numba.cuda``: the numba-cuda package's where that is installed
(it puts itself in that place), else the one that Numba carries. With NUMBA_ENABLE_CUDASIM=1 in the environment before
Numba is first imported, either is a simulator that runs kernels in Python, thread by thread.

Asking for `cuda` imports Numba; the questions about the device are put to the driver itself and import nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any

from lcbench.losses.errors import Unavailable

INSTALL = "pip install 'numba-cuda[cu13]' 'numpy<2.5'"

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


def __getattr__(name: str) -> Any:
    if name != "cuda":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from numba import cuda
    except ImportError as error:
        # numba-cuda does so with NumPy 2.5, and without NVIDIA's cuda-bindings
        raise Unavailable(f"numba.cuda does not import: {' '.join(str(error).split())}", INSTALL) from error
    if is_simulator():
        # the simulator polls its threads; with Python's usual turn of 5 ms it takes 5 to 10 times as long
        sys.setswitchinterval(1e-4)
    return cuda


def is_simulator() -> bool:
    """Whether the kernels run in Numba's simulator.

    Numba reads NUMBA_ENABLE_CUDASIM once, when it is imported; before that, this says what it is going to read.
    """
    numba_cuda = sys.modules.get("numba.cuda")
    if numba_cuda is not None:
        return bool(numba_cuda.config.ENABLE_CUDASIM)
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0").strip() not in ("", "0")


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
