"""State of the first CUDA device: clocks, throttle reasons, temperature, power, and other processes.

The state is read from NVML (https://docs.nvidia.com/deploy/nvml-api/) with the optional package nvidia-ml-py. Values
that the GPU does not provide are None.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from lcbench.losses.cuda.backend import why_no_gpu
from lcbench.losses.implementation import Unavailable

PACKAGE_REMEDY = "pip install nvidia-ml-py"
DRIVER_REMEDY = "install the complete NVIDIA driver, so that nvidia-smi works"

THROTTLE_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clocks_setting",
}
"""Bits of NVML's clock event reasons, with the names of nvidia-smi."""

_COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}


@dataclass(frozen=True)
class GpuState:
    """State of a GPU. Clocks are in MHz, temperatures in degrees Celsius, power in watts, utilisation in [0, 1].

    slowdown_c: temperature at which the GPU reduces its clock. other_processes: number of other compute processes.
    persistent: whether the driver stays loaded without users. ecc, mig: whether these modes are on.
    """

    sm_clock_mhz: float | None = None
    sm_clock_max_mhz: float | None = None
    memory_clock_mhz: float | None = None
    memory_clock_max_mhz: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    temperature_c: float | None = None
    slowdown_c: float | None = None
    power_limit_w: float | None = None
    power_limit_default_w: float | None = None
    utilisation: float | None = None
    other_processes: int | None = None
    persistent: bool | None = None
    ecc: bool | None = None
    mig: bool | None = None
    compute_mode: str | None = None


class Gpu:
    """First CUDA device, queried by NVML. Raise Unavailable if there is no device or no NVML."""

    def __init__(self) -> None:
        bus = _bus_id()
        if bus is None:
            raise Unavailable(why_no_gpu() or "the CUDA driver does not provide the bus id of its first device")
        try:
            import pynvml
        except ImportError:
            raise Unavailable("nvidia-ml-py is not installed", PACKAGE_REMEDY) from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            # NVML orders devices differently and ignores CUDA_VISIBLE_DEVICES.
            self._handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus)
        except pynvml.NVMLError as error:
            raise Unavailable(f"NVML failed: {error}", DRIVER_REMEDY) from None

    def state(self) -> GpuState:
        """Return the state of the GPU."""
        nvml = self._nvml
        sm, memory = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
        utilisation = self._query(["nvmlDeviceGetUtilizationRates"])
        processes = self._query(["nvmlDeviceGetComputeRunningProcesses"])
        limit, default = (
            self._query([f"nvmlDeviceGet{name}"]) for name in ("EnforcedPowerLimit", "PowerManagementDefaultLimit")
        )
        persistent = self._query(["nvmlDeviceGetPersistenceMode"])
        ecc, mig = (self._query([f"nvmlDeviceGet{name}Mode"]) for name in ("Ecc", "Mig"))
        mode = self._query(["nvmlDeviceGetComputeMode"])
        return GpuState(
            sm_clock_mhz=self.sm_clock_mhz(),
            sm_clock_max_mhz=self._query(["nvmlDeviceGetMaxClockInfo"], sm),
            memory_clock_mhz=self._query(["nvmlDeviceGetClockInfo"], memory),
            memory_clock_max_mhz=self._query(["nvmlDeviceGetMaxClockInfo"], memory),
            throttle_reasons=self.throttle_reasons(),
            temperature_c=self.temperature_c(),
            slowdown_c=self._query(["nvmlDeviceGetTemperatureThreshold"], nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
            power_limit_w=None if limit is None else limit / 1000,
            power_limit_default_w=None if default is None else default / 1000,
            utilisation=None if utilisation is None else utilisation.gpu / 100,
            other_processes=None if processes is None else len({one.pid for one in processes} - {os.getpid()}),
            persistent=None if persistent is None else bool(persistent),
            ecc=None if ecc is None else bool(ecc[0]),
            mig=None if mig is None else bool(mig[0]),
            compute_mode=None if mode is None else _COMPUTE_MODES.get(mode, str(mode)),
        )

    def sm_clock_mhz(self) -> float | None:
        """Return the SM clock."""
        return self._query(["nvmlDeviceGetClockInfo"], self._nvml.NVML_CLOCK_SM)

    def temperature_c(self) -> float | None:
        """Return the temperature of the chip."""
        names = ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"]  # since driver 575; before
        return self._query(names, self._nvml.NVML_TEMPERATURE_GPU)

    def throttle_reasons(self) -> tuple[str, ...] | None:
        """Return the reasons for a reduced clock, with the names of `THROTTLE_REASONS`."""
        bits = self._query(["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"])
        return None if bits is None else tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)

    def _query(self, names: list[str], *arguments: Any) -> Any:
        """Return the result of the first supported NVML function of `names`, or None."""
        for name in names:
            function = getattr(self._nvml, name, None)
            if function is None:
                continue
            try:
                return function(self._handle, *arguments)
            except self._nvml.NVMLError:
                continue
        return None


@cache
def find_gpu() -> Gpu | Unavailable:
    """Return the first CUDA device, or the reason why it cannot be queried. The result is cached."""
    try:
        return Gpu()
    except Unavailable as reason:
        return reason


def gpu_in_use() -> Gpu | None:
    """Return the GPU if this process computes on it, otherwise None. This does not load the CUDA driver."""
    found = find_gpu() if _computes_on_gpu() else None
    return found if isinstance(found, Gpu) else None


def _computes_on_gpu() -> bool:
    """Return whether this process has the primary context of the first device, which all CUDA libraries use."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1", mode=os.RTLD_NOLOAD)
    except OSError:
        return False
    flags, active = ctypes.c_uint(), ctypes.c_int()
    error = driver.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(active))
    return not error and bool(active.value)


def _bus_id() -> bytes | None:
    """Return the PCI bus id of the first CUDA device, such as b"0000:1B:00.0", or None."""
    if why_no_gpu() is not None:
        return None
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    device, name = ctypes.c_int(), ctypes.create_string_buffer(32)
    if driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetPCIBusId(name, len(name), device):
        return None
    return name.value
