"""Generations of processes that take turns: with substitutes for worker processes, and with real ones."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import psutil
import pytest
from numba import config

from commands import wait_until
from lcbench.measure import turns, workload
from lcbench.measure.messages import (
    Cell,
    Finish,
    Imported,
    Leave,
    LimitCell,
    LimitsJob,
    Load,
    Loaded,
    TakeTurn,
    Timed,
    TurnsJob,
    TurnTaken,
    WarmedUp,
    WarmUp,
)
from lcbench.measure.turns import (
    FEWEST_ROUNDS,
    MOST_INTERRUPTED,
    MOST_ROUNDS,
    MOST_SAMPLES,
    Generation,
    Member,
    Pace,
    balanced_orders,
)
from lcbench.measure.workload import Size
from lcbench.record import MachinePeak
from lcbench.workers import process
from lcbench.workers.messages import Done, Failed

# Orders


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_orders_are_balanced(processes, seed):
    """Each process is once in each place and once after each other one; an odd number needs twice as many rounds."""
    times = 1 + processes % 2
    orders = balanced_orders(processes, times * processes, np.random.default_rng(seed))
    assert all(sorted(order) == list(range(processes)) for order in orders)
    for place in range(processes):
        assert Counter(order[place] for order in orders) == dict.fromkeys(range(processes), times)
    neighbours = Counter(pair for order in orders for pair in pairwise(order))
    pairs = [(first, second) for first in range(processes) for second in range(processes) if first != second]
    assert neighbours == dict.fromkeys(pairs, times)


def test_orders_are_random():
    rng = np.random.default_rng(0)
    found = [balanced_orders(4, 6, rng) for _ in range(200)]
    assert {len(orders) for orders in found} == {6}
    first = Counter(tuple(orders[0]) for orders in found)
    assert len(first) == 24
    assert len({tuple(orders[4]) for orders in found}) == 24  # of the second square


# Substitutes for worker processes


class Fake:
    """Substitutes for worker processes, which answer at once. Their names are those of their implementations.

    events: what happened, as pairs (name, what). answers: function (worker, order) -> events by name, for those that do
    not answer as they should. one_call_s: seconds per call by name.
    """

    def __init__(self, monkeypatch):
        self.events, self.answers, self.one_call_s, self.workers = [], {}, {}, []
        fake = self

        class Worker:
            def __init__(self, variables, place):
                self.gaps, self.worked_while_stopped_s = 0, 0.0
                self.closed = threading.Event()
                fake.workers.append(self)

            def send(self, job):
                self.name = job.implementation if isinstance(job, TurnsJob) else "limit"
                fake.events.append((self.name, "start"))
                self.last = job

            def order(self, order):
                fake.events.append((self.name, order))
                self.last = order

            def answer(self, timeout_s, others=()):
                answer = fake.answers.get(self.name, lambda worker, order: None)(self, self.last)
                return fake.honest(self, self.last) if answer is None else answer

            def stop(self):
                fake.events.append((self.name, "stop"))

            def resume(self):
                fake.events.append((self.name, "continue"))

            def close(self):
                fake.events.append((self.name, "close"))
                self.closed.set()

        monkeypatch.setattr(turns, "WorkerProcess", Worker)
        monkeypatch.setattr(turns, "AT_ONCE", 2)

    def honest(self, worker, order):
        """Return the answer of a process that does as it is told."""
        one_call_s = self.one_call_s.get(worker.name, 0.005)
        if isinstance(order, TurnsJob | LimitsJob):
            return [Imported(import_s=0.25)]
        if isinstance(order, Load):
            return [Loaded()]
        if isinstance(order, WarmUp):
            return [WarmedUp(first_call_s=2.0, one_call_s=one_call_s)]
        if isinstance(order, TakeTurn):
            return [TurnTaken(samples=[one_call_s] * order.samples, calls=order.calls)]
        if isinstance(order, Finish):
            return [Timed(warm_up_calls=7, error_loss=1e-7)]
        return [Done()]

    def orders(self, name, kind=object):
        """Return the orders that a process got."""
        return [
            what for who, what in self.events if who == name and isinstance(what, kind) and not isinstance(what, str)
        ]

    def fail(self, name, kind, events, first=1, once=True):
        """Let a process answer the order number `first` of this kind, and later ones unless `once`, with `events`."""
        count = 0

        def answer(worker, order):
            nonlocal count
            count += isinstance(order, kind)
            return events if isinstance(order, kind) and (count == first or (count > first and not once)) else None

        self.answers[name] = answer

    def generation(self, *names, **fields):
        members = [member(name) for name in names]
        return Generation(fields.pop("number", 0), members, 60.0, np.random.default_rng(1), **fields)

    def measure(self, *names, pace=None, cells=1, **fields):
        """Return the outcomes of one cell after the other, each as a list in the order of the names."""
        with self.generation(*names, **fields) as generation:
            found = [
                generation.measure(dict.fromkeys(range(len(names)), cell), pace or Pace(rounds=4))
                for cell in range(cells)
            ]
        return [[outcomes[index] for index in range(len(names))] for outcomes in found]


def member(name, **fields):
    return Member(TurnsJob(implementation=name, cells=[], seed=0), {}, **fields)


@pytest.fixture
def fake(monkeypatch):
    return Fake(monkeypatch)


def statuses(outcomes):
    return [(measured.status, measured.reason) for measured in outcomes]


def rounds(measured):
    return [turn.round for turn in measured.result.turns]


def test_processes_take_turns_and_are_stopped_in_between(fake):
    [outcomes] = fake.measure("a", "b", "c")
    running = set()
    for name, what in fake.events:
        if what in ("start", "continue"):
            running.add(name)
        elif what in ("stop", "close"):
            running.discard(name)
        elif isinstance(what, WarmUp | TakeTurn):
            assert running == {name}
    assert not running
    for name, measured in zip("abc", outcomes, strict=True):
        assert [type(order) for order in fake.orders(name)] == [Load, WarmUp, *[TakeTurn] * 4, Finish]
        assert (measured.status, measured.import_s, measured.first_call_s) == ("ok", 0.25, 2.0)
        assert (measured.result.generation, measured.result.warm_up_calls) == (0, 7)
        assert measured.timed.error_loss == 1e-7
        assert rounds(measured) == [0, 1, 2, 3]
    for number in range(4):
        assert sorted(measured.result.turns[number].place for measured in outcomes) == [0, 1, 2]


def test_places_are_those_of_the_order(fake):
    [outcomes] = fake.measure("a", "b", "c")
    taken = [name for name, what in fake.events if isinstance(what, TakeTurn)]
    for number in range(4):
        places = {name: measured.result.turns[number].place for name, measured in zip("abc", outcomes, strict=True)}
        assert sorted(places, key=places.get) == taken[3 * number : 3 * number + 3]


def test_the_warm_up_is_in_random_order_and_thorough_if_asked(fake):
    orders = set()
    with fake.generation("a", "b", "c") as generation:
        for cell in range(20):
            before = len(fake.events)
            generation.measure(dict.fromkeys(range(3), cell), Pace(rounds=1, thorough=True))
            warmed = [(name, what) for name, what in fake.events[before:] if isinstance(what, WarmUp)]
            assert {what for _, what in warmed} == {WarmUp(thorough=True)}
            orders.add(tuple(name for name, _ in warmed))
    assert len(orders) == 6


def test_a_cell_is_measured_by_some_of_the_processes(fake):
    with fake.generation("a", "b") as generation:
        found = generation.measure({1: 5}, Pace(rounds=1))
    assert list(found) == [1]
    assert fake.orders("a") == []
    assert fake.orders("b", Load) == [Load(5)]


def test_a_callback_is_called_after_every_round_when_all_are_stopped(fake):
    states = []
    with fake.generation("a", "b") as generation:
        generation.measure({0: 0, 1: 0}, Pace(rounds=3), lambda: states.append(fake.events[-1][1]))
    assert states == ["stop"] * 3


def test_rounds_of_processes_that_are_not_alive_together_have_other_numbers(fake):
    [[measured]] = fake.measure("a", number=3, first_round=24)
    assert (measured.result.generation, rounds(measured)) == (3, [24, 25, 26, 27])
    [[measured]] = fake.measure("a", first_round=48, pace=Pace(rounds=1, simulated=True))
    assert rounds(measured) == [48]


def test_in_the_simulator_the_first_call_is_the_sample(fake):
    [[measured]] = fake.measure("a", pace=Pace(rounds=4, simulated=True))
    assert [type(order) for order in fake.orders("a")] == [Load, WarmUp, Finish]
    assert fake.orders("a", WarmUp) == [WarmUp(simulated=True)]
    [turn] = measured.result.turns
    assert (turn.samples, turn.calls) == ([2.0], 1)


# Lengths of turns


def test_turns_are_equally_long_with_more_calls_for_short_ones(fake):
    fake.one_call_s = {"short": 1e-5, "middle": 0.005, "long": 0.02, "longer": 0.05}
    fake.measure(*fake.one_call_s, pace=Pace(rounds=1, turn_s=0.02))
    orders = {name: fake.orders(name, TakeTurn) for name in fake.one_call_s}
    assert orders == {
        "short": [TakeTurn(samples=4, calls=500)],
        "middle": [TakeTurn(samples=4, calls=1)],
        "long": [TakeTurn(samples=1, calls=1)],
        "longer": [TakeTurn(samples=1, calls=1)],
    }


def test_numbers_of_samples_are_limited(fake):
    fake.one_call_s = {"short": 0.005, "long": 0.05}
    fake.measure(*fake.one_call_s, pace=Pace(rounds=1, turn_s=0.2, fewest_samples=2))
    assert [order.samples for order in fake.orders("short", TakeTurn)] == [MOST_SAMPLES]
    assert [order.samples for order in fake.orders("long", TakeTurn)] == [4]
    fake.measure(*fake.one_call_s, pace=Pace(rounds=1, turn_s=0.02, fewest_samples=2))
    assert fake.orders("long", TakeTurn)[-1].samples == 2


def test_long_calls_take_part_in_fewer_rounds(fake):
    fake.one_call_s = {"short": 0.001, "long": 0.12, "longest": 5.0}
    [outcomes] = fake.measure(*fake.one_call_s, pace=Pace(rounds=12, process_s=0.5))
    assert [len(rounds(measured)) for measured in outcomes] == [12, 4, FEWEST_ROUNDS]
    assert rounds(outcomes[1]) == [2, 5, 8, 11]  # evenly spread
    for number in range(12):
        present = [turn.place for measured in outcomes for turn in measured.result.turns if turn.round == number]
        assert sorted(present) == list(range(len(present)))


def test_base_and_head_have_equal_turns(fake):
    fake.one_call_s = {"a": 1e-4, "b": 1e-3, "c": 1e-3, "d": 1e-2}
    fake.measure(*fake.one_call_s, pace=Pace(rounds=2, equal=True))
    assert {order for name in fake.one_call_s for order in fake.orders(name, TakeTurn)} == {TakeTurn(4, 5, 1e-3)}


def noisy(worker, order):
    """Answer a turn with a time that has a burst in every third turn, at other turns of each process."""
    if not isinstance(order, TakeTurn):
        return None
    worker.turns = getattr(worker, "turns", 0) + 1
    burst = 2.0 if (worker.turns + (worker.name == "b")) % 3 == 0 else 1.0
    return [TurnTaken(samples=[0.005 * burst] * order.samples, calls=order.calls)]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 6), (1e-9, 6), (1e9, MOST_ROUNDS)], ids=["never", "no time", "as many as needed"]
)
def test_noisy_rounds_are_followed_by_more(fake, seconds, expected):
    fake.answers = dict.fromkeys("abc", noisy)
    [outcomes] = fake.measure("a", "b", "c", pace=Pace(rounds=6, noisy_rounds_s=seconds))
    assert [rounds(measured) for measured in outcomes] == [[*range(expected)]] * 3


def test_different_times_and_disturbances_of_whole_rounds_are_no_noise(fake):
    """Only what differs within a round adds noise to a comparison."""

    def drifting(worker, order):
        if not isinstance(order, TakeTurn):
            return None
        worker.turns = getattr(worker, "turns", 0) + 1
        seconds = {"a": 0.005, "b": 0.006}[worker.name] * 1.5**worker.turns
        return [TurnTaken(samples=[seconds] * order.samples, calls=order.calls)]

    fake.answers = {"a": drifting, "b": drifting}
    [outcomes] = fake.measure("a", "b", pace=Pace(rounds=4, noisy_rounds_s=1e9))
    assert [rounds(measured) for measured in outcomes] == [[0, 1, 2, 3]] * 2


def test_a_process_alone_has_no_noisy_rounds(fake):
    fake.answers = {"a": noisy}
    [[measured]] = fake.measure("a", pace=Pace(rounds=6, noisy_rounds_s=1e9))
    assert len(rounds(measured)) == 6


# Failures


def test_a_crash_in_a_round_leaves_the_others_measured(fake):
    fake.fail("b", TakeTurn, [Failed("crashed", "killed by SIGSEGV")], first=2)
    first, second = fake.measure("a", "b", "c", cells=2)
    assert statuses(first) == [("ok", ""), ("crashed", "killed by SIGSEGV"), ("ok", "")]
    assert first[1].result is None
    for measured in (first[0], first[2], *second):
        assert rounds(measured) == [0, 1, 2, 3]
    assert statuses(second) == [("ok", "")] * 3
    assert [name for name, what in fake.events if what == "start"] == ["a", "b", "c", "b"]


@pytest.mark.parametrize("kind", [Load, WarmUp, TakeTurn, Finish])
@pytest.mark.parametrize(
    "answer", [Timed(status="wrong", reason="loss is nan"), Failed("timeout", "no answer for 60 s")], ids=repr
)
def test_a_failure_at_any_step_affects_its_own_cell_only(fake, kind, answer):
    fake.fail("b", kind, [answer])
    first, second = fake.measure("a", "b", cells=2)
    assert statuses(first) == [("ok", ""), (answer.status, answer.reason)]
    assert first[1].result is None
    assert statuses(second) == [("ok", "")] * 2
    started = [name for name, what in fake.events if what == "start"]
    assert started.count("b") == (2 if isinstance(answer, Failed) else 1)
    assert isinstance(fake.orders("b")[-1], Finish)


def test_a_process_that_cannot_import_fails_on_every_cell(fake):
    fake.fail("b", TurnsJob, [Failed("unavailable", "no driver")])
    first, second = fake.measure("a", "b", cells=2)
    assert statuses(first) == statuses(second) == [("ok", ""), ("unavailable", "no driver")]
    assert [name for name, what in fake.events if what == "start"] == ["a", "b"]
    assert fake.orders("b") == []


def test_no_usable_process(fake):
    fake.fail("a", Load, [Failed("crashed", "killed by SIGKILL")], once=False)
    [[measured]] = fake.measure("a")
    assert (measured.status, measured.result) == ("crashed", None)


def working_in(fake, turns_of_b):
    """Measure two cells of a and b, which works in the background after these turns, and return the outcomes."""

    def works(worker, order):
        worker.worked_while_stopped_s = 0.012 if len(fake.orders("b", TakeTurn)) in turns_of_b else 0.0

    fake.answers["b"] = works
    return fake.measure("a", "b", cells=2)


def test_a_process_that_works_in_the_background_is_refused(fake):
    first, second = working_in(fake, {1, 2, 3})
    assert statuses(first) == [("ok", ""), ("wrong", "works in the background: 12 ms while it was stopped")]
    assert first[1].result is None
    assert statuses(second) == [("ok", "")] * 2


def test_time_that_a_virtual_machine_lost_in_two_stops_is_not_work_in_the_background(fake):
    for cell in working_in(fake, {1, 3}):
        assert statuses(cell) == [("ok", "")] * 2


def test_a_little_time_while_stopped_is_tolerated(fake):
    def works(worker, order):
        worker.worked_while_stopped_s = turns.WORKED_S

    fake.answers["b"] = works
    assert statuses(fake.measure("a", "b")[0]) == [("ok", "")] * 2


# Gaps of time


def with_gaps(fake, name, numbers):
    """Let gaps occur while a process takes its turns with these numbers, from 1."""

    def interrupted(worker, order):
        worker.gaps += isinstance(order, TakeTurn) and len(fake.orders(name, TakeTurn)) in numbers

    fake.answers[name] = interrupted


def test_a_round_with_a_gap_is_dropped_and_repeated(fake):
    with_gaps(fake, "b", [2, 5])
    [outcomes] = fake.measure("a", "b")
    for name, measured in zip("ab", outcomes, strict=True):
        assert rounds(measured) == [0, 1, 2, 3]
        assert len(fake.orders(name, TakeTurn)) == 6
        assert sorted({turn.place for turn in measured.result.turns}) == [0, 1]


def test_a_gap_outside_the_rounds_does_no_harm(fake):
    def interrupted(worker, order):
        worker.gaps += isinstance(order, Load | WarmUp)

    fake.answers["a"] = interrupted
    [[measured]] = fake.measure("a")
    assert len(fake.orders("a", TakeTurn)) == len(rounds(measured)) == 4


def test_repetitions_are_limited(fake):
    with_gaps(fake, "a", range(1, 100))
    [[measured, other]] = fake.measure("a", "b")
    assert (
        (measured.status, measured.reason) == (other.status, other.reason) == ("crashed", "every round was interrupted")
    )
    assert len(fake.orders("a", TakeTurn)) == 4 + MOST_INTERRUPTED
    fake.events.clear()
    with_gaps(fake, "a", range(1, MOST_INTERRUPTED + 3))
    [[measured]] = fake.measure("a")
    assert (measured.status, rounds(measured)) == ("ok", [0, 1])


# Start and end


def test_processes_import_one_after_the_other_unless_together(fake):
    fake.measure("a", "b", together=False)
    assert [event for event in fake.events if event[1] in ("start", "stop")][:4] == [
        ("a", "start"),
        ("a", "stop"),
        ("b", "start"),
        ("b", "stop"),
    ]


@pytest.mark.parametrize("kind", [TurnsJob, Load])
def test_processes_import_and_load_at_the_same_time_if_together(fake, kind):
    barrier = threading.Barrier(2)

    def meets(worker, order):
        if isinstance(order, kind):
            barrier.wait(30)

    fake.answers = dict.fromkeys("ab", meets)
    assert statuses(fake.measure("a", "b", together=True)[0]) == [("ok", "")] * 2


def test_a_process_on_a_gpu_or_cluster_is_not_stopped_and_releases_what_it_holds(fake):
    with Generation(0, [member("gpu", stopped=False)], 60.0, np.random.default_rng(0)) as generation:
        assert generation.measure({0: 0}, Pace(rounds=3))[0].status == "ok"
    assert [what for _, what in fake.events if isinstance(what, str)] == ["start", "close"]
    assert fake.orders("gpu")[-1] == Leave()


def test_all_processes_are_closed_after_an_error(fake):
    with pytest.raises(ZeroDivisionError), fake.generation("a", "b"):
        raise ZeroDivisionError
    assert {name for name, what in fake.events if what == "close"} == {"a", "b"}
    assert not fake.orders("a")


@pytest.mark.parametrize("kind", [TurnsJob, Load])
def test_an_interrupt_closes_processes_that_are_importing_or_loading(fake, kind):
    started = threading.Barrier(2)

    def interrupts(worker, order):
        if isinstance(order, kind):
            started.wait(30)
            raise KeyboardInterrupt

    def waits(worker, order):
        if isinstance(order, kind):
            started.wait(30)
            assert worker.closed.wait(30)
            return [Failed("crashed", "killed by SIGKILL")]
        return None

    fake.answers = {"a": interrupts, "b": waits}
    with pytest.raises(KeyboardInterrupt):
        fake.measure("a", "b")
    assert all(worker.closed.is_set() for worker in fake.workers)


# Real processes

SIZE = Size(20, 33, 3, "float32", "synthetic")
SHORT = Pace(rounds=3, turn_s=0.005)
LOSSES = """
import os, signal, time
from lcbench.losses import vectorized

