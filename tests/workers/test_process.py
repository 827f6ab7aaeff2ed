"""Worker processes: the caller gets their events and, if one dies, the reason in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from commands import wait_until
from lcbench.measure import workload
from lcbench.measure.messages import Cell, Timed, TimeJob
from lcbench.measure.workload import Size
from lcbench.workers import messages, process
from lcbench.workers.messages import Began, Done, Failed

TINY = Size(20, 33, 3, "float32", "synthetic")

MINE = """
import ctypes, os, resource, signal, sys, threading, time
import numpy as np
from lcbench.losses.vectorized import softmax_loss as right

problem = {}

def when_timed(do):
    # only on the problem that is timed, not on the one on which functions are recognised
    def softmax_loss(W, X, y, reg):
        if len(X) == 20:
            problem["X"] = X
            do()
        return right(W, X, y, reg)
    return softmax_loss

def allocate():
    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    everything = []
    while True:
        everything.append(np.empty(2**28, np.uint8))

def hoard():
    kept = np.ones(2**25)
    time.sleep(600)

def chatter():
    print('{"type":"timed","index":0,"status":"ok"}')
    os.write(1, b"garbage\\n")

def stay():
    threading.Thread(target=time.sleep, args=(600,)).start()

def centre():
    problem["X"] -= 1

def leave():
    raise SystemExit(0)

