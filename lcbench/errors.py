"""Errors that a user can fix, and the exit codes of the commands."""

from __future__ import annotations

import re
from enum import IntEnum

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, among them those that reverse the direction of a text, and surrogates."""


def printable(text: str) -> str:
    r"""Return the text on one line, with control characters as Python writes them, such as "\n" and "\x1b"."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


class LcbenchError(Exception):
    """Error that the user can fix. The message is one line: what is wrong, where, and what to do."""

    def __str__(self) -> str:
        """Return the message. Names of files and values in it can have control characters, which become visible."""
        return printable(super().__str__())


class WrongResultError(LcbenchError):
    """Error: an implementation computes a wrong result, so that the exit code is that of a wrong result."""


def require(condition: bool, message: str) -> None:
    """Raise LcbenchError with `message` if `condition` is false."""
    if not condition:
        raise LcbenchError(message)


def one_line(error: Exception) -> str:
    """Return the message of another library's exception on one line, or the name of its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    OK = 0
    REGRESSION = 1
    ERROR = 2
    """Wrong usage, an error of the tool, or no measurement."""
    INCONCLUSIVE = 3
    WRONG = 4
    """Wrong result of an implementation."""
    STOPPED = 130
    """Stopped by Ctrl-C. Measurements made before are kept."""
    READER_GONE = 141
    """Standard output was closed by its reader, such as head or less."""
