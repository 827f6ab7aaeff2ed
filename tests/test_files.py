"""Tests of lcbench.files: atomic writing, temporary files, and the removal of those that killed processes left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment, lcbench, wait_until
from lcbench import files
from lcbench.errors import LcbenchError


def names(folder):
    return {path.name for path in folder.iterdir()}


def write(path, content, **options):
    with files.atomic_write(path, **options) as unfinished:
        unfinished.write_bytes(content)


LOCKING = """
import sys, time
from pathlib import Path
from lcbench import files
with files.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(1000)
"""


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "m.h5"
    process = subprocess.Popen([sys.executable, "-c", LOCKING, path], stdout=subprocess.PIPE, env=environment())
    assert process.stdout.readline() == b"locked\n"
    with pytest.raises(LcbenchError, match=r"m.h5 is being written by another process"), files.locked(path):
        pass
    process.kill()
    process.wait()
    with files.locked(path), files.locked(tmp_path / "other.h5"):
        assert names(tmp_path) == {".m.h5.lock", ".other.h5.lock"}
    assert names(tmp_path) == set()
    with pytest.raises(LcbenchError, match=r"cannot write .*absent"), files.locked(tmp_path / "absent" / "m.h5"):
        pass


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("r.json", b'{\n "schema": 2,\n "lcbench": "0.1.0"', "a result"),
        ("s.json", b'{\n "format": "lcbench search",', "a search"),
        ("m.bin", b"\x89HDF\r\n\x1a\n", "a model or data"),
        ("d.npz", b"PK\3\4", "data"),
        ("k.py", b"", "code"),
        ("export.json", b'[{"name": "numpy", "schema": 2}]', ""),
        ("page.html", b"<html>", ""),
    ],
)
def test_only_what_can_be_made_again_is_replaced_without_being_asked(tmp_path, name, content, kind):
    path = tmp_path / name
    files.require_replaceable(path)
    path.write_bytes(content)
    if kind:
        with pytest.raises(LcbenchError, match=rf"{name} is .*{kind}.*name another file"):
            files.require_replaceable(path)
    else:
        files.require_replaceable(path)


def test_an_error_of_temporary_files_names_the_folder_and_tmpdir(tmp_path):
    for error, reason in (
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("Not enough free space to write 122920000 bytes after offset 128"), "there is too little space"),
    ):
        with pytest.raises(LcbenchError) as caught, files.temporary_files_in(tmp_path):
            raise error
        assert (
            str(caught.value) == f"cannot write temporary files to {tmp_path}: {reason}; TMPDIR can name another folder"
        )


def test_only_a_complete_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "file"
    write(path, b"old")
    with pytest.raises(TypeError):
        write(path, "not bytes")
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_an_existing_file_is_kept_without_replace(tmp_path, monkeypatch, links):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")  # the error of a FAT file system

    if not links:
        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "file"
    write(path, b"first", replace=False)
    with pytest.raises(LcbenchError, match="was created by another process"):
        write(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LcbenchError, match=r"cannot write .*: File exists; elsewhere"):
        files.write_file(tmp_path / "file" / "below", "", "; elsewhere")


def test_require_parent_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.require_parent_folder(tmp_path / "file")
    files.require_parent_folder(Path("file"))
    with pytest.raises(LcbenchError, match=r"no folder .*absent; create it first"):
        files.require_parent_folder(tmp_path / "absent" / "file")


def test_the_longest_name(tmp_path):
    path = tmp_path / (255 * "n")
    files.require_writable(path)
    write(path, b"content")
    assert path.read_bytes() == b"content"
    with pytest.raises(LcbenchError, match=r"n: File name too long; elsewhere$"):
        files.require_writable(tmp_path / (256 * "n"), hint="; elsewhere")


def test_reserved_space_is_free_at_the_end(tmp_path):
    with files.reserved(tmp_path / "new" / "file", 1000):
        assert names(tmp_path) == {"new"}
    assert names(tmp_path / "new") == set()


class AlmostFull:
    """File on a disk on which 25 bytes are free, and which takes 10 bytes at a time."""

    written = 0

    def __init__(self, **_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def write(self, data):
        taken = min(10, len(data), 25 - self.written)
        if not taken:
            raise OSError(28, "No space left on device")
        self.written += taken
        return taken


def test_space_that_is_not_there_cannot_be_reserved(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "TemporaryFile", AlmostFull)
    files.require_writable(tmp_path / "file", 25)
    with pytest.raises(LcbenchError, match=r"^cannot write .*: No space left on device; elsewhere$"):
        files.require_writable(tmp_path / "file", 26, "; elsewhere")


LEAVE_FILES = """
import sys
from pathlib import Path
from lcbench import files

