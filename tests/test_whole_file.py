"""Files that are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from lcbench import files
from lcbench.errors import LcbenchError


def write(path, content, **how):
    with files.atomic_write(path, **how) as unfinished:
        unfinished.write_bytes(content)


def test_what_is_there_is_replaced_by_what_is_complete(tmp_path):
    path = tmp_path / "new folder" / "file"
    write(path, b"old")
    with pytest.raises(TypeError):
        write(path, "no bytes")
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_stays_where_it_may_not_be_replaced(tmp_path, monkeypatch, links):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")  # as a FAT file system says it

    if not links:
        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "file"
    write(path, b"first", replace=False)
    with pytest.raises(LcbenchError, match="written by another meanwhile"):
        write(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_said_to_be_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LcbenchError, match=r"cannot write .*: File exists; elsewhere"):
        files.write_file(tmp_path / "file" / "below", "", "; elsewhere")


def test_only_a_folder_that_is_there_can_be_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.require_parent_folder(tmp_path / "file")
    files.require_parent_folder(files.Path("file"))
    with pytest.raises(LcbenchError, match=r"no folder .*absent; create it first"):
        files.require_parent_folder(tmp_path / "absent" / "file")
