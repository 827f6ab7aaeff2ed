"""Dask cluster of this process: the one named by `LCBENCH_SCHEDULER`, or worker processes on this machine.

`connection` connects to it, or starts it, on the first call. It stays until the process ends or `release` is called.
"""

from __future__ import annotations

import logging
import os
import platform
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

TIMEOUT_S = 8.0
"""Timeout for the scheduler to answer, and then for its first worker."""

MAX_STARTS = 5
"""Attempts to start the workers on this machine: Dask does not restart a worker that ends during its start."""

CHECK_INTERVAL_S = 5.0
"""Interval at which a wait checks for lost workers."""

SAME_VERSIONS = ("lcbench", "dask", "distributed", "numba", "numpy")
"""Packages that must have the same version everywhere: a record has one version of each, and pickles are exchanged."""

LOG_LEVEL = "critical"
"""Level of Dask's own log, so that it does not report lost workers: they cost time only."""

_LOCAL: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,  # would sample the stack a hundred times per second
    "distributed.worker.daemon": True,
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": LOG_LEVEL,
    "distributed.scheduler.work-stealing": False,  # moving a chunk takes longer than waiting for its worker
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 10,  # a task is not at fault if its workers were lost
}


class Connection:
    """Dask client, with the number of workers at the time of the connection or of their start.

    parts: number of workers. threads: number of threads of all workers.
    """

    def __init__(self, scheduler: str = "") -> None:
        with dask.config.set({"logging.distributed": LOG_LEVEL}):
            import distributed
        for name in ("distributed", "distributed.client", "distributed.scheduler", "distributed.nanny"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.scheduler = scheduler
        self._cluster: Any = None
        self._compiled: TemporaryDirectory[str] | None = None
        if scheduler:
            self.client = _connect(distributed, scheduler)
        else:
            if not jit.CACHE:  # a worker that replaces a lost one loads compiled kernels
                self._compiled = own_folder("compiled")
            self._cluster = _start_workers(
                distributed, jit.thread_count(), self._compiled.name if self._compiled else ""
            )
            self.client = distributed.Client(self._cluster, set_as_default=False)
        try:
            if scheduler:
                workers = _workers(self.client, scheduler)
                _require_same_versions(self.client)
                self.parts, self.threads = len(workers), sum(workers.values())
            else:  # the number started, even if one is lost and not yet replaced: results depend on it
                self.parts = self.threads = jit.thread_count()
                with suppress(TimeoutError):
                    self.client.wait_for_workers(self.parts, timeout=TIMEOUT_S)
        except BaseException:
            self.close()
            raise
        # The default delays messages that follow within 10 ms of another.
        self.client.scheduler_comm.interval = 1e-3

    def workers(self) -> list[str]:
        """Return the sorted addresses of the current workers."""
        return sorted(self.client.nthreads())

    def wait(self, futures: list[Any], workers: list[str]) -> bool:
        """Wait for the futures and return True. Raise what a task has raised.

        Return False if some of `workers`, to which the tasks were assigned, are gone, since the futures may then never
        complete. Dask assigns lost tasks to other workers. But if there was no other worker at that time, the tasks
        wait for the lost one.
        """
        import distributed

        while True:
            try:
                with self.client.as_current():
                    distributed.wait(futures, timeout=CHECK_INTERVAL_S)
            except TimeoutError:
                current = self.workers()
                if current and not set(workers) <= set(current):
                    return False
            else:
                for future in futures:
                    if future.status != "finished":
                        future.result()
                return True

    def close(self) -> None:
        """Disconnect from the cluster. Stop it if this process has started it."""
        self.client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=5)
        if self._compiled:
            self._compiled.cleanup()


_connection: Connection | Unavailable | None = None


def connection() -> Connection:
    """Return the connection of this process. Raise Unavailable; after the first failure, at once."""
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
    """Disconnect from the cluster. The next call of `connection` connects again."""
    global _connection
    found, _connection = _connection, None
    if isinstance(found, Connection):
        found.close()


