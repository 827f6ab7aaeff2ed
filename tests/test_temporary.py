"""What processes that were killed have left is removed, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment, lcbench, wait_until
from lcbench import files

LEAVES = """
import os, signal, sys
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
def afresh():
    files._remove_abandoned_folders.cache_clear()


def left_by(parent, killed):
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "made\n"
    if killed:
        process.kill()
        process.communicate()
    return process


def names(parent):
    return {path.name for path in parent.iterdir()}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="what is ended here can tidy up")
def test_what_the_killed_left_is_removed(tmp_path):
    left_by(tmp_path, killed=True)
    assert len(names(tmp_path)) == 2
    with files.temporary_folder("run", tmp_path) as own:
        files.remove_abandoned_files(tmp_path)
        assert names(tmp_path) == {Path(own).name}
    assert not names(tmp_path)


def test_what_the_living_use_stays(tmp_path):
    process = left_by(tmp_path, killed=False)
    try:
        before = names(tmp_path)
        with files.temporary_folder("worker", tmp_path):
            files.remove_abandoned_files(tmp_path)
            assert before < names(tmp_path)
    finally:
        process.communicate("")


@pytest.fixture
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of(name, process):
    return name.replace(f"-{os.getpid()}-", f"-{process}-")


def test_what_others_wrote_stays(tmp_path, dead, monkeypatch):
    ours = of(files.temporary_path(tmp_path / "file").name, dead)
    others = {
        f"{ours}2", ours.removeprefix("."), ".file.part", f".file.{dead}.part", "file", f"lcbench-run-{dead}-abcdefgh",
        ours.replace(files._place(), "01234567"),
    }  # fmt: skip
    for name in {ours, *others}:
        (tmp_path / name).write_text(name)
    files.remove_abandoned_files(tmp_path)
    assert names(tmp_path) == others
    (tmp_path / ours).touch()
    uid = os.getuid() if hasattr(os, "getuid") else 0
    monkeypatch.setattr(os, "getuid", lambda: uid + 1, raising=False)
    files.remove_abandoned_files(tmp_path)
    assert ours in names(tmp_path)


def test_a_link_is_not_followed(tmp_path, dead):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "temporary").mkdir()
    with files.temporary_folder("run", tmp_path) as own:
        name = of(Path(own).name, dead)
    (tmp_path / "temporary" / name).symlink_to(tmp_path / "kept")
    with files.temporary_folder("run", tmp_path / "temporary"):
        assert (tmp_path / "kept" / "file").exists()
    assert not names(tmp_path / "temporary")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="what is ended here can tidy up")
def test_a_run_removes_what_a_killed_one_left(tmp_path):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    command = ["run", "--impl", "numpy", "--data", "synthetic", "--rows", "100", "--blocks", "3", "--budget"]
    killed = subprocess.Popen(
        [sys.executable, "-m", "lcbench", *command, "60", "--quiet"],
        cwd=tmp_path, env=environment(TMPDIR=str(elsewhere)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: list(elsewhere.glob("lcbench-run-*/*/answers.npz")))
    killed.kill()
    killed.wait()
    assert list(elsewhere.glob("lcbench-run-*"))
    assert lcbench(tmp_path, *command, "0", TMPDIR=str(elsewhere)).returncode == 0
    assert not list(elsewhere.glob("lcbench-*"))
