"""Tests of lcbench.host.disturbances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lcbench.host.conditions import BackgroundLoad, Conditions, Program
from lcbench.host.disturbances import Finding, findings, score
from lcbench.host.gpu_state import GpuState
from machines import facts

QUIET_GPU = GpuState(
    sm_clock_mhz=345.0,
    sm_clock_max_mhz=1980.0,
    throttle_reasons=("gpu_idle",),
    temperature_c=30.0,
    slowdown_c=95.0,
    power_limit_w=700.0,
    power_limit_default_w=700.0,
    utilisation=0.0,
    other_processes=0,
    persistent=True,
    ecc=True,
    mig=False,
    compute_mode="default",
)
QUIET = Conditions(
    load=0.3,
    governors=frozenset({"performance"}),
    boost=False,
    swap_bytes=1000,
    on_battery=False,
    huge_pages="madvise",
    usable_physical_cores=4,
    numa_nodes=1,
    virtual=False,
    thermal_throttles=0,
    pools=(("libscipy_openblas", 4), ("libgomp", 4)),
    gpu=QUIET_GPU,
)
NOTHING = BackgroundLoad(
    seconds=10.0, others=0.01, steal=0.0, waited=0.02, switches_s=500.0, throttled_periods=0, thermal_throttles=0
)


def on_gpu(**changed) -> Conditions:
    return replace(QUIET, gpu=replace(QUIET_GPU, **changed))


def test_a_quiet_machine_has_no_findings():
    here = facts(OMP_NUM_THREADS="4", NUMBA_NUM_THREADS="4", granted=4.0, NUMBA_DISABLE_JIT="0", NUMBA_OPT="3")
    assert findings(here, QUIET) == []
    assert findings(here, QUIET, NOTHING) == []
    assert findings(facts(), Conditions()) == []
    assert findings(facts(), Conditions(gpu=GpuState()), BackgroundLoad(seconds=10.0)) == []


@pytest.mark.parametrize(
    ("here", "now", "says", "severity"),
    [
        (facts(), Conditions(load=2.1), "load average 2.1", "medium"),
        (facts(), Conditions(swap_bytes=2**30), "1 GiB of swap", "medium"),
        (facts(), Conditions(governors=frozenset({"powersave", "performance"})), "powersave", "medium"),
        (facts(), Conditions(boost=True), "turbo", "low"),
        (facts(), Conditions(on_battery=True), "battery", "high"),
        (facts(), Conditions(huge_pages="never"), "huge pages", "low"),
        (facts(), Conditions(usable_physical_cores=2), "4 usable cores are 2 physical", "low"),
        (facts(), Conditions(numa_nodes=2), "2 memory nodes", "low"),
        (facts(), Conditions(virtual=True), "virtual machine", "low"),
        (facts(), Conditions(thermal_throttles=9), "9 times since boot", "low"),
        (facts(), Conditions(pools=(("libmkl_rt", 8),)), "libmkl_rt starts 8 threads on 4", "medium"),
        (facts(), Conditions(pools=(("libiomp", 4), ("libgomp", 4))), "libgomp and libiomp", "medium"),
        (facts(granted=1.5), Conditions(), "1.5 cores", "medium"),
        (facts(usable=2), Conditions(), "2 of 4 logical cores", "low"),
        (facts(OMP_NUM_THREADS="many"), Conditions(), "OMP_NUM_THREADS=many is not a number", "medium"),
        (facts(OMP_NUM_THREADS="0"), Conditions(), "OMP_NUM_THREADS=0 is not a number", "medium"),
        (facts(NUMBA_NUM_THREADS="8"), Conditions(), "NUMBA_NUM_THREADS=8, more than the 4", "high"),
        (facts(OMP_NUM_THREADS="2,1"), Conditions(), "OMP_NUM_THREADS=2,1, fewer than the 4", "low"),
        (facts(OPENBLAS_CORETYPE="Haswell"), Conditions(), "OPENBLAS_CORETYPE=Haswell", "medium"),
        (facts(NUMBA_DISABLE_JIT="1"), Conditions(), "NUMBA_DISABLE_JIT=1", "medium"),
        (facts(NUMBA_OPT="0"), Conditions(), "NUMBA_OPT=0", "medium"),
        (facts(NPY_DISABLE_CPU_FEATURES="AVX2"), Conditions(), "NPY_DISABLE_CPU_FEATURES=AVX2", "medium"),
        (facts(OMP_PROC_BIND="true"), Conditions(), "OMP_PROC_BIND=true can change which code runs", "low"),
        (facts(), Conditions(gpu_unknown="NVML is gone", gpu_remedy="get it back"), "NVML is gone", "low"),
        (facts(), on_gpu(utilisation=0.8, other_processes=1), "80 % busy", "high"),
        (facts(), on_gpu(other_processes=2), "other processes hold the GPU: 2", "low"),
        (facts(), on_gpu(compute_mode="prohibited"), "prohibited", "high"),
        (facts(), on_gpu(mig=True), "MIG", "medium"),
        (facts(), on_gpu(persistent=False), "persistence mode", "low"),
        (facts(), on_gpu(throttle_reasons=("gpu_idle", "sw_power_cap")), "reduced: sw_power_cap", "high"),
        (facts(), on_gpu(throttle_reasons=("applications_clocks_setting",)), "set by the user", "low"),
        (facts(), on_gpu(temperature_c=92.0), "92 C", "medium"),
        (facts(), on_gpu(power_limit_w=350.0), "350 of 700 W", "medium"),
    ],
)
def test_each_disturbance_is_found_and_has_a_remedy(here, now, says, severity):
    (finding,) = findings(here, now)
    assert says in finding.what
    assert finding.severity == severity
    assert finding.remedy


@pytest.mark.parametrize(
    ("happened", "says", "severity"),
    [
        ({"others": 0.1, "programs": (Program("clang", 0.35),)}, "used 10 % of the usable cores", "medium"),
        ({"others": 0.5}, "used 50 % of the usable cores", "high"),
        ({"steal": 0.01}, "gave 1.0 % of", "medium"),
        ({"steal": 0.3}, "gave 30.0 % of", "high"),
        ({"throttled_periods": 7}, "as in 7 periods", "high"),
        ({"thermal_throttles": 3}, "slowed down 3 times", "high"),
    ],
)
def test_background_load_is_found(happened, says, severity):
    (finding,) = findings(facts(), QUIET, replace(NOTHING, **happened))
    assert says in finding.what
    assert finding.severity == severity
    assert finding.remedy


def test_observations_replace_possible_disturbances():
    busy_before, virtual = replace(QUIET, load=9.0), replace(QUIET, virtual=True)
    assert findings(facts(), busy_before, NOTHING) == []
    (stolen,) = findings(facts(), virtual, replace(NOTHING, steal=0.1))
    assert "gave" in stolen.what
    (throttled,) = findings(facts(granted=1.5), QUIET, replace(NOTHING, throttled_periods=2))
    assert "1.5 cores" in throttled.what
    assert throttled.severity == "high"


def test_the_most_severe_comes_first():
    found = findings(facts(usable=2), Conditions(on_battery=True, swap_bytes=2**30))
    assert [finding.severity for finding in found] == ["high", "medium", "low"]


def test_a_pool_sized_by_a_variable_is_reported_once():
    (finding,) = findings(facts(OMP_NUM_THREADS="8"), Conditions(pools=(("libgomp", 8),)))
    assert "OMP_NUM_THREADS=8" in finding.what


def test_score():
    high, medium, low = (Finding("found", "mend it", severity) for severity in ("high", "medium", "low"))
    assert score([]) == score([], 0.0) == 100
    assert (score([high]), score([medium]), score([low])) == (70, 90, 98)
    assert score([high, medium, low]) == round(70 * 0.9 * 0.98)
    assert score([], 0.05) == 50
    assert score([medium], 0.2) == round(90 / 5)
    assert 0 <= score([high] * 50, 9.0) <= 1


def test_the_score_falls_with_the_load():
    scores = [score(findings(facts(), QUIET, replace(NOTHING, others=load))) for load in (0.0, 0.1, 0.26, 0.6, 1.0)]
    assert scores == [100, 90, 70, 40, 0]
    assert score(findings(facts(), QUIET, replace(NOTHING, steal=0.5))) == 50


@pytest.mark.parametrize(
    ("programs", "names"),
    [
        ((Program("clang", 0.35), Program("python", 6.11)), "clang (0.35 cores), python (2 cores)"),
        ((), "short-lived processes"),
    ],
)
def test_other_programs_are_named_apart_from_the_finding(programs, names):
    (finding,) = findings(facts(usable=2), QUIET, replace(NOTHING, others=0.5, programs=programs))[:1]
    assert finding.what == "other programs used 50 % of the usable cores"
    assert finding.names == names