def _start_workers(distributed: Any, workers: int, compiled: str) -> Any:
    """Start `workers` worker processes of one thread each and return their cluster. They end with this process.

    compiled: folder for compiled kernels, or empty if the environment names one. Raise Unavailable if the workers do
    not start after `MAX_STARTS` attempts.
    """
    # Workers must import the same losses as this process, also if they are not installed.
    here = str(Path(__file__).parents[3])
    for _ in range(MAX_STARTS):
        try:
            with dask.config.set(_LOCAL):
                return distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=None,  # otherwise data beyond it is written to disk and read again in every call
                    dashboard_address=":0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    env={"NUMBA_NUM_THREADS": "1"} | ({"NUMBA_CACHE_DIR": compiled} if compiled else {}),
                    preload=[f"import sys; sys.path.insert(0, {here!r})"],
                )
        except (RuntimeError, TimeoutError) as error:  # a worker ended at its start; Dask has stopped the others
            failed = error
    reason = _one_line(failed.__cause__ if isinstance(failed.__cause__, Exception) else failed)
    raise Unavailable(f"Dask's workers do not start on this machine, {MAX_STARTS} times in a row: {reason}")


def _connect(distributed: Any, scheduler: str) -> Any:
    """Return a client of the scheduler at an address, or of the one named in a scheduler file."""
    is_file = scheduler.endswith(".json")
    if is_file and not Path(scheduler).is_file():
        raise Unavailable(f"no Dask scheduler file {scheduler}: start 'dask scheduler --scheduler-file {scheduler}'")
    if not is_file:
        _require_address(distributed, scheduler)
    try:
        where = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
        return distributed.Client(**where, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        reason = "no answer" if isinstance(error, OSError) else _one_line(error)
        raise Unavailable(
            f"no Dask scheduler at {scheduler}: {reason}; start one with 'dask scheduler', or leave --scheduler out"
        ) from None


def _require_address(distributed: Any, scheduler: str) -> None:
    """Raise Unavailable unless this is an address: a client would fail, but would still have to be closed."""
    try:
        _, port = distributed.comm.get_address_host_port(scheduler)
        valid = 0 < int(port) < 2**16
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise Unavailable(
            f"{scheduler} is no address of a Dask scheduler: it is written tcp://HOST:8786, or the name of a scheduler "
            "file, which ends in .json"
        )


def _workers(client: Any, where: str) -> dict[str, int]:
    """Return the number of threads of each worker, by address."""
    try:
        client.wait_for_workers(1, timeout=TIMEOUT_S)
    except OSError:
        raise Unavailable(
            f"the Dask scheduler at {where} has no workers: start one with 'dask worker {where}'"
        ) from None
    return dict(client.nthreads())


def _require_same_versions(client: Any) -> None:
    """Raise Unavailable if a worker lacks lcbench, or has other versions than this process."""
    here = {"Python": platform.python_version()} | {name: metadata.version(name) for name in SAME_VERSIONS}
    for name, version in here.items():
        # The worker may lack lcbench, so only functions of the standard library can be run on it.
        ask = (metadata.version, name) if name in SAME_VERSIONS else (eval, "__import__('platform').python_version()")
        for worker, found in client.run(*ask, on_error="return").items():
            if isinstance(found, Exception):
                raise Unavailable(f"the Dask worker at {worker} has no {name}: install there what is installed here")
            if found != version:
                raise Unavailable(
                    f"the Dask worker at {worker} has {name} {found}, and here it is {version}: use one environment"
                )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def distribute(workers: Iterable[str], parts: int) -> list[str]:
    """Return the worker of each part. Adjacent parts share a worker, and the numbers of parts differ by at most one."""
    known = list(workers)
    return [known[part * len(known) // parts] if parts >= len(known) else known[part] for part in range(parts)]
