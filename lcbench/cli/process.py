"""Process of the command line: its standard streams, and the signals that stop a command.

An error of standard output is an exception that no library handles. click and rich would exit with status 1, which
means a regression. Errors of standard error are ignored: what a command prints there is no reason for it to fail.

A signal raises KeyboardInterrupt, as Python does for Ctrl-C. Python loses an exception that is raised while C code
calls Python back, for example in LLVM or when an object is destroyed: it prints "Exception ignored in", and the command
continues. Here such an exception is raised again until it is not lost. It is raised later where a library would not
survive it.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, TextIO

from lcbench.errors import LcbenchError, ReaderGone

HAS_TIMER = hasattr(signal, "setitimer")
"""Whether the system can send this process a signal later. Windows cannot, where a thread does it."""

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that stop a command, which keeps what it has measured."""

AGAIN_S = 0.02
"""Time after which a lost exception is raised again."""

IMPATIENT_S = 2.0
"""Time in which a command stops, and further signals have no effect. Later ones raise KeyboardInterrupt again."""


def run(command: Callable[[], int]) -> int:
    """Call `command` as the only work of this process, and return the exit code of the process.

    It is the one that `command` returns, or if the process received a signal, 128 + the number of the first one.
    """
    _replace_streams()
    SIGNALS.handle()
    code = 0
    try:
        try:
            code = command()
        finally:
            SIGNALS.release()
    except KeyboardInterrupt:  # before or after the command
        pass
    return 128 + SIGNALS.received if SIGNALS.received else code


# Signals


class Signals:
    """Signals that stop the command, and the first of them that the process received, as a number."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._raised_at_s = 0.0
        self._handled: list[int] = []
        self._again = False
        self._timer: threading.Timer | None = None

    def handle(self) -> None:
        """Let the signals stop the command, except those that the parent process has chosen to ignore."""
        numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
        self._handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        for number in self._handled:
            signal.signal(number, self._stop)
        if HAS_TIMER:
            signal.signal(signal.SIGALRM, self._raise)
        sys.unraisablehook = self._after_loss
        atexit.register(self._ignore)  # the first to be registered is the last to be called

    def release(self) -> None:
        """Let the signals end the process at once, as nothing is left that could be lost."""
        if HAS_TIMER:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        elif self._timer:
            self._timer.cancel()
        for number in self._handled:
            signal.signal(number, self._exit)

    def _exit(self, number: int, frame: FrameType | None) -> None:
        os._exit(128 + (self.received or number))

    def _ignore(self) -> None:
        """Ignore the signals while the interpreter is taken down: it would give them their default effect again."""
        for number in self._handled:
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
        elif self._again:
            self._again = False
        elif monotonic() - self._raised_at_s < IMPATIENT_S:
            return  # the command is stopping
        self._raise(number, frame)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self._raised_at_s = monotonic()
        if not _is_vulnerable(frame):
            raise KeyboardInterrupt
        self._raise_soon()

    def _raise_soon(self) -> None:
        if HAS_TIMER:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            self._timer = threading.Timer(AGAIN_S, self._interrupt)
            self._timer.daemon = True
            self._timer.start()

    def _interrupt(self) -> None:
        """Have the main thread call `_stop` once more."""
        self._again = True
        signal.raise_signal(self.received or signal.SIGINT)

    def _after_loss(self, lost: Any) -> None:
        """Raise a lost KeyboardInterrupt again. Report other exceptions as Python does, but not those after a signal.

        An object that was interrupted while it was created may be unable to close itself.
        """
        if issubclass(lost.exc_type, KeyboardInterrupt):
            self._raise_soon()
        elif self.received is None:
            sys.__unraisablehook__(lost)


SIGNALS = Signals()
"""Signals of this process. Only `run` handles them."""


def _is_vulnerable(frame: FrameType | None) -> bool:
    """Return whether an exception in this frame would not reach the command as it is.

    While an extension module is loaded, it would become an ImportError. While h5py opens a file, the library would
    close the file with the exception pending, so that calls of the file object fail, and print that.
    """
    while frame:
        loading = frame.f_code.co_name in ("create_module", "exec_module")
        if loading and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        if frame.f_globals.get("__name__") == "h5py._hl.files":
            return True
        frame = frame.f_back
    return False


# Standard streams


class _Output(io.RawIOBase):
    """Standard output whose errors are ReaderGone or LcbenchError. After the first one, writing has no effect."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._failed = raw, False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def write(self, data: Any) -> int | None:
        if self._failed:
            return len(data)
        try:
            written: int | None = self._raw.write(data)
        except OSError as error:
            self._failed = True
            return self._after_error(error, len(data))
        return written

    def _after_error(self, error: OSError, size: int) -> int:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise LcbenchError(f"cannot write the output: {error.strerror}") from None


class _Notes(_Output):
    """Standard error whose errors are ignored."""

    def _after_error(self, error: OSError, size: int) -> int:
        return size


def _replace_streams() -> None:
    """Replace the standard streams. Closed ones are opened, since files would take their descriptors otherwise.

    Characters that the encoding of a stream lacks are written as escapes.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    sys.stdout, sys.stderr = _replaced(sys.stdout, _Output), _replaced(sys.stderr, _Notes)


def _replaced(stream: Any, kind: type[_Output]) -> TextIO:
    if stream is None:  # it was closed
        return Path(os.devnull).open("w", encoding="utf-8")
    stream.flush()
    buffer = stream.buffer
    return io.TextIOWrapper(
        io.BufferedWriter(kind(getattr(buffer, "raw", buffer))),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
