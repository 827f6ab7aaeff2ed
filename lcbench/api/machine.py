"""Information on the machine, on the implementations that it can run, and on their machine code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from lcbench import __version__
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
    """Return the implementation with the given name: a name in the catalog, or anything that ``--impl`` takes.

    Raises
    ------
    LossError
        If it cannot be loaded.
    """
    from lcbench.usercode.recognition import resolve

    return resolve(name)


def implementations() -> dict[str, str | None]:
    """Return each name in the catalog with the reason why it cannot run here, or None if it can."""
    return {line["name"]: line["reason"] or None for line in catalog_lines()}


def catalog_lines() -> list[dict[str, Any]]:
    """Return a mapping for each implementation in the catalog: name, device, what, available, reason and install.

    pixels: how it computes on uint8 pixels here, if it reads them in place.
    """
    lines = []
    for entry in catalog.CATALOG.values():
        why = catalog.why_unavailable(entry)
        lines.append(
            {
                "name": entry.name,
                "device": catalog.device_here(entry),
                "what": entry.what,
                "pixels": use_of_pixels() if entry.takes_mean else "",
                "available": why is None,
                "reason": why.reason if why else "",
                "install": why.install if why else "",
            }
        )
    return lines


def use_of_pixels() -> str:
    """Return in two words how numba-parallel computes on uint8 pixels here: as floats, or by which instruction."""
    from lcbench.losses import int8

    return f"by {int8.UNIT.instruction}" if int8.UNIT else "as floats"


def entry_points() -> list[dict[str, str]]:
    """Return name and value of the entry points through which installed packages offer implementations."""
    from importlib import metadata

    from lcbench.usercode.discovery import ENTRY_POINT_GROUP

    return [{"name": entry.name, "value": entry.value} for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)]


@dataclass(frozen=True)
class Diagnosis:
    """Facts on the machine, and what would disturb a measurement.

    lcbench, lcbench_revision: version of lcbench, and its commit if that is known. noise: None if not measured. score:
    0 to 100.
    """

    lcbench: str
    lcbench_revision: str | None
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
    """Return facts on the machine, its noise, and findings that would disturb a measurement.

    Parameters
    ----------
    seconds
        Duration of the noise measurement; None skips it.
    progress
        Called with the progress.
    note
        Called with the reason if the measurement fails.
    """
    from numba import config

    from lcbench.host import disturbances, machine
    from lcbench.host.conditions import conditions
    from lcbench.measure import noise as noises
    from lcbench.measure import sides
    from lcbench.stats import gate as gates

    facts = machine.facts()
    numba = {"threads": config.NUMBA_NUM_THREADS, "threading_layers": machine.numba_threading_layers()}
    now = conditions(facts)  # before the noise measurement, which is a load itself
    noise = None
    if seconds is not None:
        try:
            noise = noises.measure_noise(seconds, progress)
        except LcbenchError as error:
            note(str(error))
    findings = disturbances.findings(facts, now, noise.meanwhile if noise else None)
    slowdown = None
    if noise:  # a gate that detects nothing is the worst case
        slowdown = gates.detectable_in_a_gate(noise.processes, noise.generation_s) or inf
    score = disturbances.score(findings, slowdown)
    revision, _ = sides.revision_of_lcbench()
    return Diagnosis(__version__, revision, machine.fingerprint(facts), facts, numba, now, noise, findings, score)


def inspect(
    implementation: str,
    *,
    dtype: str = "float32",
    pixels: bool = False,
    classes: int = 10,
    capability: tuple[int, int] = (9, 0),
) -> list[Kernel] | list[Loop]:
    """Return the innermost loops of an implementation, read from its assembly, or the kernels of ``numba-cuda``.

    Numba provides the assembly only of code that it compiles itself, so its cache is disabled. That has no effect if
    Numba was imported before.

    Parameters
    ----------
    implementation
        Name in the catalog.
    dtype
        Data type of W and X.
    pixels
        Whether X is uint8 instead.
    classes
        Number of classes for which the code is compiled.
    capability
        Compute capability for which kernels are compiled.

    Raises
    ------
    LcbenchError
        If the code is not available.
    LossError
        If the implementation is unknown.
    """
    if implementation == "numba-cuda":
        from lcbench.machine_code import gpu

        return gpu.inspect_gpu(capability, dtype, classes, pixels)
    from lcbench import files
    from lcbench.usercode.discovery import require_known

    require_known(implementation)
    with files.temporary_folder("inspect") as fresh:
        # Numba has no assembly of code from its cache. It reads the variable when it is imported.
        os.environ["NUMBA_CACHE_DIR"] = fresh
        from lcbench.machine_code import cpu

        return cpu.inspect_cpu(implementation, dtype, classes, pixels)
