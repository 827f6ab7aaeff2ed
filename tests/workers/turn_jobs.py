"""Job that takes turns, for the worker processes of tests. It does what an order says, and answers."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import msgspec

from lcbench.workers import process
from lcbench.workers.messages import Began, Emit, Job, Orders
from lcbench.workers.process import WorkerProcess

TIMEOUT_S = 600.0

DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
while True:
    pass
"""
"""Program that leaves its parent, its group and its session, and then computes."""

BUSY = "while True: pass"

CHAIN = """
import os
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
"""Program in which each process starts the next one in a new session, and ends."""


def variables() -> dict[str, str]:
    """Return the environment of a worker that finds this module."""
    return process.environment(1, None) | {"PYTHONPATH": str(Path(__file__).parent)}


def started(**options: object) -> WorkerProcess:
    """Return a worker that waits for orders."""
    worker = WorkerProcess(variables(), **options)
    worker.send(TurnsJob())
    [answered] = worker.answer(TIMEOUT_S)
    assert answered.pids == [worker._process.pid]
    return worker


def do(worker: WorkerProcess, name: str, argument: object = "") -> list[int]:
    """Give an order and return the process ids of the answer."""
    worker.order(Order(name, str(argument)))
    [answered] = worker.answer(TIMEOUT_S)
    return answered.pids


class Order(msgspec.Struct):
    """Name of the function to call, and its argument."""

    name: str
    argument: str = ""


class Answered(msgspec.Struct, tag="answered"):
    """Answer to an order: a list of process ids."""

    pids: list[int]


class TurnsJob(Job):
    """Job that follows orders until "end"."""

    does: ClassVar[str] = "turn_jobs.take_turns"
    answers: ClassVar[object] = Answered


def take_turns(job: TurnsJob, emit: Emit, orders: Orders) -> None:
    """Follow orders."""
    emit(Answered([os.getpid()]))
    while (order := orders(Order)).name != "end":
        emit(Answered(globals()[order.name](order.argument) or []))


class CallJob(Job):
    """Job that calls one function."""

    does: ClassVar[str] = "turn_jobs.call"
    answers: ClassVar[object] = Answered
    name: str


def call(job: CallJob, emit: Emit) -> None:
    emit(Began(0))
    emit(Answered(globals()[job.name]() or []))


def exit_well() -> None:
    os._exit(0)


def exit_badly() -> None:
    print("last words", file=sys.stderr, flush=True)
    os._exit(7)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def read_nothing() -> None:
    ctypes.string_at(0)


def leave() -> None:
    raise SystemExit(0)


def hang() -> None:
    time.sleep(600)


def hoard() -> None:
    kept = bytearray(b"1") * 2**28
    time.sleep(600)
    del kept


def chatter() -> None:
    """Write what looks like an event, and what does not, to standard output."""
    print('{"type":"answered","pids":[1]}', flush=True)
    os.write(1, b"garbage\n")


def stay() -> None:
    """Start a thread that outlives the job."""
    threading.Thread(target=time.sleep, args=(600,)).start()


def read_oom_score() -> list[int]:
    return [int(Path("/proc/self/oom_score_adj").read_text())]


def nothing(_: str) -> None:
    """Answer only."""


def sleep(seconds: str) -> None:
    time.sleep(float(seconds))


def exit_with(status: str) -> None:
    os._exit(int(status))


def compute_in_threads(number: str) -> None:
    """Start threads that compute without the lock of the interpreter."""
    libc = ctypes.CDLL(None)

    def compute() -> None:
        array = (ctypes.c_char * 2**24)()
        while True:
            libc.memset(array, 1, 2**24)

    for _ in range(int(number)):
        threading.Thread(target=compute, daemon=True).start()


def start_child(_: str) -> list[int]:
    """Start a child in a session of its own, which computes."""
    return [subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True).pid]


def start_daemon(file: str, environment: dict[str, str] | None = None) -> list[int]:
    """Start a daemon that computes, and return its id."""
    subprocess.run([sys.executable, "-c", DAEMON, file], check=True, env=environment)
    while not (Path(file).exists() and (text := Path(file).read_text())):
        time.sleep(0.01)
    return [int(text)]


def start_daemon_without_environment(file: str) -> list[int]:
    return start_daemon(file, {})


def start_chain(_: str) -> None:
    subprocess.Popen([sys.executable, "-c", CHAIN])


def close_all_descriptors(_: str) -> None:
    os.closerange(0, 4096)


def take_lock(file: str) -> None:
    """Lock a file, and unlock it when this process is continued after a stop."""
    lock = Path(file).open("w")  # noqa: SIM115
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.signal(signal.SIGCONT, lambda *_: lock.close())


def wait_for_lock(file: str) -> None:
    with Path(file).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def wait_for_file(file: str) -> None:
    while not Path(file).exists():
        time.sleep(0.01)


def start_when_open(fifo: str) -> None:
    """Start a program whose child waits between vfork and exec until somebody writes to a FIFO."""
    program = [sys.executable, "-c", ""]
    os.posix_spawn(program[0], program, dict(os.environ), file_actions=[(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)])
