"""Tables of ``lcbench doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lcbench import units
from lcbench.host.conditions import BackgroundLoad
from lcbench.host.disturbances import Finding
from lcbench.host.gpu_state import GpuState
from lcbench.host.machine import Facts
from lcbench.measure.noise import Noise
from lcbench.report.formatting import MISSING, count, percent, size
from lcbench.report.table import Column, Table, pairs
from lcbench.report.tables.run import LOW_SCORE
from lcbench.stats.gate import detectable_in_a_gate, process_spread

QUIET = 90
"""Score from which the machine is called quiet."""


def machine(facts: Facts, fingerprint: str, gpu: GpuState | None) -> Table:
    """Return the table of the hardware and the state of the GPU."""
    return pairs("Machine", [*_machine_rows(facts, fingerprint), *(_gpu_rows(gpu) if gpu else ())])


def threads(facts: Facts, numba: dict[str, Any]) -> Table:
    """Return the table of the cores, and of the threads that each library starts."""
    return pairs("Threads", _thread_rows(facts, numba))


def versions(facts: Facts, lcbench: str, revision: str | None) -> Table:
    """Return the table of the packages whose version can change a time, lcbench itself first."""
    packages = {name: version for name, version in facts["versions"].items() if name != "lcbench"}
    own = f"{lcbench} ({revision[:10]})" if revision else lcbench
    return pairs("Versions", [("lcbench", own), ("Python", facts["python"]), *packages.items()])


def noise(measured: Noise) -> Table:
    """Return the table of the noise of identical work, and of the load during that measurement."""
    visible = detectable_in_a_gate(measured.processes, measured.generation_s)
    slowdown = "no slowdown" if visible is None else f"a slowdown of {percent(visible)} or more"
    generations = f"{measured.generations} generations of {len(measured.processes) // measured.generations} processes"
    rows = [
        ("measured", f"{generations} in {units.duration(measured.seconds)}"),
        ("spread", f"{percent(process_spread(measured.processes))} between processes of a generation"),
        ("visible", f"a gate of 60 s on this machine sees {slowdown}"),
        *_load_rows(measured.meanwhile, measured.involuntary_switches_s),
    ]
    return pairs("Noise: times of identical work", rows)


def findings(found: list[Finding]) -> Table:
    """Return the table of disturbances and their remedies."""
    found_text = Column("found", lambda finding: f"{finding.what}{finding.names and ': '}{finding.names}")
    columns = Column("", "severity"), found_text, Column("what to do", "remedy")
    return Table("Sources of noise", found, *columns)


def score(value: int, noise: Noise | None) -> str:
    """Return what the score means, and the score, as a sentence."""
    basis = "from the findings and the noise" if noise else "from the findings alone; the noise was not measured"
    machine = "a quiet machine" if value >= QUIET else "a noisy machine" if value < LOW_SCORE else "some noise"
    return f"Score {value}, {machine} (100: nothing disturbs; 0: times mean nothing), {basis}."


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
    yield "throttled by", reasons
    yield "temperature", f"{_whole(gpu.temperature_c)} C, throttles at {_whole(gpu.slowdown_c)} C"
    yield "power limit", of(gpu.power_limit_w, gpu.power_limit_default_w, "W")
    yield "other load", f"{percent(gpu.utilisation)} of the time, {count(gpu.other_processes)} processes"
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
    for blas in facts["blas"]:
        kernels = f"kernels {blas['kernels'] or MISSING}"
        yield "BLAS", f"{blas['name']} {blas['version'] or ''}, {blas['threads'] or MISSING} threads, {kernels}"
    yield from facts["environment"].items()


def _load_rows(load: BackgroundLoad, involuntary_s: float | None) -> Iterator[tuple[str, str]]:
    yield "other load", f"{percent(load.others)} of the usable cores"
    yield "steal", percent(load.steal)
    yield "pressure", f"a process waited for a core {percent(load.waited)} of the time"
    yield "switches", f"{_rate(load.switches_s)} per second in all; {_rate(involuntary_s)} involuntary ones of lcbench"
    heat = f"{count(load.thermal_throttles)} times by heat"
    yield "throttled", f"{count(load.throttled_periods)} periods by the container, {heat}"


def _whole(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
