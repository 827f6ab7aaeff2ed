"""The command as a user runs it, in a process of its own or, where no process matters, in this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from unittest import mock

import click
from click import formatting
from click.testing import CliRunner

from lcbench.cli import main

HANGS_S = 600
"""Nothing takes so long on a busy machine either: a test that does has stopped for good."""

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
        timeout=HANGS_S,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def wait_until(condition):
    """Returns what `condition` gives as soon as that is true."""
    give_up = time.monotonic() + HANGS_S
    while not (found := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found


class _Program(click.Command):
    """The console script, as CliRunner calls a command."""

    def main(self, args, prog_name, **_):
        formatting.FORCED_WIDTH = None  # CliRunner's; COLUMNS says how wide it is, as in a process
        with mock.patch.object(sys, "argv", [prog_name, *args]):
            main.main()


def invoke(folder, *arguments, **variables):
    """What `lcbench` returns, from this process: a second faster, for refusals, help texts and stored results.

    Folder, variables and signal handlers are afterwards what they were; imported modules and their caches stay.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch.dict(os.environ, environment(**variables), clear=True), contextlib.chdir(folder):
            done = CliRunner().invoke(_Program("lcbench"), arguments)
    finally:
        signal.signal(signal.SIGTERM, handler)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert "Traceback" not in done.stdout + done.stderr
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
