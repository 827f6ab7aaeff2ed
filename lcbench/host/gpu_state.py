"""The state of the GPU that CUDA calls its first: clocks, what holds them back, temperature, power, who else uses it.

Asked of NVIDIA's management library (NVML, https://docs.nvidia.com/deploy/nvml-api/) through its own package
nvidia-ml-py, which need not be installed. What a GPU does not answer is None.
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

INSTALL = "pip install nvidia-ml-py"
MEND = "install the whole NVIDIA driver, so that nvidia-smi works"

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
"""What each bit of NVML's clock event reasons means, by the names that nvidia-smi has for them."""

_COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}


@dataclass(frozen=True)
class GpuState:
    """Of one GPU, now. Clocks in MHz, temperatures in degrees Celsius, power in watts, utilisation a share of time.

    slowdown_c: where it slows itself down. other_processes: those besides this one that hold it for computing.
    persistent: whether the driver keeps it ready while nobody uses it. ecc, mig: whether these are on.
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
    """A GPU that NVML can be asked about. Raises Unavailable where there is none, or no NVML."""

    def __init__(self) -> None:
        bus = _bus_id()
        if bus is None:
            raise Unavailable(why_no_gpu() or "the CUDA driver does not say where its first device is")
        try:
            import pynvml
        except ImportError:
            raise Unavailable("nvidia-ml-py is not installed", INSTALL) from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            # CUDA's order of devices is not NVML's, and CUDA_VISIBLE_DEVICES is nothing to it.
            self._handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus)
        except pynvml.NVMLError as error:
            raise Unavailable(f"NVML does not answer: {error}", MEND) from None

    def state(self) -> GpuState:
        """All that is known of it."""
        nvml = self._nvml
        sm, memory = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
        utilisation = self._ask(["nvmlDeviceGetUtilizationRates"])
        processes = self._ask(["nvmlDeviceGetComputeRunningProcesses"])
        limit, default = (
            self._ask([f"nvmlDeviceGet{name}"]) for name in ("EnforcedPowerLimit", "PowerManagementDefaultLimit")
        )
        persistent = self._ask(["nvmlDeviceGetPersistenceMode"])
        ecc, mig = (self._ask([f"nvmlDeviceGet{name}Mode"]) for name in ("Ecc", "Mig"))
        mode = self._ask(["nvmlDeviceGetComputeMode"])
        return GpuState(
            sm_clock_mhz=self.sm_clock_mhz(),
            sm_clock_max_mhz=self._ask(["nvmlDeviceGetMaxClockInfo"], sm),
            memory_clock_mhz=self._ask(["nvmlDeviceGetClockInfo"], memory),
            memory_clock_max_mhz=self._ask(["nvmlDeviceGetMaxClockInfo"], memory),
            throttle_reasons=self.throttle_reasons(),
            temperature_c=self.temperature_c(),
            slowdown_c=self._ask(["nvmlDeviceGetTemperatureThreshold"], nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
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
        """Clock of its multiprocessors."""
        return self._ask(["nvmlDeviceGetClockInfo"], self._nvml.NVML_CLOCK_SM)

    def temperature_c(self) -> float | None:
        """Of the chip."""
        names = ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"]  # since driver 575, and before
        return self._ask(names, self._nvml.NVML_TEMPERATURE_GPU)

    def throttle_reasons(self) -> tuple[str, ...] | None:
        """What holds its clocks below the highest, from `THROTTLE_REASONS`."""
        bits = self._ask(["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"])
        return None if bits is None else tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)

    def _ask(self, names: list[str], *arguments: Any) -> Any:
        """The answer of the first of NVML's functions `names` that package, driver and GPU all have; None of none."""
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
    """The GPU that CUDA calls its first, or why it cannot be asked; found out once a process."""
    try:
        return Gpu()
    except Unavailable as reason:
        return reason


def gpu_in_use() -> Gpu | None:
    """The GPU if this process computes on it, else None. It does not start the driver where nobody has."""
    found = find_gpu() if _computes_on_gpu() else None
    return found if isinstance(found, Gpu) else None


def _computes_on_gpu() -> bool:
    """Whether this process holds the first device's primary context, in which every CUDA library computes."""
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
    """Where CUDA's first device sits on the PCI bus, as b"0000:1B:00.0"; None where there is none."""
    if why_no_gpu() is not None:
        return None
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    device, name = ctypes.c_int(), ctypes.create_string_buffer(32)
    if driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetPCIBusId(name, len(name), device):
        return None
    return name.value
