"""Facts about machines that exist only in tests."""

from __future__ import annotations

from lcbench.host import machine


def facts(usable=4, logical=4, granted=None, gpu=None, **environment) -> machine.Facts:
    """Return the facts of a machine with four cores by default. The other keywords are environment variables."""
    return {
        "system": "Linux",
        "kernel": "6.1",
        "cpu": {
            "model": "A",
            "revision": None,
            "vendor": None,
            "architecture": "x86_64",
            "physical_cores": logical,
            "logical_cores": logical,
            "usable_cores": usable,
            "cgroup_cores": granted,
            "caches": {"l1d": None, "l2": None, "l3": None},
            "simd": [],
        },
        "memory_bytes": 2**34,
        "gpu": {"name": gpu, "why_none": None if gpu else "no driver"},
        "python": "CPython 3.11.0",
        "versions": {},
        "blas": [],
        "environment": environment,
    }
