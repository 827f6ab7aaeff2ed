"""Pools that run the trials of a search in parallel: worker processes on this machine, or workers of a Dask cluster."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from msgspec.structs import replace

from lcbench.errors import type_and_message
from lcbench.learn.search.trials import Answer, Job, run_trial
from lcbench.workers.messages import Began, Failed
from lcbench.workers.process import WorkerProcess

CLUSTER_IMPLEMENTATION = "dask"
"""Implementation whose trials run on a cluster. Each trial runs on one worker, with `TRIAL_IMPLEMENTATION`."""

TRIAL_IMPLEMENTATION = "numba-parallel"


class ProcessPool:
    """Pool of up to `workers` worker processes, which train on the shared rows in `folder`.

    A context manager: on exit every process has ended. If this process dies, they end as well and remove `folder`.
    variables: their environment. timeout_s: sum of the waits after which a process without events is killed.

    If a process dies, its trial alone is lost, and is run a second time. The executors of the standard library and of
    joblib give up all running jobs when one process dies, and do not say which job it ran.
    """

    def __init__(self, workers: int, folder: Path, variables: Mapping[str, str], timeout_s: float = inf) -> None:
        self.size, self.folder, self.timeout_s = workers, folder, timeout_s
        self._silence: dict[WorkerProcess, tuple[int, float]] = {}
        """Events of each busy process so far, and the time waited since the last one."""
        # The workers must find the same packages as this process.
        self.variables = {**variables, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> ProcessPool:
        """Return the pool. Processes are started when there are jobs for them."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End every process, also one that is running a job."""
        for worker in self._workers:
            worker.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Answer]]:
        """Run the jobs and yield the index and the answer of each, in order of completion."""
        waiting, running, retried = deque(range(len(jobs))), dict[WorkerProcess, int](), set[int]()
        while waiting or running:
            while waiting and (worker := self._idle_worker(running)):
                running[worker] = waiting.popleft()
                worker.send(replace(jobs[running[worker]], folder=str(self.folder)))
            for worker, events in self._wait_for_outcomes(running):
                index, event = running.pop(worker), next(event for event in events if not isinstance(event, Began))
                if isinstance(events[-1], Failed):
                    worker.close()
                    self._workers.remove(worker)
                if isinstance(event, Failed):
                    if index not in retried and event.status != "timeout":
                        retried.add(index)
                        waiting.appendleft(index)
                        continue
                    event = Answer(status="crashed", reason=event.reason)
                yield index, event

    def _idle_worker(self, busy: Mapping[WorkerProcess, int]) -> WorkerProcess | None:
        """Return a process without a job, starting one if the pool is not full; None if all are busy."""
        for worker in self._workers:
            if worker not in busy:
                return worker
        if len(self._workers) == self.size:
            return None
        self._workers.append(WorkerProcess(self.variables, shared=self.folder))
        return self._workers[-1]

    def _wait_for_outcomes(self, busy: Mapping[WorkerProcess, int]) -> list[tuple[WorkerProcess, list[Any]]]:
        """Wait until processes have answered, died or been killed for their silence; return them with their events."""
        began, wait_s = monotonic(), 0.0
        while not (found := [(worker, events) for worker in busy if (events := self._outcome(worker, wait_s))]):
            # Polling delays an answer by at most 1 % of the time waited, and by 0.1 s.
            wait_s = min(max(0.001, (monotonic() - began) / 100), 0.1)
            sleep(wait_s)
        return found

    def _outcome(self, worker: WorkerProcess, wait_s: float) -> list[Any] | None:
        """Return the events of a process that has ended its job, or None. wait_s: time since the last call."""
        before, silent_s = self._silence.get(worker, (0, 0.0))
        events = worker.outcome()
        silent_s = silent_s + wait_s if worker.received == before else 0.0
        self._silence[worker] = worker.received, silent_s
        if events is None and silent_s > self.timeout_s:
            events = worker.kill_as_failed("timeout", f"no answer for {self.timeout_s:.0f} s")
        if events:
            del self._silence[worker]
        return events


class ClusterPool:
    """Pool of the workers of this process's Dask cluster, with the interface of `ProcessPool`.

    If a worker is lost, another one runs its trial again.

    folder: the shared rows; every worker must see it. workers: maximum number of parallel trials; None: as many as the
    cluster has threads for. threads: threads of each trial.
    """

    def __init__(self, folder: Path, workers: int | None, threads: int) -> None:
        from lcbench.losses.cluster.connection import connection

        self.folder, self.threads, self.connection = folder, threads, connection()
        self.size = workers or max(1, self.connection.threads // threads)

    def __enter__(self) -> ClusterPool:
        """Return the pool, connected."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Disconnect from the cluster. Running trials are abandoned."""
        from lcbench.losses.cluster.connection import release

        release()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Answer]]:
        """Run the jobs and yield the index and the answer of each, in order of completion."""
        from distributed import as_completed

        waiting = iter(enumerate(jobs))
        indices: dict[Any, int] = {}
        running = as_completed(loop=self.connection.client.loop)

        def submit_next() -> None:
            for index, job in waiting:
                future = self.connection.client.submit(_run_on_cluster, job, self.folder, self.threads, pure=False)
                indices[future] = index
                running.add(future)
                return

        for _ in range(self.size):
            submit_next()
        for future in running:
            yield indices.pop(future), _cluster_answer(future)
            submit_next()


def _run_on_cluster(job: Job, folder: Path, threads: int) -> Answer:
    """Run the job in a worker of the cluster."""
    from lcbench.losses import jit

    jit.use_threads(threads)
    if not folder.is_dir():
        return Answer(
            status="crashed",
            reason=f"a worker does not see {folder}: set LCBENCH_SHARED to a folder that all workers see",
        )
    return run_trial(replace(job, recipe=replace(job.recipe, implementation=TRIAL_IMPLEMENTATION)), folder)


def _cluster_answer(future: Any) -> Answer:
    """Return the answer of a job that has ended on the cluster, or could not be run."""
    if future.status == "finished":
        answer: Answer = future.result()
        return answer
    reason = type_and_message(future.exception()) if future.status == "error" else "the scheduler is gone"
    return Answer(status="crashed", reason=reason)
