"""Compilation: Ctrl-C is not lost in it."""

from __future__ import annotations

import signal

import numba
import pytest
from numba import config
from numba.extending import overload

from lcbench.losses import jit  # noqa: F401 registers what is tested

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
