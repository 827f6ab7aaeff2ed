"""What would disturb a measurement here and now, how badly, and how to mend it.

Pure functions of what was read of the machine and its state, and of what was seen to happen meanwhile, so that each
judgement can be tested without such a machine. Only what was read is judged: no finding does not mean that a machine is
quiet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from lcbench.host.conditions import BackgroundLoad, Conditions
from lcbench.host.gpu_state import GpuState
from lcbench.host.machine import KERNEL_VARIABLES, Facts
from lcbench.workers.process import THREAD_VARIABLES

Severity = Literal["high", "medium", "low"]
"""high: times are likely wrong; medium: they vary; low: good to know when times differ."""

WEIGHTS: dict[Severity, float] = {"high": 0.3, "medium": 0.1, "low": 0.02}
"""What share of the score a finding of each severity costs."""

HALVING_SPREAD = 0.04
"""Spread of identical work that halves the score: that of an ordinary cloud machine."""

SWAP_SHARE = 0.01
"""Swap in use, as a share of memory, below which it is left unsaid: a few cold pages are normal."""

OTHERS_SHARE = 0.03
"""Of the usable cores' time used by others, below which it is left unsaid: what the system itself does."""

STEAL_SHARE = 0.005
MUCH = 0.2
"""Of the cores' time taken by others: where times are likely wrong, and do not only vary."""

BUSY_GPU = 0.05
WARM_C = 5
"""Degrees below the point at which a GPU slows itself down."""

OPENMP_RUNTIMES = frozenset({"libgomp", "libiomp", "libomp", "vcomp"})
"""By threadpoolctl's names."""

EXPECTED_REASONS = frozenset({"gpu_idle"})
SET_BY_HAND = frozenset({"applications_clocks_setting", "display_clocks_setting", "sync_boost"})


@dataclass(frozen=True)
class Finding:
    """What was found, what to do about it, and how much it disturbs."""

    what: str
    remedy: str
    severity: Severity = "medium"


def findings(facts: Facts, now: Conditions, meanwhile: BackgroundLoad | None = None) -> list[Finding]:
    """Everything that disturbs a measurement, the worst first: the machine, its state, and what happened meanwhile."""
    parts = (
        _busy(facts, now, meanwhile),
        _slowed(now, meanwhile),
        _withheld(facts, meanwhile),
        _stolen(now, meanwhile),
        _cores(facts, now),
        _memory(facts, now),
        _environment(facts),
        _pooled(facts, now),
        _gpu(now),
    )
    severities = list(WEIGHTS)
    return sorted((one for part in parts for one in part), key=lambda finding: severities.index(finding.severity))


def score(found: Iterable[Finding], spread: float | None = None) -> int:
    """How quiet the machine is, from 0 to 100.

    100 x F x N. F is the product over all findings of 1 - w, with w = 0.3, 0.1, 0.02 where the severity is high,
    medium, low (`WEIGHTS`). N = 1 / (1 + spread / 0.04), of the standard deviation of the log-ratios of identical work
    (`noise.Noise.spread`, `HALVING_SPREAD`); N = 1 where that was not measured. So scores with and without it are not
    to be compared.
    """
    noise = 1.0 if spread is None else 1 / (1 + spread / HALVING_SPREAD)
    return round(100 * noise * prod(1 - WEIGHTS[finding.severity] for finding in found))


def _busy(facts: Facts, now: Conditions, meanwhile: BackgroundLoad | None) -> Iterator[Finding]:
    usable = facts["cpu"]["usable_cores"]
    if meanwhile is None:  # the last minute is the best that is known
        if now.load is not None and now.load > usable / 2:
            yield Finding(
                f"load average {now.load:.1f} over the last minute, {usable} usable cores",
                "stop other programs, wait a minute, and measure then",
            )
    elif meanwhile.others > OTHERS_SHARE:
        programs = ", ".join(f"{program.name} ({program.cores:.0%} of a core)" for program in meanwhile.programs)
        yield Finding(
            f"other programs used {meanwhile.others:.0%} of the usable cores: {programs or 'short-lived ones'}",
            "stop them, and measure then",
            "high" if meanwhile.others > MUCH else "medium",
        )