parent = Path(sys.argv[1])
folder = files.temporary_folder("run", parent)
(Path(folder.name) / "X.npy").touch()
files.temporary_path(parent / "file").touch()
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def clear_cache():
    files._remove_abandoned_folders.cache_clear()


def start_process(parent, kill):
    """Start a process that makes a temporary file and folder in `parent`."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVE_FILES, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "made\n"
    if kill:
        process.kill()
        process.communicate()
    return process


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process can clean up before it ends")
def test_files_of_a_killed_process_are_removed(tmp_path):
    start_process(tmp_path, kill=True)
    assert len(names(tmp_path)) == 2
    with files.temporary_folder("run", tmp_path) as own:
        files.remove_abandoned_files(tmp_path)
        assert names(tmp_path) == {Path(own).name}
    assert not names(tmp_path)


def test_files_of_a_running_process_are_kept(tmp_path):
    process = start_process(tmp_path, kill=False)
    try:
        before = names(tmp_path)
        assert len(before) == 2
        with files.temporary_folder("worker", tmp_path):
            files.remove_abandoned_files(tmp_path)
            assert before < names(tmp_path)
    finally:
        process.communicate("")


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def with_pid(name, pid):
    return name.replace(f"-{os.getpid()}-", f"-{pid}-")


def test_other_files_are_kept(tmp_path, dead, monkeypatch):
    abandoned = with_pid(files.temporary_path(tmp_path / "file").name, dead)
    others = {
        f"{abandoned}2", abandoned.removeprefix("."), ".file.part", f".file.{dead}.part", "file",
        f"lcbench-run-{dead}-abcdefgh", abandoned.replace(files._pid_namespace(), "01234567"),
    }  # fmt: skip
    for name in {abandoned, *others}:
        (tmp_path / name).write_text(name)
    files.remove_abandoned_files(tmp_path)
    assert names(tmp_path) == others
    (tmp_path / abandoned).touch()
    uid = os.getuid() if hasattr(os, "getuid") else 0
    monkeypatch.setattr(os, "getuid", lambda: uid + 1, raising=False)
    files.remove_abandoned_files(tmp_path)
    assert abandoned in names(tmp_path)


def test_links_are_not_followed(tmp_path, dead):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "temporary").mkdir()
    with files.temporary_folder("run", tmp_path) as own:
        name = with_pid(Path(own).name, dead)
    (tmp_path / "temporary" / name).symlink_to(tmp_path / "kept")
    with files.temporary_folder("run", tmp_path / "temporary"):
        assert (tmp_path / "kept" / "file").exists()
    assert not names(tmp_path / "temporary")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process can clean up before it ends")
def test_a_run_removes_the_folder_of_a_killed_run(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = ["run", "--impl", "numpy", "--data", "synthetic", "--rows", "100", "--blocks", "3", "--budget"]
    killed = subprocess.Popen(
        [sys.executable, "-m", "lcbench", *command, "60", "--quiet"],
        cwd=tmp_path, env=environment(TMPDIR=str(temporary)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: list(temporary.glob("lcbench-run-*/*/answers.npz")))
    killed.kill()
    killed.wait()
    assert list(temporary.glob("lcbench-run-*"))
    assert lcbench(tmp_path, *command, "0", TMPDIR=str(temporary)).returncode == 0
    assert not list(temporary.glob("lcbench-*"))
