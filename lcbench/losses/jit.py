"""Options for compiling CPU code with Numba: flags, cache, vector width, number of threads."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import config
from numba.core import event

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Sums may be reordered and fused. NaN and infinity keep their meaning, so that overflow stays visible."""

CACHE = "NUMBA_CACHE_DIR" in os.environ
"""Compiled code is kept on disk only if a folder is named for it, as a benchmark run does for its workers.

Numba's default cache outlives the run and does not notice changes in other files.
"""

_OPTIONS: dict[str, Any] = {
    "nogil": True, "fastmath": FASTMATH, "cache": CACHE, "error_model": "numpy", "no_cfunc_wrapper": True,
}  # fmt: skip

_AVX512_NAMES = ("skylake-avx512", "cascadelake", "cooperlake", "icelake", "tigerlake", "rocketlake", "sapphire",
                 "emerald", "granite", "diamond", "znver4", "znver5", "znver6", "x86-64-v4", "knl", "knm")  # fmt: skip
_SSE_NAMES = ("generic", "x86-64", "x86-64-v2", "nehalem", "westmere", "core2", "penryn")


class _CtrlCWaits(event.Listener):
    """Listener that lets Ctrl-C take effect at the end of a compilation.

    LLVM calls Python back while it compiles. The exception of Python's signal handler is lost in such a call. Other
    handlers are left as they are.
    """

    def __init__(self) -> None:
        self._nested = 0
        self._waits = self._received = False

    def on_start(self, event: event.Event) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._nested and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._waits, self._received = True, False
            signal.signal(signal.SIGINT, self._receive)
        self._nested += 1

    def on_end(self, event: event.Event) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._nested -= 1
        if self._waits and not self._nested:
            self._waits = False
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._received:
                raise KeyboardInterrupt

    def _receive(self, *_: Any) -> None:
        self._received = True


event.register("numba:compiler_lock", _CtrlCWaits())


def compiled(function: Callable[..., Any]) -> Any:
    """Return `function` compiled on its first call, without the GIL and cached if `CACHE`. Decorator of CPU code."""
    return numba.njit(**_OPTIONS)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Return `function` compiled without reference counts of arrays: it must not create any. Decorator.

    All arrays are arguments, which the caller keeps. To count the references of their views would only take time, most
    of all the compiler's.
    """
    return numba.njit(**_OPTIONS, _nrt=False)(function)


def internal(function: Callable[..., Any]) -> Any:
    """Return `function` compiled like a kernel, but for calls by kernels only. Decorator.

    It has no interface to Python, which would take a sixth of the time of compiling. A call from Python ends the
    process.
    """
    return numba.njit(**_OPTIONS, no_cpython_wrapper=True, _nrt=False)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Return `function` compiled inline into its callers, so that it is not also optimised on its own. Decorator."""
    return numba.njit(**_OPTIONS, inline="always")(function)


def vector_bytes() -> int:
    """Return the width in bytes of the vector registers of the target CPU (`NUMBA_CPU_NAME`, or the host)."""
    name = config.CPU_NAME
    if name is None or name == "host":
        features = llvm.get_host_cpu_features()
        return 64 if features.get("avx512f") else 32 if features.get("avx") else 16
    if name.startswith(_AVX512_NAMES) or "+avx512f" in (config.CPU_FEATURES or ""):
        return 64
    return 16 if name in _SSE_NAMES or not is_x86() else 32


def vector_registers() -> int:
    """Return the number of vector registers of the target CPU."""
    return 16 if is_x86() and vector_bytes() < 64 else 32


def has_features(*names: str) -> bool:
    """Return whether the target CPU has the features, as LLVM names them ("avx512vnni")."""
    if config.CPU_NAME in (None, "host"):
        features = llvm.get_host_cpu_features()
        return all(features.get(name) for name in names)
    return all(f"+{name}" in (config.CPU_FEATURES or "").split(",") for name in names)


def is_x86() -> bool:
    """Return True if Numba compiles for an x86 processor."""
    return bool(llvm.get_default_triple().startswith(("x86", "i386", "amd64")))


_threads: int | None = None


def thread_count() -> int:
    """Return the threads of a parallel kernel.

    They are those that `use_threads` set, or else `NUMBA_NUM_THREADS`, or all cores on which this process may run.
    """
    return int(config.NUMBA_NUM_THREADS) if _threads is None else _threads


def use_threads(count: int) -> None:
    """Set `thread_count` to `count` in this process.

    Numba's own setting stays: to change it after Numba has started its threads is an error in a later compilation.
    """
    global _threads
    _threads = count
