"""Disturbances of a measurement on this machine, with their severity and remedy.

All functions are pure functions of the facts about the machine, its state and the background load, so that tests do not
need such a machine. Unknown values give no finding: a machine without findings is not necessarily quiet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from lcbench import units
from lcbench.host.conditions import BackgroundLoad, Conditions
from lcbench.host.gpu_state import GpuState
from lcbench.host.machine import KERNEL_VARIABLES, Facts
from lcbench.workers.process import THREAD_VARIABLES

Severity = Literal["high", "medium", "low"]
"""high: times are probably wrong; medium: times vary; low: a possible reason for different times."""

WEIGHTS: dict[Severity, float] = {"high": 0.3, "medium": 0.1, "low": 0.02}
"""Reduction of the score by a finding of each severity."""

HALVING_SLOWDOWN = 0.05
"""Smallest slowdown that a gate of 60 s detects on a machine whose score it halves."""

SWAP_SHARE = 0.01
"""Minimum swap in use for a finding, as a share of the memory. A few unused pages are normal."""

OTHERS_SHARE = 0.03
"""Minimum share of the usable cores' time used by other programs. The system itself uses less."""

STEAL_SHARE = 0.005
HIGH_SHARE = 0.2
"""Share of the cores' time used by others above which the severity is high."""

BUSY_GPU = 0.05
WARM_C = 5
"""Distance in degrees Celsius from the slowdown temperature of a GPU for a finding."""

OPENMP_RUNTIMES = frozenset({"libgomp", "libiomp", "libomp", "vcomp"})
"""Names of threadpoolctl."""

EXPECTED_REASONS = frozenset({"gpu_idle"})
USER_REASONS = frozenset({"applications_clocks_setting", "display_clocks_setting", "sync_boost"})


@dataclass(frozen=True)
class Finding:
    """Possible disturbance with its remedy and severity.

    share: share of the cores' or the GPU's time that it takes, if it was measured. names: names of other programs,
    which are shown to the user of the machine and are not recorded.
    """

    what: str
    remedy: str
    severity: Severity = "medium"
    share: float = 0.0
    names: str = ""


def findings(facts: Facts, now: Conditions, load: BackgroundLoad | None = None) -> list[Finding]:
    """Return the findings about the machine, its state and the background load, the most severe first."""
    parts = (
        _busy(facts, now, load),
        _slowed(now, load),
        _withheld(facts, load),
        _stolen(now, load),
        _cores(facts, now),
        _memory(facts, now),
        _environment(facts),
        _pooled(facts, now),
        _gpu(now),
    )
    severities = list(WEIGHTS)
    return sorted((one for part in parts for one in part), key=lambda finding: severities.index(finding.severity))


def score(found: Iterable[Finding], slowdown: float | None = None) -> int:
    """Return the score of the machine, from 0 (noisy) to 100 (quiet).

    The score is 100 x F x N. F is the product of 1 - w over all findings, with w = 0.3, 0.1 and 0.02 for high, medium
    and low severity (`WEIGHTS`), or w = the share of the time that a finding takes, if that is more. N is
    1 / (1 + slowdown / 0.05) (`HALVING_SLOWDOWN`), where `slowdown` is the smallest one that a gate of 60 s detects, or
    1 without a measurement of the noise. Scores with and without such a measurement are not comparable.
    """
    noise = 1.0 if slowdown is None else 1 / (1 + slowdown / HALVING_SLOWDOWN)
    return round(100 * noise * prod(1 - max(WEIGHTS[finding.severity], min(finding.share, 1.0)) for finding in found))


def _busy(facts: Facts, now: Conditions, load: BackgroundLoad | None) -> Iterator[Finding]:
    usable = facts["cpu"]["usable_cores"]
    if load is None:  # before the measurement, only the load average is known
        if now.load is not None and now.load > usable / 2:
            yield Finding(
                f"load average {now.load:.1f} over the last minute, {usable} usable cores",
                "stop other programs, wait a minute, and measure again",
            )
    elif load.others > OTHERS_SHARE:
        programs = (f"{program.name} ({min(program.cores, usable):.2g} cores)" for program in load.programs)
        yield Finding(
            f"other programs used {units.percent(load.others)} of the usable cores",
            "stop them, and measure again",
            "high" if load.others > HIGH_SHARE else "medium",
            load.others,
            ", ".join(programs) or "short-lived processes",
        )


