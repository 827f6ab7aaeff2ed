"""What this process could use when it started. The package imports this module before any other library."""

from __future__ import annotations

import os

AFFINITY = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset[int]()
"""Logical cores that this process could use; empty if the system does not tell them.

With OMP_PROC_BIND, an OpenMP runtime binds the main thread to one of them as soon as a library loads it."""
