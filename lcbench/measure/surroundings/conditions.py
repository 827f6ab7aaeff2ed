"""The state of the machine now: clocks, memory, cores, GPU. What the system does not tell is None, or empty."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lcbench.losses.errors import Unavailable
from lcbench.measure.machine import Facts
from lcbench.measure.surroundings import gpu_state
from lcbench.measure.surroundings.gpu_state import Gpu, GpuState
from lcbench.measure.surroundings.meanwhile import thermal_throttles
from lcbench.measure.surroundings.system_files import ROOT, contents, cores


@dataclass(frozen=True)
class Conditions:
    """The machine's state. None, or empty, where unknown.

    load: processes running or waiting, on average over the last minute. governors: the clock policies of all cores.
    boost: whether the clock may rise above its nominal rate. swap_bytes: swap in use. on_battery: whether the power
    cord is out. huge_pages: the kernel's policy on them, as "madvise". usable_physical_cores: those behind the logical
    cores that this process may run on. numa_nodes: memory nodes of these. virtual: whether this is a virtual machine.
    thermal_throttles: since boot. pools: each library with threads of its own in this process, and how many.
    gpu: where there is one; gpu_unknown: why nothing is known of it, and gpu_remedy: what would mend that.
    """

    load: float | None = None
    governors: frozenset[str] = frozenset()
    boost: bool | None = None
    swap_bytes: int | None = None
    on_battery: bool | None = None
    huge_pages: str | None = None
    usable_physical_cores: int | None = None
    numa_nodes: int | None = None
    virtual: bool | None = None
    thermal_throttles: int | None = None
    pools: tuple[tuple[str, int], ...] = ()
    gpu: GpuState | None = None
    gpu_unknown: str | None = None
    gpu_remedy: str = ""


def conditions(facts: Facts) -> Conditions:
    """The state now of the machine that `facts` are about."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    gpu = gpu_state.gpu() if facts["gpu"]["name"] is not None else None
    unknown = gpu if isinstance(gpu, Unavailable) else None
    return Conditions(
        load=_load(),
        governors=_governors(),
        boost=boost(),
        swap_bytes=psutil.swap_memory().used,
        on_battery=None if battery is None or battery.power_plugged is None else not battery.power_plugged,
        huge_pages=huge_pages(),
        usable_physical_cores=usable_physical_cores(_usable()),
        numa_nodes=numa_nodes(_usable()),
        virtual=virtual(),
        thermal_throttles=thermal_throttles(),
        pools=_pools(),
        gpu=gpu.state() if isinstance(gpu, Gpu) else None,
        gpu_unknown=unknown.reason if unknown else None,
        gpu_remedy=unknown.install if unknown else "",
    )


def boost(root: Path = ROOT) -> bool | None:
    """Whether the clock may rise above its nominal rate. root: where /sys is, here and below."""
    folder = root / "sys/devices/system/cpu"
    off = contents(folder / "intel_pstate/no_turbo").strip()
    on = contents(folder / "cpufreq/boost").strip()
    return off == "0" if off else on == "1" if on else None


def huge_pages(root: Path = ROOT) -> str | None:
    """The kernel's policy on them: "always", "madvise" or "never"."""
    choices = contents(root / "sys/kernel/mm/transparent_hugepage/enabled").split()
    return next((choice.strip("[]") for choice in choices if choice.startswith("[")), None)


def usable_physical_cores(usable: Iterable[int], root: Path = ROOT) -> int | None:
    """How many physical cores the logical cores `usable` are."""
    folder = root / "sys/devices/system/cpu"
    siblings = {cores(contents(folder / f"cpu{core}/topology/thread_siblings_list")) for core in usable}
    return len(siblings) if siblings and frozenset() not in siblings else None


def numa_nodes(usable: Iterable[int], root: Path = ROOT) -> int | None:
    """How many memory nodes the logical cores `usable` belong to."""
    lists = (root / "sys/devices/system/node").glob("node[0-9]*/cpulist")
    return sum(not cores(contents(file)).isdisjoint(usable) for file in lists) or None


def virtual(root: Path = ROOT) -> bool | None:
    """Whether this is a virtual machine: on x86 the processor says so; elsewhere it is not known."""
    flags = [line for line in contents(root / "proc/cpuinfo").splitlines() if line.startswith("flags")]
    return "hypervisor" in flags[0].split() if flags else None


def _pools() -> tuple[tuple[str, int], ...]:
    from threadpoolctl import threadpool_info

    return tuple((library["prefix"], library["num_threads"]) for library in threadpool_info())


def _usable() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _load() -> float | None:
    # psutil imitates a load average on Windows, which starts at 0 and says nothing in a short process.
    if not hasattr(os, "getloadavg"):
        return None
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _governors() -> frozenset[str]:
    files = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return frozenset(contents(file).strip() for file in files)
