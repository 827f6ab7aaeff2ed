"""What happened since the watch was made, and nothing from before."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from lcbench.host import counters
from lcbench.host.counters import CounterDelta
from lcbench.record import Counters


def test_counters_are_since_the_watch_was_made():
    watch = CounterDelta()
    threads = [threading.Thread(target=time.sleep, args=(0.02,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = watch.read()
    assert seen.seconds >= 0.02
    if counters.resource is not None:
        assert seen.voluntary_switches >= len(threads)  # each thread's wait is one of the process's
    assert seen.gpu_clock_mhz is None or seen.gpu_clock_mhz > 0


def test_periods_that_the_container_withheld_are_counted(monkeypatch, tmp_path):
    file = tmp_path / "cpu.stat"
    file.write_text("nr_periods 50\nnr_throttled 20\n")
    monkeypatch.setattr(counters, "control_group_statistics", lambda: (file,))
    watch = CounterDelta()
    file.write_text("nr_periods 60\nnr_throttled 23\n")
    assert watch.read().throttled_periods == 3


def test_what_the_system_does_not_tell_is_unknown(monkeypatch):
    monkeypatch.setattr(counters, "control_group_statistics", lambda: ())
    monkeypatch.setattr(counters, "pressure_s", lambda: None)
    monkeypatch.setattr(counters, "resource", None)
    seen = CounterDelta().read()
    assert (seen.throttled_periods, seen.pressure_s, seen.voluntary_switches) == (None, None, None)


@pytest.mark.parametrize("old", [b'{"seconds": 1.0}', b'{"seconds": 1.0, "steal_s": null, "frequency_mhz": 2500.0}'])
def test_counters_of_older_files_are_read(old):
    assert msgspec.json.decode(old, type=Counters).gpu_throttle_reasons is None
