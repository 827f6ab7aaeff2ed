"""Messages of errors of the operating system, and of exceptions of other code."""

from __future__ import annotations

import errno
import os

import pytest

from lcbench.errors import message_of, os_error, type_and_message
from lcbench.workers.messages import Failed, encode


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device; free some space, or name folders"),
        (OSError(errno.EFBIG, "File too large", "a.json"), "a.json: file too large; the size of files is limited: "),
        (OSError(errno.EMFILE, "Too many open files", "x"), "x: too many open files; the number of open files is li"),
        (
            PermissionError(errno.EACCES, "Permission denied", "r"),
            "r: permission denied; change the permissions, or na",
        ),
        (OSError(errno.EROFS, "Read-only file system", "r"), "r: read-only file system; the disk is read-only: "),
        (OSError(errno.EXDEV, "Cross-device link", "a", None, "b"), "a and b: cross-device link"),
        (OSError("76800 requested and 1024 written"), "a file could not be written whole (76800 requested and 1024 wr"),
        (OSError(), "OSError"),
    ],
)
def test_an_error_names_the_place_and_what_to_do(error, told):
    assert os_error(error).lower().startswith(told.lower())


def test_a_deleted_current_folder_is_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    told = os_error(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    assert told == "the current folder no longer exists: change to another one"


class Mute(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b"), "ValueError: a b"),
        (ValueError(), "ValueError"),
        (ValueError("bad \ud800 text"), r"ValueError: bad \ud800 text"),
        (Mute(), "Mute"),
    ],
)
def test_every_exception_is_one_line_that_can_be_sent(error, line):
    assert type_and_message(error) == line
    encode(Failed("crashed", type_and_message(error)))


def test_messages_lose_the_colours_of_other_libraries():
    assert message_of(ValueError("\x1b[1m\x1b[31mno\x1b[0m such type")) == "no such type"