calls = 0

# only on the problem that is timed, which has 20 rows, not on the one on which functions are recognized

def killed_softmax_loss(W, X, y, reg):
    global calls
    calls += len(X) == 20
    if calls == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.001 if len(X) == 20 else 0)
    return vectorized.softmax_loss(W, X, y, reg)

def hanging_softmax_loss(W, X, y, reg):
    time.sleep(600 if len(X) == 20 else 0)
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    workload.save_problem(workload.build_problem(SIZE), ["svm", "softmax"], folder / "problem")
    (folder / "mine.py").write_text(LOSSES)
    return folder


def real(folder, implementation, losses=("softmax", "svm"), cache=None):
    cells = [Cell(loss, str(folder / "problem")) for loss in losses]
    return Member(TurnsJob(implementation=implementation, cells=cells, seed=0), process.environment(1, cache))


def workers_alive():
    """Return the worker processes of this process that have not ended."""
    children = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    return [child.pid for child in children if any("start_worker" in word for word in child.cmdline())]


def test_real_processes_take_turns_although_one_is_killed(folder):
    members = [real(folder, "numpy"), real(folder, f"{folder}/mine.py:killed_softmax_loss"), real(folder, "numpy")]
    long = Pace(rounds=10, turn_s=0.02, process_s=10)
    with Generation(2, members, 60.0, np.random.default_rng(0)) as generation:
        assert len(workers_alive()) == 3
        first = generation.measure({0: 0, 1: 0, 2: 0}, long)
        wait_until(lambda: len(workers_alive()) == 2)  # a killed process has not ended at once
        second = generation.measure({0: 1, 1: 0, 2: 1}, SHORT)
        assert len(workers_alive()) == 3
    assert workers_alive() == []
    assert statuses(first.values()) == [("ok", ""), ("crashed", "killed by SIGKILL (out of memory?)"), ("ok", "")]
    assert statuses(second.values()) == [("ok", "")] * 3
    for measured in (first[0], first[2]):
        assert (measured.result.generation, rounds(measured)) == (2, list(range(10)))
        assert measured.result.counters.seconds > 0
        assert {turn.calls > 1 for turn in measured.result.turns} == {True}
        assert measured.import_s > 0
        assert measured.first_call_s > 0
    assert rounds(second[1]) == [0, 1, 2]


