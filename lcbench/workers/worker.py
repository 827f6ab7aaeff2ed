"""The worker process: does jobs and writes one line an event. Started by `process`, never imported by it.

``start_worker.py LOSSES EVENTS PARENT SHARED`` starts it. It appends its events to the file EVENTS. Where SHARED is
empty it does the one job on standard input, and lives no longer than the process PARENT. Else it does one job after the
other, a line each, until standard input ends, and removes the folder SHARED.
Whatever the code that it runs prints goes to standard error, so that it cannot be taken for a result.
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

from lcbench.workers.messages import Done, Emit, Order, encode


def main() -> None:
    """Does the jobs on standard input."""
    file, parent, shared = sys.argv[1:]
    if not shared:
        _end_with_parent(int(parent))
    _go_first_without_memory()
    orders = _lines(Path(shared)) if shared else iter([sys.stdin.buffer.read()])
    os.dup2(2, 1)
    emit = emitting(Path(file))
    for line in orders:
        order = msgspec.json.decode(line, type=Order)
        module, _, name = order.does.rpartition(".")
        do = getattr(import_module(module), name)
        do(msgspec.json.decode(order.job, type=get_type_hints(do)["job"]), emit)
        emit(Done())
    # Libraries take up to a second to leave a process in good order; nobody waits for what they would put there.
    os._exit(0)


def _lines(shared: Path) -> Iterator[bytes]:
    """The lines of standard input as they come. Where they end, so has the parent: nothing of it stays behind."""
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
    """Has Linux kill this process when the one that started it dies, since nobody would read its answers."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it was asked for
            sys.exit(1)


def _go_first_without_memory() -> None:
    """Where memory runs out, Linux takes this process, and not the one that keeps what was measured."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def emitting(file: Path) -> Emit:
    """Appends events to `file`, opened for each, since the code that runs here may close what it did not open."""
    process = os.getpid()

    def emit(event: object) -> None:
        if os.getpid() != process:  # that code has forked, and its child came back as well
            os._exit(0)
        with file.open("ab", buffering=0) as events:
            events.write(encode(event))

    return emit
