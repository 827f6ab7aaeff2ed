import signal

import pytest

from lcbench.learn.training import uninterrupted


def raise_in_the_middle(number, steps):
    with uninterrupted():
        signal.raise_signal(number)
        steps.append("went on")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_and_is_not_lost(number):
    before = signal.signal(number, signal.default_int_handler)
    steps = []
    try:
        with pytest.raises(KeyboardInterrupt):
            raise_in_the_middle(number, steps)
        assert steps == ["went on"]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_without_a_signal_nothing_happens_and_errors_pass():
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with uninterrupted():
        pass
    with pytest.raises(ZeroDivisionError), uninterrupted():
        _ = 1 / 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
