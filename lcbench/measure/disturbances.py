"""What would disturb a measurement here and now, and how to mend it.

`conditions` reads the machine's state; `findings` judges it, and is a pure function, so that each judgement can be
tested without such a machine. Only what was read is judged: no finding does not mean that a machine is quiet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from lcbench.measure.machine import KERNEL_VARIABLES, Facts, contents
from lcbench.measure.process import THREAD_VARIABLES

SWAP_SHARE = 0.01
"""Swap in use, as a share of memory, below which it is left unsaid: a few cold pages are normal."""


@dataclass(frozen=True)
class Conditions:
    """load: processes running or waiting, on average over the last minute. governors: the clock policies of all cores.

    swap_bytes: swap in use. on_battery: whether the power cord is out. Each is None (or empty) where unknown.
    """

    load: float | None = None
    governors: frozenset[str] = frozenset()
    swap_bytes: int | None = None
    on_battery: bool | None = None


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it."""

    what: str
    remedy: str


def conditions() -> Conditions:
    """The machine's state now."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return Conditions(
        load=_load(),
        governors=_governors(),
        swap_bytes=psutil.swap_memory().used,
        on_battery=None if battery is None or battery.power_plugged is None else not battery.power_plugged,
    )


def findings(facts: Facts, now: Conditions) -> list[Finding]:
    """Everything about the machine and its state that disturbs a measurement."""
    return [*_busy(facts, now), *_slowed(facts, now), *_fewer_cores(facts), *_environment(facts)]


def _busy(facts: Facts, now: Conditions) -> list[Finding]:
    found = []
    usable = facts["cpu"]["usable_cores"]
    if now.load is not None and now.load > usable / 2:
        found.append(
            Finding(
                f"load average {now.load:.1f} over the last minute, {usable} usable cores",
                "stop other programs, wait a minute, and measure then",
            )
        )
    if now.swap_bytes is not None and now.swap_bytes > SWAP_SHARE * facts["memory_bytes"]:
        found.append(
            Finding(
                f"{now.swap_bytes / 2**30:.1f} GiB of swap in use: memory has run short",
                "close what holds memory, or measure with fewer rows",
            )
        )
    return found


def _slowed(facts: Facts, now: Conditions) -> list[Finding]:
    found = []
    if "powersave" in now.governors:
        found.append(
            Finding(
                "CPU frequency governor 'powersave': the clock follows the load",
                "sudo cpupower frequency-set --governor performance",
            )
        )
    if now.on_battery:
        found.append(Finding("running on battery", "connect the power supply"))
    granted, usable = facts["cpu"]["cgroup_cores"], facts["cpu"]["usable_cores"]
    if granted is not None and granted < usable:
        found.append(
            Finding(
                f"the container grants the time of {granted:g} cores on {usable}: threads halt when it is used up",
                f"grant whole cores (docker run --cpuset-cpus), or set NUMBA_NUM_THREADS={max(1, int(granted))}",
            )
        )
    return found


def _fewer_cores(facts: Facts) -> list[Finding]:
    usable, present = facts["cpu"]["usable_cores"], facts["cpu"]["logical_cores"]
    if present is None or usable >= present:
        return []
    return [
        Finding(
            f"this process may run on {usable} of {present} logical cores",
            "nothing, if that is meant (taskset, cpuset); times compare only with runs on as many",
        )
    ]


def _environment(facts: Facts) -> list[Finding]:
    found = []
    usable = facts["cpu"]["usable_cores"]
    for name in THREAD_VARIABLES:
        value = facts["environment"].get(name)
        if value is None:
            continue
        threads = value.split(",")[0].strip()  # OpenMP takes a list, one number a nesting level
        if not (threads.isdecimal() and int(threads) > 0):
            found.append(Finding(f"{name}={value} is not a number of threads", f"unset {name}"))
        elif int(threads) > usable:
            found.append(Finding(f"{name}={value}, more than the {usable} usable cores", f"unset {name}"))
        elif int(threads) < usable:
            found.append(
                Finding(f"{name}={value}, fewer than the {usable} usable cores", f"unset {name}, unless that is meant")
            )
    for name in KERNEL_VARIABLES:
        if facts["environment"].get(name, "") not in ("", "0"):
            found.append(
                Finding(
                    f"{name}={facts['environment'][name]}: code that was not chosen for this processor",
                    f"unset {name}, unless that is meant",
                )
            )
    return found


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
