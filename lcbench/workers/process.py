"""Start of worker processes, waiting for their events, and detection of how they ended.

A worker process that crashes or hangs affects only its own job. Worker processes can take turns, while
the others are stopped.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from lcbench import files, units
from lcbench.control_groups import memory_available
from lcbench.start import AFFINITY
from lcbench.workers import guard, messages
from lcbench.workers.guard import GUARD
from lcbench.workers.messages import Began, Done, Failed, Job, JobMessage
from lcbench.workers.tree import ProcessTree, reap_orphans

if TYPE_CHECKING:
    from lcbench.usercode.own_tree import OwnTree

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "PJRT_NPROC", "NPROC")  # fmt: skip
"""Variables that set the number of threads of the libraries; the last two are those of XLA, which JAX uses."""

CACHE_VARIABLES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
"""Variables that set the compilation cache of the libraries."""

BINDING_VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables with which OpenMP runtimes bind threads to cores."""

MEMORY_MARGIN = 4 * 10**9
"""Memory in bytes that a worker process cannot allocate and fill within a second."""

WAIT_S = 0.5
"""Longest single wait for an event. Timeouts count these waits, so that a suspended laptop does not cause a timeout."""

GAP_S = 0.5
"""Delay of a wait or of an event from which on time is missing: this machine or this process did not run."""

OTHERS_S = 1.0
"""Time for which stopped processes run if the process may wait for something that they hold."""

_UNTOLD_S = 0.02
"""Longest single wait on systems with FIFOs that cannot wait for an event and for the end of a process together."""

_FIRST_EXCEPTION = 0x80000000
"""Smallest status of a process that Windows ended, such as 0xc0000005 for an access to memory that it does not have."""

_LIVE = set[int]()
"""Worker processes that have not been killed yet, so that they have not been waited for, or may not have been."""

_STARTING = threading.Lock()
"""Lock for starting a process and adding it to `_LIVE`, and for reading `_LIVE`."""

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Place:
    """Interpreter and folder of a worker process, and the losses that it measures.

    python: interpreter. folder: working directory; None means that of this process. losses: folder of the package
    ``lcbench.losses`` to measure; None means that of the lcbench installed for the interpreter, or else our own. The
    code of the worker itself is always that of this lcbench. tree: source tree from which modules of the repository are
    imported, if it is not what is installed.
    """

    python: str = sys.executable
    folder: Path | None = None
    losses: Path | None = Path(__file__).parents[1] / "losses"
    tree: OwnTree | None = None

    def command(self) -> list[str]:
        """Return the command line of a worker process, without its own arguments."""
        # -P: do not import packages from the folder of the script or from the working directory.
        return [self.python, "-P", str(Path(__file__).with_name("start_worker.py")), str(self.losses or "")]


HERE = Place()
"""Interpreter, folder and losses of this process."""


