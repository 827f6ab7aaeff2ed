"""What is here: the machine, the implementations that it can run, and the code that a compiler makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lcbench.errors import LcbenchError
from lcbench.losses import catalog
from lcbench.losses.implementation import Implementation
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.host.conditions import Conditions
    from lcbench.host.disturbances import Finding
    from lcbench.host.machine import Facts
    from lcbench.machine_code.gpu import Kernel
    from lcbench.machine_code.loops import Loop
    from lcbench.measure.noise import Noise


def implementation(name: str) -> Implementation:
    """The implementation that `name` stands for: a catalogue name, or anything that ``--impl`` takes.

    Raises `lcbench.losses.implementation.LossError` where it cannot be had.
    """
    from lcbench.usercode.discovery import resolve

    return resolve(name)


def implementations() -> dict[str, str | None]:
    """Every name in the catalogue, with the reason why it cannot run here, or None where it can."""
    return {line["name"]: line["reason"] or None for line in catalog_lines()}


def catalog_lines() -> list[dict[str, Any]]:
    """Return every implementation of the catalog as a line: name, device, what, available, reason and install."""
    lines = []
    for entry in catalog.CATALOG.values():
        why = catalog.why_unavailable(entry)
        lines.append(
            {
                "name": entry.name,
                "device": catalog.device_here(entry),
                "what": entry.what,
                "available": why is None,
                "reason": why.reason if why else "",
                "install": why.install if why else "",
            }
        )
    return lines


def entry_points() -> list[dict[str, str]]:
    """Return the name and the value of every implementation that an installed package offers."""
    from importlib import metadata

    from lcbench.usercode.discovery import ENTRY_POINT_GROUP

    return [{"name": entry.name, "value": entry.value} for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)]


@dataclass(frozen=True)
class Diagnosis:
    """The machine and what would disturb a measurement. noise: None where it was not measured. score: 0 to 100."""

    fingerprint: str
    machine: Facts
    numba: dict[str, Any]
    conditions: Conditions
    noise: Noise | None
    findings: list[Finding]
    score: int


def doctor(
    seconds: float | None = 10.0, *, progress: ProgressCallback = no_progress, note: NoteCallback = no_note
) -> Diagnosis:
    """Return what the machine is, its noise, measured for so many seconds, and what would disturb a measurement.

    seconds: None measures no noise. note: is told why none can be measured.
    """
    from numba import config

    from lcbench.host import disturbances, machine
    from lcbench.host.conditions import conditions
    from lcbench.measure import noise as noises

    facts = machine.facts()
    numba = {"threads": config.NUMBA_NUM_THREADS, "threading_layers": machine.numba_threading_layers()}
    now = conditions(facts)  # before the measurement, which is a load itself
    noise = None
    if seconds is not None:
        try:
            noise = noises.measure_noise(seconds, progress)
        except LcbenchError as error:
            note(str(error))
    findings = disturbances.findings(facts, now, noise.meanwhile if noise else None)
    score = disturbances.score(findings, noise.spread if noise else None)
    return Diagnosis(machine.fingerprint(facts), facts, numba, now, noise, findings, score)


def inspect(
    implementation: str,
    *,
    dtype: str = "float32",
    pixels: bool = False,
    classes: int = 10,
    capability: tuple[int, int] = (9, 0),
) -> list[Kernel] | list[Loop]:
    """Return the innermost loops of an implementation, read from its assembly, or the kernels of ``numba-cuda``.

    pixels: X is uint8 instead of `dtype`. capability: compute capability that kernels are compiled for.
    Raises LcbenchError or LossError where there is no such implementation, or no code to be read. Has Numba compile
    anew; where it was imported before, it finds the code of earlier processes in its cache, and there is none to read.
    """
    if implementation == "numba-cuda":
        from lcbench.machine_code import gpu

        return gpu.inspect_gpu(capability, dtype, classes, pixels)
    from lcbench import files
    from lcbench.usercode.discovery import require_known

    require_known(implementation)
    with files.temporary_folder("inspect") as fresh:
        # Of what Numba reads from its cache, it has no assembly. It looks for the variable when it is imported.
        os.environ["NUMBA_CACHE_DIR"] = fresh
        from lcbench.machine_code import cpu

        return cpu.inspect_cpu(implementation, dtype, classes, pixels)
