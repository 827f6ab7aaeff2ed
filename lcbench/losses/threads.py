"""Team of threads that run one compiled function together and synchronise at barriers inside it.

Waking a thread takes the operating system too long for a kernel of a hundred microseconds. So a thread that has
finished spins for a moment, in case the next call comes, before it goes to sleep. The barriers inside a kernel are spin
barriers.

A kernel calls `begin` first and `leave` last, and `barrier` between. If it publishes its arguments before, a thread
that still spins can continue with those of the next call.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import zlib
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import lru_cache
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
"""Iterations for which a thread spins after a call before it sleeps: a fraction of a millisecond."""

OWN_PART = 0.85
"""Part of the rows that is divided evenly among the threads. They take the others portion by portion."""

LEAST_OWN_BLOCKS = 30
"""Blocks of a thread's first portion below which all rows are divided evenly: each portion takes time, too."""

LEAST_PORTION = 16
"""Rows of a thread divided by those of the smallest portion: no thread waits longer than that at the end."""

SPINS_BEFORE_YIELDING = 2_000
"""If there are fewer free cores than threads, a spinning thread must yield to the thread for which it waits."""

_WORD = ir.IntType(64)
# Indices of the words in a team's memory, each in a cache line of its own.
_ARRIVED, _TURN, _CALLED, _BEGUN, _CALLER_CPU, _PORTION, _KIND = 0, 8, 16, 24, 32, 40, 48
_ARGUMENTS, _ARGUMENT_WORDS = 56, 256  # published arguments of the kernel of a call
_SERVED = _ARGUMENTS + _ARGUMENT_WORDS  # number of calls in which each thread has taken part, 8 words each
_BROKEN = -1  # value of the word _TURN after a call has failed
_ANY_KIND = 0  # value of the word _KIND for a call whose kernel does not publish its arguments


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
        if jit.is_x86():  # gives the execution units to the other hardware thread of the core
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), emit


if os.name == "posix":
    _sched_yield = types.ExternalFunction("sched_yield", types.int32())

    @jit.internal
    def _spin(spins: int) -> None:
        if spins % SPINS_BEFORE_YIELDING:
            _pause()
        else:
            _sched_yield()

else:

    @jit.internal
    def _spin(spins: int) -> None:
        _pause()


@jit.kernel
def _barrier(words: NDArray[Any], threads: int) -> None:
    turn = _load_word(words, _TURN)
    if turn == _BROKEN:
        return
    if _count_up(words, _ARRIVED) == threads - 1:
        _store_word(words, _ARRIVED, 0)
        _store_word(words, _TURN, turn + 1)
        return
    spins = 1
    while _load_word(words, _TURN) == turn:
        _spin(spins)
        spins += 1


def _barrier_in_python(words: NDArray[Any], threads: int) -> None:
    """Wait until `threads` threads have called this with the same `words`. Return at once if the team is broken."""
    with _counting:
        turn = words[_TURN]
        if turn == _BROKEN:
            return
        words[_ARRIVED] += 1
        if words[_ARRIVED] == threads:
            words[_ARRIVED], words[_TURN] = 0, turn + 1
    while words[_TURN] == turn:
        sleep(0)


_counting = threading.Lock()

barrier = _barrier_in_python if config.DISABLE_JIT else _barrier


if sys.platform == "linux" and not config.DISABLE_JIT:
    _sched_getcpu = types.ExternalFunction("sched_getcpu", types.int32())

    @jit.kernel
    def _current_cpu() -> int:
        return int(_sched_getcpu())

else:

    def _current_cpu() -> int:
        return -1


@jit.internal
def _begin(words: NDArray[Any], thread: int) -> None:
    if thread == 0:
        _store_word(words, _BEGUN, _load_word(words, _CALLED))


def _begin_in_python(words: NDArray[Any], thread: int) -> None:
    """Start the spinning threads. A kernel calls this first.

    They need the GIL for a moment. If they started while the calling thread still held it, they would sleep and wake up
    late.
    """
    if thread == 0:
        words[_BEGUN] = words[_CALLED]


begin = _begin_in_python if config.DISABLE_JIT else _begin


@jit.internal
def _leave(words: NDArray[Any], thread: int, threads: int) -> bool:
    served = words[_SERVED + 8 * thread]
    _barrier(words, threads)
    if thread > 0:
        for _ in range(LINGER_SPINS):
            if _load_word(words, _BEGUN) != served:
                return True
            _pause()
    return False


def _leave_in_python(words: NDArray[Any], thread: int, threads: int) -> bool:
    """Wait for all threads, then let all but the calling one spin for the next call. Return whether it has begun.

    They spin inside the kernel, since to return from it they need the GIL, which the calling thread holds. If the next
    call is of the `same_kind`, they can take its arguments from `received`. Otherwise the kernel returns.
    """
    _barrier_in_python(words, threads)
    return False


leave = _leave_in_python if config.DISABLE_JIT else _leave


