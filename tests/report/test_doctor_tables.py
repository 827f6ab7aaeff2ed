"""Tables of ``lcbench doctor`` in a terminal of 80 columns."""

from __future__ import annotations

from math import exp, sqrt

import pytest

from lcbench.host.conditions import BackgroundLoad, Program
from lcbench.host.disturbances import Finding
from lcbench.host.gpu_state import GpuState
from lcbench.measure.noise import Noise
from lcbench.record import ProcessResult, Turn
from lcbench.report.formatting import percent
from lcbench.report.tables import doctor as doctor_tables
from lcbench.stats.gate import detectable_slowdown
from machines import facts
from printed import printed

MEANWHILE = BackgroundLoad(
    seconds=10.0, others=0.123, steal=0.004, waited=0.05, switches_s=12345.6, throttled_periods=3,
    thermal_throttles=None, programs=(Program("clang", 0.2),),
)  # fmt: skip
LOGS = (0.0, 0.02, -0.02, 0.0)
"""Log times of the processes of a generation, whose standard deviation is 1.63 %."""

NOISE = Noise(
    tuple(
        ProcessResult(generation=number, turns=[Turn(round=0, place=place, samples=[exp(number / 10 + log_time)])])
        for number in range(3)
        for place, log_time in enumerate(LOGS)
    ),
    3,
    10.0,
    MEANWHILE,
    1.25,
)


def test_noise():
    lines = printed([doctor_tables.noise(NOISE)])
    rows = {line[:12].strip(): line[12:].strip() for line in lines[1:]}
    assert rows["measured"] == "3 generations of 4 processes in 10 s"
    assert rows["spread"] == "1.6 % between processes of a generation"
    visible = percent(detectable_slowdown(0.04 / sqrt(6), 10.0 / 3, 60.0))
    assert rows["visible"] == f"a gate of 60 s on this machine sees a slowdown of {visible} or more"
    assert rows["other load"].startswith("12.3 %")
    assert rows["steal"] == "0.4 %"
    assert "12,346 per second in all" in rows["switches"]
    assert "3 periods by the container, - times by heat" in rows["throttled"]


def test_noise_without_counters_of_the_system():
    slow = Noise(NOISE.processes, 3, 400.0, BackgroundLoad(seconds=400.0))
    lines = printed([doctor_tables.noise(slow)])
    assert any(
        line.startswith("visible") and "a gate of 60 s on this machine sees no slowdown" in line for line in lines
    )


def test_the_state_of_a_gpu():
    state = GpuState(
        sm_clock_mhz=345, sm_clock_max_mhz=1980, throttle_reasons=("gpu_idle",), temperature_c=30, slowdown_c=95,
        power_limit_w=700.0, power_limit_default_w=700.0, utilisation=0.0, other_processes=0, persistent=True, ecc=True,
        compute_mode="default",
    )  # fmt: skip
    lines = printed([doctor_tables.machine(facts(gpu="NVIDIA H200"), "0123456789ab", state)])
    assert lines[-6:] == [
        "GPU clocks    345 of 1980 MHz, memory - of - MHz",
        "throttled by  gpu_idle",
        "temperature   30 C, throttles at 95 C",
        "power limit   700 of 700 W",
        "other load    0.0 % of the time, 0 processes",
        "modes         persistence on, ECC on, MIG -, compute mode default",
    ]


def test_findings_have_remedies():
    found = [Finding("it is loud", "go elsewhere", "high"), Finding("it is warm", "open a window", "low")]
    lines = printed([doctor_tables.findings(found)])
    assert [line.split() for line in lines[-2:]] == [
        ["high", "it", "is", "loud", "go", "elsewhere"],
        ["low", "it", "is", "warm", "open", "a", "window"],
    ]


def test_the_score_names_its_basis():
    told = doctor_tables.score(72, NOISE)
    assert (
        told
        == "Score 72, a noisy machine (100: nothing disturbs; 0: times mean nothing), from the findings and the noise."
    )
    assert "the noise was not measured" in doctor_tables.score(72, None)


@pytest.mark.parametrize(("value", "word"), [(100, "a quiet machine"), (80, "some noise"), (69, "a noisy machine")])
def test_the_score_is_no_praise_of_a_noisy_machine(value, word):
    assert f"Score {value}, {word} (" in doctor_tables.score(value, NOISE)


def test_other_programs_are_named():
    lines = printed([doctor_tables.findings([Finding("others work", "stop them", "high", 0.5, "clang (1 cores)")])])
    assert lines[-1].split()[1:6] == ["others", "work:", "clang", "(1", "cores)"]
