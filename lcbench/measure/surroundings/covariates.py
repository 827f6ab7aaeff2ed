"""What else happened on the machine while a block ran: what can explain a slow block without looking at its times."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from lcbench.measure.surroundings import control_group, gpu_state
from lcbench.record import Counters

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class Watch:
    """Counters at the start of a block; `read` gives what was added since."""

    def __init__(self) -> None:
        self._granted = control_group.statistics()
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
            "throttled_periods": control_group.throttled_periods(self._granted),
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
