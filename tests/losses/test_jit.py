"""Compilation: Ctrl-C is not lost in it, and the number of threads does not prevent it."""

from __future__ import annotations

import signal

import numba
import numpy as np
import pytest
from numba import config
from numba.extending import overload

from lcbench.losses import jit

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled where the JIT is off")


def interrupted_compilation():
    """Return a function whose compilation receives Ctrl-C, and the handlers that Ctrl-C then had."""
    handlers = []

    def typed_by_numba():
        raise NotImplementedError

    @overload(typed_by_numba)
    def implementation():
        if not handlers:
            signal.raise_signal(signal.SIGINT)
            handlers.append(signal.getsignal(signal.SIGINT))
        return lambda: 1

    return numba.njit(lambda: typed_by_numba()), handlers


def test_ctrl_c_takes_effect_at_the_end_of_a_compilation():
    function, handlers = interrupted_compilation()
    with pytest.raises(KeyboardInterrupt):
        function()
    assert len(handlers) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert function() == 1


def test_another_handler_of_ctrl_c_is_left_as_it_is():
    received = []

    def handler(*_):
        received.append("Ctrl-C")

    function, handlers = interrupted_compilation()
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert function() == 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert (received, handlers) == (["Ctrl-C"], [handler])


def test_numba_compiles_after_another_number_of_threads_was_set(monkeypatch):
    @numba.njit(parallel=True)
    def total(numbers):
        result = 0.0
        for i in numba.prange(numbers.size):
            result += numbers[i]
        return result

    total(np.ones(10))  # starts Numba's threads
    monkeypatch.setattr(jit, "_threads", None)
    jit.use_threads(config.NUMBA_NUM_THREADS + 1)
    monkeypatch.setenv("NUMBA_ANYTHING", "1")  # Numba then reads all its variables again
    assert numba.njit(lambda x: x + 1)(1) == 2
