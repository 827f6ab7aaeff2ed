"""State that all tests share: the cache of compiled code, also with child processes, and the handler of Ctrl-C."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from tempfile import TemporaryDirectory

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # A job in the background of a shell ignores Ctrl-C, and one that nohup starts ignores SIGHUP, and so do their child
    # processes, to which some tests send these signals.
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "NUMBA_CACHE_DIR" not in os.environ:  # as in the process that started this one
        folder = TemporaryDirectory(prefix="lcbench-tests-")
        os.environ["NUMBA_CACHE_DIR"] = folder.name
        config.add_cleanup(folder.cleanup)
