"""Start of worker processes, waiting for their events, and detection of how they ended.

A worker process that crashes or hangs affects only its own job.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import psutil

from lcbench import files
from lcbench.workers import messages
from lcbench.workers.messages import Began, Done, Failed, Job, JobMessage

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "PJRT_NPROC", "NPROC")  # fmt: skip
"""Variables that set the number of threads of the libraries; the last two are those of XLA, which JAX uses."""

CACHE_VARIABLES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
"""Variables that set the compilation cache of the libraries."""

MEMORY_MARGIN = 4 * 10**9
"""Memory in bytes that a worker process cannot allocate and fill within a second."""


@dataclass(frozen=True)
class Place:
    """Interpreter and folder of a worker process, and the losses that it measures.

    python: interpreter. folder: working directory; None means that of this process. losses: folder of the package
    ``lcbench.losses`` to measure; None means that of the lcbench installed for the interpreter, or else our own. The
    code of the worker itself is always that of this lcbench.
    """

    python: str = sys.executable
    folder: Path | None = None
    losses: Path | None = Path(__file__).parents[1] / "losses"

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

    As a context manager it kills the process, with all processes that it has started, at the end. shared: folder for
    several consecutive jobs, which the child removes when this process dies; without it the child does a single job and
    is killed when this process dies.
    """

    def __init__(self, variables: Mapping[str, str], place: Place = HERE, shared: Path | None = None) -> None:
        self._own = files.temporary_folder("worker", shared)
        folder = Path(self._own.name)
        self._events, self._errors = folder / "events", folder / "errors"
        self._events.touch()
        self._read, self._received, self._answers, self._single = 0, list[Any](), None, shared is None
        with self._errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*place.command(), str(self._events), str(os.getpid()), str(shared or "")],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                # By default Numba would cache compiled code beside the user's file.
                env={"NUMBA_CACHE_DIR": str(folder / "compiled")} | dict(variables),
                cwd=place.folder,
                start_new_session=True,  # only this process receives Ctrl-C
            )

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
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(messages.encode(JobMessage(job.does, msgspec.Raw(msgspec.json.encode(job)))))
            self._process.stdin.flush()
            if self._single:
                self._process.stdin.close()

    def outcome(self) -> list[Any] | None:
        """Return the job's events if it is done or the process has ended, else None.

        If the process has ended, the last event is a Failed with the reason.
        """
        ended = self._process.poll() is not None  # checked first: if it has ended, its events are complete
        self._received += self._new_events()
        if self._received and isinstance(self._received[-1], Done):
            events, self._received = self._received[:-1], []
            return events
        return self.kill_as_failed("crashed", self._exit_reason()) if ended else None

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
        read, last_event, allowed = self._read, monotonic(), _memory_allowed()
        # Wait for the Done event rather than for the process, whose threads may outlive the job.
        while (events := self.outcome()) is None:
            if self._read != read:
                read, last_event = self._read, monotonic()
            elif monotonic() - last_event > timeout_s:
                return self.kill_as_failed("timeout", f"no answer for {timeout_s:.0f} s")
            if self._memory() > allowed:
                return self.kill_as_failed(
                    "crashed", f"used more than {allowed / 1e9:,.1f} GB of memory, all that was free"
                )
            _wait_for_end(self._process, min(1.0, timeout_s))
        return events

    def _memory(self) -> int:
        """Return the resident memory of the process in bytes; 0 if it has ended."""
        try:
            return psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """Kill the process and all processes that it has started, which are in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _exit_reason(self) -> str:
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return f"exited with status {code}" + (f": {lines[-1][:300]}" if lines else "")


def work(job: Job, variables: Mapping[str, str], timeout_s: float, place: Place = HERE) -> list[Any]:
    """Do `job` in a worker process at `place` and return its events.

    The process is killed if it writes no event for `timeout_s` seconds. If it dies before the job is done, the last
    event is a Failed with the reason; `unanswered` returns the part of the job that it was doing.
    """
    with WorkerProcess(variables, place) as worker:
        worker.send(job)
        return worker.wait(timeout_s)


def _memory_allowed() -> int:
    """Return the bytes that a worker process may use: the free memory, less what it can fill between two checks."""
    free = psutil.virtual_memory().available
    return free - min(free // 4, MEMORY_MARGIN)


def _wait_for_end(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Return whether `process` ends within `timeout_s`. If the system supports pidfds, this does not poll."""
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(process.pid)
        try:
            return bool(select.select([descriptor], [], [], timeout_s)[0])
        finally:
            os.close(descriptor)
    try:
        process.wait(timeout=timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False


def unanswered(events: list[Any]) -> int | None:
    """Return the index of the last Began without an answer: the part during which the worker died. None without one."""
    begun: int | None = None
    for event in events:
        if isinstance(event, Began):
            begun = event.index
        elif not isinstance(event, Failed):
            begun = None
    return begun
