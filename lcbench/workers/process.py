"""Starting a worker process, waiting for it, and telling how it ended. Whatever it does, it costs its own job only."""

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
from lcbench.workers.messages import Began, Done, Failed, Job, Order

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "PJRT_NPROC", "NPROC")  # fmt: skip
"""What every library that computes here reads its number of threads from; the last two are XLA's, behind JAX."""

CACHE_VARIABLES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
"""Where every library that compiles here reads the folder of its compiled code from."""

MEMORY_MARGIN = 4 * 10**9
"""Bytes: no worker allocates and fills more in a second."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs, and what it measures there. The worker itself is this very lcbench in any case.

    python: its interpreter. folder: its current folder; None is this process's own. losses: the folder of the
    ``lcbench.losses`` to measure; None takes those of the lcbench that the interpreter has, or else our own.
    """

    python: str = sys.executable
    folder: Path | None = None
    losses: Path | None = Path(__file__).parents[1] / "losses"

    def command(self) -> list[str]:
        """The command line of a worker, up to its own arguments."""
        # -P: neither this script's folder nor the current one is where packages are looked for.
        return [self.python, "-P", str(Path(__file__).with_name("start_worker.py")), str(self.losses or "")]


HERE = Place()
"""This process's own interpreter, folder and losses."""


def environment(threads: int, cache: Path | None, simulator: bool = False) -> dict[str, str]:
    """The variables of a worker: as many threads for every library, and compiled code cached in the folder `cache`.

    The folder is private to a run: a cache that outlives it would miss edits in other files and hide compile times.
    None: what is compiled ends with the process.
    """
    variables = dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(threads))
    for name in CACHE_VARIABLES:
        variables.pop(name, None)
        if cache:
            variables[name] = str(cache / name.partition("_")[0].lower())
    # JAX would keep only what took a second to compile.
    variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    # With more, Inductor starts a pool of processes, which import PyTorch beside the measurement.
    variables["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    # Inductor would keep precompiled headers in a folder that outlives the run, and the first run would wait for them.
    variables["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
    variables["PYTHONUNBUFFERED"] = "1"
    if simulator:
        variables["NUMBA_ENABLE_CUDASIM"] = "1"
    return variables


class WorkerProcess:
    """A child process at `place`: jobs go in on its standard input, events come back in a file.

    A context manager: at its end the process has ended too, with all that it has started. shared: the folder that its
    jobs share, for a process that does one after the other; it removes it when this process dies. Without one it does
    a single job, and dies with this process.
    """

    def __init__(self, variables: Mapping[str, str], place: Place = HERE, shared: Path | None = None) -> None:
        self._own = files.temporary_folder("worker", shared)
        folder = Path(self._own.name)
        self._events, self._errors = folder / "events", folder / "errors"
        self._events.touch()
        self._read, self._heard, self._answers, self._single = 0, list[Any](), None, shared is None
        with self._errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*place.command(), str(self._events), str(os.getpid()), str(shared or "")],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                # Nothing that is compiled is kept where it would outlive this, or beside a user's file.
                env={"NUMBA_CACHE_DIR": str(folder / "compiled")} | dict(variables),
                cwd=place.folder,
                start_new_session=True,  # Ctrl-C is this process's to answer
            )

    def __enter__(self) -> WorkerProcess:
        """Return the process, started."""
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, whatever it is at, and remove its folder."""
        self.kill()
        self._own.cleanup()

    def send(self, job: Job) -> None:
        """Give it a job. Where it has died, `outcome` tells."""
        self._answers = job.answers
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(messages.encode(Order(job.does, msgspec.Raw(msgspec.json.encode(job)))))
            self._process.stdin.flush()
            if self._single:
                self._process.stdin.close()

    def outcome(self) -> list[Any] | None:
        """Return the job's events once it is done or the process has ended, None before.

        Of a process that ended, the last event is a Failed that says how.
        """
        ended = self._process.poll() is not None  # asked first: what it has told is complete then
        self._heard += self._news()
        if self._heard and isinstance(self._heard[-1], Done):
            events, self._heard = self._heard[:-1], []
            return events
        return self.failed("crashed", self._how_it_ended()) if ended else None

    def failed(self, status: str, reason: str) -> list[Any]:
        """End it; return the events of the job that it was at, and behind them why it is given up."""
        self.kill()
        return [*self._heard, *self._news(), Failed(status, reason)]

    def _news(self) -> list[Any]:
        """The events since this was asked last."""
        if self._events.stat().st_size == self._read:
            return []
        with self._events.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        return messages.decode_events(whole, self._answers)

    def wait(self, timeout_s: float) -> list[Any]:
        """Return the job's events. A process that tells nothing for so long, or takes all memory, is ended."""
        told, last_news, allowed = self._read, monotonic(), _memory_allowed()
        # Threads may outlive a job: it is over when it is said to be, or with the process.
        while (events := self.outcome()) is None:
            if self._read != told:
                told, last_news = self._read, monotonic()
            elif monotonic() - last_news > timeout_s:
                return self.failed("timeout", f"no answer for {timeout_s:.0f} s")
            if self._memory() > allowed:
                return self.failed("crashed", f"used more than {allowed / 1e9:,.1f} GB of memory, all that was free")
            _ends(self._process, min(1.0, timeout_s))
        return events

    def _memory(self) -> int:
        """Bytes that it has in memory; 0 where it has ended."""
        try:
            return psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """End it, with all that it has started: it leads a session of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _how_it_ended(self) -> str:
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return f"ended itself with exit status {code}" + (f": {lines[-1][:300]}" if lines else "")


def work(job: Job, variables: Mapping[str, str], timeout_s: float, place: Place = HERE) -> list[Any]:
    """Do `job` in a worker process at `place` and return its events.

    A worker that reports nothing for `timeout_s` seconds is killed. Where it dies before it is done, the last event is
    a Failed that says how; a Began without an answer before it says where.
    """
    with WorkerProcess(variables, place) as worker:
        worker.send(job)
        return worker.wait(timeout_s)


def _memory_allowed() -> int:
    """Bytes that a worker may use: what is free now, but for what it could take between two looks at it."""
    free = psutil.virtual_memory().available
    return free - min(free // 4, MEMORY_MARGIN)


def _ends(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether `process` ends within `timeout_s`; where the system can tell when it does, nothing polls meanwhile."""
    if hasattr(os, "pidfd_open"):
        ending = os.pidfd_open(process.pid)
        try:
            return bool(select.select([ending], [], [], timeout_s)[0])
        finally:
            os.close(ending)
    try:
        process.wait(timeout=timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False


def unanswered(events: list[Any]) -> int | None:
    """The index that was under way when the worker died, or None."""
    begun: int | None = None
    for event in events:
        if isinstance(event, Began):
            begun = event.index
        elif not isinstance(event, Failed):
            begun = None
    return begun
