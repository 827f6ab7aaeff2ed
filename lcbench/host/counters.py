"""Reading what Linux tells in files under /proc and /sys."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from time import perf_counter
from typing import Any

import psutil

from lcbench.host import gpu_state
from lcbench.record import Counters

SYSTEM_ROOT = Path("/")
"""Where /proc and /sys are."""


def read_system_file(path: Path) -> str:
    """What the file holds, or nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def parse_core_list(text: str) -> frozenset[int]:
    """The numbers in a list of cores as the kernel writes it: "0-2,8" holds 0, 1, 2 and 8."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


# What a container (a Linux control group) grants of the processor, and when it ran out of that.
#
# Both versions of the interface: https://docs.kernel.org/admin-guide/cgroup-v2.html and
# https://docs.kernel.org/scheduler/sched-bwc.html.


def granted_cores(root: Path = SYSTEM_ROOT) -> float | None:
    """Processor time that the control group and those above it grant, in cores; None without a limit.

    root: where /proc and /sys are.
    """
    quotas = []
    for folder, version in _folders(root):
        if version == 2:  # "<quota or max> <period>"
            quotas.append(read_system_file(folder / "cpu.max").split())
        else:
            quotas.append([read_system_file(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")])
    granted = [int(quota[0]) / int(quota[1]) for quota in quotas if len(quota) == 2 and quota[0].isdigit()]
    return min(granted, default=None)


def control_group_statistics(root: Path = SYSTEM_ROOT) -> tuple[Path, ...]:
    """The files in which this control group and those above it count what they withheld."""
    return tuple(
        folder / "cpu.stat" for folder, _ in _folders(root) if "nr_throttled" in read_system_file(folder / "cpu.stat")
    )


def throttled_periods(files: Iterable[Path]) -> int | None:
    """Periods, usually of 100 ms, in which the time granted was used up, so that threads halted. None where unknown.

    files: those that `statistics` names.
    """
    counts = [
        int(line.split()[1])
        for file in files
        for line in read_system_file(file).splitlines()
        if line.startswith("nr_throttled ")
    ]
    return sum(counts) if counts else None


def _folders(root: Path) -> Iterator[tuple[Path, int]]:
    """The folder of each control group that this process is in and that limits processors, with its version."""
    for line in read_system_file(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2 has one hierarchy
            yield from ((folder, 2) for folder in _and_above(root / "sys/fs/cgroup", path))
        elif "cpu" in controllers.split(","):
            yield from ((folder, 1) for folder in _and_above(root / "sys/fs/cgroup/cpu", path))


def _and_above(hierarchy: Path, group: str) -> list[Path]:
    group_path = PurePosixPath(group.lstrip("/"))
    return [hierarchy / group_path, *(hierarchy / parent for parent in group_path.parents)]


# What else happened on the machine while a block ran: what can explain a slow block without looking at its times.

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class CounterDelta:
    """Counters at the start of a block; `read` gives what was added since."""

    def __init__(self) -> None:
        self._granted = control_group_statistics()
        gpu_state.gpu_in_use()  # the first time takes long, in which the GPU would cool down again
        self._start = self._counters()

    def read(self) -> Counters:
        """What happened since the watch was made."""
        gpu = _of_the_gpu()  # first, since its clock falls soon after the last call
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


def _of_the_gpu() -> dict[str, Any]:
    """The counters of the GPU, where this process computes on one."""
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
    """Context switches so far of all threads of this process: those that waited for something, and those made to."""
    if resource is None:
        return None, None
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_nvcsw, used.ru_nivcsw


def pressure_s() -> float | None:
    """Seconds since boot in which some process waited for a CPU (Linux pressure stall information)."""
    try:
        some = Path("/proc/pressure/cpu").read_text().split("\n", 1)[0]
    except OSError:
        return None
    return int(some.rsplit("total=", 1)[1]) / 1e6


def _frequency_mhz() -> float | None:
    # cpu_freq reads every core's file: tens of microseconds, off the clock.
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    return frequency.current if frequency else None


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
