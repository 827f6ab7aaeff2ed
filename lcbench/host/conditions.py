"""What the rest of the machine did while something was measured: who else used the processors, and what slowed them."""

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

MOST_PROGRAMS = 3

LEAST_CORES = 0.02
"""A program that kept less than this of one core busy is not named."""


@dataclass(frozen=True)
class Program:
    """Another program by its name. cores: how many it kept busy, on average."""

    name: str
    cores: float


@dataclass(frozen=True)
class BackgroundLoad:
    """What happened in `seconds`. Shares are of the time of all usable cores; None where the system does not tell.

    others: used by other programs than this one and its worker processes. steal: given to others by the hypervisor.
    waited: share of the time in which some process, ours among them, waited for a core. switches_s: context switches of
    the whole machine a second. throttled_periods: in which the time that the container grants was used up.
    thermal_throttles: times that the processor slowed down, being too hot. programs: those that used most.
    """

    seconds: float
    others: float = 0.0
    steal: float | None = None
    waited: float | None = None
    switches_s: float | None = None
    throttled_periods: int | None = None
    thermal_throttles: int | None = None
    programs: tuple[Program, ...] = ()


Used = dict[tuple[int, float], tuple[str, float]]
"""Name and seconds of processor time of every process, by its number and start."""


class BackgroundObserver:
    """Counters when it was made; `read` says what happened since."""

    def __init__(self) -> None:
        self._granted = counters.control_group_statistics()
        self._programs = _programs()
        self._start = self._counters()

    def read(self) -> BackgroundLoad:
        """What happened since the observer was made."""
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
            "busy_s": sum(one.user + one.system + _more(one, "nice", "irq", "softirq") for one in times),
            "steal_s": sum(one.steal for one in times) if all(hasattr(one, "steal") for one in times) else None,
            # Worker processes count from when they have ended.
            "own_s": own.user + own.system + _more(own, "children_user", "children_system"),
            "pressure_s": pressure_s(),
            "switches": psutil.cpu_stats().ctx_switches,
            "throttled_periods": counters.throttled_periods(self._granted),
            "thermal_throttles": thermal_throttles(),
        }


def busiest(before: Used, after: Used, seconds: float) -> tuple[Program, ...]:
    """The programs that used most of the processors in between, at most `MOST_PROGRAMS`, the busiest first.

    Processes of one name are one program, and those that ended in between are not known.
    """
    cores: dict[str, float] = {}
    for process, (name, used_s) in after.items():
        _, earlier_s = before.get(process, (name, 0.0))
        cores[name] = cores.get(name, 0.0) + (used_s - earlier_s) / seconds
    ranking = sorted(cores.items(), key=lambda item: -item[1])
    return tuple(Program(name, share) for name, share in ranking[:MOST_PROGRAMS] if share >= LEAST_CORES)


def thermal_throttles(root: Path = SYSTEM_ROOT) -> int | None:
    """Times since boot that a core of the processor slowed down, being too hot; None where that is not counted."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [read_system_file(file).strip() for file in files]
    return sum(int(count) for count in counts if count.isdigit()) if counts else None


def _programs() -> Used:
    """Every other process that may be looked at."""
    used: Used = {}
    for process in psutil.process_iter(["name", "create_time", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None and process.pid != os.getpid():
            used[process.pid, process.info["create_time"]] = (process.info["name"] or "?", times.user + times.system)
    return used


def _times_of_usable_cores() -> list[Any]:
    every: list[Any] = psutil.cpu_times(percpu=True)
    if not hasattr(os, "sched_getaffinity") or max(os.sched_getaffinity(0)) >= len(every):  # some are switched off
        return every
    return [every[core] for core in os.sched_getaffinity(0)]


def _more(times: Any, *names: str) -> float:
    """Sum of those of the fields `names` that this system has."""
    return sum(getattr(times, name, 0.0) for name in names)


# The state of the machine now: clocks, memory, cores, GPU. What the system does not tell is None, or empty.


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
    gpu = gpu_state.find_gpu() if facts["gpu"]["name"] is not None else None
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


def boost(root: Path = SYSTEM_ROOT) -> bool | None:
    """Whether the clock may rise above its nominal rate. root: where /sys is, here and below."""
    folder = root / "sys/devices/system/cpu"
    off = read_system_file(folder / "intel_pstate/no_turbo").strip()
    on = read_system_file(folder / "cpufreq/boost").strip()
    return off == "0" if off else on == "1" if on else None


def huge_pages(root: Path = SYSTEM_ROOT) -> str | None:
    """The kernel's policy on them: "always", "madvise" or "never"."""
    choices = read_system_file(root / "sys/kernel/mm/transparent_hugepage/enabled").split()
    return next((choice.strip("[]") for choice in choices if choice.startswith("[")), None)


def usable_physical_cores(usable: Iterable[int], root: Path = SYSTEM_ROOT) -> int | None:
    """How many physical cores the logical cores `usable` are."""
    folder = root / "sys/devices/system/cpu"
    siblings = {
        parse_core_list(read_system_file(folder / f"cpu{core}/topology/thread_siblings_list")) for core in usable
    }
    return len(siblings) if siblings and frozenset() not in siblings else None


def numa_nodes(usable: Iterable[int], root: Path = SYSTEM_ROOT) -> int | None:
    """How many memory nodes the logical cores `usable` belong to."""
    lists = (root / "sys/devices/system/node").glob("node[0-9]*/cpulist")
    return sum(not parse_core_list(read_system_file(file)).isdisjoint(usable) for file in lists) or None


def virtual(root: Path = SYSTEM_ROOT) -> bool | None:
    """Whether this is a virtual machine: on x86 the processor says so; elsewhere it is not known."""
    flags = [line for line in read_system_file(root / "proc/cpuinfo").splitlines() if line.startswith("flags")]
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
    return frozenset(read_system_file(file).strip() for file in files)
