"""System counters: CPU quotas and throttling, context switches, CPU pressure and clock rates."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from lcbench.control_groups import SYSTEM_ROOT, control_groups, read_system_file
from lcbench.host import gpu_state
from lcbench.record import Counters
from lcbench.workers.process import affinity


def parse_core_list(text: str) -> frozenset[int]:
    """Return the core numbers in a list of the kernel: "0-2,8" contains 0, 1, 2 and 8."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


# CPU quota of the control group (container)
#
# Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html
# Version 1: https://docs.kernel.org/scheduler/sched-bwc.html


def granted_cores(root: Path = SYSTEM_ROOT) -> float | None:
    """Return the CPU quota of the control group and its ancestors, in cores, or None if there is no limit."""
    quotas = []
    for folder, version in control_groups("cpu", root):
        if version == 2:  # "<quota or max> <period>"
            quotas.append(read_system_file(folder / "cpu.max").split())
        else:
            quotas.append([read_system_file(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")])
    granted = [int(quota[0]) / int(quota[1]) for quota in quotas if len(quota) == 2 and quota[0].isdigit()]
    return min(granted, default=None)


def control_group_statistics(root: Path = SYSTEM_ROOT) -> tuple[Path, ...]:
    """Return the files in which this control group and its ancestors count throttled periods."""
    return tuple(
        folder / "cpu.stat"
        for folder, _ in control_groups("cpu", root)
        if "nr_throttled" in read_system_file(folder / "cpu.stat")
    )


def throttled_periods(files: Iterable[Path]) -> int | None:
    """Return the number of periods, usually of 100 ms, in which the quota was used up, or None if unknown.

    files: result of `control_group_statistics`.
    """
    counts = [
        int(line.split()[1])
        for file in files
        for line in read_system_file(file).splitlines()
        if line.startswith("nr_throttled ")
    ]
    return sum(counts) if counts else None


# Counters of a turn


class CounterDelta:
    """Counters since the creation of the object."""

    def __init__(self) -> None:
        self._granted = control_group_statistics()
        gpu_state.gpu_in_use()  # the first call is slow, and the GPU would cool down in the meantime
        self._start = self._counters()

    def read(self) -> Counters:
        """Return the counters since the creation of this object."""
        gpu = _gpu_counters()  # first, since the clock falls soon after the last call
        now = self._counters()
        since: dict[str, Any] = {
            name: None if value is None else value - self._start[name] for name, value in now.items()
        }
        return Counters(frequency_mhz=_frequency_mhz(), **since, **gpu)

    def _counters(self) -> dict[str, Any]:
        voluntary, involuntary = _switches()
        return {
            "seconds": perf_counter(),
            "steal_s": getattr(psutil.cpu_times(), "steal", None),
            "pressure_s": pressure_s(),
            "voluntary_switches": voluntary,
            "involuntary_switches": involuntary,
            "throttled_periods": throttled_periods(self._granted),
        }


def _gpu_counters() -> dict[str, Any]:
    """Return the counters of the GPU if this process computes on one."""
    gpu = gpu_state.gpu_in_use()
    if gpu is None:
        return {}
    reasons = gpu.throttle_reasons()
    return {
        "gpu_clock_mhz": gpu.sm_clock_mhz(),
        "gpu_throttle_reasons": None if reasons is None else list(reasons),
        "gpu_temperature_c": gpu.temperature_c(),
    }


def _switches() -> tuple[int | None, int | None]:
    """Return the numbers of voluntary and involuntary context switches of all threads of this process."""
    if resource is None:
        return None, None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw, usage.ru_nivcsw


def pressure_s() -> float | None:
    """Return the time since boot in which some process waited for a CPU (Linux pressure stall information)."""
    try:
        some = Path("/proc/pressure/cpu").read_text("utf-8").split("\n", 1)[0]
    except OSError:
        return None
    return int(some.rsplit("total=", 1)[1]) / 1e6


def _frequency_mhz() -> float | None:
    # cpu_freq reads a file of each core, which takes tens of microseconds. No time is measured meanwhile.
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    return frequency.current if frequency else None


def usable_cores() -> int:
    """Return the number of logical cores that this process may use."""
    return len(affinity()) or os.cpu_count() or 1
