"""``lcbench synth``, and ``lcbench run`` on its files."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from commands import TIMEOUT_S, environment, invoke, lcbench, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth")
    done = lcbench(folder, "synth", "--rows", "0.3k", "--features", "32", "--classes", "3", "data.h5")
    assert done.returncode == 0
    assert re.fullmatch(r"data\.h5: 300 x 32 uint8 in 3 classes, 1\d\.\d KiB\n", done.stdout)
    return folder


def test_existing_file_is_replaced_only_with_force(folder):
    before = (folder / "data.h5").read_bytes()
    refused = lcbench(folder, "synth", "--rows", "5", "data.h5")
    assert (refused.returncode, refused.stderr) == (2, "error: data.h5 is there already: --force replaces it\n")
    assert (folder / "data.h5").read_bytes() == before
    replaced = lcbench(folder, "synth", "--rows", "80", "--features", "4", "--force", "other.h5", "--quiet")
    again = lcbench(folder, "synth", "--rows", "90", "--features", "4", "--force", "other.h5", "--quiet")
    assert (replaced.returncode, again.returncode, again.stderr) == (0, 0, "")
    with h5py.File(folder / "other.h5") as file:
        assert file["X"].shape == (90, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", "1e11", "huge.h5"), "iB are free there"),
        (("--rows", "0", "none.h5"), "not a positive integer"),
        (("--rows", "5", "none.csv"), "end its name in .h5"),
        (("--rows", "5", ""), "the value is empty"),
        (("none.h5",), "Missing option '--rows'"),
        (("--rows", "1e30", "huge.h5"), "it must be from 1 to 1,000,000,000,000"),
        (("--rows", "9", "few.h5"), "few.h5: 9 rows cannot contain all 10 classes"),
        (("--rows", "1k", "absent/folder/some.h5"), "no folder absent/folder; create it first"),
    ],
)
def test_invalid_input_is_one_line_error_and_writes_nothing(folder, arguments, message):
    before = sorted(folder.iterdir())
    done = invoke(folder, "synth", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert sorted(folder.iterdir()) == before


def test_ctrl_c_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "lcbench", "synth", "--rows", "1M", "--quiet", "data.h5"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(tmp_path.iterdir()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert "Traceback" not in errors
    assert process.returncode not in (0, 1)
    assert not list(tmp_path.iterdir())


STOPPED_WHILE_H5PY_OPENS = """
import os, signal, sys
from pathlib import Path

import h5py
from lcbench.cli.main import main

def trace(frame, event, value):
    if frame.f_globals.get("__name__") != "h5py._hl.files":
        return None
    if event == "return" and frame.f_code.co_name == "make_fid":
        sys.settrace(None)
        Path("reached").touch()
        os.kill(os.getpid(), signal.SIGINT)
    return trace

sys.argv = ["lcbench", "synth", "--rows", "1M", "--quiet", "data.h5"]
sys.settrace(trace)
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no timer to raise KeyboardInterrupt later")
def test_ctrl_c_while_h5py_opens_the_file_prints_one_line(tmp_path):
    command = [sys.executable, "-c", STOPPED_WHILE_H5PY_OPENS]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.stderr.strip(), done.returncode) == ("stopped", 130)
    assert [path.name for path in tmp_path.iterdir()] == ["reached"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_partial_file_of_a_killed_process_is_removed_by_the_next(tmp_path):
    command = [sys.executable, "-m", "lcbench", "synth", "--rows", "1M", "--quiet", "data.h5"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(tmp_path.iterdir()))
    other = ("synth", "--features", "4", "--quiet", "--rows")
    assert lcbench(tmp_path, *other, "200", "while.h5").returncode == 0
    assert len(list(tmp_path.glob(".data.h5.*.part"))) == 1  # the file of the running process
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    assert lcbench(tmp_path, *other, "300", "after.h5").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after.h5", "while.h5"]


def run(folder, *arguments):
    done = invoke(folder, "run", "--impl", "numpy", "--blocks", "3", "--budget", "0", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return done, json.loads(done.stdout)["rows"]


def test_run_on_a_file_in_memory(folder):
    done, rows = run(folder, "--data", "data.h5")
    assert "data: data.h5" in done.stderr
    assert {(row["data"], row["rows"], row["features"], row["classes"]) for row in rows} == {("data.h5", 300, 33, 3)}
    assert not any(row["streamed"] for row in rows)


def test_run_on_a_streamed_file(folder):
    _, rows = run(folder, "--data", "data.h5", "--stream", "--rows", "0.2k")
    assert {(row["data"], row["rows"], row["streamed"], row["status"]) for row in rows} == {
        ("data.h5", 200, True, "ok")
    }
    assert all(row["roofline_fraction"] for row in rows)


def test_synthetic_images_are_streamed_from_a_temporary_file(folder):
    _, rows = run(folder, "--data", "synthetic", "--stream", "--rows", "90", "--features", "33", "--classes", "3")
    assert {(row["data"], row["rows"], row["streamed"], row["status"]) for row in rows} == {
        ("synthetic", 90, True, "ok")
    }


def test_fewer_synthetic_images_than_classes_in_memory_and_streamed(folder):
    for streamed in ((), ("--stream",)):
        _, rows = run(folder, "--data", "synthetic", "--rows", "7", "--features", "33", *streamed)
        assert {(row["rows"], row["classes"], row["status"]) for row in rows} == {(7, 10, "ok")}


def test_run_with_batches(folder):
    _, rows = run(folder, "--data", "data.h5", "--batch", "50")
    assert {(row["rows"], row["batch"], row["status"]) for row in rows} == {(300, 50, "ok")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "absent.h5"), "no file absent.h5"),
        (
            ("--data", "data.h5", "--features", "5"),
            "data.h5 has 33 features, including the column of ones, and 3 classes",
        ),
        (("--data", "data.h5", "--rows", "301"), "300 training rows, but 301 were requested"),
        (("--data", "data.h5", "--stream", "--batch", "5"), "a batch and streaming cannot be combined"),
        (("--data", "table.npz", "--stream"), "only HDF5 can be streamed"),
    ],
)
def test_run_on_invalid_data_is_one_line_error(folder, arguments, message):
    np.savez(folder / "table.npz", X=np.arange(20, dtype=np.uint8).reshape(10, 2), y=np.arange(10) % 2)
    done = invoke(folder, "run", "--impl", "numpy", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
