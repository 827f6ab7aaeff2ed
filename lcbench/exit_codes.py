"""The exit codes of every command, decided here and nowhere else."""

from enum import IntEnum


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
