"""Worker processes: the caller gets their events and, if one dies, the reason in one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from commands import wait_until
from lcbench.workers import messages, process
from lcbench.workers.messages import Began, Done, Failed
from turn_jobs import Answered, CallJob, variables


def outcome(function, timeout_s=600.0):
    """Return the events of calling a function of `turn_jobs` in a worker process."""
    return process.work(CallJob(function), variables(), timeout_s)


@pytest.mark.parametrize(
    ("function", "failed"),
    [
        ("exit_well", Failed("crashed", "exited with status 0")),
        ("exit_badly", Failed("crashed", "exited with status 7: last words")),
        ("die", Failed("crashed", "killed by SIGKILL (out of memory?)")),
        ("read_nothing", Failed("crashed", "killed by SIGSEGV")),
        ("leave", Failed("crashed", "exited with status 0")),
    ],
)
def test_the_events_of_a_worker_that_dies_contain_reason_and_place(function, failed):
    events = outcome(function)
    assert events == [Began(0), failed]
    assert process.unanswered(events) == 0


def test_a_worker_without_events_is_killed_after_the_timeout():
    assert outcome("hang", timeout_s=2.0) == [Began(0), Failed("timeout", "no answer for 2 s")]


def test_a_worker_that_uses_all_memory_is_killed(monkeypatch):
    others = psutil.Process().children()  # of other tests

    def available():
        own = (child for child in psutil.Process().children() if child not in others)
        return 300_000_000 - sum(child.memory_info().rss for child in own)

    monkeypatch.setattr(process, "memory_available", available)
    began, failed = outcome("hoard")
    assert (began, failed.status) == (Began(0), "crashed")
    assert re.fullmatch(r"used more than \d+ MiB of memory, all that was free", failed.reason)


def test_the_status_of_an_exception_on_windows_is_hexadecimal(tmp_path):
    ended = process.WorkerProcess.__new__(process.WorkerProcess)
    ended._process, ended._cannot_stop = SimpleNamespace(returncode=0xC0000005), False
    ended._errors = tmp_path / "errors"
    ended._errors.touch()
    assert ended._exit_reason() == "exited with status 0xc0000005"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_worker_is_killed_first_if_memory_runs_out():
    assert outcome("read_oom_score") == [Began(0), Answered([1000])]


@pytest.mark.parametrize("function", ["chatter", "stay"])
def test_output_and_remaining_threads_do_not_disturb_the_events(function):
    assert outcome(function) == [Began(0), Answered([])]


def test_a_worker_is_killed_after_an_interrupt(monkeypatch):
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
        outcome("hang")
    assert started[0].returncode == -signal.SIGKILL


def test_an_incomplete_line_is_ignored():
    lines = messages.encode(Began(3)) + messages.encode(Answered([3]))[:-9]
    assert messages.decode_events(lines, Answered) == [Began(3)]
    assert messages.decode_events(lines[:-20] + b"\n\xff\n" + messages.encode(Done()), Answered) == [Began(3)]


def test_unanswered_is_the_part_during_which_a_worker_died():
    answered = [Began(0), Answered([])]
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
