"""Threads that run one compiled function together and wait for each other without leaving it.

A kernel of a hundred microseconds cannot afford what the operating system takes to wake a thread. So a thread that has
finished lingers a moment for the next call before it goes to sleep, and inside a kernel threads meet at a barrier that
they spin on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import sleep
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lcbench.losses import jit

LINGER_SPINS = 10_000
"""How long a thread lingers after a call, in turns of the spinning loop: a fraction of a millisecond."""

SPINS_BEFORE_YIELDING = 2_000
"""Where there are fewer free cores than threads, a spinning thread must let the one run that it waits for."""

_WORD = ir.IntType(64)
# Words of a team's memory, each in a cache line of its own.
_ARRIVED, _TURN, _CALLED, _BEGUN, _CALLER_CPU = 0, 8, 16, 24, 32
_BROKEN_UP = -1


def _word(context: Any, builder: ir.IRBuilder, array_type: Any, arguments: Any) -> ir.Value:
    array = context.make_array(array_type)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def _load_word(typing: Any, words: Any, index: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(_word(context, builder, words, arguments), "acquire", 8)

    return types.int64(words, types.int64), emit


@intrinsic
def _store_word(typing: Any, words: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        builder.store_atomic(arguments[2], _word(context, builder, words, arguments), "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), emit


@intrinsic
def _count_up(typing: Any, words: Any, index: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.atomic_rmw("add", _word(context, builder, words, arguments), _WORD(1), "seq_cst")

    return types.int64(words, types.int64), emit


@intrinsic
def _pause(typing: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        if jit.is_x86():  # tells the core that it spins: the other thread of the same core gets its units
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), emit


if os.name == "posix":
    _sched_yield = types.ExternalFunction("sched_yield", types.int32())

    @jit.compiled
    def _spin(spins: int) -> None:
        if spins % SPINS_BEFORE_YIELDING:
            _pause()
        else:
            _sched_yield()

else:

    @jit.compiled
    def _spin(spins: int) -> None:
        _pause()


@jit.compiled
def _meet(words: NDArray[Any], threads: int) -> None:
    turn = _load_word(words, _TURN)
    if turn == _BROKEN_UP:
        return
    if _count_up(words, _ARRIVED) == threads - 1:
        _store_word(words, _ARRIVED, 0)
        _store_word(words, _TURN, turn + 1)
        return
    spins = 1
    while _load_word(words, _TURN) == turn:
        _spin(spins)
        spins += 1


def _meet_in_python(words: NDArray[Any], threads: int) -> None:
    """Returns when `threads` threads have called it with the same `words`, or at once where they have broken up."""
    with _counting:
        turn = words[_TURN]
        if turn == _BROKEN_UP:
            return
        words[_ARRIVED] += 1
        if words[_ARRIVED] == threads:
            words[_ARRIVED], words[_TURN] = 0, turn + 1
    while words[_TURN] == turn:
        sleep(0)


_counting = threading.Lock()

barrier = _meet_in_python if config.DISABLE_JIT else _meet


if sys.platform == "linux" and not config.DISABLE_JIT:
    _sched_getcpu = types.ExternalFunction("sched_getcpu", types.int32())

    @jit.compiled
    def _current_cpu() -> int:
        return int(_sched_getcpu())

else:

    def _current_cpu() -> int:
        return -1


@jit.compiled
def _begin(words: NDArray[Any], thread: int) -> None:
    if thread == 0:
        _store_word(words, _BEGUN, _load_word(words, _CALLED))


def _begin_in_python(words: NDArray[Any], thread: int) -> None:
    """To be called first in a kernel: lets the lingering threads come.

    Not earlier, since they need Python's lock for a moment: where the calling thread still held it they would fall
    asleep over it, and wake late.
    """
    if thread == 0:
        words[_BEGUN] = words[_CALLED]


begin = _begin_in_python if config.DISABLE_JIT else _begin


@jit.compiled
def _leave(words: NDArray[Any], thread: int, threads: int) -> None:
    calls = _load_word(words, _BEGUN)
    _meet(words, threads)
    if thread > 0:
        for _ in range(LINGER_SPINS):
            if _load_word(words, _BEGUN) != calls:
                return
            _pause()


def _leave_in_python(words: NDArray[Any], thread: int, threads: int) -> None:
    """To be called last in a kernel: the threads meet, and all but the calling one linger for the next call.

    They do it here and not after the kernel, since to leave it they would need Python's lock while the calling thread
    has it.
    """
    _meet_in_python(words, threads)


leave = _leave_in_python if config.DISABLE_JIT else _leave


class Team:
    """`threads` threads, of which the one that calls is the first; the others wait in between.

    words: the memory of `begin`, `meet` and `leave`, to be handed to the kernels.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.words = np.zeros(40, np.int64)
        self._call = threading.RLock()  # a signal may come in just before it is known who calls
        self._caller: int | None = None
        self._whole = True
        self._new_call = threading.Condition()
        self._work: Callable[[int], Any] = lambda thread: None
        for thread in range(1, threads):
            threading.Thread(target=self._serve, args=(thread,), name=f"lcbench-{thread}", daemon=True).start()

    def run(self, work: Callable[[int], Any]) -> None:
        """Calls work(thread) once on every thread, 0 the calling one. Returns when the calling one has.

        `work` must call a kernel that starts with `begin` and ends with `leave`. Where the calling thread raises, the
        others are let go from wherever they wait; the team is then of no use any more.
        """
        with self._call:
            self._whole = False  # until the call is over: wherever an interrupt comes in, a half-done one is seen
            try:
                self._caller = threading.get_ident()
                self._work = work
                self.words[_CALLER_CPU] = _current_cpu()
                with self._new_call:
                    self.words[_CALLED] += 1
                    self._new_call.notify_all()
                work(0)
                self._whole = True
            finally:
                self._caller = None
                if not self._whole:
                    self._break_up()

    @property
    def of_use(self) -> bool:
        """Whether `run` may be called: no call has failed half-way, and this thread is not inside one.

        It would be where a signal handler calls what it interrupted.
        """
        return self._caller != threading.get_ident() and self.whole

    @property
    def whole(self) -> bool:
        """Whether no call has failed half-way. One that is under way counts as whole to other threads."""
        return self._whole or self._caller is not None

    def _break_up(self) -> None:
        self.words[_TURN] = _BROKEN_UP
        with self._new_call:
            self._new_call.notify_all()

    def _serve(self, thread: int) -> None:
        calls = 0
        while True:
            if self.words[_BEGUN] == calls:
                self._sleep(calls)
            if self.words[_TURN] == _BROKEN_UP:
                return
            self._leave_the_caller_s_core()
            calls += 1
            # What fails here fails in the calling thread too, which is the one to say so.
            with suppress(Exception):
                self._work(thread)

    def _sleep(self, calls: int) -> None:
        with self._new_call:
            self._new_call.wait_for(lambda: bool(self.words[_CALLED] != calls or self.words[_TURN] == _BROKEN_UP))

    def _leave_the_caller_s_core(self) -> None:
        # Linux wakes a thread where its waker runs, and lets both share that core for tens of milliseconds while others
        # idle: a call would take three times as long. Forbidding the core for a moment moves this thread at once.
        here = _current_cpu()
        if here < 0 or here != self.words[_CALLER_CPU]:
            return
        with suppress(OSError):  # where it may not choose its core, it is slower for a while
            allowed = os.sched_getaffinity(0)
            if len(allowed) > 1:
                os.sched_setaffinity(0, allowed - {here})
                os.sched_setaffinity(0, allowed)


_teams: dict[int, list[Team]] = {}


def team(threads: int) -> Team:
    """The team of so many threads, kept between calls."""
    kept = _teams[threads] = [each for each in _teams.get(threads, []) if each.whole]
    found = next((each for each in kept if each.of_use), None)
    if found is None:
        found = Team(threads)
        kept.append(found)
    return found


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_teams.clear)  # a forked process has none of the threads
