"""Load by other programs during a measurement, and the current state of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from lcbench.host import counters, gpu_state
from lcbench.host.counters import SYSTEM_ROOT, parse_core_list, pressure_s, read_system_file, usable_cores
from lcbench.host.gpu_state import Gpu, GpuState
from lcbench.host.machine import Facts
from lcbench.losses.implementation import Unavailable
from lcbench.workers.process import affinity

# Background load

MAX_PROGRAMS = 3
"""Maximum number of programs that are named."""

MIN_CORES = 0.02
"""Minimum load, in cores, of a program that is named."""


@dataclass(frozen=True)
class Program:
    """Load by another program. cores: average number of busy cores."""

    name: str
    cores: float


@dataclass(frozen=True)
class BackgroundLoad:
    """Load by other programs in an interval of `seconds`. Values are None if the system does not provide them.

    others: share of the time of all usable cores that other programs used. steal: share of that time that the
    hypervisor gave to other virtual machines. waited: share of the interval in which some process, including ours,
    waited for a core. switches_s: context switches per second of the whole machine. throttled_periods: periods in which
    the CPU quota of the container was used up. thermal_throttles: number of times that the processor reduced its clock
    because of its temperature. programs: busiest programs.
    """

    seconds: float
    others: float = 0.0
    steal: float | None = None
    waited: float | None = None
    switches_s: float | None = None
    throttled_periods: int | None = None
    thermal_throttles: int | None = None
    programs: tuple[Program, ...] = ()


CpuTimes = dict[tuple[int, float], tuple[str, float]]
"""Name and CPU time in seconds of each process, by process id and start time."""


class BackgroundObserver:
    """Observer of the load since its creation."""

    def __init__(self) -> None:
        self._granted = counters.control_group_statistics()
        self._programs = _programs()
        self._start = self._counters()

    def read(self) -> BackgroundLoad:
        """Return the load since the creation of the observer."""
        now, start = self._counters(), self._start
        since: dict[str, Any] = {name: None if value is None else value - start[name] for name, value in now.items()}
        seconds = since["seconds"]
        of_all_cores = seconds * usable_cores()
        return BackgroundLoad(
            seconds=seconds,
            others=min(1.0, max(0.0, since["busy_s"] - since["own_s"]) / of_all_cores),
            steal=None if since["steal_s"] is None else since["steal_s"] / of_all_cores,
            waited=None if since["pressure_s"] is None else since["pressure_s"] / seconds,
            switches_s=since["switches"] / seconds,
            throttled_periods=since["throttled_periods"],
            thermal_throttles=since["thermal_throttles"],
            programs=busiest(self._programs, _programs(), seconds),
        )

    def _counters(self) -> dict[str, Any]:
        times = _times_of_usable_cores()
        own = psutil.Process().cpu_times()
        return {
            "seconds": perf_counter(),
            "busy_s": sum(one.user + one.system + _sum_fields(one, "nice", "irq", "softirq") for one in times),
            "steal_s": sum(one.steal for one in times) if all(hasattr(one, "steal") for one in times) else None,
            # Children are worker processes; they are counted once they have ended.
            "own_s": own.user + own.system + _sum_fields(own, "children_user", "children_system"),
            "pressure_s": pressure_s(),
            "switches": psutil.cpu_stats().ctx_switches,
            "throttled_periods": counters.throttled_periods(self._granted),
            "thermal_throttles": thermal_throttles(),
        }


def busiest(before: CpuTimes, after: CpuTimes, seconds: float) -> tuple[Program, ...]:
    """Return at most `MAX_PROGRAMS` programs with the highest load in an interval, busiest first.

    Processes with the same name are one program. Processes that ended in the interval are not counted.
    """
    cores: dict[str, float] = {}
    for process, (name, used_s) in after.items():
        _, earlier_s = before.get(process, (name, 0.0))
        cores[name] = cores.get(name, 0.0) + (used_s - earlier_s) / seconds
    ranking = sorted(cores.items(), key=lambda item: -item[1])
    return tuple(Program(name, share) for name, share in ranking[:MAX_PROGRAMS] if share >= MIN_CORES)


def thermal_throttles(root: Path = SYSTEM_ROOT) -> int | None:
    """Return how often the processor was throttled because of its temperature since boot, or None if unknown."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [read_system_file(file).strip() for file in files]
    return sum(int(count) for count in counts if count.isdigit()) if counts else None


