"""The Dask cluster of this process: the one that `LCBENCH_SCHEDULER` names, or worker processes on this machine.

It is found or started when something first asks for it, and is there until the process ends or `release` is called.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask

from lcbench.losses import jit
from lcbench.losses.cluster.shared_files import own_folder
from lcbench.losses.implementation import Unavailable

SCHEDULER_VARIABLE = "LCBENCH_SCHEDULER"
"""Address or scheduler file of the cluster; empty or missing: this machine."""

PATIENCE_S = 8.0
"""For a scheduler to answer, and then for it to have a first worker."""

STARTS = 5
"""Of the workers on this machine: Dask replaces one that ends, but not one that ends before it has begun."""

STUCK_S = 5.0
"""Without news, until somebody looks whether a worker is missing."""

ALIKE = ("lcbench", "dask", "distributed", "numba", "numpy")
"""What must have one version everywhere: a record tells one, and pickles go both ways."""

QUIET = "critical"
"""Level of Dask's own log: a worker that is lost costs time, and is no news."""

_LOCAL: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,  # looks at what runs a hundred times a second
    "distributed.worker.daemon": True,
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": QUIET,
    "distributed.scheduler.work-stealing": False,  # a chunk takes longer to move than its worker to be free
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 10,  # of the workers that a task was on: none says that it is to blame
}


class Connection:
    """A client, and the workers that it was meant to have: those that were there when it connected, or were started.

    parts: how many workers. threads: of all of them together.
    """

    def __init__(self, scheduler: str = "") -> None:
        with dask.config.set({"logging.distributed": QUIET}):
            import distributed
        for name in ("distributed", "distributed.client", "distributed.scheduler", "distributed.nanny"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.scheduler = scheduler
        self._cluster: Any = None
        self._compiled: TemporaryDirectory[str] | None = None
        if scheduler:
            self.client = _connected(distributed, scheduler)
        else:
            if not jit.CACHE:  # one that takes a lost worker's place reads its kernels
                self._compiled = own_folder("compiled")
            self._cluster = _started(distributed, jit.thread_count(), self._compiled.name if self._compiled else "")
            self.client = distributed.Client(self._cluster, set_as_default=False)
        try:
            if scheduler:
                there = _workers(self.client, scheduler)
                _require_alike(self.client, scheduler)
                self.parts, self.threads = len(there), sum(there.values())
            else:  # as many as were started, though one may be lost and not yet replaced: what is added to what stays
                self.parts = self.threads = jit.thread_count()
                with suppress(TimeoutError):
                    self.client.wait_for_workers(self.parts, timeout=PATIENCE_S)
        except BaseException:
            self.close()
            raise
        # What is sent within ten milliseconds of what was sent before would wait for them to pass.
        self.client.scheduler_comm.interval = 1e-3

    def workers(self) -> list[str]:
        """The addresses of the workers that are there now, in an order that stays."""
        return sorted(self.client.nthreads())

    def done(self, futures: list[Any], workers: list[str]) -> bool:
        """Waits until all are done, and raises what a task has raised.

        False where they may never be: some of `workers`, for which they were meant, are gone. Dask gives what is lost
        to another worker; but where there was none for a moment, tasks that were meant for one wait for its return.
        """
        import distributed

        while True:
            try:
                with self.client.as_current():
                    distributed.wait(futures, timeout=STUCK_S)
            except TimeoutError:
                there = self.workers()
                if there and not set(workers) <= set(there):
                    return False
            else:
                for future in futures:
                    if future.status != "finished":
                        future.result()
                return True

    def close(self) -> None:
        """Leaves the cluster, and ends it where it was started for this process."""
        self.client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=5)
        if self._compiled:
            self._compiled.cleanup()


_connection: Connection | Unavailable | None = None


def connection() -> Connection:
    """The cluster of this process. Raises Unavailable, the second time at once."""
    global _connection
    if _connection is None:
        try:
            _connection = Connection(os.environ.get(SCHEDULER_VARIABLE, ""))
        except Unavailable as error:
            _connection = error
    if isinstance(_connection, Unavailable):
        raise _connection
    return _connection


