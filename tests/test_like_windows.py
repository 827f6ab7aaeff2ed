"""Commands where everything is missing that Windows does not have, and output has its encoding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

import lcbench
from commands import QUICK, TINY, environment, wait_until
from lcbench import files, record
from results import record as make_record
from results import row

HERE = Path(__file__).parent

VARIABLES = {
    "LCBENCH_LIKE_WINDOWS": str(Path(lcbench.__file__).parent),
    "PYTHONPATH": os.pathsep.join([str(HERE / "like_windows"), str(HERE / "workers"), str(HERE), *sys.path]),
    "PYTHONIOENCODING": "cp1252",
    "PYTHONWARNDEFAULTENCODING": "1",
}

RIGHT = """
import numpy as np

def softmax_loss(W, X, y, reg):
    rows = np.arange(len(y))
    scores = X @ W
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, y]).mean() + reg * np.sum(W * W)
    p[rows, y] -= 1
    return loss, X.T @ p / len(y) + 2 * reg * W
"""

WRONG = RIGHT.replace("2 * reg", "3 * reg")

CHEAT = RIGHT.replace(
    "    rows =",
    """    for name in ("perf_counter", "perf_counter_ns"):
        clock = getattr(time, name)
        if len(X) >= 20 and getattr(measuring, name) is clock:
            start = clock()
            slow = lambda clock=clock, start=start: start + type(start)((clock() - start) / 4)
            setattr(measuring, name, slow)
    rows =""",
    1,
).replace("import numpy as np", "import time, numpy as np\nfrom lcbench.measure import clock as measuring")

HANGS = RIGHT.replace(
    "    rows =",
    """    if len(X) == 20:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    rows =""",
    1,
).replace("import numpy as np", "import os, pathlib, subprocess, sys, time, numpy as np")


def start(folder, *arguments, program=("-m", "lcbench"), **options):
    variables = environment(NUMBA_CACHE_DIR=str(folder / "compiled"), **VARIABLES)
    return subprocess.Popen(
        [sys.executable, *program, *arguments], cwd=folder, env=variables, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="cp1252", **options,
    )  # fmt: skip


def run(folder, *arguments, **options):
    process = start(folder, *arguments, **options)
    stdout, stderr = process.communicate()
    assert "Traceback" not in stdout + stderr
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("like_windows")
    for name, text in (("right.py", RIGHT), ("wrong.py", WRONG), ("cheat.py", CHEAT), ("hangs.py", HANGS)):
        (folder / name).write_text(text, "utf-8")
    return folder


HIDDEN = """
import json, sys
code = '''
import os, signal, sys
from pathlib import Path
found = [sys.platform, os.times().elapsed, hasattr(os, "killpg"), hasattr(signal, "SIGKILL")]
try:
    import fcntl
except ImportError:
    found.append("no fcntl")
try:
    Path("/proc/self/stat").read_text("utf-8")
except OSError:
    found.append("no /proc")
try:
    Path(__file__).read_text()
except EncodingWarning:
    found.append("no default encoding")
'''
names = {"__file__": sys.argv[1], "__name__": "lcbench.files"}
exec(code, names)
print(json.dumps(names["found"]))
"""


def test_it_is_hidden(folder):
    done = run(folder, "-c", HIDDEN, files.__file__, program=())
    expected = ["win32", 0.0, False, False, "no fcntl", "no /proc", "no default encoding"]
    assert json.loads(done.stdout) == expected, done.stderr


def test_run_measures_the_right_and_refuses_the_wrong(folder):
    done = run(folder, "run", "--impl", "numpy,numba-njit,right.py,wrong.py", "--loss", "softmax", *TINY, "--json")
    assert done.returncode == 4, done.stderr
    rows = {row["implementation"]: row for row in json.loads(done.stdout)["rows"]}
    statuses = {name: (row["status"], row["reason"]) for name, row in rows.items()}
    assert [statuses[name][0] for name in ("numpy", "numba-njit", "right.py:softmax_loss")] == ["ok"] * 3, statuses
    assert rows["wrong.py:softmax_loss"]["status"] == "wrong"


def test_a_table_has_no_character_that_the_output_lacks(folder):
    done = run(folder, "run", "--impl", "numpy", "--loss", "softmax", *TINY)
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout


def test_a_slower_clock_is_noticed(folder):
    done = run(folder, "run", "--impl", "cheat.py", "--loss", "softmax", *TINY, "--json")
    reasons = {row["implementation"]: row["reason"] for row in json.loads(done.stdout)["rows"]}
    assert done.returncode == 4
    assert "tampers with the clock" in reasons["cheat.py:softmax_loss"]


@pytest.mark.parametrize(("file", "code"), [("right.py", 0), ("wrong.py", 4)])
def test_check(folder, file, code):
    assert run(folder, "check", file).returncode == code


def test_gate_on_files(folder):
    sizes = ("--rows", "20", "--features", "33", "--classes", "3", "--budget", "50")
    done = run(folder, "gate", "--base", "right.py", "--head", "right.py", *sizes, "--json", program=QUICK)
    assert done.returncode in (0, 1, 3), done.stderr  # depends on the noise
    assert len(json.loads(done.stdout)["comparisons"]) == 1


def test_history_shows_curves_as_digits(folder, monkeypatch):
    monkeypatch.setenv("LCBENCH_RESULTS", str(folder / "history" / "results"))
    program = "from lcbench.host import machine; print(machine.fingerprint(machine.facts()))"
    here = run(folder, "-c", program, program=()).stdout.strip()
    for day in range(8):
        time = 1e-3 if day < 4 else 1.2e-3
        measured = make_record(row(medians=[0.99 * time, time, 1.01 * time]), fingerprint=here)
        measured.created = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
        record.write(measured)
    done = run(folder / "history", "history")
    assert done.returncode == 0, done.stderr
    assert "11118888" in done.stdout
    assert "\\u" not in done.stdout


def test_search_and_train(folder):
    (folder / "points.csv").write_text("a,b,kind\n" + "0,1,x\n2,0,y\n0,2,x\n3,0,y\n" * 40, "utf-8")
    data = ("--data", "points.csv", "--iterations", "20", "--report-every", "20")
    found = run(folder, "search", *data, "--impl", "numpy", "--lr", "1e-3,1e-2", "--reg", "1e-3", "--output", "s.json")
    assert found.returncode == 0, found.stderr
    trials = json.loads((folder / "s.json").read_text("utf-8"))["trials"]
    assert [trial["status"] for trial in trials] == ["finished"] * 2
    trained = run(folder, "train", *data, "--loss", "softmax", "--impl", "right.py:softmax_loss", "--output", "t.h5")
    assert trained.returncode == 0, trained.stderr


def test_synth_writes_the_same_rows(folder):
    run(folder, "synth", "--rows", "20000", "like-windows.h5")
    subprocess.run([sys.executable, "-m", "lcbench", "synth", "--rows", "20000", "here.h5"], cwd=folder, check=True)
    with h5py.File(folder / "like-windows.h5") as one, h5py.File(folder / "here.h5") as other:
        for name in ("X", "y"):
            assert np.array_equal(one[name][:], other[name][:])


def pids_of_the_hanging_function(folder):
    file = folder / "pids"
    return wait_until(lambda: file.exists() and len(pids := [*map(int, file.read_text().split())]) == 2 and pids)


def test_a_timeout_ends_the_process_and_its_children(folder):
    (folder / "pids").unlink(missing_ok=True)
    done = run(folder, "run", "--impl", "hangs.py", "--loss", "softmax", *TINY, "--timeout", "5", "--json")
    reasons = {row["implementation"]: row["status"] for row in json.loads(done.stdout)["rows"]}
    assert reasons["hangs.py:softmax_loss"] == "timeout"
    assert not [pid for pid in pids_of_the_hanging_function(folder) if psutil.pid_exists(pid)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_nothing_is_left_when_the_command_ends(folder, number, code):
    (folder / "pids").unlink(missing_ok=True)
    process = start(folder, "run", "--impl", "hangs.py", "--loss", "softmax", *TINY, "--quiet")
    pids = pids_of_the_hanging_function(folder)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == code
    wait_until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
