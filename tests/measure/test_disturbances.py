"""Each disturbance is found where it is, and a quiet machine has none."""

from __future__ import annotations

import pytest

from lcbench.measure import machine
from lcbench.measure.disturbances import Conditions, conditions, findings


def facts(usable=4, logical=4, granted=None, **environment) -> machine.Facts:
    return {
        "system": "Linux",
        "kernel": "6.1",
        "cpu": {
            "model": "A",
            "revision": None,
            "vendor": None,
            "architecture": "x86_64",
            "physical_cores": logical,
            "logical_cores": logical,
            "usable_cores": usable,
            "cgroup_cores": granted,
            "caches": {"l1d": None, "l2": None, "l3": None},
            "simd": [],
        },
        "memory_bytes": 2**34,
        "gpu": {"name": None, "why_none": "none"},
        "python": "CPython 3.11.0",
        "versions": {},
        "blas": [],
        "environment": environment,
    }


def test_a_quiet_machine_has_no_findings():
    quiet = Conditions(load=0.3, governors=frozenset({"performance"}), swap_bytes=1000, on_battery=False)
    assert findings(facts(OMP_NUM_THREADS="4", NUMBA_NUM_THREADS="4", granted=4.0, NUMBA_DISABLE_JIT="0"), quiet) == []
    assert findings(facts(), Conditions()) == []


@pytest.mark.parametrize(
    ("here", "now", "says"),
    [
        (facts(), Conditions(load=2.1), "load average 2.1"),
        (facts(), Conditions(swap_bytes=2**30), "1.0 GiB of swap"),
        (facts(), Conditions(governors=frozenset({"powersave", "performance"})), "powersave"),
        (facts(), Conditions(on_battery=True), "battery"),
        (facts(granted=1.5), Conditions(), "1.5 cores"),
        (facts(usable=2), Conditions(), "2 of 4 logical cores"),
        (facts(OMP_NUM_THREADS="many"), Conditions(), "OMP_NUM_THREADS=many is not a number"),
        (facts(OMP_NUM_THREADS="0"), Conditions(), "OMP_NUM_THREADS=0 is not a number"),
        (facts(NUMBA_NUM_THREADS="8"), Conditions(), "NUMBA_NUM_THREADS=8, more than the 4"),
        (facts(OMP_NUM_THREADS="2,1"), Conditions(), "OMP_NUM_THREADS=2,1, fewer than the 4"),
        (facts(OPENBLAS_CORETYPE="Haswell"), Conditions(), "OPENBLAS_CORETYPE=Haswell"),
        (facts(NUMBA_DISABLE_JIT="1"), Conditions(), "NUMBA_DISABLE_JIT=1"),
    ],
)
def test_each_disturbance_is_found_and_has_a_remedy(here, now, says):
    (finding,) = findings(here, now)
    assert says in finding.what
    assert finding.remedy


def test_conditions_of_this_machine_can_be_read():
    now = conditions()
    assert now.load is None or now.load >= 0
    assert now.swap_bytes is None or now.swap_bytes >= 0
