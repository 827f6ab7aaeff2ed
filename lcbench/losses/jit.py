"""The one place that decides how Numba compiles CPU code: flags, cache, vector width, threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import config

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Sums may be reordered and fused; NaN and infinity keep their meaning, so that overflow stays visible."""

CACHE = "NUMBA_CACHE_DIR" in os.environ
"""Compiled code is kept on disk only where somebody named a folder for it, as a benchmark run does for its workers.
Numba's default cache outlives its run and misses edits in other files."""

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": FASTMATH, "cache": CACHE, "error_model": "numpy"}

_AVX512_NAMES = ("skylake-avx512", "cascadelake", "cooperlake", "icelake", "tigerlake", "rocketlake", "sapphire",
                 "emerald", "granite", "diamond", "znver4", "znver5", "znver6", "x86-64-v4", "knl", "knm")  # fmt: skip
_SSE_NAMES = ("generic", "x86-64", "x86-64-v2", "nehalem", "westmere", "core2", "penryn")


def compiled(function: Callable[..., Any]) -> Any:
    """Decorator for every CPU kernel: compiled on first call, free of the GIL, cached where `CACHE` says so."""
    return numba.njit(**_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """As `compiled`, for a function that kernels contain rather than call: it is not optimised once more by itself."""
    return numba.njit(**_OPTIONS, inline="always")(function)


def vector_bytes() -> int:
    """Width in bytes of the vector registers of the CPU that Numba compiles for (`NUMBA_CPU_NAME` or the host)."""
    name = config.CPU_NAME
    if name is None or name == "host":
        features = llvm.get_host_cpu_features()
        return 64 if features.get("avx512f") else 32 if features.get("avx") else 16
    if name.startswith(_AVX512_NAMES) or "+avx512f" in (config.CPU_FEATURES or ""):
        return 64
    return 16 if name in _SSE_NAMES or not is_x86() else 32


def vector_registers() -> int:
    """How many vector registers that CPU has."""
    return 16 if is_x86() and vector_bytes() < 64 else 32


def is_x86() -> bool:
    """Whether Numba compiles for an x86 processor."""
    return bool(llvm.get_default_triple().startswith(("x86", "i386", "amd64")))


def thread_count() -> int:
    """Threads that a parallel kernel uses: `NUMBA_NUM_THREADS`, or every core that this process may run on."""
    return int(config.NUMBA_NUM_THREADS)


def use_threads(count: int) -> None:
    """From now on, in this process, `thread_count` is `count`."""
    config.NUMBA_NUM_THREADS = count
