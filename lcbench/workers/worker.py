"""Main loop of a worker process. `lcbench.workers.process` starts it and never imports it.

Command line: ``start_worker.py LOSSES EVENTS SHARED``. Events are appended to the file EVENTS, one per line, and a byte
to the FIFO "bell" beside it after each event. Orders are read from the FIFO "orders" beside it. If SHARED is empty, the
worker does a single job, read from standard input. Otherwise it does one job per line until standard input ends, and
then removes the folder SHARED. When the parent ends during a job, `lcbench.workers.guard` kills the worker.

On systems without FIFOs, the byte is written to standard output, and orders follow the job on standard input. Measured
code can then end its process by closing file descriptors that it did not open.

Standard output is redirected to standard error, so that output of measured code cannot be mistaken for an event.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import inspect
import os
import select
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, cast, get_type_hints

import msgspec

from lcbench.errors import type_and_message
from lcbench.workers.guard import children
from lcbench.workers.messages import Done, Emit, Failed, JobMessage, Orders, encode


def main() -> None:
    """Do the jobs on standard input."""
    file, shared = Path(sys.argv[1]), sys.argv[2]
    _adopt_descendants()
    _prefer_for_oom_killer()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_end_on_return)
    fifos = file.with_name("orders").exists()
    lines = _lines(Path(shared)) if shared else _own_input() if not fifos else iter([sys.stdin.buffer.read()])
    bell = None if fifos else os.dup(1)
    os.dup2(2, 1)
    emit = event_writer(file, bell)
    orders = order_reader(file.with_name("orders")) if fifos else _following(lines)
    for line in lines:
        if not line:  # the parent has ended
            sys.exit(1)
        message = msgspec.json.decode(line, type=JobMessage)
        module, _, name = message.does.rpartition(".")
        do = getattr(import_module(module), name)
        job = msgspec.json.decode(message.job, type=get_type_hints(do)["job"])
        try:
            do(job, emit, **({"orders": orders} if "orders" in inspect.signature(do).parameters else {}))
        except (Exception, SystemExit):
            raise
        except BaseException as error:  # raised by measured code, such as KeyboardInterrupt
            emit(Failed("crashed", f"raises {type_and_message(error)}"))
        emit(Done())
        if not shared:
            break
    _wait_with_descendants()
    # Exit at once: the exit handlers of some libraries take up to a second, and nothing depends on them.
    os._exit(0)


def _own_input() -> Iterator[bytes]:
    """Yield the lines of standard input, which is empty for measured code. The last one is empty."""
    with os.fdopen(os.dup(0), "rb") as pipe:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        while line := pipe.readline():
            yield line
    yield b""


def _following(lines: Iterator[bytes]) -> Orders:
    """Return the callable that reads orders from `lines`."""

    def orders(type: Any) -> Any:
        if line := next(lines):
            return msgspec.json.decode(line, type=type)
        raise SystemExit(1)

    return orders


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


def _adopt_descendants() -> None:
    """Have Linux make this process the parent of descendants whose parent ends, so that they are found."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)


def _end_on_return() -> None:
    """Have this process, which measured code has just forked, end when it returns to lcbench's own code.

    It would go on with the job beside its parent process, and fork again in the next call. Processes of multiprocessing
    do not return.
    """

    def end(*event: object) -> None:
        os._exit(0)

    frame, ours = sys._getframe(1), []
    while frame:
        module = frame.f_globals.get("__name__", "")
        if module == "multiprocessing.popen_fork":
            return
        if module.startswith("lcbench."):
            ours.append(frame)
        frame = cast(FrameType, frame.f_back)
    for each in ours:
        each.f_trace = end
    sys.settrace(lambda *event: None)


def _wait_with_descendants() -> None:
    """Wait to be killed if this process has children: its parent finds them only as long as it lives."""
    with contextlib.suppress(OSError):
        while children(os.getpid()):
            time.sleep(1.0)


def _prefer_for_oom_killer() -> None:
    """Have Linux kill this process first if memory runs out, rather than the one that holds the results."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "utf-8")


def event_writer(file: Path, bell: int | None = None) -> Emit:
    """Return a callback that appends events to `file`, and then writes a byte to the FIFO "bell" beside it, if any.

    It opens both for each event, since measured code may close file descriptors that it did not open. bell: file
    descriptor to which the byte is written on systems without FIFOs.
    """
    process, fifo = os.getpid(), file.with_name("bell")

    def emit(event: object) -> None:
        if os.getpid() != process:  # measured code has forked, and this is the child
            os._exit(0)
        with file.open("ab", buffering=0) as events:
            events.write(encode(event))
        with contextlib.suppress(OSError):  # the parent has ended, or has not read for long
            if bell is not None:
                os.write(bell, b"\n")
                return
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, b"\n")
            finally:
                os.close(descriptor)

    return emit


def order_reader(fifo: Path) -> Orders:
    """Return the callable that reads orders from a FIFO, one per line. It opens the FIFO for each order."""
    unread = bytearray()

    def orders(type: Any) -> Any:
        while b"\n" not in unread:
            unread.extend(_read_when_written(fifo))
        line, _, rest = unread.partition(b"\n")
        unread[:] = rest
        return msgspec.json.decode(line, type=type)

    return orders


def _read_when_written(fifo: Path) -> bytes:
    """Wait until a FIFO contains something and return it. Raise SystemExit if nobody has it open for writing."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                content = os.read(descriptor, 2**16)
            except BlockingIOError:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                poll.poll()
                continue
            if not content:
                raise SystemExit(1)
            return content
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return b""  # another thread has closed the descriptor
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
