"""Tests of lcbench.host.conditions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lcbench.host import conditions, gpu_state, machine
from lcbench.host.conditions import BackgroundObserver
from lcbench.losses.implementation import Unavailable
from machines import facts


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


CPU = "sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("files", "on"),
    [
        ({f"{CPU}/intel_pstate/no_turbo": "0\n"}, True),
        ({f"{CPU}/intel_pstate/no_turbo": "1\n", f"{CPU}/cpufreq/boost": "1\n"}, False),
        ({f"{CPU}/cpufreq/boost": "1\n"}, True),
        ({f"{CPU}/cpufreq/boost": "0\n"}, False),
        ({}, None),
    ],
)
def test_boost(tmp_path, files, on):
    write(tmp_path, files)
    assert conditions.boost(tmp_path) is on


def test_huge_pages(tmp_path):
    assert conditions.huge_pages(tmp_path) is None
    write(tmp_path, {"sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n"})
    assert conditions.huge_pages(tmp_path) == "never"


def test_physical_cores_are_counted_among_the_usable_ones(tmp_path):
    siblings = {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}
    write(tmp_path, {f"{CPU}/cpu{core}/topology/thread_siblings_list": text for core, text in siblings.items()})
    assert conditions.usable_physical_cores([0, 1, 4, 5], tmp_path) == 2
    assert conditions.usable_physical_cores([0, 1], tmp_path) == 2
    assert conditions.usable_physical_cores([0, 4], tmp_path) == 1
    assert conditions.usable_physical_cores([0, 7], tmp_path) is None
    assert conditions.usable_physical_cores([], tmp_path) is None


def test_memory_nodes_are_counted_among_the_usable_cores(tmp_path):
    nodes = "sys/devices/system/node"
    write(tmp_path, {f"{nodes}/node0/cpulist": "0-3\n", f"{nodes}/node1/cpulist": "4-7\n"})
    write(tmp_path, {f"{nodes}/node2/cpulist": "\n"})  # memory alone
    assert conditions.numa_nodes([0, 1], tmp_path) == 1
    assert conditions.numa_nodes([0, 5], tmp_path) == 2
    assert conditions.numa_nodes([0], tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("flags\t\t: fpu hypervisor avx\n", True), ("flags : fpu avx\nmodel name : hypervisor\n", False), ("", None)],
)
def test_virtual_machines_are_known_by_their_flag(tmp_path, text, is_one):
    write(tmp_path, {"proc/cpuinfo": text})
    assert conditions.virtual(tmp_path) is is_one


def test_conditions_of_this_machine_can_be_read():
    here = machine.facts()
    now = conditions.conditions(here)
    assert now.load is None or now.load >= 0
    assert now.swap_bytes is None or now.swap_bytes >= 0
    assert now.usable_physical_cores is None or 1 <= now.usable_physical_cores <= here["cpu"]["usable_cores"]
    if here["gpu"]["name"] is None:
        assert (now.gpu, now.gpu_unknown) == (None, None)


def test_a_gpu_that_cannot_be_queried(monkeypatch):
    monkeypatch.setattr(gpu_state, "find_gpu", lambda: Unavailable("no NVML", "install it"))
    now = conditions.conditions(facts(gpu="NVIDIA H200"))
    assert (now.gpu, now.gpu_unknown, now.gpu_remedy) == (None, "no NVML", "install it")


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


def test_an_ended_worker_is_not_another_program():
    observer = BackgroundObserver()
    start = observer._start["own_s"]
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert observer._counters()["own_s"] - start > 0.3
    happened = observer.read()
    assert happened.seconds > 0
    assert 0 <= happened.others <= 1
    assert happened.switches_s > 0


def test_load_by_others_excludes_our_own(monkeypatch):
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
