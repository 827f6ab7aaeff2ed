"""Answers of workers that take turns, and what becomes of a worker that does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from commands import wait_until
from lcbench.workers import process
from lcbench.workers.messages import Done, Failed
from turn_jobs import Answered, Order, do, started


@pytest.fixture
def worker():
    with started() as process:
        yield process


def test_orders_are_followed_one_by_one(worker):
    for name in ("nothing", "nothing", "end"):
        worker.order(Order(name))
    events = []
    while len(events) < 3:
        events += worker.answer(60.0)
    assert events == [Answered([]), Answered([]), Done()]


def test_an_event_ends_the_wait(worker):
    worker.order(Order("nothing"))
    assert worker._await_bell(60.0)


def test_a_worker_of_several_jobs_follows_orders(tmp_path):
    with started(shared=tmp_path) as worker:
        worker.order(Order("end"))
        assert worker.answer(60.0) == [Done()]


def test_closed_descriptors_disturb_neither_orders_nor_events(worker):
    for name in ("close_all_descriptors", "nothing"):
        assert do(worker, name) == []
    worker.order(Order("end"))
    assert worker.answer(60.0) == [Done()]


def test_a_worker_that_exits_instead_of_an_answer(worker):
    worker.order(Order("exit_with", "7"))
    assert worker.answer(60.0) == [Failed("crashed", "exited with status 7")]


def test_without_pidfds_the_end_of_a_worker_is_detected(monkeypatch):
    monkeypatch.delattr(process.os, "pidfd_open", raising=False)
    with started() as worker:
        assert do(worker, "nothing") == []
        worker.order(Order("exit_with", "7"))
        assert worker.answer(60.0) == [Failed("crashed", "exited with status 7")]


@pytest.mark.parametrize(("wait_s", "gaps"), [(0.5, 0), (3600.0, 4)])
def test_a_timeout_counts_waits_rather_than_time(worker, monkeypatch, wait_s, gaps):
    times = iter(range(10**6))
    waits = []
    monkeypatch.setattr(process, "_time_with_suspensions", lambda: next(times) * wait_s)
    monkeypatch.setattr(worker, "_await_bell", waits.append)
    assert worker.answer(2.0) == [Failed("timeout", "no answer for 2 s")]
    assert waits == [0.5] * 4
    assert worker.gaps == gaps


def test_rings_without_an_event_do_not_prolong_the_timeout(worker, monkeypatch):
    times = iter(range(10**6))
    waits = []
    monkeypatch.setattr(process, "_time_with_suspensions", lambda: next(times) * 0.25)
    monkeypatch.setattr(worker, "_await_bell", lambda wait_s: waits.append(wait_s) or True)
    assert worker.answer(2.0) == [Failed("timeout", "no answer for 2 s")]
    assert len(waits) == 8


def test_an_event_that_comes_while_this_process_is_frozen_is_a_gap(worker, monkeypatch):
    await_bell = worker._await_bell

    def frozen_afterwards(wait_s):
        rung = await_bell(wait_s)
        time.sleep(process.GAP_S + 0.1)
        return rung

    monkeypatch.setattr(worker, "_await_bell", frozen_afterwards)
    monkeypatch.setattr(process, "_time_with_suspensions", lambda: 0.0)
    worker.order(Order("sleep", "0.2"))  # the wait begins before the event
    assert worker.answer(60.0) == [Answered([])]
    assert worker.gaps == 1


FROZEN = """
import sys
from turn_jobs import Order, started
with started() as worker:
    worker.order(Order("wait_for_file", sys.argv[1]))
    print("waits", flush=True)
    worker.answer(600.0)
    print(worker.gaps)
"""


def test_a_stop_of_the_waiting_process_is_a_gap(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", FROZEN, str(tmp_path / "file")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "waits\n"
    time.sleep(0.2)
    parent.send_signal(signal.SIGSTOP)
    time.sleep(1.3)
    parent.send_signal(signal.SIGCONT)
    (tmp_path / "file").touch()
    assert int(parent.communicate()[0]) >= 1


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("wait_for_lock", "waits for something that a stopped process holds, such as a lock"),
        ("sleep", "no answer for 1 s"),
    ],
)
def test_a_silent_worker_and_the_lock_of_a_stopped_one(worker, tmp_path, order, reason):
    with started() as other:
        do(other, "take_lock", tmp_path / "lock")
        other.stop()
        worker.order(Order(order, str(tmp_path / "lock") if order == "wait_for_lock" else "600"))
        events = worker.answer(1.0, [other])
        assert events[-1] == Failed("timeout", reason)
        assert psutil.Process(other._process.pid).status() == psutil.STATUS_STOPPED
        assert not psutil.pid_exists(worker._process.pid)


def test_a_worker_that_crashes_while_the_others_run(worker, tmp_path):
    with started() as other:
        other.stop()
        resume = other.resume
        other.resume = lambda: (resume(), os.kill(worker._process.pid, signal.SIGKILL))
        worker.order(Order("sleep", "600"))
        assert worker.answer(0.5, [other]) == [Failed("crashed", "killed by SIGKILL (out of memory?)")]


def test_the_starting_thread_may_end():
    workers = []
    thread = threading.Thread(target=lambda: workers.append(started()))
    thread.start()
    thread.join()
    with workers[0] as worker:
        wait_until(lambda: not thread.is_alive())
        assert do(worker, "sleep", 0.1) == []


def test_a_worker_ends_when_nobody_can_give_orders(worker):
    os.close(worker._orders)
    worker._orders = None
    assert worker.answer(60.0) == [Failed("crashed", "exited with status 1")]
