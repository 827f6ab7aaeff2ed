"""Stopped workers: no thread and no descendant runs, wherever it has gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from commands import wait_until
from lcbench.workers import tree
from lcbench.workers.messages import Failed
from turn_jobs import Answered, Order, do, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU clocks of other processes")


@pytest.fixture
def worker():
    with started() as process:
        yield process


def cpu_s(pid):
    return time.clock_gettime((~pid << 3) | 2)


def runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_until_it_computes(pid):
    before = cpu_s(pid)
    wait_until(lambda: cpu_s(pid) > before + 0.005)


def test_threads_children_and_daemons_stop_and_continue(worker, tmp_path):
    do(worker, "compute_in_threads", 2)
    pids = [worker._process.pid, *do(worker, "start_child"), *do(worker, "start_daemon", tmp_path / "daemon")]
    for _ in range(3):
        for pid in pids:
            wait_until_it_computes(pid)
        worker.stop()
        before = [cpu_s(pid) for pid in pids]
        time.sleep(0.1)
        assert [cpu_s(pid) for pid in pids] == before
        worker.resume()
        assert worker.worked_while_stopped_s == 0.0
    for pid in pids:
        wait_until_it_computes(pid)


def test_processes_that_start_others_meanwhile_stop(worker):
    do(worker, "start_chain")
    for _ in range(5):
        worker.stop()
        found = tree._descendants(worker._process.pid)
        assert found
        time.sleep(0.01)
        assert tree._descendants(worker._process.pid) == found
        worker.resume()


def test_a_process_that_is_started_during_a_stop_stops(worker, monkeypatch):
    children = [*do(worker, "start_child"), *do(worker, "start_child")]
    descendants = tree._descendants
    later = [children[1]]
    monkeypatch.setattr(tree, "_descendants", lambda pid: descendants(pid) - ({later.pop()} if later else set()))
    worker.stop()
    assert {psutil.Process(pid).status() for pid in children} == {psutil.STATUS_STOPPED}


def test_work_while_stopped_is_measured(worker):
    [child] = do(worker, "start_child")
    worker.stop()
    os.kill(child, signal.SIGCONT)
    wait_until_it_computes(child)
    worker.resume()
    assert worker.worked_while_stopped_s >= 0.005
    worker.stop()
    worker.resume()
    assert worker.worked_while_stopped_s == 0.0


def test_a_stop_may_be_repeated(worker):
    worker.stop()
    worker.stop()
    worker.resume()
    assert do(worker, "nothing") == []


def test_a_descendant_that_ends_while_stopped(worker):
    [child] = do(worker, "start_child")
    worker.stop()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not runs(child))
    worker.resume()
    worker.stop()
    worker.resume()
    assert do(worker, "nothing") == []


def test_a_worker_that_ends_while_stopped(worker):
    worker.stop()
    os.kill(worker._process.pid, signal.SIGKILL)
    wait_until(lambda: not runs(worker._process.pid))
    worker.resume()
    worker.stop()
    worker.resume()
    worker.order(Order("nothing"))
    assert worker.answer(60.0) == [Failed("crashed", "killed by SIGKILL (out of memory?)")]
    worker.stop()
    worker.order(Order("nothing"))


@pytest.mark.parametrize("end", ["kill", "stop and kill", "job ends", "crash"])
def test_no_descendant_outlives_a_worker(worker, tmp_path, end):
    pids = [*do(worker, "start_child"), *do(worker, "start_daemon", tmp_path / "daemon")]
    if end == "stop and kill":
        worker.stop()
    elif end != "kill":
        worker.order(Order("end" if end == "job ends" else "exit_with", "3"))
        worker.answer(60.0)
    worker.close()
    assert not [pid for pid in pids if runs(pid)]


@pytest.fixture
def between_vfork_and_exec(worker, tmp_path):
    """Return a FIFO that, when opened for writing, ends the wait of a child between vfork and exec."""
    os.mkfifo(tmp_path / "fifo")
    worker.order(Order("start_when_open", str(tmp_path / "fifo")))
    wait_until(lambda: tree._descendants(worker._process.pid))
    return tmp_path / "fifo"


def test_a_worker_that_cannot_be_stopped_is_killed(worker, between_vfork_and_exec, monkeypatch):
    monkeypatch.setattr(tree, "STOP_ATTEMPTS_S", (0.1, 0.1))
    worker.stop()
    assert worker.answer(60.0) == [Failed("crashed", "could not be stopped to let another process run")]
    assert not runs(worker._process.pid)


def test_a_thread_that_waits_for_a_starting_program_stops_later(worker, between_vfork_and_exec):
    opened = []
    opener = threading.Timer(0.1, lambda: opened.append(os.open(between_vfork_and_exec, os.O_RDWR)))
    opener.start()
    worker.stop()
    opener.join()
    worker.resume()
    assert worker.answer(60.0) == [Answered([])]
    os.close(opened[0])
