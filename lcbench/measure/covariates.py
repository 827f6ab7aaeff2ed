"""What else happened on the machine while a block ran: what can explain a slow block without looking at its times."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from lcbench.record import Covariates


class Watch:
    """Counters at the start of a block; `read` gives what was added since."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._start = self._counters()

    def read(self) -> Covariates:
        """What happened since the watch was made."""
        now = self._counters()
        since: dict[str, Any] = {
            name: None if value is None else value - self._start[name] for name, value in now.items()
        }
        return Covariates(frequency_mhz=_frequency_mhz(), **since)

    def _counters(self) -> dict[str, Any]:
        switches = self._process.num_ctx_switches()
        return {
            "seconds": perf_counter(),
            "steal_s": getattr(psutil.cpu_times(), "steal", None),
            "pressure_s": _pressure_s(),
            "voluntary_switches": switches.voluntary,
            "involuntary_switches": switches.involuntary,
        }


def _pressure_s() -> float | None:
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
