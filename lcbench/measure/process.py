"""Starting a worker process, waiting for it, and telling how it ended. Whatever it does, it costs its own job only."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from lcbench import temporary
from lcbench.measure import messages
from lcbench.measure.messages import Began, Done, Failed

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


def work(job: Any, variables: dict[str, str], patience_s: float, place: Place = HERE) -> list[Any]:
    """Does `job` in a worker process at `place` and returns its events.

    A worker that reports nothing for `patience_s` seconds is killed. Where it dies before it is done, the last event is
    a Failed that says how; a Began without an answer before it says where.
    """
    with temporary.folder("worker") as folder:
        output, errors = Path(folder) / "events", Path(folder) / "errors"
        output.touch()
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [*place.command(), str(output), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                # Nothing that is compiled is kept where it would outlive this, or beside a user's file.
                env={"NUMBA_CACHE_DIR": str(Path(folder) / "compiled")} | variables,
                cwd=place.folder,
                start_new_session=True,
            )
        try:
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin
                process.stdin.write(messages.encode(job))
                process.stdin.close()
            failed = _wait(process, output, patience_s)
        finally:
            _kill(process)
        events = messages.decode_events(output.read_bytes())
        if events and isinstance(events[-1], Done):
            return events[:-1]
        events.append(failed or Failed("crashed", _how_it_ended(process.returncode, errors.read_bytes())))
        return events


def _wait(process: subprocess.Popen[bytes], output: Path, patience_s: float) -> Failed | None:
    """Waits for the end of `process` or of its job, since threads may outlive it; else why it must not go on."""
    size, last_news = 0, monotonic()
    allowed = _memory_allowed()
    while True:
        if _ends(process, min(1.0, patience_s)):
            return None
        if output.stat().st_size != size:
            size, last_news = output.stat().st_size, monotonic()
            if output.read_bytes().endswith(messages.encode(Done())):
                return None
        elif monotonic() - last_news > patience_s:
            return Failed("timeout", f"no answer for {patience_s:.0f} s")
        if _memory(process) > allowed:
            return Failed("crashed", f"used more than {allowed / 1e9:,.1f} GB of memory, all that was free")


def _memory_allowed() -> int:
    """Bytes that a worker may use: what is free now, but for what it could take between two looks at it."""
    free = psutil.virtual_memory().available
    return free - min(free // 4, MEMORY_MARGIN)


def _memory(process: subprocess.Popen[bytes]) -> int:
    """Bytes that the process has in memory; 0 where it has ended."""
    try:
        return psutil.Process(process.pid).memory_info().rss
    except psutil.Error:
        return 0


def _ends(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether `process` ends within `timeout_s`; where the system can tell when it does, nothing polls meanwhile."""
    if hasattr(os, "pidfd_open"):
        ending = os.pidfd_open(process.pid)
        try:
            if not select.select([ending], [], [], timeout_s)[0]:
                return False
        finally:
            os.close(ending)
    try:
        process.wait(timeout=timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The worker leads a session of its own: whatever it started goes with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how_it_ended(code: int, errors: bytes) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        if name == "SIGKILL":
            return "killed by SIGKILL (out of memory?)"
        return f"killed by {name}"
    lines = errors.decode(errors="replace").strip().splitlines()
    return f"ended itself with exit status {code}" + (f": {lines[-1][:300]}" if lines else "")


def unanswered(events: list[Any]) -> int | None:
    """The index that was under way when the worker died, or None."""
    begun: int | None = None
    for event in events:
        if isinstance(event, Began):
            begun = event.index
        elif not isinstance(event, Failed):
            begun = None
    return begun
