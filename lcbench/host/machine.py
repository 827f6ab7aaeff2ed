"""The machine and the software on it, as far as they decide how fast something runs.

Written for Linux; elsewhere, what the system does not tell is None. Nothing here names the machine or its user.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from math import log2
from pathlib import Path
from typing import Any, TypedDict

import psutil

from lcbench.host import counters
from lcbench.host.counters import SYSTEM_ROOT, read_system_file, usable_cores
from lcbench.workers.process import THREAD_VARIABLES

DISTRIBUTIONS = (
    "lcbench", "numpy", "numba", "llvmlite", "scipy", "h5py", "torch", "jax", "jaxlib", "scikit-learn", "numba-cuda",
    "numba-cuda-mlir", "cupy", "cupy-cuda12x", "cupy-cuda13x", "dask", "distributed", "tbb",
)  # fmt: skip
"""Packages whose version can change a time."""

KERNEL_VARIABLES = ("OPENBLAS_CORETYPE", "NUMBA_CPU_NAME", "NUMBA_DISABLE_JIT")
"""What makes a library run code that was not chosen for this processor."""

OTHER_VARIABLES = ("NUMBA_THREADING_LAYER", "NUMBA_ENABLE_CUDASIM", "CUDA_VISIBLE_DEVICES")

SIMD = (
    "sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "amx-tile", "neon", "sve", "sve2",
)  # fmt: skip
"""Vector instruction sets, by LLVM's names, that matter to a compiled kernel."""


class Caches(TypedDict):
    """Bytes of each cache that one core sees."""

    l1d: int | None
    l2: int | None
    l3: int | None


class CpuFacts(TypedDict):
    """model: as the processor calls itself; revision: its family, model and stepping, as one line.

    usable_cores: logical cores that this process may run on. cgroup_cores: processor time that its container grants,
    in cores.
    """

    model: str | None
    revision: str | None
    vendor: str | None
    architecture: str
    physical_cores: int | None
    logical_cores: int | None
    usable_cores: int
    cgroup_cores: float | None
    caches: Caches
    simd: list[str]


class GpuFacts(TypedDict):
    """name of the first CUDA device, or why_none."""

    name: str | None
    why_none: str | None


class Blas(TypedDict):
    """One linear-algebra library that NumPy has loaded. kernels: the processor type it chose its code for."""

    name: str
    version: str | None
    threads: int | None
    kernels: str | None


class Facts(TypedDict):
    """Everything, ready to be written as JSON. environment: what is set that chooses threads, kernels or a device."""

    system: str
    kernel: str
    cpu: CpuFacts
    memory_bytes: int
    gpu: GpuFacts
    python: str
    versions: dict[str, str]
    blas: list[Blas]
    environment: dict[str, str]


def facts() -> Facts:
    """What is known of this machine and its software. Imports NumPy and llvmlite; versions are read without imports."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "cpu": cpu_facts(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": gpu_facts(),
        "python": python_build(),
        "versions": versions(),
        "blas": blas_libraries(),
        "environment": {
            name: os.environ[name]
            for name in (*THREAD_VARIABLES, *KERNEL_VARIABLES, *OTHER_VARIABLES)
            if name in os.environ
        },
    }


def fingerprint(facts: Facts) -> str:
    """Twelve hex digits that two machines share where their times can be compared.

    Hashes the processor, the cores that can be used, caches, memory and GPU and the system's name; no versions, so that
    an upgrade can be measured.
    """
    processor = {name: value for name, value in facts["cpu"].items() if name != "logical_cores"}
    # A kernel keeps some memory for itself, and how much changes with its version.
    memory = round(log2(facts["memory_bytes"]))
    identity = [facts["system"], processor, memory, facts["gpu"]["name"]]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def machine_differences(here: Facts, there: Mapping[str, Any]) -> list[str]:
    """In what a record's machine is another one than `here`, by what makes it: "usable_cores 4, here 2"."""
    mine, other = _identity(here), _identity(there)
    return [f"{name} {other.get(name)}, here {value}" for name, value in mine.items() if other.get(name) != value]


