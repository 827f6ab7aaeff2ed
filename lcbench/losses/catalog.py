"""Which implementations exist, on which device, and why one is not available here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lcbench.losses.implementation import (
    LOSSES,
    Device,
    Implementation,
    LossName,
    Unavailable,
    UnknownImplementation,
    did_you_mean,
)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    module: where `svm_loss`, `softmax_loss` and, where needed, `prepare` and `fetch` live.
    requires: top-level packages without which the module does not import.
    install: the command that would bring them.
    compiles: the first call compiles.
    losses: what the implementation offers.
    takes_rows, takes_mean, streams: what its functions take besides, as `Implementation` says.
    by_name_only: takes part only where it is named, and not as one of all.
    elsewhere: the variable that says on which other machines it computes; empty or missing: on this one.
    """

    name: str
    module: str
    device: Device
    what: str
    requires: tuple[str, ...] = ()
    install: str = ""
    compiles: bool = False
    losses: tuple[LossName, ...] = LOSSES
    takes_rows: bool = False
    takes_mean: bool = False
    streams: bool = False
    by_name_only: bool = False
    elsewhere: str = ""


_HERE = "lcbench.losses"
_PEERS = "lcbench.losses.peers"

CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("naive", f"{_HERE}.naive", "cpu", "Python loops over rows and classes"),
        Entry("numpy", f"{_HERE}.vectorized", "cpu", "vectorised NumPy"),
        Entry("numba-njit", f"{_HERE}.numba_njit", "cpu", "the naive loops, compiled", compiles=True),
        Entry(
            "numba-parallel",
            f"{_HERE}.numba_parallel",
            "cpu",
            "one pass over X, all cores",
            compiles=True,
            takes_rows=True,
            takes_mean=True,
        ),
        Entry("numba-cuda", f"{_HERE}.numba_cuda", "cuda", "Numba CUDA kernels", compiles=True),
        Entry("torch", f"{_PEERS}.torch", "cpu", "PyTorch, eager", ("torch",), "pip install torch"),
        Entry(
            "torch-compile",
            f"{_PEERS}.torch_compile",
            "cpu",
            "PyTorch, torch.compile",
            ("torch",),
            "pip install torch",
            compiles=True,
        ),
        Entry("jax", f"{_PEERS}.jax", "cpu", "JAX, jit", ("jax",), "pip install jax", compiles=True),
        Entry(
            "sklearn",
            f"{_PEERS}.sklearn",
            "cpu",
            "scikit-learn's loss classes",
            ("sklearn",),
            "pip install scikit-learn",
            losses=("softmax",),
        ),
        Entry("torch-cuda", f"{_PEERS}.torch_cuda", "cuda", "PyTorch, eager", ("torch",), "pip install torch"),
        Entry(
            "torch-compile-cuda",
            f"{_PEERS}.torch_compile_cuda",
            "cuda",
            "PyTorch, torch.compile",
            ("torch",),
            "pip install torch",
            compiles=True,
        ),
        Entry(
            "jax-cuda", f"{_PEERS}.jax_cuda", "cuda", "JAX, jit", ("jax",), "pip install 'jax[cuda13]'", compiles=True
        ),
        Entry("cupy", f"{_PEERS}.cupy", "cuda", "CuPy", ("cupy",), "pip install cupy-cuda13x"),
        Entry(
            "dask",
            f"{_PEERS}.dask",
            "cpu",
            "numba-parallel on row chunks across a Dask cluster",
            ("distributed",),
            "pip install 'lcbench[dask]'",
            compiles=True,
            takes_rows=True,
            streams=True,
            by_name_only=True,
            elsewhere="LCBENCH_SCHEDULER",
        ),
    )
}


def why_unavailable(entry: Entry) -> Unavailable | None:
    """Why `entry` cannot run here, or None where nothing is known to stand in its way.

    Looks without importing anything heavy; an implementation may still raise `Unavailable` when it is loaded.
    """
    if find_spec(entry.module) is None:
        return Unavailable("not part of this version")
    for package in entry.requires:
        if find_spec(package) is None:
            return Unavailable(f"{package} is not installed", entry.install)
    if entry.device == "cuda" and entry.name != "numba-cuda":
        from lcbench.losses.cuda.backend import why_no_gpu

        reason = why_no_gpu()
        if reason:
            return Unavailable(reason)
    return None


def load(name: str) -> Implementation:
    """The catalogue's implementation `name`, imported.

    Raises UnknownImplementation, or Unavailable where it cannot run here.
    """
    entry = find(name)
    reason = why_unavailable(entry)
    if reason:
        raise reason
    try:
        module = importlib.import_module(entry.module)
    except ImportError as error:
        raise Unavailable(f"{entry.name} does not import: {' '.join(str(error).split())}", entry.install) from error
    return Implementation(
        name,
        device_here(entry),
        functions_of(module),
        compiles=entry.compiles,
        takes_rows=entry.takes_rows,
        takes_mean=entry.takes_mean,
        streams=entry.streams,
        **data_movers(module),
    )


def find(name: str) -> Entry:
    """The catalogue's line `name`. Raises UnknownImplementation, which names the nearest."""
    try:
        return CATALOG[name]
    except KeyError:
        hint = did_you_mean(name, CATALOG, "'lcbench impls' lists all")
        raise UnknownImplementation(f"no implementation '{name}': {hint}") from None


def device_here(entry: Entry) -> Device:
    """Where `entry` runs on this machine: numba-cuda runs in Numba's simulator where there is no GPU."""
    if entry.name == "numba-cuda":
        from lcbench.losses.cuda.backend import is_simulator, why_no_gpu

        return "simulator" if is_simulator() or why_no_gpu() else "cuda"
    return entry.device


def functions_of(namespace: Any) -> dict[str, Any]:
    """The losses that a module or object offers, by name."""
    return {loss: getattr(namespace, f"{loss}_loss") for loss in LOSSES if hasattr(namespace, f"{loss}_loss")}


def data_movers(namespace: Any) -> dict[str, Any]:
    """The `prepare`, `fetch`, `threads` and `release` that a module or object offers."""
    names = ("prepare", "fetch", "threads", "release")
    return {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