def _places(context: Any, builder: ir.IRBuilder, words: Any, value: ir.Value, kinds: Any) -> list[ir.Value]:
    """Return the addresses of arguments of the types `kinds` in a team's memory."""
    memory = context.make_array(words)(context, builder, value).data
    place, places = _ARGUMENTS, []
    for kind in kinds:
        llvm_type = context.get_value_type(kind)
        places.append(builder.bitcast(builder.gep(memory, [_WORD(place)]), llvm_type.as_pointer()))
        place += -(-context.get_abi_sizeof(llvm_type) // 8)
    assert place <= _SERVED, "the arguments need more words"
    return places


def _kind(builder: ir.IRBuilder, work: ir.Value, arguments: Any) -> ir.Value:
    """Return a number for the work memory and the types of the arguments, and so for the compiled kernel."""
    return builder.or_(builder.shl(work, _WORD(32)), _WORD(zlib.crc32(str(arguments).encode())))


@intrinsic
def _publish(typing: Any, words: Any, work: Any, arguments: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        places = _places(context, builder, words, values[0], arguments)
        for place, value in zip(places, cgutils.unpack_tuple(builder, values[2], len(arguments)), strict=True):
            builder.store(value, place)
        kind = _kind(builder, values[1], arguments)
        builder.store(kind, _word(context, builder, words, [values[0], _WORD(_KIND)]))
        return context.get_dummy_value()

    return types.void(words, types.int64, arguments), emit


def _publish_in_python(words: NDArray[Any], work: int, arguments: tuple[Any, ...]) -> None:
    """Let the threads that still spin in the same kernel have those arguments that change. Thread 0 calls this first.

    They do not return to Python then, where each step waits for the GIL and reads memory that the call before has
    displaced from the caches. work: number of the work memory, which is the other arguments, from `new_number`.
    """


@intrinsic
def _same_kind(typing: Any, words: Any, work: Any, arguments: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        kind = builder.load(_word(context, builder, words, [values[0], _WORD(_KIND)]))
        return builder.icmp_signed("==", kind, _kind(builder, values[1], arguments))

    return types.boolean(words, types.int64, arguments), emit


def _same_kind_in_python(words: NDArray[Any], work: int, arguments: tuple[Any, ...]) -> bool:
    """Return whether the call that has begun has the same work memory, and arguments of the same types."""
    return False


@intrinsic
def _received(typing: Any, words: Any, thread: Any, arguments: Any) -> Any:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        served = builder.add(builder.mul(values[1], _WORD(8)), _WORD(_SERVED))
        place = _word(context, builder, words, [values[0], served])
        builder.store(builder.add(builder.load(place), _WORD(1)), place)
        loaded = [builder.load(place) for place in _places(context, builder, words, values[0], arguments)]
        return context.make_tuple(builder, arguments, loaded)

    return arguments(words, types.int64, arguments), emit


def _received_in_python(words: NDArray[Any], thread: int, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of the call that has begun, in which the thread takes part from now on."""
    return arguments


publish = _publish_in_python if config.DISABLE_JIT else _publish
same_kind = _same_kind_in_python if config.DISABLE_JIT else _same_kind
received = _received_in_python if config.DISABLE_JIT else _received


@jit.kernel
def share(thread: int, threads: int, count: int, unit: int = 1) -> tuple[int, int]:
    """Return the start and the end of a thread's share of `count` items, multiples of `unit` as `count` is."""
    units = count // unit
    return units * thread // threads * unit, units * (thread + 1) // threads * unit


@lru_cache(maxsize=64)
def portions(threads: int, rows: int, block_rows: int) -> NDArray[np.int64]:
    """Return the bounds (P + 1,) of the portions of `rows` rows that the threads take one after the other.

    The first ones are those with which the threads begin. The others become smaller, so that all threads finish at
    nearly the same time even if a core is slower than another. The bounds depend on the arguments only, and so does a
    sum over the portions in their order, whichever thread computes them. They are multiples of `block_rows`.
    """
    own = int(OWN_PART * rows / threads) // block_rows * block_rows
    if threads == 1 or own < LEAST_OWN_BLOCKS * block_rows:
        return np.array([rows * thread // threads for thread in range(threads + 1)], np.int64)
    bounds = [own * thread for thread in range(threads + 1)]
    while bounds[-1] < rows:
        left = rows - bounds[-1]
        size = max(left // threads, rows // (LEAST_PORTION * threads), 1)
        bounds.append(bounds[-1] + min(left, -(-size // block_rows) * block_rows))
    return np.array(bounds, np.int64)


@jit.internal
def _begin_portions(words: NDArray[Any], threads: int) -> None:
    _store_word(words, _PORTION, threads)


def _begin_portions_in_python(words: NDArray[Any], threads: int) -> None:
    """Let `next_portion` begin after the first `threads` portions. One thread calls this before a barrier."""
    words[_PORTION] = threads


@jit.internal
def _next_portion(words: NDArray[Any]) -> int:
    return _count_up(words, _PORTION)


def _next_portion_in_python(words: NDArray[Any]) -> int:
    """Return the number of a portion that no thread has taken yet; there may be no such portion."""
    with _counting:
        words[_PORTION] += 1
        return int(words[_PORTION]) - 1


begin_portions = _begin_portions_in_python if config.DISABLE_JIT else _begin_portions
next_portion = _next_portion_in_python if config.DISABLE_JIT else _next_portion


class Team:
    """Team of `threads` threads. The calling thread is the first; the others wait between calls.

    words: memory of `begin`, `barrier`, `leave`, the portions and the arguments of a call; an argument of the kernels.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.words = np.zeros(_SERVED + 8 * threads, np.int64)
        self._call = threading.RLock()  # reentrant: a signal handler may run before _caller is set
        self._caller: int | None = None
        self._intact = True
        self._new_call = threading.Condition()
        self._work: Callable[[int], Any] = lambda thread: None
        for thread in range(1, threads):
            threading.Thread(target=self._serve, args=(thread,), name=f"lcbench-{thread}", daemon=True).start()

    def run(self, work: Callable[[int], Any]) -> None:
        """Call work(thread) once on every thread; thread 0 is the calling one. Return after thread 0 has returned.

        `work` must call a kernel that starts with `begin` and ends with `leave`. If the calling thread raises, the
        other threads stop waiting and end, and the team cannot be used again.
        """
        with self._call:
            self._intact = False  # until the call is complete: an interrupt at any line leaves it False
            try:
                self._caller = threading.get_ident()
                self._work = work
                self.words[_CALLER_CPU] = _current_cpu()
                self.words[_KIND] = _ANY_KIND
                with self._new_call:
                    self.words[_CALLED] += 1
                    self._new_call.notify_all()
                work(0)
                self._intact = True
            finally:
                self._caller = None
                if not self._intact:
                    self._break()

    @property
    def usable(self) -> bool:
        """True if `run` may be called: no call has failed, and this thread is not inside a call.

        It is inside a call if a signal handler calls the function that it interrupted.
        """
        return self._caller != threading.get_ident() and self.intact

    @property
    def intact(self) -> bool:
        """True if no call has failed. A call in progress has not failed."""
        return self._intact or self._caller is not None

    def _break(self) -> None:
        self.words[_TURN] = _BROKEN
        with self._new_call:
            self._new_call.notify_all()

    def _serve(self, thread: int) -> None:
        while True:
            served = int(self.words[_SERVED + 8 * thread])
            if self.words[_BEGUN] == served:
                self._sleep(served)
            if self.words[_TURN] == _BROKEN:
                return
            self._move_off_the_callers_core()
            self.words[_SERVED + 8 * thread] = served + 1
            # An error here also occurs in the calling thread, which reports it.
            with suppress(Exception):
                self._work(thread)

    def _sleep(self, calls: int) -> None:
        with self._new_call:
            self._new_call.wait_for(lambda: bool(self.words[_CALLED] != calls or self.words[_TURN] == _BROKEN))

    def _move_off_the_callers_core(self) -> None:
        # Linux wakes a thread on the core of the thread that wakes it. Both may then share this core for tens of
        # milliseconds while other cores are idle, and a call takes three times as long. Excluding the core from this
        # thread's affinity for a moment moves the thread at once.
        here = _current_cpu()
        if here < 0 or here != self.words[_CALLER_CPU]:
            return
        with suppress(OSError):  # if the affinity cannot be set, some calls are slower
            allowed = os.sched_getaffinity(0)
            if len(allowed) > 1:
                os.sched_setaffinity(0, allowed - {here})
                os.sched_setaffinity(0, allowed)


_numbers = itertools.count(1)


def new_number() -> int:
    """Return a number that no other work memory of this process has."""
    return next(_numbers)


class Reserve:
    """Work memory of the last call, for the next call of the same kind.

    New memory is mapped page by page, which takes a quarter of a call on 500 rows.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def take(self, kind: Hashable, make: Callable[[], Any]) -> Any:
        """Return the memory kept for this kind of call, which is then no longer kept, or else ``make()``.

        Two calls at the same time never get the same memory.
        """
        kept = self._kept.pop(kind, None)
        return make() if kept is None else kept

    def keep(self, kind: Hashable, memory: Any) -> None:
        """Keep the memory of a call that is complete, instead of that of any other."""
        self._kept = {kind: memory}


_teams: dict[int, list[Team]] = {}


def team(threads: int) -> Team:
    """Return a usable team of so many threads. Teams are kept between calls."""
    kept = _teams[threads] = [each for each in _teams.get(threads, []) if each.intact]
    found = next((each for each in kept if each.usable), None)
    if found is None:
        found = Team(threads)
        kept.append(found)
    return found


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_teams.clear)  # a forked process has no such threads
