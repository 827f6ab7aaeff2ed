"""Trials on a Dask cluster. What a worker was at when it was lost, another one does again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from lcbench.learn.search import trial_worker
from lcbench.learn.search.trial_worker import Answer, Job

IMPLEMENTATION = "dask"
"""Recipes with this implementation are tried on a cluster, each of them whole, by a worker's own `WORKERS_OWN`."""

WORKERS_OWN = "numba-parallel"


class ClusterPool:
    """As `lcbench.learn.search.trial_pool.Pool`, on the workers of this process's cluster, `threads` for each trial.

    folder: with the rows, which all workers see. workers: most trials at a time; None is as many as there are threads.
    """

    def __init__(self, folder: Path, workers: int | None, threads: int) -> None:
        from lcbench.losses.cluster.connection import connection

        self.folder, self.threads, self.connection = folder, threads, connection()
        self.size = workers or max(1, self.connection.threads // threads)

    def __enter__(self) -> ClusterPool:
        """The pool, connected."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the cluster; what is under way there is given up."""
        from lcbench.losses.cluster.connection import release

        release()

    def answers(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Answer]]:
        """Each job's place and answer, in the order in which they end."""
        from distributed import as_completed

        waiting = iter(enumerate(jobs))
        places: dict[Any, int] = {}
        under_way = as_completed(loop=self.connection.client.loop)

        def begin_next() -> None:
            for place, job in waiting:
                future = self.connection.client.submit(_answer, job, self.folder, self.threads, pure=False)
                places[future] = place
                under_way.add(future)
                return

        for _ in range(self.size):
            begin_next()
        for future in under_way:
            yield places.pop(future), _of(future)
            begin_next()


def _answer(job: Job, folder: Path, threads: int) -> Answer:
    """On a worker: does the job there, as a trial process does."""
    from lcbench.losses import jit

    jit.use_threads(threads)
    if not folder.is_dir():
        return Answer(
            status="crashed", reason=f"a worker does not see {folder}: let LCBENCH_SHARED name a folder of all"
        )
    return trial_worker.answer(replace(job, recipe=replace(job.recipe, implementation=WORKERS_OWN)), folder)


def _of(future: Any) -> Answer:
    if future.status == "finished":
        answer: Answer = future.result()
        return answer
    error = future.exception() if future.status == "error" else "the scheduler is gone"
    return Answer(status="crashed", reason=" ".join(f"{type(error).__name__}: {error}".split()))
