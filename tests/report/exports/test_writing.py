"""Files are written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lcbench.errors import LcbenchError
from lcbench.report import exports


def test_folders_are_made_and_a_file_is_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    for text in ("a long first text", "short"):
        exports.require_writable(path)
        exports.write(path, text)
        assert path.read_text() == text
    assert [left.name for left in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "file.txt"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LcbenchError, match="No space left on device"):
        exports.write(path, "after")
    assert path.read_text() == "before"
    assert [left.name for left in tmp_path.iterdir()] == ["file.txt"]


def test_bytes_of_a_name_that_are_no_text_are_escaped(tmp_path):
    exports.write(tmp_path / "file.txt", "caf\udce9.py")
    exports.write(Path(os.devnull), "caf\udce9.py")
    assert (tmp_path / "file.txt").read_text() == r"caf\udce9.py"


def test_a_reader_of_the_old_file_keeps_it(tmp_path):
    path, old = tmp_path / "file.txt", tmp_path / "old.txt"
    path.write_text("before")
    old.hardlink_to(path)
    exports.write(path, "after")
    assert (path.read_text(), old.read_text()) == ("after", "before")


def test_a_link_stays_one(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    exports.write(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    exports.require_writable(pipe)
    exports.write(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert [left.name for left in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["", "file.txt/within", 260 * "n"])
def test_where_nothing_can_be_written_one_line_says_so(tmp_path, name):
    (tmp_path / "file.txt").write_text("before")
    path = tmp_path / name
    for act in (lambda: exports.require_writable(path), lambda: exports.write(path, "text")):
        with pytest.raises(LcbenchError, match=r"^cannot write ") as caught:
            act()
        assert "\n" not in str(caught.value)
    assert [left.name for left in tmp_path.iterdir()] == ["file.txt"]
