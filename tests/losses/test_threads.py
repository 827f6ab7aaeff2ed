"""Teams of threads: barriers, errors, interrupts, concurrent and nested calls, fork."""

import inspect
import os
import subprocess
import sys
import threading
from time import sleep

import numpy as np
import pytest
from numba import config

from commands import TIMEOUT_S, wait_until
from lcbench.losses import jit
from lcbench.losses.threads import (
    Team,
    barrier,
    begin,
    begin_portions,
    leave,
    next_portion,
    portions,
    publish,
    received,
    same_kind,
    team,
)


@jit.compiled
def count_steps(thread, threads, words, counts, steps, seen):
    begin(words, thread)
    for step in range(steps):
        counts[thread] += 1
        barrier(words, threads)
        for other in range(threads):
            if counts[other] != step + 1:
                seen[thread] += 1  # this thread has passed the barrier too early
        barrier(words, threads)
    leave(words, thread, threads)


@jit.compiled
def begin_and_leave(thread, threads, words):
    begin(words, thread)
    leave(words, thread, threads)


@jit.compiled
def take_portions(thread, threads, words, taken):
    begin(words, thread)
    if thread == 0:
        begin_portions(words, threads)
    barrier(words, threads)
    portion = thread
    while portion < taken.size:
        taken[portion] += 1
        portion = next_portion(words)
    leave(words, thread, threads)