def _slowed(now: Conditions, meanwhile: BackgroundLoad | None) -> Iterator[Finding]:
    if "powersave" in now.governors:
        yield Finding(
            "CPU frequency governor 'powersave': the clock follows the load",
            "sudo cpupower frequency-set --governor performance",
        )
    if now.boost:
        yield Finding(
            "turbo boost is on: the clock depends on temperature and on how many cores work",
            "nothing for everyday use; to compare small differences, switch it off: "
            "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, "
            "or echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
            "low",
        )
    if now.on_battery:
        yield Finding("running on battery", "connect the power supply", "high")
    cooling = "let it cool down; free its vents and fans"
    if meanwhile is not None and meanwhile.thermal_throttles:
        yield Finding(f"the processor, too hot, slowed down {meanwhile.thermal_throttles} times", cooling, "high")
    elif now.thermal_throttles:
        yield Finding(f"the processor, too hot, slowed down {now.thermal_throttles} times since boot", cooling, "low")


def _withheld(facts: Facts, meanwhile: BackgroundLoad | None) -> Iterator[Finding]:
    granted, usable = facts["cpu"]["cgroup_cores"], facts["cpu"]["usable_cores"]
    throttled = meanwhile.throttled_periods if meanwhile else None
    if not throttled and (granted is None or granted >= usable):
        return
    limit = "limits the time" if granted is None else f"grants the time of {granted:g} cores"
    threads = f"NUMBA_NUM_THREADS={max(1, int(granted or 1))}"
    yield Finding(
        f"the container {limit} on {usable}: threads halt when it is used up"
        + (f", as they did in {throttled} periods" if throttled else ""),
        f"grant whole cores (docker run --cpuset-cpus), or set {threads}",
        "high" if throttled else "medium",
    )


def _stolen(now: Conditions, meanwhile: BackgroundLoad | None) -> Iterator[Finding]:
    steal = meanwhile.steal if meanwhile else None
    if steal is not None and steal > STEAL_SHARE:
        yield Finding(
            f"the host gave {steal:.1%} of the cores' time to other virtual machines",
            "measure on a host of your own, or at another hour",
            "high" if steal > MUCH else "medium",
        )
    elif now.virtual:
        yield Finding(
            "a virtual machine: its neighbours share caches and memory with it, and are not seen",
            "compare only runs of one job on one machine",
            "low",
        )


def _cores(facts: Facts, now: Conditions) -> Iterator[Finding]:
    usable, present = facts["cpu"]["usable_cores"], facts["cpu"]["logical_cores"]
    if present is not None and usable < present:
        yield Finding(
            f"this process may run on {usable} of {present} logical cores",
            "nothing, if that is meant (taskset, cpuset); times compare only with runs on as many",
            "low",
        )
    physical = now.usable_physical_cores
    if physical is not None and physical < usable:
        yield Finding(
            f"the {usable} usable cores are {physical} physical ones, whose threads share their units",
            f"try lcbench run --threads {physical}",
            "low",
        )
    if now.numa_nodes is not None and now.numa_nodes > 1:
        yield Finding(
            f"the usable cores have {now.numa_nodes} memory nodes: reading another's memory takes longer",
            "to stay on one: numactl --cpunodebind=0 --membind=0 lcbench run",
            "low",
        )


def _memory(facts: Facts, now: Conditions) -> Iterator[Finding]:
    if now.swap_bytes is not None and now.swap_bytes > SWAP_SHARE * facts["memory_bytes"]:
        yield Finding(
            f"{now.swap_bytes / 2**30:.1f} GiB of swap in use: memory has run short",
            "close what holds memory, or measure with fewer rows",
        )
    if now.huge_pages == "never":
        yield Finding(
            "huge pages are off: large arrays take more translations of addresses",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
            "low",
        )