def _slowed(now: Conditions, load: BackgroundLoad | None) -> Iterator[Finding]:
    if "powersave" in now.governors:
        yield Finding(
            "CPU frequency governor 'powersave': the clock follows the load",
            "sudo cpupower frequency-set --governor performance",
        )
    if now.boost:
        yield Finding(
            "turbo boost is on: the clock depends on the temperature and on the number of busy cores",
            "none for everyday use; to measure small differences, switch it off: "
            "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, "
            "or echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
            "low",
        )
    if now.on_battery:
        yield Finding("running on battery", "connect the power supply", "high")
    cooling = "let it cool down; check its vents and fans"
    if load is not None and load.thermal_throttles:
        yield Finding(f"the processor was too hot and slowed down {load.thermal_throttles} times", cooling, "high")
    elif now.thermal_throttles:
        yield Finding(
            f"the processor was too hot and slowed down {now.thermal_throttles} times since boot", cooling, "low"
        )


def _withheld(facts: Facts, load: BackgroundLoad | None) -> Iterator[Finding]:
    granted, usable = facts["cpu"]["cgroup_cores"], facts["cpu"]["usable_cores"]
    throttled = load.throttled_periods if load else None
    if not throttled and (granted is None or granted >= usable):
        return
    limit = "has a CPU quota" if granted is None else f"has a CPU quota of {granted:g} cores"
    threads = f"NUMBA_NUM_THREADS={max(1, int(granted or 1))}"
    yield Finding(
        f"the container {limit} on {usable} cores: threads stop when it is used up"
        + (f", as in {throttled} periods" if throttled else ""),
        f"assign whole cores (docker run --cpuset-cpus), or set {threads}",
        "high" if throttled else "medium",
    )


def _stolen(now: Conditions, load: BackgroundLoad | None) -> Iterator[Finding]:
    steal = load.steal if load else None
    if steal is not None and steal > STEAL_SHARE:
        yield Finding(
            f"the host gave {units.percent(steal, 1)} of the cores' time to other virtual machines",
            "use a dedicated host, or measure at another time",
            "high" if steal > HIGH_SHARE else "medium",
            steal,
        )
    elif now.virtual:
        yield Finding(
            "this is a virtual machine: others on its host share caches and memory, and cannot be observed",
            "compare only runs of the same job on the same machine",
            "low",
        )


def _cores(facts: Facts, now: Conditions) -> Iterator[Finding]:
    usable, present = facts["cpu"]["usable_cores"], facts["cpu"]["logical_cores"]
    if present is not None and usable < present:
        yield Finding(
            f"this process may run on {usable} of {present} logical cores",
            "none if intended (taskset, cpuset); compare only with runs on the same number of cores",
            "low",
        )
    physical = now.usable_physical_cores
    if physical is not None and physical < usable:
        yield Finding(
            f"the {usable} usable cores are {physical} physical cores, whose threads share execution units",
            f"try lcbench run --threads {physical}",
            "low",
        )
    if now.numa_nodes is not None and now.numa_nodes > 1:
        yield Finding(
            f"the usable cores have {now.numa_nodes} memory nodes (NUMA): access to another node is slower",
            "to use one node: numactl --cpunodebind=0 --membind=0 lcbench run",
            "low",
        )


def _memory(facts: Facts, now: Conditions) -> Iterator[Finding]:
    if now.swap_bytes is not None and now.swap_bytes > SWAP_SHARE * facts["memory_bytes"]:
        yield Finding(
            f"{units.size(now.swap_bytes)} of swap in use: there was not enough memory",
            "close programs that use much memory, or measure fewer rows",
        )
    if now.huge_pages == "never":
        yield Finding(
            "huge pages are off: large arrays cause more TLB misses",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
            "low",
        )