def release() -> None:
    """Leaves the cluster. Whoever asks for it afterwards gets another connection."""
    global _connection
    found, _connection = _connection, None
    if isinstance(found, Connection):
        found.close()


def _started(distributed: Any, workers: int, compiled: str) -> Any:
    """So many worker processes of one thread each. They end with this process, however it ends.

    compiled: a folder for their kernels, or empty where the environment names one. Raises Unavailable where they do not
    start, time after time.
    """
    # A worker finds the same losses as this process, wherever they lie, and is told so before it imports any.
    here = str(Path(__file__).parents[3])
    for _ in range(STARTS):
        try:
            with dask.config.set(_LOCAL):
                return distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=None,  # what does not fit would be written to disk and read again in every call
                    dashboard_address=":0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    env={"NUMBA_NUM_THREADS": "1"} | ({"NUMBA_CACHE_DIR": compiled} if compiled else {}),
                    preload=[f"import sys; sys.path.insert(0, {here!r})"],
                )
        except (RuntimeError, TimeoutError) as error:  # a worker that ended meanwhile: all are ended, and nothing lost
            failed = error
    why = _one_line(failed.__cause__ if isinstance(failed.__cause__, Exception) else failed)
    raise Unavailable(f"Dask's workers do not start on this machine, {STARTS} times in a row: {why}")


def _connected(distributed: Any, scheduler: str) -> Any:
    """A client of the scheduler at an address, or of the one that a scheduler file tells of."""
    is_file = scheduler.endswith(".json")
    if is_file and not Path(scheduler).is_file():
        raise Unavailable(f"no Dask scheduler file {scheduler}: start 'dask scheduler --scheduler-file {scheduler}'")
    if not is_file:
        _require_address(distributed, scheduler)
    try:
        found = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
        return distributed.Client(**found, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        why = "no answer" if isinstance(error, OSError) else _one_line(error)
        raise Unavailable(
            f"no Dask scheduler at {scheduler}: {why}; start one with 'dask scheduler', or leave --scheduler out"
        ) from None


def _require_address(distributed: Any, scheduler: str) -> None:
    """Raises Unavailable for what is none: a client of it would not be made, and yet have to be closed."""
    try:
        _, port = distributed.comm.get_address_host_port(scheduler)
        fits = 0 < int(port) < 2**16
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise Unavailable(
            f"{scheduler} is no address of a Dask scheduler: it is written tcp://HOST:8786, or the name of a scheduler "
            "file, which ends in .json"
        )


def _workers(client: Any, where: str) -> dict[str, int]:
    """Threads of each worker, by address."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except OSError:
        raise Unavailable(
            f"the Dask scheduler at {where} has no workers: start one with 'dask worker {where}'"
        ) from None
    return dict(client.nthreads())


def _require_alike(client: Any, scheduler: str) -> None:
    """Raises Unavailable where a worker lacks lcbench, or has other versions than this process."""
    here = _python() | {name: metadata.version(name) for name in ALIKE}
    for name, version in here.items():
        # Only what every Python has can be asked of a worker that may lack lcbench.
        ask = (metadata.version, name) if name in ALIKE else (eval, "__import__('platform').python_version()")
        for worker, found in client.run(*ask, on_error="return").items():
            if isinstance(found, Exception):
                raise Unavailable(f"the Dask worker at {worker} has no {name}: install there what is installed here")
            if found != version:
                raise Unavailable(
                    f"the Dask worker at {worker} has {name} {found}, and here it is {version}: use one environment"
                )


def _python() -> dict[str, str]:
    return {"Python": ".".join(map(str, sys.version_info[:3]))}


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def spread(workers: Iterable[str], parts: int) -> list[str]:
    """Which worker each of so many parts belongs to: neighbours together, none with two more than another."""
    known = list(workers)
    return [known[part * len(known) // parts] if parts >= len(known) else known[part] for part in range(parts)]
