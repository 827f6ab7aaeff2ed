"""Run ``lcbench`` in a subprocess, or faster in this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from unittest import mock

import click
from click import formatting
from click.testing import CliRunner

from lcbench.cli import main

TIMEOUT_S = 600
"""Timeout of subprocesses, long enough for a busy machine."""

TINY = ("--rows", "20", "--features", "33", "--classes", "3", "--blocks", "3", "--budget", "0")
"""Options of a run that takes a second or two per implementation."""


QUICK = (
    "-P",
    "-c",
    "import itertools\n"
    "from dataclasses import replace\n"
    "from lcbench.measure import gate\n"
    "gate.monotonic = itertools.count().__next__\n"
    "gate.PACE = replace(gate.PACE, rounds_s=0.3)\n"
    "from lcbench.__main__ import main\n"
    "main()",
)
"""Program that runs ``lcbench`` so that a generation of a gate takes a second.

A second passes whenever the gate reads its clock, so that the number of generations does not depend on the machine.
"""


def environment(**variables):
    """Return the environment of this process with 80 columns, and without settings for colours and folders."""
    removed = ("NO_COLOR", "FORCE_COLOR", "LCBENCH_RESULTS", "LCBENCH_DATA")
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    return {**kept, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **variables}


def lcbench(folder, *arguments, program=("-m", "lcbench"), **variables):
    """Run ``lcbench`` with `arguments` in `folder`, and fail if it prints a traceback.

    program: arguments with which Python runs it.
    """
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def wait_until(condition):
    """Return the value of `condition` once it is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


class _Program(click.Command):
    """Console script in the form of a command that CliRunner can call."""

    def main(self, args, prog_name, **_):
        formatting.FORCED_WIDTH = None  # set by CliRunner; COLUMNS must apply, as in a subprocess
        with mock.patch.object(sys, "argv", [prog_name, *args]):
            sys.exit(main.exit_code())


def invoke(folder, *arguments, **variables):
    """Run ``lcbench`` in this process, which saves a second for errors, help texts and stored results.

    The working directory and the environment are restored. Imported modules remain.
    """
    with mock.patch.dict(os.environ, environment(**variables), clear=True), contextlib.chdir(folder):
        done = CliRunner().invoke(_Program("lcbench"), arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert "Traceback" not in done.stdout + done.stderr
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
