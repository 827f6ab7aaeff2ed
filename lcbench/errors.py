"""Errors that a user can fix, and the exit codes of the commands."""

from __future__ import annotations

import errno
import re
from enum import IntEnum
from pathlib import Path
from typing import Any

STYLE = re.compile("\x1b\\[[0-9;]*m")
"""Escape sequences of colours and bold text."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, among them those that reverse the direction of a text, and surrogates."""


def printable(text: str, lines: bool = False) -> str:
    r"""Return the text on one line, with control characters as Python writes them, such as "\n" and "\x1b".

    lines: keep the ends of lines.
    """
    text = text.replace("\r\n", "\n") if lines else text
    return _CONTROL.sub(lambda found: found[0] if lines and found[0] == "\n" else repr(found[0])[1:-1], text)


class LcbenchError(Exception):
    """Error that the user can fix. The message is one line: what is wrong, where, and what to do."""

    def __str__(self) -> str:
        """Return the message. Names of files and values in it can have control characters, which become visible."""
        return printable(super().__str__())


class WrongResultError(LcbenchError):
    """Error: an implementation computes a wrong result, so that the exit code is that of a wrong result."""


class NotSaved(LcbenchError):  # noqa: N818
    """Error of writing a result, which is complete otherwise.

    Attributes
    ----------
    result
        What the function would have returned.
    """

    def __init__(self, error: LcbenchError, result: Any) -> None:
        super().__init__(str(error))
        self.result = result


class ReaderGone(Exception):  # noqa: N818
    """Error of writing to standard output after its reader, such as head or less, has closed it."""


def require(condition: bool, message: str) -> None:
    """Raise LcbenchError with `message` if `condition` is false."""
    if not condition:
        raise LcbenchError(message)


def one_line(error: Exception) -> str:
    """Return the message of another library's exception on one line, or the name of its type if it has none.

    It has at most 200 characters: damaged files are quoted in some messages.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:199]}…"


_ADVICE = {
    errno.ENOSPC: "free some space, or name folders on another disk with LCBENCH_RESULTS, LCBENCH_DATA and TMPDIR",
    errno.EDQUOT: "free some space, or name folders on another disk with LCBENCH_RESULTS, LCBENCH_DATA and TMPDIR",
    errno.EFBIG: "the size of files is limited: see 'ulimit -f'",
    errno.EMFILE: "the number of open files is limited: see 'ulimit -n'",
    errno.EACCES: "change the permissions, or name another file or folder",
    errno.EPERM: "change the permissions, or name another file or folder",
    errno.EROFS: "the disk is read-only: name another file or folder",
    errno.EIO: "the disk or the network reports a fault: name a file or folder on another one",
}
"""What to do about errors of the operating system."""


def os_error(error: OSError) -> str:
    """Return an error of the operating system as one line: what is wrong, where, and what to do if that is known."""
    try:
        Path.cwd()
    except OSError:
        return "the current folder no longer exists: change to another one"
    what = error.strerror or one_line(error)
    places = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    advice = _ADVICE.get(error.errno or 0)
    if re.search("requested and [0-9]+ written", what):  # NumPy and h5py have no number of the error
        what, advice = f"a file could not be written whole ({what})", _ADVICE[errno.ENOSPC]
    return (f"{places}: " if places else "") + what[:1].lower() + what[1:] + (f"; {advice}" if advice else "")


_WHERE = re.compile(r"(.*) - at `\$\.?(.*?)`")
_BOUND = re.compile(r"Expected `(?:int|float)` (>=|>|<=|<) (.*)")
_TYPE = re.compile(r"Expected `(.*)`, got `(.*)`")
_TYPES = {"int": "an integer", "float": "a number", "str": "a text", "bool": "true or false", "null": "nothing",
          "array": "a list", "object": "an object"}  # fmt: skip


def plain_error(error: Exception) -> str:
    """Return the message of an error of msgspec, or of a similar check, as in "seed must be at least 0"."""
    found = _WHERE.fullmatch(str(error))
    if not found:
        return str(error)
    what, name = found.groups()
    if bound := _BOUND.fullmatch(what):
        relation = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}[bound[1]]
        limit = float(bound[2])
        return f"{name} must be {relation} {f'{limit:,.0f}' if limit.is_integer() and limit < 1e15 else f'{limit:g}'}"
    if types := _TYPE.fullmatch(what):
        expected, got = (" or ".join(_TYPES.get(each, each) for each in kinds.split(" | ")) for kinds in types.groups())
        return f"{name} is {got}, must be {expected}"
    return f"{name}: {what[0].lower()}{what[1:]}"


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
    """Stopped by Ctrl-C, or with 128 + the number of the signal by another one: 143 by SIGTERM, 129 by SIGHUP.
    Measurements made before are kept."""
    READER_GONE = 141
    """Standard output was closed by its reader, such as head or less, before everything was written."""


def message_of(error: BaseException, unreadable: str = "") -> str:
    """Return the message of an exception, which any code may have raised, or `unreadable` if it cannot tell it.

    It can be encoded. Numba's have colours if colorama is installed: they are left out.
    """
    try:
        return STYLE.sub("", str(error)).encode(errors="backslashreplace").decode()
    except Exception:
        return unreadable


def type_and_message(error: BaseException) -> str:
    """Return the type of an exception, which any code may have raised, and its message, on one line."""
    text = " ".join(message_of(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
