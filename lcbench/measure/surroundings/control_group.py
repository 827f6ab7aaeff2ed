"""What a container (a Linux control group) grants of the processor, and when it ran out of that.

Both versions of the interface: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/scheduler/sched-bwc.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from lcbench.measure.surroundings.system_files import ROOT, contents


def granted_cores(root: Path = ROOT) -> float | None:
    """Processor time that the control group and those above it grant, in cores; None without a limit.

    root: where /proc and /sys are.
    """
    quotas = []
    for folder, version in _folders(root):
        if version == 2:  # "<quota or max> <period>"
            quotas.append(contents(folder / "cpu.max").split())
        else:
            quotas.append([contents(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")])
    granted = [int(quota[0]) / int(quota[1]) for quota in quotas if len(quota) == 2 and quota[0].isdigit()]
    return min(granted, default=None)


def statistics(root: Path = ROOT) -> tuple[Path, ...]:
    """The files in which this control group and those above it count what they withheld."""
    return tuple(folder / "cpu.stat" for folder, _ in _folders(root) if "nr_throttled" in contents(folder / "cpu.stat"))


def throttled_periods(files: Iterable[Path]) -> int | None:
    """Periods, usually of 100 ms, in which the time granted was used up, so that threads halted. None where unknown.

    files: those that `statistics` names.
    """
    counts = [
        int(line.split()[1])
        for file in files
        for line in contents(file).splitlines()
        if line.startswith("nr_throttled ")
    ]
    return sum(counts) if counts else None


def _folders(root: Path) -> Iterator[tuple[Path, int]]:
    """The folder of each control group that this process is in and that limits processors, with its version."""
    for line in contents(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2 has one hierarchy
            yield from ((folder, 2) for folder in _and_above(root / "sys/fs/cgroup", path))
        elif "cpu" in controllers.split(","):
            yield from ((folder, 1) for folder in _and_above(root / "sys/fs/cgroup/cpu", path))


def _and_above(hierarchy: Path, group: str) -> list[Path]:
    group_path = PurePosixPath(group.lstrip("/"))
    return [hierarchy / group_path, *(hierarchy / parent for parent in group_path.parents)]
