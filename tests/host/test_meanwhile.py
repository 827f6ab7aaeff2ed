"""Who else used the machine is measured, and told apart from this program and its workers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lcbench.host import conditions
from lcbench.host.conditions import BackgroundObserver

BURN = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def test_the_busiest_programs_are_named():
    before = {(1, 0.0): ("old", 100.0), (2, 0.0): ("cc", 5.0)}
    after = {
        (1, 0.0): ("old", 101.0),
        (2, 0.0): ("cc", 9.0),
        (3, 8.0): ("cc", 2.0),
        (4, 8.0): ("new", 5.0),
        (1, 9.0): ("same number", 3.0),
        (6, 9.0): ("idle", 0.01),
    }
    found = conditions.busiest(before, after, 10.0)
    assert [program.name for program in found] == ["cc", "new", "same number"]
    assert [program.cores for program in found] == pytest.approx([0.6, 0.5, 0.3])
    assert conditions.busiest(before, before, 10.0) == ()


def test_a_worker_that_has_ended_is_none_of_the_others():
    observer = BackgroundObserver()
    start = observer._start["own_s"]
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert observer._counters()["own_s"] - start > 0.3
    happened = observer.read()
    assert happened.seconds > 0
    assert 0 <= happened.others <= 1
    assert happened.switches_s > 0


def test_others_are_what_is_busy_and_not_our_own(monkeypatch):
    """Two cores, for 10 s: 12 s busy, 8 s of them ours."""
    counters = {
        "seconds": 10.0, "busy_s": 12.0, "steal_s": 1.0, "own_s": 8.0, "pressure_s": 2.0, "switches": 5000,
        "throttled_periods": 3, "thermal_throttles": None,
    }  # fmt: skip
    nothing = {name: None if value is None else 0.0 for name, value in counters.items()}
    readings = iter([nothing, counters])
    monkeypatch.setattr(BackgroundObserver, "_counters", lambda self: next(readings))
    monkeypatch.setattr(conditions, "usable_cores", lambda: 2)
    happened = BackgroundObserver().read()
    assert (happened.others, happened.steal, happened.waited) == (0.2, 0.05, 0.2)
    assert (happened.switches_s, happened.throttled_periods, happened.thermal_throttles) == (500.0, 3, None)


def test_thermal_throttling_is_counted_over_all_cores(tmp_path):
    assert conditions.thermal_throttles(tmp_path) is None
    for core, count in enumerate([2, 5]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{count}\n")
    assert conditions.thermal_throttles(tmp_path) == 7
