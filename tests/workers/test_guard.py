"""No process is left when lcbench ends, whatever the reason."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from commands import wait_until
from lcbench.workers import guard
from turn_jobs import started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="start times and marks are read from /proc")

IN_A_TURN = """
import sys
from contextlib import ExitStack
from lcbench.workers.guard import GUARD
from turn_jobs import Order, do, started
with ExitStack() as stack:
    pids = []
    workers = [stack.enter_context(started()) for _ in range(3)]
    for number, worker in enumerate(workers):
        pids.append(worker._process.pid)
        pids += do(worker, "start_child") + do(worker, "start_daemon", f"{sys.argv[1]}/daemon-{number}")
        if number:
            worker.stop()
    workers[0].order(Order("sleep", "600"))
    print(GUARD.pid, *pids, flush=True)
    workers[0].answer(600.0)
"""

FORKS = """
import os, signal
from turn_jobs import started
with started() as worker:
    if not os.fork():
        with started() as own:
            print(worker._process.pid, os.getpid(), own._process.pid, flush=True)
            signal.pause()
    signal.pause()
"""

WITHOUT_ENVIRONMENT = """
import signal, sys
from turn_jobs import do, started
with started() as worker:
    daemon = do(worker, "start_daemon_without_environment", f"{sys.argv[1]}/daemon")
    worker.stop()
    worker.resume()
    print(worker._process.pid, *daemon, flush=True)
    signal.pause()
"""

IN_A_CONTAINER = """
import os, subprocess, sys, time
import psutil
from turn_jobs import Order, do, started
assert os.getpid() == 1
own = subprocess.Popen(["sh", "-c", "exit 7"])
while psutil.Process(own.pid).status() != psutil.STATUS_ZOMBIE:
    time.sleep(0.01)
for number, end in enumerate(["", "exit_with"]):
    with started() as worker:
        do(worker, "start_child")
        do(worker, "start_daemon", f"{sys.argv[1]}/daemon-{number}")
        if end:
            worker.order(Order(end, "3"))
            worker.answer(60.0)
with started() as first, started():
    first.order(Order("exit_with", "3"))
    while psutil.Process(first._process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with started():
        pass
    print(first.answer(60.0)[-1].reason)
left = {process.pid: process.name() for process in psutil.Process().children()}
print(len(left), own.pid in left, own.wait())
"""


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


def lcbench(script, *arguments, before=()):
    return subprocess.Popen(
        [*before, sys.executable, "-c", script, *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def end_of_all(pids):
    wait_until(lambda: not [pid for pid in pids if runs(pid)])


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_no_process_is_left_after_a_signal_in_a_turn(tmp_path, name):
    parent = lcbench(IN_A_TURN, tmp_path)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 10
    assert all(map(runs, pids))
    parent.send_signal(signal.Signals[name])
    parent.wait()
    end_of_all(pids)


def test_the_guard_outlives_the_signals_of_a_shutdown(tmp_path):
    parent = lcbench(IN_A_TURN, tmp_path)
    own, *pids = [int(pid) for pid in parent.stdout.readline().split()]
    # Its start is complete once it ignores these signals: bits 1, 2 and 15 of the mask.
    mask = (1 << 0) | (1 << 1) | (1 << 14)
    wait_until(lambda: int(Path(f"/proc/{own}/status").read_text().split("SigIgn:")[1].split()[0], 16) & mask == mask)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(own, number)
    parent.kill()
    parent.wait()
    end_of_all([own, *pids])


def test_a_fork_has_a_guard_of_its_own(tmp_path):
    parent = lcbench(FORKS)
    worker, child, childs_worker = map(int, parent.stdout.readline().split())
    parent.kill()
    parent.wait()
    end_of_all([worker])
    assert runs(child)
    assert runs(childs_worker)
    os.kill(child, signal.SIGKILL)
    end_of_all([child, childs_worker])


def test_the_guard_knows_the_descendants_of_stopped_workers(tmp_path):
    parent = lcbench(WITHOUT_ENVIRONMENT, tmp_path)
    worker, daemon = map(int, parent.stdout.readline().split())
    os.kill(worker, signal.SIGKILL)  # the daemon is no longer its descendant, and has no mark
    wait_until(lambda: not runs(worker))
    assert runs(daemon)
    parent.kill()
    parent.wait()
    end_of_all([daemon])


def test_a_killed_guard_is_replaced():
    with started():
        first = guard.GUARD.pid
        os.kill(first, signal.SIGKILL)
        guard.GUARD._process.wait()
        with started():
            assert guard.GUARD.pid != first
            assert runs(guard.GUARD.pid)
            assert len(guard.GUARD._starts) == 2
    assert guard.GUARD._starts == {}


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("same", [True, False])
def test_a_process_whose_id_is_used_again_is_spared(sleeper, same):
    start = guard.facts(sleeper.pid).start if same else "1"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, "a mark that nobody has"], stdin=subprocess.PIPE
    ) as process:
        process.communicate(f"add {sleeper.pid} {start} 0\n".encode())
    if same:
        assert sleeper.wait() == -signal.SIGKILL
    else:
        assert sleeper.poll() is None


@pytest.mark.parametrize("lines", ["add {0} {1} 0\nremove {0}\n", "add {0} {1} 0"])
def test_removed_processes_and_incomplete_lines_are_spared(sleeper, lines):
    with subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, "a mark that nobody has"], stdin=subprocess.PIPE
    ) as process:
        process.communicate(lines.format(sleeper.pid, guard.facts(sleeper.pid).start).encode())
    assert process.returncode == 0
    assert sleeper.poll() is None


def test_descendants_are_killed():
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        child = int(parent.stdout.readline())
        killed = guard.kill_families({parent.pid: guard.facts(parent.pid).start}, "a mark that nobody has")
        assert killed == {parent.pid, child}
        end_of_all([child])


def test_a_process_may_end_by_itself():
    code = "import sys, time; sys.stdin.read(); time.sleep(0.2)"
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as own,
        subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, "a mark that nobody has"], stdin=subprocess.PIPE
        ) as process,
    ):
        process.stdin.write(f"add {own.pid} {guard.facts(own.pid).start} 1\n".encode())
        own.stdin.close()
        process.stdin.close()
        assert own.wait() == 0


def test_the_facts_of_ps_are_those_of_proc(sleeper, monkeypatch):
    if not shutil.which("ps"):
        pytest.skip("there is no ps")
    known = guard.facts(sleeper.pid)
    monkeypatch.setattr(guard, "_PROC", False)
    listed = guard.facts(sleeper.pid)
    assert (listed.parent, listed.group) == (known.parent, known.group) == (os.getpid(), sleeper.pid)
    assert guard.process_table()[sleeper.pid].start == listed.start
    guard.kill_families({sleeper.pid: "another"}, "a mark that nobody has")
    assert sleeper.poll() is None
    guard.kill_families({sleeper.pid: listed.start}, "a mark that nobody has")
    assert sleeper.wait() == -signal.SIGKILL


def test_the_mark_of_one_worker_is_not_that_of_another():
    with started() as one, started() as other:
        pids = {one._process.pid, other._process.pid}
        assert guard.marked(pids, one._tree.mark) == {one._process.pid}
        assert guard.marked(pids, guard.GUARD.mark) == pids


def test_the_first_process_of_a_container_reaps_orphans(tmp_path):
    namespace = ["unshare", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace can be made here")
    parent = lcbench(IN_A_CONTAINER, tmp_path, before=namespace)
    assert parent.communicate()[0] == "exited with status 3\n2 True 7\n"  # its own child and the guard
