"""Facts about the machine and its software that influence times, and the fingerprint of the machine.

On systems other than Linux, some facts are None. The facts identify neither the machine nor its user.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from math import log2
from pathlib import Path
from time import perf_counter
from typing import Any, TypedDict

import psutil

from lcbench.host import counters
from lcbench.host.counters import SYSTEM_ROOT, read_system_file, usable_cores
from lcbench.workers.process import THREAD_VARIABLES, affinity

DISTRIBUTIONS = (
    "lcbench", "numpy", "numba", "llvmlite", "scipy", "h5py", "torch", "jax", "jaxlib", "scikit-learn", "numba-cuda",
    "numba-cuda-mlir", "cupy", "cupy-cuda12x", "cupy-cuda13x", "dask", "distributed", "tbb", "icc-rt",
    "intel-cmplr-lib-rt", "intel-openmp", "mkl", "triton", "jax-cuda12-plugin", "jax-cuda13-plugin",
)  # fmt: skip
"""Packages whose version can influence times."""

KERNEL_VARIABLES = {
    "OPENBLAS_CORETYPE": "", "NUMBA_CPU_NAME": "", "NUMBA_CPU_FEATURES": "", "NUMBA_DISABLE_JIT": "0",
    "NUMBA_OPT": "3", "NUMBA_BOUNDSCHECK": "0", "NUMBA_DEBUGINFO": "0", "NUMBA_LOOP_VECTORIZE": "1",
    "NPY_DISABLE_CPU_FEATURES": "", "ATEN_CPU_CAPABILITY": "", "ONEDNN_MAX_CPU_ISA": "", "DNNL_MAX_CPU_ISA": "",
    "MKL_ENABLE_INSTRUCTIONS": "", "MKL_DEBUG_CPU_TYPE": "", "MKL_CBWR": "",
}  # fmt: skip
"""Environment variables that select slower code or code for another processor, with their default."""

CODE_PREFIXES = (
    "NUMBA_", "LLVMLITE_", "NPY_", "OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "VECLIB_", "ATEN_", "TORCH", "PYTORCH_",
    "ONEDNN_", "DNNL_", "XLA_", "JAX_", "CUDA_", "CUPY_", "TRITON_", "NVIDIA_TF32_", "OMP_", "GOMP_", "KMP_", "TBB_",
    "SCIPY_", "SKLEARN_", "MALLOC_", "PYTHONOPTIMIZE", "PYTHONMALLOC", "PYTHON_JIT", "PYTHON_GIL", "LD_PRELOAD",
    "GLIBC_TUNABLES",
)  # fmt: skip
"""Beginnings of the environment variables that can change which code runs, where its threads run, or its memory."""

NO_CODE_ENDINGS = ("_DIR", "_HOME", "_PATH", "_ROOT", "_LOGS", "_VERSION", "_VERBOSE")
"""Endings of variables with such a beginning that hold a path or describe the installation."""

SET_BY_LIBRARIES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "CUDA_MODULE_LOADING")
"""Variables with such a beginning that libraries set themselves when they are imported."""

SIMD = (
    "sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "amx-tile", "neon", "sve", "sve2",
)  # fmt: skip
"""Vector instruction sets that influence compiled kernels, by LLVM's names."""


class Caches(TypedDict):
    """Size in bytes of each cache of a core."""

    l1d: int | None
    l2: int | None
    l3: int | None


