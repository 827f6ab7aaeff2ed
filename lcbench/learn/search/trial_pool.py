"""Processes that try recipes side by side. One that dies costs its own trial only, which is tried once more.

An executor of the standard library or of joblib gives up all that is under way when one process dies, and does not say
whose trial it was. These processes have one pipe each: whose breaks, whose trial was lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from lcbench.learn.search.trial_worker import Answer, Job

_BEGIN = """
import json, pathlib, sys
sys.path[:] = json.loads(sys.argv[1])
from lcbench.learn.search.trial_worker import main
main(pathlib.Path(sys.argv[2]))
"""
"""They find the same packages as this process."""


SECONDS_TO_DIE = 10.0
"""That a process may take from closing its pipe to its end."""


class Pool:
    """Up to `workers` processes with the environment `variables`, on the rows that lie in `folder`.

    A context manager: at its end none is left. They end by themselves, and remove `folder`, when this process dies.
    """

    def __init__(self, workers: int, folder: Path, variables: Mapping[str, str]) -> None:
        self.size, self.folder, self.variables = workers, folder, variables
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        """The pool; processes are started as there is work for them."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends every process, whatever it is at."""
        for worker in self._workers:
            worker.kill()

    def answers(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Answer]]:
        """Each job's place and answer, in the order in which they end."""
        waiting, under_way, tried_before = deque(range(len(jobs))), dict[_Worker, int](), set[int]()
        while waiting or under_way:
            while waiting and (worker := self._idle(under_way)):
                under_way[worker] = waiting.popleft()
                worker.send(jobs[under_way[worker]])
            for worker in _with_news(under_way):
                place, answer = under_way.pop(worker), worker.answer()
                if answer is None:
                    worker.leave_to_die()
                    self._workers.remove(worker)
                    if place not in tried_before:
                        tried_before.add(place)
                        waiting.appendleft(place)
                        continue
                    answer = Answer(status="crashed", reason=worker.how_it_ended())
                yield place, answer

    def _idle(self, busy: Mapping[_Worker, int]) -> _Worker | None:
        """A process without a job, started where there may be one more; None where all are busy."""
        for worker in self._workers:
            if worker not in busy:
                return worker
        if len(self._workers) == self.size:
            return None
        self._workers.append(_Worker(self.folder, self.variables))
        return self._workers[-1]


class _Worker:
    """One process, from this side."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, json.dumps(sys.path), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(variables),
            start_new_session=True,  # Ctrl-C is this process's to answer
        )
        assert self._process.stdin
        assert self._process.stdout
        self._jobs, self.answers = self._process.stdin, self._process.stdout

    def send(self, job: Job) -> None:
        """Gives it a job. Where it has died, `answer` will tell."""
        with contextlib.suppress(BrokenPipeError):
            self._jobs.write(msgspec.json.encode(job) + b"\n")
            self._jobs.flush()

    def answer(self) -> Answer | None:
        """Its answer, waited for; None where it has died."""
        line = self.answers.readline()
        return msgspec.json.decode(line, type=Answer) if line.endswith(b"\n") else None

    def leave_to_die(self) -> None:
        """Waits for the end of one that has closed its pipe, so that its exit status is its own."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_DIE)
        self.kill()

    def kill(self) -> None:
        """Ends it, with all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._jobs, self.answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def how_it_ended(self) -> str:
        """One line, and nothing more is heard of it."""
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"ended itself with exit status {code}" + (f": {lines[-1][:300]}" if lines else "")


def _with_news(workers: Iterable[_Worker]) -> list[_Worker]:
    """Those that have answered or died, waited for."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select()]