@jit.kernel
def add_to_each(thread, threads, words, entered, work, arguments):
    entered[thread] += 1
    while True:
        numbers, addend = arguments
        if thread == 0:
            publish(words, work, arguments)
        begin(words, thread)
        numbers[thread] += addend
        if not (leave(words, thread, threads) and same_kind(words, work, arguments)):
            return
        arguments = received(words, thread, arguments)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_every_call_has_its_own_arguments(threads, pause):
    group, entered = Team(threads), np.zeros(threads, np.int64)
    for call in range(1, 200 if pause == 0 else 20):
        # Arguments of two types, at other addresses in each call, and calls of another kernel.
        numbers = np.zeros(threads, (np.int64, np.float64)[call // 5 % 2])
        group.run(lambda thread, n=numbers, c=call: add_to_each(thread, threads, group.words, entered, c // 3, (n, c)))
        np.testing.assert_array_equal(numbers, call)
        if call % 7 == 0:
            group.run(lambda thread: begin_and_leave(thread, threads, group.words))
        sleep(pause)
    assert entered[0] == call


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Python functions return after each call")
@pytest.mark.parametrize("kept", [True, False])
def test_a_spinning_thread_takes_the_next_arguments_if_the_work_memory_is_the_same(kept):
    group, entered = Team(2), np.zeros(2, np.int64)
    for call in range(2_000):
        work = 1 if kept else call
        group.run(lambda thread, w=work: add_to_each(thread, 2, group.words, entered, w, (np.zeros(2), 1)))
    assert entered[0] == 2_000
    assert (entered[1] < 2_000) == kept


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_each_portion_is_taken_once(threads):
    group, taken = Team(threads), np.zeros(200, np.int64)
    for calls in range(1, 11):
        group.run(lambda thread: take_portions(thread, threads, group.words, taken))
        np.testing.assert_array_equal(taken, calls)


@pytest.mark.parametrize("threads", [1, 2, 7, 64])
@pytest.mark.parametrize("rows", [1, 63, 500, 10_007, 49_000, 1_000_000])
def test_portions_are_all_rows_in_blocks_ever_smaller(threads, rows):
    sizes = np.diff(portions(threads, rows, 24))
    assert sizes.sum() == rows
    if len(sizes) == threads:  # divided evenly
        assert np.ptp(sizes) <= 1
    else:
        assert (sizes[:-1] % 24 == 0).all()
        assert (sizes > 0).all()
        assert (np.diff(sizes) <= 0).all()
        assert sizes[-1] <= rows / threads / 16 + 24


def test_only_many_rows_are_divided_into_more_portions_than_threads():
    assert len(portions(2, 1_000, 24)) == 3
    assert len(portions(1, 1_000_000, 24)) == 2
    assert 5 <= len(portions(2, 49_000, 24)) <= 12


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_barrier_waits_for_all_threads(threads):
    group, steps = Team(threads), 50
    for _ in range(5):
        counts, seen = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
        group.run(lambda thread, c=counts, s=seen: count_steps(thread, threads, group.words, c, steps, s))
        np.testing.assert_array_equal(counts, steps)
        assert not seen.any()


def test_work_runs_once_on_every_thread():
    group, called = Team(3), []

    def work(thread):
        called.append((thread, threading.get_ident()))
        begin_and_leave(thread, 3, group.words)

    group.run(work)
    assert sorted(thread for thread, _ in called) == [0, 1, 2]
    assert len({ident for _, ident in called}) == 3
    assert (0, threading.get_ident()) in called


def test_error_in_the_calling_thread_releases_the_others():
    group, entered, left = Team(2), threading.Event(), threading.Event()

    def work(thread):
        if thread == 0:
            assert entered.wait(TIMEOUT_S)
            raise KeyboardInterrupt
        entered.set()
        barrier(group.words, 2)
        left.set()

    with pytest.raises(KeyboardInterrupt):
        group.run(work)
    assert left.wait(TIMEOUT_S)
    assert not group.usable


def test_broken_team_is_replaced():
    first = team(2)
    assert team(2) is first
    with pytest.raises(ZeroDivisionError):
        first.run(lambda thread: 1 / 0)
    second = team(2)
    assert second is not first
    second.run(lambda thread: begin_and_leave(thread, 2, second.words))


def test_concurrent_calls_run_one_after_another():
    group = Team(2)
    counts = [np.zeros(2, np.int64) for _ in range(4)]

    def call(k):
        for _ in range(20):
            seen = np.zeros(2, np.int64)
            counts[k][:] = 0
            group.run(lambda thread, s=seen: count_steps(thread, 2, group.words, counts[k], 3, s))
            assert not seen.any()

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(TIMEOUT_S)
    assert [list(count) for count in counts] == [[3, 3]] * 4


FORK = """
import os
import numpy as np
from lcbench.losses import jit, numba_parallel
jit.thread_count = lambda: 2
numba_parallel.MIN_FLOPS_PER_THREAD = 1
numba_parallel.prefer_two_products = lambda *_: False
problem = np.ones((5, 3)), np.ones((40, 5)), np.zeros(40, int), 0.1
before = numba_parallel.svm_loss(*problem)[0]
child = os.fork()
if child == 0:
    os._exit(0 if numba_parallel.svm_loss(*problem)[0] == before else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the threads run Python and may hold its locks")
def test_forked_process_has_its_own_threads():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_spinning_and_sleeping_threads_join_the_next_call(pause):
    group, called = Team(2), np.zeros(2, np.int64)

    def work(thread):
        called[thread] += 1
        begin_and_leave(thread, 2, group.words)

    for calls in range(1, 30 if pause == 0 else 5):
        sleep(pause)
        group.run(work)
        np.testing.assert_array_equal(called, calls)


def test_nested_call_gets_another_team():
    outer = team(2)
    inner = []

    def work(thread):
        if thread == 0:
            inner.append(team(2))
            inner[0].run(lambda thread: begin_and_leave(thread, 2, inner[0].words))
        begin_and_leave(thread, 2, outer.words)

    outer.run(work)
    assert inner[0] is not outer
    assert team(2) is outer


INTERRUPTED = [
    "self._caller = threading.get_ident()", "self._work = work", "self.words[_CALLED] += 1",
    "self._new_call.notify_all()", "work(0)", "self._intact = True",
]  # fmt: skip


@pytest.mark.parametrize("line", INTERRUPTED)
def test_call_after_an_interrupt_at_any_line_is_correct(line):
    source, first = inspect.getsourcelines(Team.run)
    number = first + next(k for k, text in enumerate(source) if text.strip().startswith(line))

    def interrupt(frame, event, argument):
        if frame.f_code is Team.run.__code__ and event == "line" and frame.f_lineno == number:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupt

    def call():
        group, counts, seen = team(2), np.zeros(2, np.int64), np.zeros(2, np.int64)
        group.run(lambda thread: count_steps(thread, 2, group.words, counts, 3, seen))
        return list(counts), list(seen), group

    before = threading.active_count()
    interrupted = call()[2]
    traced = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
    finally:
        sys.settrace(traced)
    assert not interrupted.intact
    for _ in range(5):
        counts, seen, group = call()
        assert (counts, seen) == ([3, 3], [0, 0])
        assert group is not interrupted
    wait_until(lambda: threading.active_count() <= before + 1)  # the interrupted team's thread has ended
