"""The error that a user can cause and mend: one line, no traceback."""

from __future__ import annotations

from enum import IntEnum


class LcbenchError(Exception):
    """Something that the user can mend. The message is one line: what, where, what to do."""


def require(condition: bool, otherwise: str) -> None:
    """Raise LcbenchError with the line `otherwise` where `condition` does not hold."""
    if not condition:
        raise LcbenchError(otherwise)


def one_line(error: Exception) -> str:
    """Return the message of another library's exception on one line, or the name of its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


# The exit codes of every command, decided here and nowhere else.


class ExitCode(IntEnum):
    """What a shell or a CI job reads from a finished command."""

    OK = 0
    REGRESSION = 1
    ERROR = 2
    """Wrong usage, a tool error, or nothing measured."""
    INCONCLUSIVE = 3
    WRONG = 4
    """An implementation computes something else than it promises."""
    STOPPED = 130
    """By Ctrl-C; what was measured until then is kept."""
    READER_GONE = 141
    """Whoever read our output (head, less) has closed it."""