def _environment(facts: Facts) -> Iterator[Finding]:
    usable = facts["cpu"]["usable_cores"]
    for name in THREAD_VARIABLES:
        value = facts["environment"].get(name)
        if value is None:
            continue
        threads = value.split(",")[0].strip()  # OpenMP accepts a list with one number per nesting level
        if not (threads.isdecimal() and int(threads) > 0):
            yield Finding(f"{name}={value} is not a number of threads", f"unset {name}")
        elif int(threads) > usable:
            yield Finding(f"{name}={value}, more than the {usable} usable cores", f"unset {name}", "high")
        elif int(threads) < usable:
            yield Finding(
                f"{name}={value}, fewer than the {usable} usable cores", f"unset {name} unless intended", "low"
            )
    for name, value in facts["environment"].items():
        if name in THREAD_VARIABLES or value in ("", KERNEL_VARIABLES.get(name)):
            continue
        if name in KERNEL_VARIABLES:
            yield Finding(
                f"{name}={value} selects code that is not optimal for this processor",
                f"unset {name} unless intended",
            )
        else:
            yield Finding(
                f"{name}={value} can change which code runs, and where",
                f"unset {name} unless intended; compare only with results that have the same",
                "low",
            )


def _pooled(facts: Facts, now: Conditions) -> Iterator[Finding]:
    usable = facts["cpu"]["usable_cores"]
    for library, threads in now.pools:
        if threads > usable and not any(name in facts["environment"] for name in THREAD_VARIABLES):
            yield Finding(
                f"{library} starts {threads} threads on {usable} usable cores", f"export OMP_NUM_THREADS={usable}"
            )
    runtimes = sorted({library for library, _ in now.pools if library in OPENMP_RUNTIMES})
    if len(runtimes) > 1:
        yield Finding(
            f"{len(runtimes)} OpenMP runtimes in one process, {' and '.join(runtimes)}: each has threads on every core",
            "install the packages that contain them from the same source",
        )


def _gpu(now: Conditions) -> Iterator[Finding]:
    if now.gpu_unknown is not None:
        yield Finding(f"clocks and other users of the GPU are unknown: {now.gpu_unknown}", now.gpu_remedy, "low")
    gpu = now.gpu
    if gpu is None:
        return
    yield from _gpu_shared(gpu)
    yield from _gpu_slowed(gpu)


def _gpu_shared(gpu: GpuState) -> Iterator[Finding]:
    if gpu.utilisation is not None and gpu.utilisation > BUSY_GPU:
        yield Finding(
            f"the GPU is {units.percent(gpu.utilisation)} busy with other programs",
            "stop them; nvidia-smi lists them",
            "high",
            gpu.utilisation,
        )
    elif gpu.other_processes:
        yield Finding(
            f"other processes hold the GPU: {gpu.other_processes}",
            "nvidia-smi lists them; make sure that they are idle",
            "low",
        )
    if gpu.compute_mode == "prohibited":
        yield Finding(
            "the GPU's compute mode is 'prohibited': no program can use it", "sudo nvidia-smi -c DEFAULT", "high"
        )
    if gpu.mig:
        yield Finding(
            "the GPU is partitioned into instances (MIG): other instances may use the same memory",
            "none if intended; otherwise sudo nvidia-smi -mig 0",
        )
    if gpu.persistent is False:
        yield Finding(
            "persistence mode of the GPU is off: the first call waits for the driver to load",
            "sudo nvidia-smi -pm 1",
            "low",
        )


def _gpu_slowed(gpu: GpuState) -> Iterator[Finding]:
    reasons = set(gpu.throttle_reasons or ()) - EXPECTED_REASONS
    if reasons - USER_REASONS:
        yield Finding(
            f"the GPU's clock is reduced: {', '.join(sorted(reasons - USER_REASONS))}",
            "let it cool down, or raise its power limit: nvidia-smi -q -d PERFORMANCE,POWER",
            "high",
        )
    if reasons & USER_REASONS:
        yield Finding(
            f"the GPU's clock is set by the user: {', '.join(sorted(reasons & USER_REASONS))}",
            "none if intended; otherwise sudo nvidia-smi -rac -rgc",
            "low",
        )
    if gpu.temperature_c is not None and gpu.slowdown_c is not None and gpu.temperature_c > gpu.slowdown_c - WARM_C:
        yield Finding(
            f"the temperature of the GPU is {gpu.temperature_c:.0f} C, and it slows down at {gpu.slowdown_c:.0f} C",
            "let it cool down",
        )
    limit, default = gpu.power_limit_w, gpu.power_limit_default_w
    if limit is not None and default is not None and limit < default:
        yield Finding(
            f"the power limit of the GPU is {limit:.0f} of {default:.0f} W", f"sudo nvidia-smi -pl {default:.0f}"
        )
