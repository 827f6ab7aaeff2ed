"""Generations of worker processes that are alive together and take turns.

While one process has its turn, the others are stopped: thread pools that wait actively after a call would disturb it.
Drift and bursts of other load affect all processes of a round alike, or only a few rounds. docs/verdicts.md describes
the method, and compares it with others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import log, sqrt
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from lcbench.host.counters import usable_cores
from lcbench.measure import clock
from lcbench.measure.messages import (
    Finish,
    Imported,
    Leave,
    LimitsJob,
    Load,
    Loaded,
    Order,
    TakeTurn,
    Timed,
    TurnsJob,
    TurnTaken,
    WarmedUp,
    WarmUp,
)
from lcbench.record import ProcessResult, Turn
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place, WorkerProcess

MOST_ROUNDS = 24
"""Maximum number of rounds of a workload among processes that are alive together, which bounds the size of records."""

MOST_INTERRUPTED = 8
"""Maximum number of rounds that are repeated because the system was suspended or lcbench was stopped."""

MOST_SAMPLES = 4
"""Maximum number of samples in a turn."""

WORKED_S = 0.04 if sys.platform == "win32" else 1e-3
FEWEST_WORKED = 3
"""A process works in the background if it used more processor time than `WORKED_S` seconds in so many of its stops.

A single stop may have another cause: if the host of a virtual machine takes a core away while a thread is on its way to
stop, the time that is taken counts as that of the thread. Windows counts ticks of 16 ms, and a process that it has
suspended runs for a moment.
"""

FEWEST_ROUNDS = 2
"""Minimum number of rounds in which a process with long calls takes part."""

NOISY = 0.025
"""Standard error of the log time of a process above which its rounds count as noisy.