def _programs() -> CpuTimes:
    """Return the CPU times of all other processes that are accessible."""
    used: CpuTimes = {}
    for process in psutil.process_iter(["name", "create_time", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None and process.pid != os.getpid():
            used[process.pid, process.info["create_time"]] = (process.info["name"] or "?", times.user + times.system)
    return used


def _times_of_usable_cores() -> list[Any]:
    all_cores: list[Any] = psutil.cpu_times(percpu=True)
    usable = affinity()
    if not usable or max(usable) >= len(all_cores):  # some are offline
        return all_cores
    return [all_cores[core] for core in usable]


def _sum_fields(times: Any, *names: str) -> float:
    """Return the sum of the fields `names`. Fields that this system does not have count as 0."""
    return sum(getattr(times, name, 0.0) for name in names)


# Current state of the machine


@dataclass(frozen=True)
class Conditions:
    """State of the machine. Values are None or empty if unknown.

    load: load average over the last minute. governors: frequency governors of all cores. boost: whether turbo boost is
    on. swap_bytes: swap in use. on_battery: whether the power supply is disconnected. huge_pages: policy of the kernel,
    such as "madvise". usable_physical_cores, numa_nodes: physical cores and NUMA nodes of the logical cores that this
    process may use. virtual: whether this is a virtual machine. thermal_throttles: number since boot. pools: library
    and number of threads of each thread pool in this process. gpu: state of the GPU. gpu_unknown: reason why the state
    of the GPU is unknown. gpu_remedy: how to fix that.
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
    """Return the current state of the machine that `facts` describe."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    gpu = gpu_state.find_gpu() if facts["gpu"]["name"] is not None else None
    unknown = gpu if isinstance(gpu, Unavailable) else None
    return Conditions(
        load=_load(),
        governors=_governors(),
        boost=boost(),
        swap_bytes=psutil.swap_memory().used,
        on_battery=None if battery is None or battery.power_plugged is None else not battery.power_plugged,
        huge_pages=huge_pages(),
        usable_physical_cores=usable_physical_cores(affinity()),
        numa_nodes=numa_nodes(affinity()),
        virtual=virtual(),
        thermal_throttles=thermal_throttles(),
        pools=_pools(),
        gpu=gpu.state() if isinstance(gpu, Gpu) else None,
        gpu_unknown=unknown.reason if unknown else None,
        gpu_remedy=unknown.install if unknown else "",
    )


def boost(root: Path = SYSTEM_ROOT) -> bool | None:
    """Return whether turbo boost is on, or None if unknown."""
    folder = root / "sys/devices/system/cpu"
    off = read_system_file(folder / "intel_pstate/no_turbo").strip()
    on = read_system_file(folder / "cpufreq/boost").strip()
    return off == "0" if off else on == "1" if on else None


def huge_pages(root: Path = SYSTEM_ROOT) -> str | None:
    """Return the kernel's policy on transparent huge pages: "always", "madvise" or "never"."""
    choices = read_system_file(root / "sys/kernel/mm/transparent_hugepage/enabled").split()
    return next((choice.strip("[]") for choice in choices if choice.startswith("[")), None)


def usable_physical_cores(usable: Iterable[int], root: Path = SYSTEM_ROOT) -> int | None:
    """Return the number of physical cores of the logical cores `usable`, or None if unknown."""
    folder = root / "sys/devices/system/cpu"
    siblings = {
        parse_core_list(read_system_file(folder / f"cpu{core}/topology/thread_siblings_list")) for core in usable
    }
    return len(siblings) if siblings and frozenset() not in siblings else None


def numa_nodes(usable: Iterable[int], root: Path = SYSTEM_ROOT) -> int | None:
    """Return the number of NUMA nodes of the logical cores `usable`, or None if unknown."""
    lists = (root / "sys/devices/system/node").glob("node[0-9]*/cpulist")
    return sum(not parse_core_list(read_system_file(file)).isdisjoint(usable) for file in lists) or None


def virtual(root: Path = SYSTEM_ROOT) -> bool | None:
    """Return whether this is a virtual machine, from the CPU flags on x86; None on other processors."""
    flags = [line for line in read_system_file(root / "proc/cpuinfo").splitlines() if line.startswith("flags")]
    return "hypervisor" in flags[0].split() if flags else None


def _pools() -> tuple[tuple[str, int], ...]:
    from threadpoolctl import threadpool_info

    return tuple((library["prefix"], library["num_threads"]) for library in threadpool_info())


def _load() -> float | None:
    # psutil emulates the load average on Windows. It starts at 0, which is useless in a short process.
    if not hasattr(os, "getloadavg"):
        return None
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _governors() -> frozenset[str]:
    files = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return frozenset(read_system_file(file).strip() for file in files)