def _environment(facts: Facts) -> Iterator[Finding]:
    usable = facts["cpu"]["usable_cores"]
    for name in THREAD_VARIABLES:
        value = facts["environment"].get(name)
        if value is None:
            continue
        threads = value.split(",")[0].strip()  # OpenMP takes a list, one number a nesting level
        if not (threads.isdecimal() and int(threads) > 0):
            yield Finding(f"{name}={value} is not a number of threads", f"unset {name}")
        elif int(threads) > usable:
            yield Finding(f"{name}={value}, more than the {usable} usable cores", f"unset {name}", "high")
        elif int(threads) < usable:
            yield Finding(
                f"{name}={value}, fewer than the {usable} usable cores", f"unset {name}, unless that is meant", "low"
            )
    for name in KERNEL_VARIABLES:
        if facts["environment"].get(name, "") not in ("", "0"):
            yield Finding(
                f"{name}={facts['environment'][name]}: code that was not chosen for this processor",
                f"unset {name}, unless that is meant",
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
            "install the packages that bring them from one source",
        )


def _gpu(now: Conditions) -> Iterator[Finding]:
    if now.gpu_unknown is not None:
        yield Finding(
            f"who else uses the GPU, and its clocks, cannot be read: {now.gpu_unknown}", now.gpu_remedy, "low"
        )
    gpu = now.gpu
    if gpu is None:
        return
    yield from _gpu_shared(gpu)
    yield from _gpu_slowed(gpu)


def _gpu_shared(gpu: GpuState) -> Iterator[Finding]:
    if gpu.utilisation is not None and gpu.utilisation > BUSY_GPU:
        yield Finding(
            f"the GPU is {gpu.utilisation:.0%} busy with other programs", "stop them: nvidia-smi names them", "high"
        )
    elif gpu.other_processes:
        yield Finding(
            f"other processes hold the GPU: {gpu.other_processes}", "nvidia-smi names them; see that they rest", "low"
        )
    if gpu.compute_mode == "prohibited":
        yield Finding("the GPU's compute mode is 'prohibited': nothing may run", "sudo nvidia-smi -c DEFAULT", "high")
    if gpu.mig:
        yield Finding(
            "the GPU is cut into instances (MIG): this is a part of it, whose memory others may keep busy",
            "nothing, if that is meant; else sudo nvidia-smi -mig 0",
        )
    if gpu.persistent is False:
        yield Finding(
            "the GPU's driver rests when nobody uses it: the first call waits for it", "sudo nvidia-smi -pm 1", "low"
        )


def _gpu_slowed(gpu: GpuState) -> Iterator[Finding]:
    reasons = set(gpu.throttle_reasons or ()) - EXPECTED_REASONS
    if reasons - SET_BY_HAND:
        yield Finding(
            f"the GPU's clock is held down: {', '.join(sorted(reasons - SET_BY_HAND))}",
            "let it cool down, or raise its power limit: nvidia-smi -q -d PERFORMANCE,POWER",
            "high",
        )
    if reasons & SET_BY_HAND:
        yield Finding(
            f"the GPU's clock is set by hand: {', '.join(sorted(reasons & SET_BY_HAND))}",
            "nothing, if that is meant; else sudo nvidia-smi -rac -rgc",
            "low",
        )
    if gpu.temperature_c is not None and gpu.slowdown_c is not None and gpu.temperature_c > gpu.slowdown_c - WARM_C:
        yield Finding(
            f"the GPU is {gpu.temperature_c:.0f} C warm and slows down at {gpu.slowdown_c:.0f} C", "let it cool down"
        )
    limit, default = gpu.power_limit_w, gpu.power_limit_default_w
    if limit is not None and default is not None and limit < default:
        yield Finding(f"the GPU may draw {limit:.0f} of {default:.0f} W", f"sudo nvidia-smi -pl {default:.0f}")
