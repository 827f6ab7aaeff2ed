"""Tests of lcbench.host.gpu_state with a simulated NVML."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from lcbench.host import gpu_state
from lcbench.host.counters import CounterDelta
from lcbench.host.gpu_state import GpuState
from lcbench.losses.implementation import Unavailable


class Error(Exception):
    pass


def missing(*arguments):
    raise Error("Not Supported")


ANSWERS = {
    "nvmlDeviceGetClockInfo": lambda handle, kind: {1: 1755, 2: 3201}[kind],
    "nvmlDeviceGetMaxClockInfo": lambda handle, kind: {1: 1980, 2: 3202}[kind],
    "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: 0x004 | 0x040,
    "nvmlDeviceGetTemperature": lambda handle, sensor: 61,
    "nvmlDeviceGetTemperatureThreshold": lambda handle, threshold: {1: 95}[threshold],
    "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 650_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": lambda handle: 700_000,
    "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=37, memory=9),
    "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=1), SimpleNamespace(pid=os.getpid())],
    "nvmlDeviceGetPersistenceMode": lambda handle: 1,
    "nvmlDeviceGetEccMode": lambda handle: [1, 0],
    "nvmlDeviceGetMigMode": lambda handle: [0, 1],
    "nvmlDeviceGetComputeMode": lambda handle: 3,
}


@pytest.fixture
def nvml(monkeypatch):
    """A simulated NVML with a GPU at 0000:1B:00.0; tests can replace its functions."""
    handles = {b"0000:1B:00.0": "the handle"}
    library = SimpleNamespace(
        NVMLError=Error, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0,
        NVML_TEMPERATURE_THRESHOLD_SLOWDOWN=1, nvmlInit=lambda: None,
        nvmlDeviceGetHandleByPciBusId=handles.__getitem__, **ANSWERS,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(gpu_state, "_bus_id", lambda: b"0000:1B:00.0")
    monkeypatch.setattr(gpu_state, "_computes_on_gpu", lambda: True)
    gpu_state.find_gpu.cache_clear()
    yield library
    gpu_state.find_gpu.cache_clear()


def test_state(nvml):
    assert gpu_state.find_gpu().state() == GpuState(
        sm_clock_mhz=1755,
        sm_clock_max_mhz=1980,
        memory_clock_mhz=3201,
        memory_clock_max_mhz=3202,
        throttle_reasons=("sw_power_cap", "hw_thermal_slowdown"),
        temperature_c=61,
        slowdown_c=95,
        power_limit_w=650.0,
        power_limit_default_w=700.0,
        utilisation=0.37,
        other_processes=1,
        persistent=True,
        ecc=True,
        mig=False,
        compute_mode="exclusive process",
    )


def test_unsupported_values_are_none(nvml):
    for name in ANSWERS:
        setattr(nvml, name, missing)
    assert gpu_state.find_gpu().state() == GpuState()


def test_older_names_of_nvml(nvml):
    del nvml.nvmlDeviceGetCurrentClocksEventReasons
    nvml.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: 0x1
    assert gpu_state.find_gpu().throttle_reasons() == ("gpu_idle",)


def test_counters_of_a_turn_on_the_gpu(nvml):
    counters = CounterDelta().read()
    assert counters.gpu_clock_mhz == 1755
    assert counters.gpu_temperature_c == 61
    assert counters.gpu_throttle_reasons == ["sw_power_cap", "hw_thermal_slowdown"]


def test_a_turn_on_the_cpu_does_not_query_the_gpu(nvml, monkeypatch):
    monkeypatch.setattr(gpu_state, "_computes_on_gpu", lambda: False)
    counters = CounterDelta().read()
    assert counters.gpu_clock_mhz is None
    assert counters.gpu_throttle_reasons is None
    assert gpu_state.find_gpu.cache_info().misses == 0


def test_the_driver_is_not_loaded():
    code = (
        "import os; from lcbench.host import gpu_state; used = gpu_state.gpu_in_use();"
        "maps = open('/proc/self/maps').read() if os.path.exists('/proc/self/maps') else '';"
        "assert used is None and 'libcuda.so' not in maps"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reason_without_the_package(nvml, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reason = gpu_state.find_gpu()
    assert isinstance(reason, Unavailable)
    assert "nvidia-ml-py is not installed" in str(reason)
    assert reason.install == gpu_state.PACKAGE_REMEDY


def test_reason_without_a_working_driver(nvml):
    nvml.nvmlInit = missing
    reason = gpu_state.find_gpu()
    assert "NVML failed: Not Supported" in str(reason)
    assert reason.install == gpu_state.DRIVER_REMEDY


def test_names_exist_in_the_real_library():
    for name in [*ANSWERS, "nvmlInit", "nvmlDeviceGetHandleByPciBusId", "NVMLError"]:
        assert hasattr(pynvml, name), name
    for bit, name in gpu_state.THROTTLE_REASONS.items():
        spoken = name.replace("clocks_setting", "clock_setting") if name.startswith("display") else name
        assert getattr(pynvml, "nvmlClocksThrottleReason" + spoken.title().replace("_", "")) == bit
    assert (pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM, pynvml.NVML_TEMPERATURE_GPU) == (1, 2, 0)
    assert pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN == 1
