"""What the rest of the machine did while something was measured: who else used the processors, and what slowed them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from lcbench.measure.surroundings import control_group
from lcbench.measure.surroundings.covariates import pressure_s, usable_cores
from lcbench.measure.surroundings.system_files import ROOT, contents

MOST_PROGRAMS = 3

LEAST_CORES = 0.02
"""A program that kept less than this of one core busy is not named."""


@dataclass(frozen=True)
class Program:
    """Another program by its name. cores: how many it kept busy, on average."""

    name: str
    cores: float


@dataclass(frozen=True)
class Meanwhile:
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


class Observer:
    """Counters when it was made; `read` says what happened since."""

    def __init__(self) -> None:
        self._granted = control_group.statistics()
        self._programs = _programs()
        self._start = self._counters()

    def read(self) -> Meanwhile:
        """What happened since the observer was made."""
        now, start = self._counters(), self._start
        since: dict[str, Any] = {name: None if value is None else value - start[name] for name, value in now.items()}
        seconds = since["seconds"]
        of_all_cores = seconds * usable_cores()
        return Meanwhile(
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
            "throttled_periods": control_group.throttled_periods(self._granted),
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


def thermal_throttles(root: Path = ROOT) -> int | None:
    """Times since boot that a core of the processor slowed down, being too hot; None where that is not counted."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [contents(file).strip() for file in files]
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