class CpuFacts(TypedDict):
    """Facts about the processor.

    model: name of the model. revision: family, model and stepping in one line. usable_cores: number of logical cores
    that this process may use. cgroup_cores: CPU quota of its container, in cores.
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
    """Name of the first CUDA device, or the reason why there is none."""

    name: str | None
    why_none: str | None


class Blas(TypedDict):
    """Linear-algebra library loaded by NumPy. kernels: processor type for which it selected its code."""

    name: str
    version: str | None
    threads: int | None
    kernels: str | None


class Facts(TypedDict):
    """Facts about the machine and its software, in types of JSON.

    environment: environment variables that are set and select threads, kernels or a device.
    """

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
    """Return the facts about this machine. This imports NumPy and llvmlite, but no other measured library."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "cpu": cpu_facts(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": gpu_facts(),
        "python": python_build(),
        "versions": versions(),
        "blas": blas_libraries(),
        "environment": environment(os.environ),
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of `variables` that select threads, code or a device. Libraries in them are without their folder."""
    found = {}
    for name, value in sorted(variables.items()):
        chooses_code = name.startswith(CODE_PREFIXES) and not name.endswith(NO_CODE_ENDINGS)
        if name in THREAD_VARIABLES or (chooses_code and name not in SET_BY_LIBRARIES):
            found[name] = " ".join(Path(part).name for part in re.split("[ :]+", value)) if "/" in value else value
    return found


def fingerprint(facts: Facts) -> str:
    """Return twelve hexadecimal digits that are equal for machines with comparable times.

    This is a hash of the processor, usable cores, caches, memory, GPU and operating system. It does not include
    versions, so that the effect of an upgrade can be measured.
    """
    processor = {name: value for name, value in facts["cpu"].items() if name != "logical_cores"}
    # The kernel reserves some memory, by an amount that depends on its version.
    memory = round(log2(facts["memory_bytes"]))
    identity = [facts["system"], processor, memory, facts["gpu"]["name"]]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def machine_differences(here: Facts, there: Mapping[str, Any]) -> list[str]:
    """Return the differences between the machine of a record and this one, such as "usable_cores 4, here 2"."""
    mine, other = _identity(here), _identity(there)
    return [f"{name} {other.get(name)}, here {value}" for name, value in mine.items() if other.get(name) != value]


def _identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    cpu = facts.get("cpu")
    known = cpu if isinstance(cpu, Mapping) else {"model": cpu}  # of another version of lcbench
    processor = {name: value for name, value in known.items() if name != "logical_cores"}
    # The kernel reserves some memory, by an amount that depends on its version.
    memory = {"memory_gib": round(2 ** round(log2(facts.get("memory_bytes") or 1)) / 2**30)}
    return {"system": facts.get("system")} | processor | memory | {"gpu": (facts.get("gpu") or {}).get("name")}


def cpu_facts() -> CpuFacts:
    """Return the facts about the processor."""
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
    """Return the cache sizes of the first usable core, in bytes."""
    core = min(affinity(), default=0)
    sizes: dict[str, int] = {}
    for index in (root / f"sys/devices/system/cpu/cpu{core}/cache").glob("index*"):
        level, kind, size = (read_system_file(index / name).strip() for name in ("level", "type", "size"))
        if kind in ("Data", "Unified") and size.endswith("K"):
            sizes[level] = int(size[:-1]) * 1024
    return {"l1d": sizes.get("1"), "l2": sizes.get("2"), "l3": sizes.get("3")}


def simd_features() -> list[str]:
    """Return the instruction sets of `SIMD` that this processor has according to LLVM, which Numba compiles for."""
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # not supported by LLVM on all platforms
        return []
    return [name for name in SIMD if features.get(name)]


def gpu_facts() -> GpuFacts:
    """Return the first CUDA device, or the reason why there is none."""
    from lcbench.losses.cuda.backend import gpu_name, why_no_gpu

    return {"name": gpu_name(), "why_none": why_no_gpu()}


def python_build() -> str:
    """Return the implementation and version of this Python interpreter."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def versions() -> dict[str, str]:
    """Return the versions of the installed packages of `DISTRIBUTIONS`."""
    installed = {}
    for name in DISTRIBUTIONS:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def blas_libraries() -> list[Blas]:
    """Return the linear-algebra libraries loaded in this process, including NumPy's."""
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
    if not loaded:  # threadpoolctl does not support Apple's Accelerate
        name = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
        loaded.append({"name": name, "version": None, "threads": None, "kernels": None})
    return loaded


GEMM_SIZE = 1536
"""Rows and columns. The matrices exceed the caches of a core, and a product takes some hundredths of a second."""

GEMM_REPEATS = 5


def gemm_flops_s(dtype: str) -> float:
    """Return the floating-point operations per second of NumPy's ``A @ B``, with shapes (GEMM_SIZE, GEMM_SIZE).

    This is the best of `GEMM_REPEATS` measurements. It is a reference and not a limit: see `lcbench.host.limits`.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    A, B = (rng.random((GEMM_SIZE, GEMM_SIZE)).astype(dtype) for _ in range(2))
    out = A @ B
    seconds = []
    for _ in range(GEMM_REPEATS):
        start = perf_counter()
        np.matmul(A, B, out=out)
        seconds.append(perf_counter() - start)
    return 2 * GEMM_SIZE**3 / min(seconds)


def numba_threading_layers() -> dict[str, str | None]:
    """Return Numba's threading layers in order of preference, each with None or the reason why it does not load."""
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
    """Return model, revision and vendor of the processor, as far as the system provides them."""
    if sys.platform == "linux":
        return _linux_processor(read_system_file(SYSTEM_ROOT / "proc/cpuinfo"))
    if sys.platform == "darwin":
        name = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, encoding="utf-8", check=False
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