It is 0.3 % to 2.5 % after eight rounds on a machine without other load, and 4 % to 15 % with bursts of load."""

AT_ONCE = usable_cores()
"""Number of processes that import or load at the same time."""

INTERRUPTIBLE_S = 0.2
"""Longest single wait for threads. Windows raises KeyboardInterrupt between two waits only."""

LEAVE_S = 5.0
"""Time in seconds in which a process must release what it holds after its last cell."""


@dataclass(frozen=True)
class Member:
    """Worker process to start in a generation.

    variables: its environment. place: where it runs. stopped: whether it is stopped while others have their turns. A
    process on a GPU or a cluster is not: there must be no other member, except one that measures the limit.
    """

    job: TurnsJob | LimitsJob
    variables: dict[str, str]
    place: Place = HERE
    stopped: bool = True


@dataclass(frozen=True)
class Pace:
    """Lengths of turns and rounds.

    rounds: number of rounds, at least. rounds_s: there are more rounds, in whole Williams squares, as long as they take
    about this time in seconds. noisy_rounds_s: there are more rounds while the rounds so far are noisy, as long as they
    take about this time in seconds. turn_s: time of the samples in a turn, in seconds. fewest_samples: minimum number
    of samples in a turn. process_s: time in seconds after which a process with long calls takes part in fewer rounds.
    equal: whether all processes take the same number of samples and calls. thorough: see `messages.WarmUp`. simulated:
    make the first call only, which is then the sample.
    """

    rounds: int
    rounds_s: float = 0.0
    noisy_rounds_s: float = 0.0
    turn_s: float = 0.02
    fewest_samples: int = 1
    process_s: float = 0.5
    equal: bool = False
    thorough: bool = False
    simulated: bool = False


@dataclass
class Measured:
    """Outcome of a cell in one process. If the status is not "ok", `result` is None and `reason` says why."""

    status: str = "ok"
    reason: str = ""
    result: ProcessResult | None = None
    import_s: float | None = None
    first_call_s: float | None = None
    one_call_s: float = 0.0
    timed: Timed = field(default_factory=Timed)


Answer = TypeVar("Answer")


class _LiveProcess:
    """Member of a generation with its worker process, which is started again after it has died."""

    def __init__(self, member: Member, timeout_s: float) -> None:
        self.member, self._timeout_s = member, timeout_s
        self.import_s: float | None = None
        self.failure: tuple[str, str] | None = None
        """Status and reason if the process cannot measure any cell."""
        self.worker: WorkerProcess | None = None
        """Worker process, or None before `start` and after its end."""
        self._others: Sequence[_LiveProcess] = ()
        self._stopped = False
        self.exclusive = True
        """Whether all other processes are stopped while this one runs."""
        self.measured = Measured()
        self.turns: list[Turn] = []
        self._worked = 0
        """Number of stops in this cell in which the process has worked."""

    def start(self) -> None:
        """Start the process and let it import its implementation."""
        self.worker = WorkerProcess(self.member.variables, self.member.place)
        self.worker.send(self.member.job)
        self._stopped = False

    def alive_beside(self, others: Sequence[_LiveProcess]) -> None:
        """Set the processes that may be stopped while this one runs."""
        self._others = [other for other in others if other is not self]

    def wait_for_import(self) -> None:
        """Wait until the implementation has been imported, then stop the process."""
        answer = self._wait(Imported)
        if answer:
            self.import_s = answer.import_s
        elif self.failure is None:
            self.failure = self.measured.status, self.measured.reason
        self.stop()

    def begin(self) -> None:
        """Forget the outcome of the last cell; start the process again if it has died."""
        self.measured, self.turns, self._worked = Measured(import_s=self.import_s), [], 0
        if self.failure is None and self.worker is None:
            self.start()
            self.wait_for_import()
        if self.failure:
            self.measured.status, self.measured.reason = self.failure

    @property
    def usable(self) -> bool:
        """Whether the present cell has not failed."""
        return self.measured.status == "ok" and self.worker is not None

    def ask(self, order: Order, kind: type[Answer]) -> Answer | None:
        """Return the answer to an order, or None if the cell has failed. The process is stopped afterwards."""
        if not self.usable:
            return None
        assert self.worker
        self._continue()
        self.worker.order(order)
        answer = self._wait(kind)
        self.stop()
        return answer

    def _continue(self) -> None:
        assert self.worker
        if self._stopped:
            self.worker.resume()
            self._stopped = False
            worked_s = self.worker.worked_while_stopped_s
            self._worked += worked_s > WORKED_S
            if worked_s > WORKED_S and self._worked >= FEWEST_WORKED:
                self.measured.status = "wrong"
                self.measured.reason = f"works in the background: {1e3 * worked_s:.0f} ms while it was stopped"

    def stop(self) -> None:
        """Stop the process, unless it has ended or must not be stopped."""
        if self.worker and self.member.stopped:
            self.worker.stop()
            self._stopped = True

    def _wait(self, kind: type[Answer]) -> Answer | None:
        assert self.worker
        others = [other.worker for other in self._others if other.worker] if self.exclusive else []
        for event in self.worker.answer(self._timeout_s, others):
            if isinstance(event, kind):
                return event
            if isinstance(event, Timed | Failed):
                if self.measured.status == "ok":
                    self.measured.status, self.measured.reason = event.status, event.reason
                if isinstance(event, Timed):
                    self.measured.timed = event
                else:
                    self.close()
        return None

    def leave(self) -> None:
        """Let the process release what it holds, and end it."""
        if self.worker and not self.member.stopped:
            self.worker.order(Leave())
            self.worker.answer(LEAVE_S)
        self.close()

    def close(self) -> None:
        """Kill the process if there is one."""
        if self.worker:
            self.worker.close()
            self.worker = None

    @property
    def gaps(self) -> int:
        """Number of gaps of time that were noticed while waiting for this process."""
        return self.worker.gaps if self.worker else 0


class Generation:
    """Worker processes that are alive together. As a context manager it starts them, and kills them at the end.

    number: of the generation, from 0. timeout_s: a process is killed if it does not answer an order for so long.
    together: whether the processes import and load at the same time, as many as there are cores; otherwise one after
    the other, which measures the time of the imports. first_round: number of the first round. Processes of the same
    generation that are not alive together must not have rounds of the same number, or times would be compared within
    them. begins: called before each start and each first call, which may take long, with a few words on it.
    """

    def __init__(
        self,
        number: int,
        members: Iterable[Member],
        timeout_s: float,
        rng: np.random.Generator,
        together: bool = True,
        first_round: int = 0,
        begins: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._number, self._rng, self._together, self._first_round = number, rng, together, first_round
        self._begins = begins
        self._processes = [_LiveProcess(member, timeout_s) for member in members]
        for process in self._processes:
            process.alive_beside(self._processes)
        self.rounds_s = 0.0
        """Seconds that the rounds of the last workload took."""

    def __enter__(self) -> Generation:
        with ExitStack() as stack:
            stack.callback(self._close)
            self._each([*range(len(self._processes))], self._start)
            stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        for process in self._processes:
            if raised[0] is None:
                process.leave()
        self._close()

    def _close(self) -> None:
        for process in self._processes:
            process.close()

    def _start(self, index: int) -> None:
        if not self._together:  # threads start several processes
            self._begins(f"starting {_described(self._processes[index].member)}")
        self._processes[index].start()
        self._processes[index].wait_for_import()

    def _each(self, indices: Sequence[int], do: Callable[[int], Any]) -> None:
        """Call `do` for each index: at the same time for as many as there are cores, if `together`."""
        if not self._together or len(indices) == 1:
            for index in indices:
                do(index)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                self._set_exclusive(False)
                running = [pool.submit(do, index) for index in indices]
                while running:
                    ended, left = wait(running, INTERRUPTIBLE_S, FIRST_EXCEPTION)
                    for each in ended:
                        each.result()
                    running = [*left]
                self._set_exclusive(True)
            except BaseException:  # Ctrl-C: the threads end when their processes are killed
                pool.shutdown(wait=False, cancel_futures=True)
                self._close()
                raise

    def _set_exclusive(self, exclusive: bool) -> None:
        for process in self._processes:
            process.exclusive = exclusive

    def measure(
        self, cells: dict[int, int], pace: Pace, taken: Callable[[], None] = lambda: None
    ) -> dict[int, Measured]:
        """Return the outcome of a cell for each member: `cells` has the index of the cell by the member's index.

        taken: called after every round, when all processes are stopped.
        """
        processes = {index: self._processes[index] for index in cells}
        for process in processes.values():
            process.begin()
        # Loading is not timed. The warm-up is: each process has it alone.
        self._each([*processes], lambda index: processes[index].ask(Load(cells[index]), Loaded))
        order = self._rng.permutation(list(processes)).tolist()
        if pace.simulated:
            self._each(order, lambda index: _warm_up(processes[index], pace))
            for process in processes.values():
                first_call_s = process.measured.first_call_s or 1.0
                process.turns = [Turn(round=self._first_round, place=0, samples=[first_call_s], calls=1)]
        else:
            for index in order:
                self._begins(f"first calls of {_described(processes[index].member)}")
                _warm_up(processes[index], pace)
            start = monotonic()
            self._take_rounds(list(processes.values()), pace, taken)
            self.rounds_s = monotonic() - start
        self._each([*processes], lambda index: self._finish(processes[index]))
        return {index: process.measured for index, process in processes.items()}

    def _take_rounds(self, processes: list[_LiveProcess], pace: Pace, taken: Callable[[], None]) -> None:
        usable = [process for process in processes if process.usable]
        if not usable:
            return
        turns = _turns_of(usable, pace)
        pace = replace(pace, rounds=_rounds(turns, pace))
        start, number, most = monotonic(), 0, pace.rounds
        orders = balanced_orders(len(usable), MOST_INTERRUPTED + max(MOST_ROUNDS, pace.rounds), self._rng)
        for attempt, order in enumerate(orders, 1):
            gaps = sum(process.gaps for process in usable)
            present = [index for index in order if usable[index].usable and _takes_part(turns[index], number, pace)]
            for place, index in enumerate(present):
                turn = usable[index].ask(turns[index].order, TurnTaken)
                if turn:
                    usable[index].turns.append(
                        Turn(round=self._first_round + number, place=place, samples=turn.samples, calls=turn.calls)
                    )
            if sum(process.gaps for process in usable) != gaps:  # the system was suspended, or lcbench was stopped
                for process in usable:
                    process.turns = [turn for turn in process.turns if turn.round != self._first_round + number]
            else:
                number += 1
            taken()
            if number == most:
                more = min(MOST_ROUNDS, number + len(usable))
                longer_s = (monotonic() - start) * more / number
                if more == number or longer_s > pace.noisy_rounds_s or _standard_error(usable) <= NOISY:
                    return
                most = more
            elif attempt == most + MOST_INTERRUPTED:
                return

    def _finish(self, process: _LiveProcess) -> None:
        timed = process.ask(Finish(), Timed)
        measured = process.measured
        if timed is None or timed.status != "ok":
            if timed and measured.status == "ok":
                measured.status, measured.reason = timed.status, timed.reason
            return
        measured.timed = timed
        if not process.turns:
            measured.status, measured.reason = "crashed", "every round was interrupted"
            return
        measured.result = ProcessResult(
            generation=self._number,
            warm_up_calls=timed.warm_up_calls,
            steady=timed.steady,
            counters=timed.counters,
            turns=process.turns,
        )


def _described(member: Member) -> str:
    return member.job.implementation if isinstance(member.job, TurnsJob) else "the machine's limit"


def _warm_up(process: _LiveProcess, pace: Pace) -> None:
    warmed = process.ask(WarmUp(thorough=pace.thorough, simulated=pace.simulated), WarmedUp)
    if warmed:
        process.measured.first_call_s, process.measured.one_call_s = warmed.first_call_s, warmed.one_call_s


@dataclass(frozen=True)
class _Turns:
    """Order for the turns of a process, and their length. rounds: number of rounds in which it takes part, at most."""

    order: TakeTurn
    seconds: float
    rounds: int


def _turns_of(processes: Sequence[_LiveProcess], pace: Pace) -> list[_Turns]:
    """Return the turns of each process. Long calls have fewer samples and rounds."""
    times = [process.measured.one_call_s for process in processes]
    if pace.equal:
        times = [float(np.median(times))] * len(times)
    found = []
    for one_call_s in times:
        calls = clock.calls_per_sample(one_call_s)
        samples = min(MOST_SAMPLES, max(pace.fewest_samples, round(pace.turn_s / (calls * one_call_s))))
        turn_s = clock.turn_seconds(one_call_s, samples)
        rounds = max(FEWEST_ROUNDS, int(pace.process_s / turn_s))
        found.append(_Turns(TakeTurn(samples, calls, one_call_s if pace.equal else None), turn_s, rounds))
    return found


def _rounds(turns: Sequence[_Turns], pace: Pace) -> int:
    """Return the number of rounds: more than `pace.rounds` if these would take less than `pace.rounds_s`."""
    squares = round(pace.rounds_s / sum(each.seconds for each in turns) / len(turns))
    return max(pace.rounds, min(MOST_ROUNDS, squares * len(turns)))


def _standard_error(processes: Sequence[_LiveProcess]) -> float:
    """Return the standard error of the log time of a process, from the rounds in which all processes took part.

    It is that of least squares: log t = level + effect of the round + effect of the process. A burst of load is not
    removed but increases it. It depends on no difference between the processes, so a decision by it has no effect on
    the error probabilities of a test.
    """
    usable = [process for process in processes if process.usable]
    by_round = [{turn.round: log(min(turn.samples)) for turn in process.turns} for process in usable]
    common = set.intersection(*map(set, by_round)) if by_round else set()
    if min(len(common), len(usable)) < 2:
        return 0.0
    table = np.array([[logs[number] for logs in by_round] for number in common])
    residuals = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    freedom = (len(common) - 1) * (len(usable) - 1)
    return sqrt(float(np.sum(residuals**2)) / freedom / len(common))


def _takes_part(turns: _Turns, number: int, pace: Pace) -> bool:
    """Return whether a process with these turns takes part in round `number`."""
    if number >= pace.rounds:
        return True
    rounds = min(turns.rounds, pace.rounds)
    return (number + 1) * rounds // pace.rounds > number * rounds // pace.rounds


def balanced_orders(processes: int, rounds: int, rng: np.random.Generator) -> list[list[int]]:
    """Return the order of the processes in each round: rows of random Williams squares.

    In a square, each process is once in each place, and once the predecessor of each other one. An odd number of
    processes needs two squares for that. Source: Williams 1949, "Experimental designs balanced for the estimation of
    residual effects of treatments".
    """
    zigzag = [(i + 1) // 2 if i % 2 else -(i // 2) % processes for i in range(processes)]
    orders: list[list[int]] = []
    while len(orders) < rounds:
        names = rng.permutation(processes).tolist()
        square = [[names[(place + shift) % processes] for place in zigzag] for shift in range(processes)]
        if processes % 2:
            square += [row[::-1] for row in square]
        orders += [square[row] for row in rng.permutation(len(square)).tolist()]
    return orders[:rounds]