exits_well = when_timed(lambda: os._exit(0))
exits_badly = when_timed(lambda: (print("last words", file=sys.stderr, flush=True), os._exit(7)))
killed = when_timed(lambda: os.kill(os.getpid(), signal.SIGKILL))
segfault = when_timed(lambda: ctypes.string_at(0))
hangs = when_timed(lambda: time.sleep(600))
raises = when_timed(lambda: [][1])
allocates = when_timed(allocate)
hoards = when_timed(hoard)
chatters = when_timed(chatter)
stays = when_timed(stay)
leaves = when_timed(leave)
centres = when_timed(centre)
"""


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problem") / "tiny"
    workload.save_problem(workload.build_problem(TINY), ["softmax"], folder)
    return Cell("softmax", str(folder))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(MINE)
    return file


def outcome(mine, cell, function, timeout_s=60.0):
    """Return the events of timing `function` in a worker process."""
    job = TimeJob(implementation=f"{mine}:{function}", cells=[cell], seconds=0.0, most_samples=3, seed=0)
    return process.work(job, process.environment(1, None), timeout_s)


@pytest.mark.parametrize(
    ("function", "failed"),
    [
        ("exits_well", Failed("crashed", "exited with status 0")),
        ("exits_badly", Failed("crashed", "exited with status 7: last words")),
        ("killed", Failed("crashed", "killed by SIGKILL (out of memory?)")),
        ("segfault", Failed("crashed", "killed by SIGSEGV")),
        ("leaves", Failed("crashed", "exited with status 0")),
    ],
)
def test_the_events_of_a_worker_that_dies_contain_reason_and_place(mine, cell, function, failed):
    events = outcome(mine, cell, function)
    assert events == [Began(0), failed]
    assert process.unanswered(events) == 0


def test_a_worker_without_events_is_killed_after_the_timeout(mine, cell):
    events = outcome(mine, cell, "hangs", timeout_s=2.0)
    assert events[-1] == Failed("timeout", "no answer for 2 s")


def test_a_worker_that_uses_all_memory_is_killed(mine, cell, monkeypatch):
    def available():
        return 300_000_000 - sum(child.memory_info().rss for child in psutil.Process().children())

    monkeypatch.setattr(process, "memory_available", available)
    events = outcome(mine, cell, "hoards")
    assert events == [Began(0), Failed("crashed", "used more than 0.2 GB of memory, all that was free")]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_worker_is_killed_first_if_memory_runs_out(tmp_path, cell):
    file = tmp_path / "mine.py"
    file.write_text(
        "from pathlib import Path\n"
        "from lcbench.losses.vectorized import softmax_loss as right\n"
        "def softmax_loss(W, X, y, reg):\n"
        f"    Path({str(tmp_path / 'score')!r}).write_text(Path('/proc/self/oom_score_adj').read_text())\n"
        "    return right(W, X, y, reg)\n"
    )
    outcome(file, cell, "softmax_loss")
    assert int((tmp_path / "score").read_text()) == 1000


@pytest.mark.parametrize(
    ("function", "reason"),
    [("raises", "IndexError: list index out of range"), ("allocates", "out of memory")],
)
def test_an_exception_ends_the_cell_but_not_the_worker(mine, cell, function, reason):
    began, timed = outcome(mine, cell, function)
    assert began == Began(0)
    assert (timed.status, timed.reason, timed.process) == ("crashed", reason, None)


@pytest.mark.parametrize("function", ["chatters", "stays"])
def test_output_and_remaining_threads_do_not_disturb_the_events(mine, cell, function):
    began, timed = outcome(mine, cell, function)
    assert (began, timed.status, len(timed.process.samples)) == (Began(0), "ok", 3)


def test_a_worker_with_remaining_threads_is_not_waited_for(mine, cell):
    events = outcome(mine, cell, "stays")
    assert not isinstance(events[-1], Failed)  # it did not time out


def test_a_changed_input_is_reported_rather_than_the_wrong_loss(mine, cell):
    _, timed = outcome(mine, cell, "centres")
    assert (timed.status, timed.reason) == ("wrong", "changes its input X")


def test_a_job_that_cannot_be_started_fails_as_a_whole(mine, cell):
    [failed] = outcome(mine, cell, "absent")
    assert failed.status == "wrong" or failed.status == "unavailable"
    assert "there is no absent" in failed.reason
    assert process.unanswered([failed]) is None


def test_a_worker_is_killed_after_an_interrupt(mine, cell, monkeypatch):
    started = []
    popen = process.subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[0]

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(process.subprocess, "Popen", start)
    monkeypatch.setattr(process.WorkerProcess, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        outcome(mine, cell, "hangs")
    assert started[0].returncode == -signal.SIGKILL


def test_an_incomplete_line_is_ignored():
    lines = messages.encode(Began(3)) + messages.encode(Timed(index=3, status="ok"))[:-9]
    assert messages.decode_events(lines, Timed) == [Began(3)]
    assert messages.decode_events(lines[:-20] + b"\n\xff\n" + messages.encode(Done()), Timed) == [Began(3)]


def test_unanswered_is_the_part_during_which_a_worker_died():
    answered = [Began(0), Timed(index=0, status="ok")]
    assert process.unanswered([*answered, Began(2), Failed("crashed", "")]) == 2
    assert process.unanswered([*answered, Failed("crashed", "")]) is None
    assert process.unanswered([]) is None


def test_environment_variables_of_a_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere/of/the/users")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    variables = process.environment(3, tmp_path)
    assert {variables[name] for name in process.THREAD_VARIABLES} == {"3"}
    assert {Path(variables[name]).parent for name in process.CACHE_VARIABLES} == {tmp_path}
    assert len({variables[name] for name in process.CACHE_VARIABLES}) == 3
    assert not set(process.CACHE_VARIABLES) & set(process.environment(3, None))
    assert "NUMBA_ENABLE_CUDASIM" not in variables or os.environ.get("NUMBA_ENABLE_CUDASIM")
    assert process.environment(3, None, simulator=True)["NUMBA_ENABLE_CUDASIM"] == "1"


JAX_THREADS = """
import os, jax, jax.numpy as jnp
jnp.ones((9, 9)).sum().block_until_ready()
tasks = [f"/proc/self/task/{task}/comm" for task in os.listdir("/proc/self/task")]
print(sum("XLAEigen" in open(task).read() for task in tasks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_jax_has_the_requested_number_of_threads(threads):
    pytest.importorskip("jax")
    variables = process.environment(threads, None)
    result = subprocess.run([sys.executable, "-c", JAX_THREADS], env=variables, capture_output=True, text=True)
    assert result.stdout == f"{threads}\n", result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    hangs = tmp_path / "hangs.py"
    hangs.write_text(
        "import os, time\nfrom pathlib import Path\n"
        "def svm_loss(W, X, y, reg):\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-m", "lcbench", "check", str(hangs)], stderr=subprocess.DEVNULL)
    pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    parent.terminate()
    parent.wait()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