def _identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    processor = {name: value for name, value in facts.get("cpu", {}).items() if name != "logical_cores"}
    # A kernel keeps some memory for itself, and how much changes with its version.
    memory = {"memory_gib": round(2 ** round(log2(facts.get("memory_bytes", 1))) / 2**30)}
    return {"system": facts.get("system")} | processor | memory | {"gpu": facts.get("gpu", {}).get("name")}


def cpu_facts() -> CpuFacts:
    """The processor, and how much of it this process may use."""
    identity = _processor_identity()
    return {
        "model": identity.get("model"),
        "revision": identity.get("revision"),
        "vendor": identity.get("vendor"),
        "architecture": platform.machine(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": usable_cores(),
        "cgroup_cores": counters.granted_cores(),
        "caches": cache_facts(),
        "simd": simd_features(),
    }


def cache_facts(root: Path = SYSTEM_ROOT) -> Caches:
    """Cache sizes in bytes, as the first usable core sees them. root: where /sys is."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    sizes: dict[str, int] = {}
    for index in (root / f"sys/devices/system/cpu/cpu{core}/cache").glob("index*"):
        level, kind, size = (read_system_file(index / name).strip() for name in ("level", "type", "size"))
        if kind in ("Data", "Unified") and size.endswith("K"):
            sizes[level] = int(size[:-1]) * 1024
    return {"l1d": sizes.get("1"), "l2": sizes.get("2"), "l3": sizes.get("3")}


def simd_features() -> list[str]:
    """Which of `SIMD` this processor has, by LLVM's account, which decides what Numba compiles for."""
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know on every platform
        return []
    return [name for name in SIMD if features.get(name)]


def gpu_facts() -> GpuFacts:
    """The first CUDA device, or why there is none."""
    from lcbench.losses.cuda.backend import gpu_name, why_no_gpu

    return {"name": gpu_name(), "why_none": why_no_gpu()}


def python_build() -> str:
    """This interpreter: its kind and version."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def versions() -> dict[str, str]:
    """Versions of those of `DISTRIBUTIONS` that are installed."""
    installed = {}
    for name in DISTRIBUTIONS:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def blas_libraries() -> list[Blas]:
    """The linear-algebra libraries loaded in this process, NumPy's among them."""
    import numpy as np
    from threadpoolctl import threadpool_info

    loaded: list[Blas] = []
    for library in threadpool_info():
        one: Blas = {
            "name": library["internal_api"],
            "version": library["version"],
            "threads": library["num_threads"],
            "kernels": library.get("architecture"),
        }
        if library["user_api"] == "blas" and one not in loaded:
            loaded.append(one)
    if not loaded:  # Apple's Accelerate has no interface to ask
        name = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
        loaded.append({"name": name, "version": None, "threads": None, "kernels": None})
    return loaded


def numba_threading_layers() -> dict[str, str | None]:
    """Numba's threading layers in its order of preference: None where one loads, else why it does not."""
    from importlib import import_module

    layers: dict[str, str | None] = {}
    for layer, module in (("tbb", "tbbpool"), ("omp", "omppool"), ("workqueue", "workqueue")):
        try:
            import_module(f"numba.np.ufunc.{module}")
        except ImportError as error:
            layers[layer] = str(error)
        else:
            layers[layer] = None
    return layers


def _processor_identity() -> dict[str, str]:
    """model, revision and vendor, as far as the system tells."""
    if sys.platform == "linux":
        return _linux_processor(read_system_file(SYSTEM_ROOT / "proc/cpuinfo"))
    if sys.platform == "darwin":
        name = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        return {"model": name.stdout.strip()} if name.returncode == 0 else {}
    return {"revision": platform.processor()}


def _linux_processor(cpuinfo: str) -> dict[str, str]:
    first, _, _ = cpuinfo.partition("\n\n")
    fields = {}
    for line in first.splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    # x86, then Arm, which has no model name
    revision = [f"{name} {fields[name]}" for name in ("cpu family", "model", "stepping") if name in fields]
    revision += [f"{name} {fields[name]}" for name in ("CPU implementer", "CPU part", "CPU variant") if name in fields]
    known = {
        "model": fields.get("model name", ""),
        "revision": ", ".join(revision),
        "vendor": fields.get("vendor_id", ""),
    }
    return {name: value for name, value in known.items() if value}
