"""Catalog of the implementations: name, module, device, and the reason why one cannot run here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
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
    """Entry of the catalog. A new one also needs a line style, in `report/plots/line_styles.py`.

    module: holds `svm_loss`, `softmax_loss` and, where needed, `prepare`, `fetch`, `convert`, `threads` and `release`.
        With "module:function", the object that the function returns holds them.
    what: description in a few words.
    requires: top-level packages that the module imports.
    install: command that installs them.
    compiles: True if the first call compiles.
    losses: losses that the implementation has.
    takes_rows, takes_mean, streams: as in `Implementation`.
    by_name_only: True if the implementation runs only when it is named, and not as part of "all".
    scheduler_variable: environment variable with the address of the cluster on which it computes. If empty or not set,
        it computes on this machine.
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
    scheduler_variable: str = ""


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
            f"{_PEERS}.torch:compiled",
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
        Entry("torch-cuda", f"{_PEERS}.torch:on_cuda", "cuda", "PyTorch, eager", ("torch",), "pip install torch"),
        Entry(
            "torch-compile-cuda",
            f"{_PEERS}.torch:compiled_on_cuda",
            "cuda",
            "PyTorch, torch.compile",
            ("torch",),
            "pip install torch",
            compiles=True,
        ),
        Entry(
            "jax-cuda",
            f"{_PEERS}.jax:on_cuda",
            "cuda",
            "JAX, jit",
            ("jax",),
            "pip install 'jax[cuda13]'",
            compiles=True,
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
            scheduler_variable="LCBENCH_SCHEDULER",
        ),
    )
}


def on_cluster(name: str) -> bool:
    """Return whether `name` is an entry that computes on a cluster, or on a cluster's processes on this machine."""
    entry = CATALOG.get(name)
    return bool(entry and entry.scheduler_variable)


def find(name: str) -> Entry:
    """Return the entry `name`. Raise UnknownImplementation, with a file or the nearest name, if there is none."""
    try:
        return CATALOG[name]
    except KeyError:
        hint = did_you_mean(name, CATALOG, "'lcbench impls' lists all")
        for file in (f"{name}.py", f"{name}.ipynb"):
            if Path(file).is_file():
                hint = f"did you mean '{file}'?"
                break
        raise UnknownImplementation(f"no implementation '{name}': {hint}") from None


def why_unavailable(entry: Entry) -> Unavailable | None:
    """Return why `entry` cannot run here, or None if no reason is known.

    Nothing heavy is imported. Loading the implementation may still raise `Unavailable`.
    """
    if find_spec(entry.module.partition(":")[0]) is None:
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
    """Import the implementation `name` and return it.

    Raise UnknownImplementation, or Unavailable if it cannot run here.
    """
    entry = find(name)
    reason = why_unavailable(entry)
    if reason:
        raise reason
    module, _, function = entry.module.partition(":")
    try:
        namespace: Any = importlib.import_module(module)
        if function:
            namespace = getattr(namespace, function)()
    except ImportError as error:
        raise Unavailable(f"{entry.name} does not import: {' '.join(str(error).split())}", entry.install) from error
    return Implementation(
        name,
        device_here(entry),
        functions_of(namespace),
        compiles=entry.compiles,
        takes_rows=entry.takes_rows,
        takes_mean=entry.takes_mean,
        streams=entry.streams,
        **data_movers(namespace),
    )


def device_here(entry: Entry) -> Device:
    """Return the device of `entry` on this machine: without a GPU, numba-cuda runs in Numba's simulator."""
    if entry.name == "numba-cuda":
        from lcbench.losses.cuda.backend import is_simulator, why_no_gpu

        return "simulator" if is_simulator() or why_no_gpu() else "cuda"
    return entry.device


def functions_of(namespace: Any) -> dict[str, Any]:
    """Return the loss functions of a module or object, by name of the loss."""
    return {loss: getattr(namespace, f"{loss}_loss") for loss in LOSSES if hasattr(namespace, f"{loss}_loss")}


def data_movers(namespace: Any) -> dict[str, Any]:
    """Return `prepare`, `fetch`, `convert`, `threads` and `release` of a module or object, those that it has."""
    names = ("prepare", "fetch", "convert", "threads", "release")
    return {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
