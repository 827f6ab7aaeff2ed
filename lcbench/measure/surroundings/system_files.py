"""Reading what Linux tells in files under /proc and /sys."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")
"""Where /proc and /sys are."""


def contents(path: Path) -> str:
    """What the file holds, or nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def cores(text: str) -> frozenset[int]:
    """The numbers in a list of cores as the kernel writes it: "0-2,8" holds 0, 1, 2 and 8."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
