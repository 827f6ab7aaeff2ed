"""Main loop of a worker process. `lcbench.workers.process` starts it and never imports it.

Command line: ``start_worker.py LOSSES EVENTS PARENT SHARED``. Events are appended to the file EVENTS, one per line. If
SHARED is empty, the worker does a single job, read from standard input, and is killed when the process PARENT ends.
Otherwise it does one job per line until standard input ends, and then removes the folder SHARED.

Standard output is redirected to standard error, so that output of measured code cannot be mistaken for an event.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import get_type_hints

import msgspec

from lcbench.workers.messages import Done, Emit, JobMessage, encode


def main() -> None:
    """Do the jobs on standard input."""
    file, parent, shared = sys.argv[1:]
    if not shared:
        _end_with_parent(int(parent))
    _prefer_for_oom_killer()
    lines = _lines(Path(shared)) if shared else iter([sys.stdin.buffer.read()])
    os.dup2(2, 1)
    emit = event_writer(Path(file))
    for line in lines:
        message = msgspec.json.decode(line, type=JobMessage)
        module, _, name = message.does.rpartition(".")
        do = getattr(import_module(module), name)
        do(msgspec.json.decode(message.job, type=get_type_hints(do)["job"]), emit)
        emit(Done())
    # Exit at once: the exit handlers of some libraries take up to a second, and nothing depends on them.
    os._exit(0)


def _lines(shared: Path) -> Iterator[bytes]:
    """Yield the lines of standard input. When it ends, the parent has ended: remove `shared` and exit."""
    lines: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        shutil.rmtree(shared, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def _end_with_parent(parent: int) -> None:
    """Have Linux kill this process when its parent dies."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            sys.exit(1)


def _prefer_for_oom_killer() -> None:
    """Have Linux kill this process first if memory runs out, rather than the one that holds the results."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def event_writer(file: Path) -> Emit:
    """Return a callback that appends events to `file`.

    It opens the file for each event, since measured code may close file descriptors that it did not open.
    """
    process = os.getpid()

    def emit(event: object) -> None:
        if os.getpid() != process:  # measured code has forked, and this is the child
            os._exit(0)
        with file.open("ab", buffering=0) as events:
            events.write(encode(event))

    return emit
