"""The command as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys

TINY = ("--rows", "20", "--features", "33", "--classes", "3", "--blocks", "3", "--budget", "0")
"""A run of a second or two an implementation."""


def environment(**variables):
    """This process's variables, 80 columns wide, without anybody's taste in colours."""
    tastes = ("NO_COLOR", "FORCE_COLOR", "LCBENCH_RESULTS", "LCBENCH_DATA")
    plain = {name: value for name, value in os.environ.items() if name not in tastes}
    return {**plain, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **variables}


def lcbench(folder, *arguments, **variables):
    """Runs ``lcbench`` with `arguments` in `folder`; a traceback is never right."""
    done = subprocess.run(
        [sys.executable, "-m", "lcbench", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done
