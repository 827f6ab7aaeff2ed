"""Shared files: read by slices, removed when they are no longer needed."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lcbench.losses.cluster import shared_files
from lcbench.losses.cluster.shared_files import FOLDER_VARIABLE, SharedArray


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "shared"))
    return tmp_path / "shared"


def test_slices_are_new_arrays() -> None:
    array = np.arange(12).reshape(6, 2)[:, ::-1]
    part = SharedArray(array)[1:4]
    np.testing.assert_array_equal(part, array[1:4])
    assert part.flags.writeable
    assert part.flags.c_contiguous


def test_file_is_removed_with_its_array_but_not_with_a_pickled_copy(folder: Path) -> None:
    shared = SharedArray(np.ones((3, 2)))
    sent = pickle.loads(pickle.dumps(shared))
    np.testing.assert_array_equal(sent[0:1], np.ones((1, 2)))
    del sent
    gc.collect()
    assert list(folder.iterdir()) == [shared.path]
    del shared
    gc.collect()
    assert not list(folder.iterdir())


def test_file_of_a_killed_process_is_removed_by_the_next_array(folder: Path) -> None:
    kept = SharedArray(np.ones(3))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own_process = f"-{shared_files.os.getpid()}-"
    of_other_machines = [
        "lcbench-rows-elsewhere-1-a.npy",
        kept.path.name.replace(own_process, f"-{dead.pid}-{dead.pid}-"),
    ]
    for name in (kept.path.name.replace(own_process, f"-{dead.pid}-"), *of_other_machines):
        (folder / name).touch()
    another = SharedArray(np.ones(3))
    assert {path.name for path in folder.iterdir()} == {kept.path.name, another.path.name, *of_other_machines}


def test_folder_of_a_killed_process_is_removed_by_the_next_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files.tempfile, "tempdir", str(tmp_path))
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys, tempfile\n"
            "from lcbench.losses.cluster.shared_files import own_folder\n"
            "tempfile.tempdir = sys.argv[1]\n"
            "folder = own_folder('compiled')\n"
            "open(os.path.join(folder.name, 'kernel'), 'w').close()\n"
            "os.kill(os.getpid(), 9)\n",
            str(tmp_path),
        ]
    )
    assert killed.returncode == -9
    [abandoned] = tmp_path.iterdir()
    with shared_files.own_folder("compiled") as one, shared_files.own_folder("compiled") as another:
        assert not abandoned.exists()
        assert {str(path) for path in tmp_path.iterdir()} == {one, another}
    assert not list(tmp_path.iterdir())
