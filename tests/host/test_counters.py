"""Tests of lcbench.host.counters."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from lcbench.host import counters
from lcbench.host.counters import CounterDelta
from lcbench.record import Counters


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-2,8\n", {0, 1, 2, 8}), ("3", {3}), ("\n", set()), ("0-1,4-5", {0, 1, 4, 5})]
)
def test_lists_of_cores(text, numbers):
    assert counters.parse_core_list(text) == numbers


def test_a_missing_file_is_empty(tmp_path):
    assert counters.read_system_file(tmp_path / "nowhere") == ""


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
          "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n"}, 1.0),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/j\n", "sys/fs/cgroup/cpu/j/cpu.cfs_quota_us": "50000\n",
          "sys/fs/cgroup/cpu/j/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_granted_cores(tmp_path, files, cores):
    write(tmp_path, files)
    assert counters.granted_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("files", "periods"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.stat": "usage_usec 9\nnr_periods 5\nnr_throttled 3\n",
          "sys/fs/cgroup/a/cpu.stat": "usage_usec 9\nnr_periods 5\nnr_throttled 4\nthrottled_usec 8\n"}, 7),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/j\n",
          "sys/fs/cgroup/cpu/j/cpu.stat": "nr_periods 2\nnr_throttled 1\nthrottled_time 8\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "usage_usec 9\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_throttled_periods(tmp_path, files, periods):
    write(tmp_path, files)
    assert counters.throttled_periods(counters.control_group_statistics(tmp_path)) == periods


def test_counters_since_creation():
    delta = CounterDelta()
    threads = [threading.Thread(target=time.sleep, args=(0.02,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = delta.read()
    assert seen.seconds >= 0.02
    if counters.resource is not None:
        assert seen.voluntary_switches >= len(threads)  # each thread's wait is one of the process's
    assert seen.gpu_clock_mhz is None or seen.gpu_clock_mhz > 0


def test_throttled_periods_of_a_turn(monkeypatch, tmp_path):
    file = tmp_path / "cpu.stat"
    file.write_text("nr_periods 50\nnr_throttled 20\n")
    monkeypatch.setattr(counters, "control_group_statistics", lambda: (file,))
    delta = CounterDelta()
    file.write_text("nr_periods 60\nnr_throttled 23\n")
    assert delta.read().throttled_periods == 3


def test_unavailable_counters_are_none(monkeypatch):
    monkeypatch.setattr(counters, "control_group_statistics", lambda: ())
    monkeypatch.setattr(counters, "pressure_s", lambda: None)
    monkeypatch.setattr(counters, "resource", None)
    seen = CounterDelta().read()
    assert (seen.throttled_periods, seen.pressure_s, seen.voluntary_switches) == (None, None, None)


@pytest.mark.parametrize("old", [b'{"seconds": 1.0}', b'{"seconds": 1.0, "steal_s": null, "frequency_mhz": 2500.0}'])
def test_counters_of_older_files_are_read(old):
    assert msgspec.json.decode(old, type=Counters).gpu_throttle_reasons is None
