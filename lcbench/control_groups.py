"""Control groups (containers): their folders, and the memory that they leave to this process.

Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html
Version 1: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

SYSTEM_ROOT = Path("/")
"""Parent folder of /proc and /sys. Tests use another one."""

_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Files of the memory limit and of the used memory, and the line of memory.stat with unused file cache, by version."""


def read_system_file(path: Path) -> str:
    """Return the content of a file under /proc or /sys, or an empty string if it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def control_groups(controller: str, root: Path = SYSTEM_ROOT) -> Iterator[tuple[Path, int]]:
    """Yield the folder and the version of each control group of this process that may have a limit of `controller`."""
    for line in read_system_file(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2 has one hierarchy
            yield from ((folder, 2) for folder in _and_above(root / "sys/fs/cgroup", path))
        elif controller in controllers.split(","):
            yield from ((folder, 1) for folder in _and_above(root / "sys/fs/cgroup" / controller, path))


def _and_above(hierarchy: Path, group: str) -> list[Path]:
    group_path = PurePosixPath(group.lstrip("/"))
    return [hierarchy / group_path, *(hierarchy / parent for parent in group_path.parents)]


def memory_available(root: Path = SYSTEM_ROOT) -> int:
    """Return the bytes that can still be allocated: the minimum of the free memory and of what control groups leave.

    The kernel frees unused file cache when a group reaches its limit, so that this cache does not count as used.
    """
    left = [psutil.virtual_memory().available]
    for folder, version in control_groups("memory", root):
        limit_file, usage_file, cache_line = _MEMORY_FILES[version]
        limit, usage = (read_system_file(folder / name).strip() for name in (limit_file, usage_file))
        if limit.isdigit() and usage.isdigit():  # a limit may be "max"
            cache = [
                int(line.split()[1])
                for line in read_system_file(folder / "memory.stat").splitlines()
                if line.startswith(f"{cache_line} ")
            ]
            left.append(max(0, int(limit) - max(0, int(usage) - sum(cache))))
    return min(left)
