"""What Numba compiles for one test process, the others and their child processes find compiled."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if "NUMBA_CACHE_DIR" not in os.environ:  # as in the process that started this one
        folder = TemporaryDirectory(prefix="lcbench-tests-")
        os.environ["NUMBA_CACHE_DIR"] = folder.name
        config.add_cleanup(folder.cleanup)