def environment(threads: int, cache: Path | None, simulator: bool = False) -> dict[str, str]:
    """Return the environment variables of a worker process: number of threads, and the folder of compilation caches.

    cache: must belong to a single run, since an older cache would miss edits in other files and hide compilation times.
    None means that compiled code is discarded with the process. simulator: run Numba's CUDA kernels in its simulator.
    """
    variables = dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(threads))
    for name in CACHE_VARIABLES:
        variables.pop(name, None)
        if cache:
            variables[name] = str(cache / name.partition("_")[0].lower())
    # By default JAX caches only code that took a second to compile.
    variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    # With more threads Inductor starts a pool of processes, which would import PyTorch during the measurement.
    variables["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    # By default Inductor stores precompiled headers in a folder that outlives the run.
    variables["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
    variables["PYTHONUNBUFFERED"] = "1"
    if simulator:
        variables["NUMBA_ENABLE_CUDASIM"] = "1"
    return variables


class WorkerProcess:
    """Child process at `place` that gets jobs on standard input and writes events to a file.

    As a context manager it kills the process, with all processes that it has started, at the end. They are also killed
    when this process ends in any way. shared: folder for several consecutive jobs, which the child removes when this
    process ends; without it the child does a single job.

    Attributes
    ----------
    gaps
        Number of gaps of time during the waits for events: this process or the machine did not run.
    worked_while_stopped_s
        CPU time that the process and its descendants used between the last `stop` and `resume`. It is zero unless
        somebody else continued them.
    """

    def __init__(self, variables: Mapping[str, str], place: Place = HERE, shared: Path | None = None) -> None:
        self.gaps, self.worked_while_stopped_s = 0, 0.0
        self._own = files.temporary_folder("worker", shared)
        folder = Path(self._own.name)
        self._events, self._errors = folder / "events", folder / "errors"
        self._events.touch()
        # Both ends are held open here: the child can open and close its own end at any time. A system without FIFOs
        # has pipes: the bell is standard output, and orders follow the job on standard input.
        self._bell, self._orders = _open_fifo(folder / "bell"), _open_fifo(folder / "orders")
        self._rung = threading.Event()
        self._read, self._received, self._answers, self._single = 0, list[Any](), None, shared is None
        self._done = self._killed = False
        self._cannot_stop = False
        affinity()
        mark = f"{GUARD.mark}.{next(_NUMBERS)}."
        with self._errors.open("wb") as stderr, _STARTING:
            self._process = subprocess.Popen(
                [*place.command(), str(self._events), str(shared or "")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self._bell is None else stderr,
                stderr=stderr,
                # By default Numba would cache compiled code beside the user's file.
                env={"NUMBA_CACHE_DIR": str(folder / "compiled")}
                | dict(variables)
                | {guard.VARIABLE: mark, "PYTHONIOENCODING": "utf-8"},
                cwd=place.folder,
                start_new_session=True,  # only this process receives Ctrl-C
                creationflags=guard.DETACHED,
            )
            _LIVE.add(self._process.pid)
        self._tree = ProcessTree(self._process.pid, mark, ends_itself=shared is not None)
        self._end = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
        if self._bell is None:
            threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> WorkerProcess:
        """Return this process, which is already running."""
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process and remove its folder."""
        self.kill()
        self._own.cleanup()

    def send(self, job: Job) -> None:
        """Send a job. If the process has died, `outcome` reports it."""
        self._answers = job.answers
        self._write(messages.encode(JobMessage(job.does, msgspec.Raw(msgspec.json.encode(job)))))
        if self._single and self._orders is not None:
            self._close_input()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # the process has ended
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _close_input(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # the process has ended
            self._process.stdin.close()

    @property
    def received(self) -> int:
        """Number of events of the running job that `outcome` has read."""
        return len(self._received)

    def order(self, order: msgspec.Struct) -> None:
        """Send an order to the running job. If the process has died, `answer` reports it."""
        if self._killed:
            return
        if self._orders is None:
            self._write(messages.encode(order))
        else:
            os.write(self._orders, messages.encode(order))

    def outcome(self) -> list[Any] | None:
        """Return the job's events if it is done or the process has ended, else None.

        If the process has ended, the last event is a Failed with the reason.
        """
        ended = self._receive()
        if self._received and isinstance(self._received[-1], Done):
            events, self._received = self._received[:-1], []
            return events
        return self.kill_as_failed("crashed", self._exit_reason()) if ended else None

    def answer(self, timeout_s: float, others: Sequence[WorkerProcess] = ()) -> list[Any]:
        """Wait for the next events of the job and return them. The last one of the job is Done.

        If the process ends before the job is done, uses all memory or is silent, it is killed, and the last event is a
        Failed with the reason.

        Parameters
        ----------
        timeout_s
            Sum of the waits, each of at most `WAIT_S`, after which a process without events is killed.
        others
            Stopped processes that may hold something that the process waits for, such as a file lock. They run for
            `OTHERS_S` before the process is killed for its silence, since its code is not at fault then.
        """
        failed = None if self._received else self._await_event(timeout_s)
        if failed and failed.status == "timeout" and others:
            for other in others:
                other.resume()
            answered = self._await_event(OTHERS_S) is None
            for other in others:
                other.stop()
            if answered and self._receive() and not self._done:
                failed = None  # it has ended, and the reason for that tells more
            elif answered:
                failed = Failed("timeout", "waits for something that a stopped process holds, such as a lock")
        if failed:
            return self.kill_as_failed(failed.status, failed.reason)
        ended = self._receive()
        events, self._received = self._received, []
        if ended and not (events and isinstance(events[-1], Done)):
            return [*events, *self.kill_as_failed("crashed", self._exit_reason())]
        return events

    def _receive(self) -> bool:
        """Read the new events. Return whether the process has ended, so that there will be no more."""
        ended = self._process.poll() is not None  # checked first: if it has ended, its events are complete
        events = self._new_events()
        self._received += events
        self._done = self._done or any(isinstance(event, Done) for event in events)
        return ended

    def kill_as_failed(self, status: str, reason: str) -> list[Any]:
        """Kill the process; return the events of its unfinished job, followed by a Failed with the reason."""
        self.kill()
        return [*self._received, *self._new_events(), Failed(status, reason)]

    def _new_events(self) -> list[Any]:
        """Return the events since the last call."""
        if self._events.stat().st_size == self._read:
            return []
        with self._events.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        complete = lines[: lines.rfind(b"\n") + 1]
        self._read += len(complete)
        return messages.decode_events(complete, self._answers)

    def wait(self, timeout_s: float) -> list[Any]:
        """Return the job's events. Kill the process if it writes no event for `timeout_s`, or uses all memory."""
        # Wait for the Done event rather than for the process, whose threads may outlive the job.
        while (events := self.outcome()) is None:
            if failed := self._await_event(timeout_s):
                return self.kill_as_failed(failed.status, failed.reason)
        return events

    def _await_event(self, timeout_s: float) -> Failed | None:
        """Wait until there is an event or the process has ended. Otherwise return why it is to be killed."""
        waited_s, began, before_s = 0.0, time.time(), _time_with_suspensions()
        known, checked_s = len(self._received), 0.0
        while True:
            ended = self._receive()
            if len(self._received) > known:
                written = self._events.stat().st_mtime
                if written > began and time.time() - written > GAP_S:
                    self.gaps += 1
                return None
            if ended:
                return None
            if waited_s >= timeout_s:
                return Failed("timeout", f"no answer for {timeout_s:.0f} s")
            wait_s = min(WAIT_S, timeout_s - waited_s)
            rung = self._await_bell(wait_s)
            now_s = _time_with_suspensions()
            if now_s - before_s > wait_s + GAP_S:
                self.gaps += 1
            waited_s += min(now_s - before_s, wait_s) if rung else wait_s
            before_s = now_s
            if waited_s - checked_s >= WAIT_S:
                checked_s = waited_s
                if failed := self._excess_memory():
                    return failed

    def _await_bell(self, wait_s: float) -> bool:
        """Wait for an event, or for the end of the process. Return whether there may be one."""
        if self._bell is None:
            rung = self._rung.wait(wait_s)
            self._rung.clear()
            return rung
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._end is None:
            wait_s = min(wait_s, _UNTOLD_S)
        else:
            poll.register(self._end, select.POLLIN)
        rung = bool(poll.poll(wait_s * 1000))
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 2**16)
        return rung or self._end is None

    def _listen(self) -> None:
        """Set `_rung` for each byte on the standard output of the process, and when the process has ended."""
        assert self._process.stdout
        with self._process.stdout as pipe:
            while os.read(pipe.fileno(), 2**16):
                self._rung.set()
        self._process.wait()
        self._rung.set()

    def _excess_memory(self) -> Failed | None:
        """Return the failure if the process uses all memory, but for `MEMORY_MARGIN`."""
        used = self._memory()
        total = used + memory_available()
        allowed = total - min(total // 4, MEMORY_MARGIN)
        if used <= allowed:
            return None
        return Failed("crashed", f"used more than {units.size(allowed)} of memory, all that was free")

    def _memory(self) -> int:
        """Return the resident memory of the process in bytes; 0 if it has ended."""
        try:
            process = psutil.Process(self._process.pid)
            # In a virtual environment on Windows, the process only starts the interpreter and waits for it.
            family = [process, *process.children()] if sys.platform == "win32" else [process]
            return sum(each.memory_info().rss for each in family)
        except psutil.Error:
            return 0

    def stop(self) -> None:
        """Stop all threads of the process and of its descendants. If one cannot be stopped, the process is killed."""
        if not self._killed and not self._tree.stop():
            self._cannot_stop = True
            self.kill()

    def resume(self) -> None:
        """Continue the process and its descendants after `stop`, and set `worked_while_stopped_s`."""
        if not self._killed:
            self.worked_while_stopped_s = self._tree.resume()

    def kill(self) -> None:
        """Kill the process and all its descendants."""
        if self._killed:
            return
        self._killed = True
        # A worker that has done its job does not exit as long as it has children.
        self._tree.kill(lost=self._receive() and not self._done)
        self._process.wait()
        with _STARTING:
            _LIVE.discard(self._process.pid)
            reap_orphans(_LIVE | {GUARD.pid or 0})
        self._close_input()
        for descriptor in (self._bell, self._orders, self._end):
            if descriptor is not None:
                os.close(descriptor)
        self._bell = self._orders = self._end = None

    def _exit_reason(self) -> str:
        if self._cannot_stop:
            return "could not be stopped to let another process run"
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        lines = self._errors.read_text("utf-8", errors="replace").strip().splitlines()
        status = f"{code:#x}" if code >= _FIRST_EXCEPTION else str(code)
        return f"exited with status {status}" + (f": {lines[-1][:300]}" if lines else "")


def work(job: Job, variables: Mapping[str, str], timeout_s: float, place: Place = HERE) -> list[Any]:
    """Do `job` in a worker process at `place` and return its events.

    The process is killed if it writes no event for `timeout_s` seconds. If it dies before the job is done, the last
    event is a Failed with the reason; `unanswered` returns the part of the job that it was doing.
    """
    with WorkerProcess(variables, place) as worker:
        worker.send(job)
        return worker.wait(timeout_s)


def affinity() -> frozenset[int]:
    """Return the logical cores that this process may use; empty if the system does not tell them.

    A binding by an OpenMP runtime, which holds for the thread that loaded it, does not count, and is undone: worker
    processes would inherit it.
    """
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    now = frozenset(os.sched_getaffinity(0))
    if now < AFFINITY and any(name in os.environ for name in BINDING_VARIABLES):
        os.sched_setaffinity(0, AFFINITY)
        return AFFINITY
    return now


def _open_fifo(path: Path) -> int | None:
    """Create a FIFO and open it for reading and writing. Return None if the system has no FIFOs."""
    if not hasattr(os, "mkfifo"):
        return None
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def _time_with_suspensions() -> float:
    """Return a time in seconds that does not jump, and if possible counts time in which the machine is suspended."""
    clock: int = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", -1))
    return time.monotonic() if clock < 0 else time.clock_gettime(clock)


def unanswered(events: list[Any]) -> int | None:
    """Return the index of the last Began without an answer: the part during which the worker died. None without one."""
    begun: int | None = None
    for event in events:
        if isinstance(event, Began):
            begun = event.index
        elif not isinstance(event, Failed):
            begun = None
    return begun
