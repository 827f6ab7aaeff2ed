"""What ``lcbench doctor`` found out, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lcbench.host.conditions import BackgroundLoad
from lcbench.host.disturbances import Finding
from lcbench.host.gpu_state import GpuState
from lcbench.host.machine import Facts
from lcbench.measure.noise import Noise
from lcbench.report.style import MISSING, count, percent, size
from lcbench.report.table import Column, Table, pairs
from lcbench.stats.gate import detectable_slowdown


def machine(facts: Facts, fingerprint: str, gpu: GpuState | None) -> Table:
    """The hardware, and the GPU's state."""
    return pairs("Machine", [*_machine_rows(facts, fingerprint), *(_gpu_rows(gpu) if gpu else ())])


def threads(facts: Facts, numba: dict[str, Any]) -> Table:
    """Cores, and the threads that each library starts on them."""
    return pairs("Threads", _thread_rows(facts, numba))


def versions(facts: Facts) -> Table:
    """Every package whose version can change a time."""
    return pairs("Versions", [("Python", facts["python"]), *facts["versions"].items()])


def noise(measured: Noise) -> Table:
    """Identical work against itself, and what else happened meanwhile."""
    visible = detectable_slowdown(measured.log_ratios, measured.block_s)
    slowdown = "nothing" if visible is None else f"at best a slowdown of {percent(visible)}"
    rows = [
        ("measured", f"{len(measured.blocks)} blocks in {measured.seconds:.0f} s, two processes each"),
        ("spread", f"{percent(measured.spread)}, the standard deviation of the blocks' log-ratios"),
        ("worst block", percent(measured.worst)),
        ("visible", f"{slowdown} to a gate of 60 s"),
        *_meanwhile_rows(measured.meanwhile, measured.involuntary_switches_s),
    ]
    return pairs("Noise: identical work against itself", rows)


def findings(found: list[Finding]) -> Table:
    """Each disturbance beside its remedy."""
    columns = Column("", "severity"), Column("found", "what"), Column("what to do", "remedy")
    return Table("What would disturb a measurement", found, *columns)


def score(value: int, noise: Noise | None) -> str:
    """One line."""
    basis = "from the findings and the noise" if noise else "from the findings alone; the noise was not measured"
    return f"Score: {value} of 100, {basis}."


def _machine_rows(facts: Facts, fingerprint: str) -> Iterator[tuple[str, str]]:
    cpu, gpu = facts["cpu"], facts["gpu"]
    caches = cpu["caches"]
    yield "system", f"{facts['system']} {facts['kernel']}, {cpu['architecture']}"
    yield "processor", ", ".join(part for part in (cpu["model"], cpu["revision"]) if part) or MISSING
    yield "instructions", " ".join(cpu["simd"]) or MISSING
    yield "caches", f"L1d {size(caches['l1d'])}, L2 {size(caches['l2'])}, L3 {size(caches['l3'])}"
    yield "memory", size(facts["memory_bytes"])
    yield "fingerprint", fingerprint
    yield "GPU", gpu["name"] or f"none: {gpu['why_none']}"


def _gpu_rows(gpu: GpuState) -> Iterator[tuple[str, str]]:
    def of(value: float | None, most: float | None, unit: str) -> str:
        return f"{_whole(value)} of {_whole(most)} {unit}"

    reasons = MISSING if gpu.throttle_reasons is None else ", ".join(gpu.throttle_reasons) or "nothing"
    clocks = of(gpu.sm_clock_mhz, gpu.sm_clock_max_mhz, "MHz")
    yield "GPU clocks", f"{clocks}, memory {of(gpu.memory_clock_mhz, gpu.memory_clock_max_mhz, 'MHz')}"
    yield "held down by", reasons
    yield "temperature", f"{_whole(gpu.temperature_c)} C, slows down at {_whole(gpu.slowdown_c)} C"
    yield "power limit", of(gpu.power_limit_w, gpu.power_limit_default_w, "W")
    yield "used by others", f"{percent(gpu.utilisation)} of the time, {count(gpu.other_processes)} processes"
    modes = {"persistence": gpu.persistent, "ECC": gpu.ecc, "MIG": gpu.mig}
    switches = [f"{name} {MISSING if on is None else 'on' if on else 'off'}" for name, on in modes.items()]
    yield "modes", ", ".join([*switches, f"compute mode {gpu.compute_mode or MISSING}"])


def _thread_rows(facts: Facts, numba: dict[str, Any]) -> Iterator[tuple[str, str]]:
    cpu = facts["cpu"]
    granted = cpu["cgroup_cores"]
    limit = MISSING if granted is None else f"{granted:g}"
    yield "cores", f"{cpu['physical_cores'] or MISSING} physical, {cpu['logical_cores'] or MISSING} logical"
    yield "usable", f"{cpu['usable_cores']} logical, container limit {limit}"
    yield "Numba", f"{numba['threads']} threads"
    for layer, why in numba["threading_layers"].items():
        yield f"Numba {layer}", "loads" if why is None else f"does not load: {why}"
    for one in facts["blas"]:
        kernels = f"kernels {one['kernels'] or MISSING}"
        yield "BLAS", f"{one['name']} {one['version'] or ''}, {one['threads'] or MISSING} threads, {kernels}"
    yield from facts["environment"].items()


def _meanwhile_rows(meanwhile: BackgroundLoad, forced_s: float | None) -> Iterator[tuple[str, str]]:
    yield "others' share", f"{percent(meanwhile.others)} of the usable cores"
    yield "steal", percent(meanwhile.steal)
    yield "pressure", f"some process waited for a core in {percent(meanwhile.waited)} of the time"
    yield "switches", f"{_rate(meanwhile.switches_s)} a second in all; ours had to yield {_rate(forced_s)} a second"
    heat = f"{count(meanwhile.thermal_throttles)} times by heat"
    yield "throttled", f"{count(meanwhile.throttled_periods)} periods by the container, {heat}"


def _whole(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