def test_a_process_that_hangs_times_out(folder):
    members = [real(folder, "numpy"), real(folder, f"{folder}/mine.py:hanging_softmax_loss")]
    with Generation(0, members, 4.0, np.random.default_rng(0)) as generation:
        outcomes = generation.measure({0: 0, 1: 0}, SHORT)
    assert statuses(outcomes.values()) == [("ok", ""), ("timeout", "no answer for 4 s")]


def test_ctrl_c_leaves_no_process(folder):
    def interrupt():
        assert len(workers_alive()) == 2
        signal.raise_signal(signal.SIGINT)

    members = [real(folder, "numpy"), real(folder, "numpy")]
    with pytest.raises(KeyboardInterrupt), Generation(0, members, 60.0, np.random.default_rng(0)) as generation:
        generation.measure({0: 0, 1: 0}, SHORT, interrupt)
    assert workers_alive() == []


def test_the_limit_is_measured_in_turn(folder):
    cells = [LimitCell(SIZE.dtype, SIZE.footprint, SIZE.bytes, SIZE.flops)]
    variables = process.environment(1, None) | {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
    members = [real(folder, "numpy"), Member(LimitsJob(cells=cells), variables)]
    with Generation(0, members, 120.0, np.random.default_rng(0)) as generation:
        numpy, limit = generation.measure({0: 0, 1: 0}, SHORT).values()
    assert (numpy.status, limit.status, limit.reason) == ("ok", "ok", "")
    assert isinstance(limit.timed.peak, MachinePeak)
    assert limit.timed.peak.footprint == SIZE.footprint
    assert set(rounds(limit)) <= set(rounds(numpy))


COMPILED = """
import numpy as np
from numba import njit

@njit
def softmax_loss(W, X, y, reg):
    dW = 2 * reg * W  # an expression of arrays is compiled as a function of its own
    loss = reg * np.sum(W * W)
    p = np.empty(W.shape[1])
    for i in range(len(y)):
        for k in range(len(p)):
            p[k] = 0.0
            for j in range(len(W)):
                p[k] += X[i, j] * W[j, k]
        for k in range(len(p)):
            p[k] = np.exp(p[k])
        total = p.sum()
        loss -= np.log(p[y[i]] / total) / len(y)
        for k in range(len(p)):
            for j in range(len(W)):
                dW[j, k] += X[i, j] * (p[k] / total - (k == y[i])) / len(y)
    return loss, dW
"""


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_compiled_code_of_a_users_kernel_is_cached_for_the_next_generation(folder, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(COMPILED)
    kernel = real(folder, f"{file}:softmax_loss", ["softmax"], tmp_path / "kept")
    written = []
    for number in range(2):
        with Generation(number, [kernel], 60.0, np.random.default_rng(0)) as generation:
            [measured] = generation.measure({0: 0}, Pace(rounds=1)).values()
        assert (measured.status, measured.reason, measured.timed.compiles) == ("ok", "", True)
        [index] = (tmp_path / "kept").rglob("mine.softmax_loss*.nbi")
        written.append(index.stat().st_mtime_ns)
    assert len(list(index.parent.glob("mine.softmax_loss*.nbc"))) == 2  # float64 to be recognized, float32 to be timed
    assert written[0] == written[1]  # nothing was compiled again
