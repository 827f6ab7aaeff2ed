"""Worker processes that try recipes side by side. One that dies costs its own trial only, which is tried once more.

An executor of the standard library or of joblib gives up all that is under way when one process dies, and does not say
whose trial it was.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from msgspec.structs import replace

from lcbench.learn.search.trial_worker import Answer, Job
from lcbench.workers.messages import Failed
from lcbench.workers.process import WorkerProcess


class Pool:
    """Up to `workers` processes with the environment `variables`, on the rows that lie in `folder`.

    A context manager: at its end none is left. They end by themselves, and remove `folder`, when this process dies.
    """

    def __init__(self, workers: int, folder: Path, variables: Mapping[str, str]) -> None:
        self.size, self.folder = workers, folder
        # they find the same packages as this process
        self.variables = {**variables, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> Pool:
        """Return the pool; processes are started as there is work for them."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End every process, whatever it is at."""
        for worker in self._workers:
            worker.close()

    def answers(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Answer]]:
        """Each job's place and answer, in the order in which they end."""
        waiting, under_way, tried_before = deque(range(len(jobs))), dict[WorkerProcess, int](), set[int]()
        while waiting or under_way:
            while waiting and (worker := self._idle(under_way)):
                under_way[worker] = waiting.popleft()
                worker.send(replace(jobs[under_way[worker]], folder=str(self.folder)))
            for worker, events in _outcomes(under_way):
                place, event = under_way.pop(worker), events[0]
                if isinstance(events[-1], Failed):
                    worker.close()
                    self._workers.remove(worker)
                if isinstance(event, Failed):
                    if place not in tried_before:
                        tried_before.add(place)
                        waiting.appendleft(place)
                        continue
                    event = Answer(status="crashed", reason=event.reason)
                yield place, event

    def _idle(self, busy: Mapping[WorkerProcess, int]) -> WorkerProcess | None:
        """A process without a job, started where there may be one more; None where all are busy."""
        for worker in self._workers:
            if worker not in busy:
                return worker
        if len(self._workers) == self.size:
            return None
        self._workers.append(WorkerProcess(self.variables, shared=self.folder))
        return self._workers[-1]


def _outcomes(workers: Mapping[WorkerProcess, int]) -> list[tuple[WorkerProcess, list[Any]]]:
    """Those that have answered or died, waited for, and with what."""
    began = monotonic()
    while not (found := [(worker, events) for worker in workers if (events := worker.outcome()) is not None]):
        sleep(min(max(0.001, (monotonic() - began) / 100), 0.1))  # a hundredth of the time that a trial takes
    return found
