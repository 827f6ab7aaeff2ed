"""``lcbench doctor``: the machine, the software on it, and what would disturb a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lcbench.measure.disturbances import Finding
    from lcbench.measure.machine import Facts


@click.command(epilog="\b\nExamples:\n  lcbench doctor\n  lcbench doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(as_json: bool) -> None:
    """The machine, and what would disturb a measurement."""
    from lcbench.measure import disturbances, machine

    facts = machine.facts()
    fingerprint = machine.fingerprint(facts)
    numba = _numba_threads()
    found = disturbances.findings(facts, disturbances.conditions())
    if as_json:
        import json
        from dataclasses import asdict

        report = {
            "fingerprint": fingerprint,
            "machine": facts,
            "numba": numba,
            "findings": [asdict(finding) for finding in found],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        _print(facts, fingerprint, numba, found)


def _numba_threads() -> dict[str, Any]:
    """How many threads Numba starts, and which of its threading layers load here."""
    from numba import config

    from lcbench.measure.machine import numba_threading_layers

    return {"threads": config.NUMBA_NUM_THREADS, "threading_layers": numba_threading_layers()}


def _print(facts: Facts, fingerprint: str, numba: dict[str, Any], found: list[Finding]) -> None:
    from lcbench.report import style

    console = style.console()
    for title, rows in (
        ("Machine", _machine_rows(facts, fingerprint)),
        ("Threads", _thread_rows(facts, numba)),
        ("Versions", [("Python", facts["python"]), *facts["versions"].items()]),
    ):
        console.print(style.pairs(title, rows))
        console.print()
    if not found:
        console.print("Nothing was found that would disturb a measurement.")
        return
    findings = style.table("What would disturb a measurement", "found", "what to do")
    for finding in found:
        findings.add_row(finding.what, finding.remedy)
    console.print(findings)


def _machine_rows(facts: Facts, fingerprint: str) -> list[tuple[str, str]]:
    from lcbench.report.style import MISSING, size

    cpu, gpu = facts["cpu"], facts["gpu"]
    caches = cpu["caches"]
    return [
        ("system", f"{facts['system']} {facts['kernel']}, {cpu['architecture']}"),
        ("processor", ", ".join(part for part in (cpu["model"], cpu["revision"]) if part) or MISSING),
        ("instructions", " ".join(cpu["simd"]) or MISSING),
        ("caches", f"L1d {size(caches['l1d'])}, L2 {size(caches['l2'])}, L3 {size(caches['l3'])}"),
        ("memory", size(facts["memory_bytes"])),
        ("GPU", gpu["name"] or f"none: {gpu['why_none']}"),
        ("fingerprint", fingerprint),
    ]


def _thread_rows(facts: Facts, numba: dict[str, Any]) -> list[tuple[str, str]]:
    from lcbench.report.style import MISSING

    cpu = facts["cpu"]
    granted = cpu["cgroup_cores"]
    layers = numba["threading_layers"]
    return [
        ("cores", f"{cpu['physical_cores'] or MISSING} physical, {cpu['logical_cores'] or MISSING} logical"),
        ("usable", f"{cpu['usable_cores']} logical, container limit {MISSING if granted is None else f'{granted:g}'}"),
        ("Numba", f"{numba['threads']} threads"),
        *((f"Numba {layer}", "loads" if why is None else f"does not load: {why}") for layer, why in layers.items()),
        *(
            ("BLAS", f"{one['name']} {one['version'] or ''}, {one['threads'] or MISSING} threads,"
                     f" kernels {one['kernels'] or MISSING}")
            for one in facts["blas"]
        ),
        *facts["environment"].items(),
    ]  # fmt: skip
