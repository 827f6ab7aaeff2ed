"""Whether data would fit in memory, or has to be read from its file as it is needed."""

from __future__ import annotations

import psutil

COPIES = 2
"""X and what is made of it: rows taken from it for validation and testing, or a matrix in another type."""


def fits(size: int) -> bool:
    """Whether an X of `size` bytes, and what is made of it, would fit in the memory that is free now."""
    return COPIES * size <= psutil.virtual_memory().available


def too_large(source: str, size: int) -> str:
    """The line by which a user is told that an X of `size` bytes is streamed."""
    free = psutil.virtual_memory().available
    return (
        f"{source}: {size / 1e9:,.1f} GB of X would not fit in the {free / 1e9:,.1f} GB of memory that are free: "
        "streamed from the file"
    )
