"""``lcbench doctor``: the machine, its software, its noise, and what disturbs a measurement."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli.options import Seconds, json_option, quiet_option, refuse_unused

if TYPE_CHECKING:
    from lcbench.measure.noise import Noise


@click.command(epilog="\b\nExamples:\n  lcbench doctor --no-noise\n  lcbench doctor --seconds 3 --json")
@click.option(
    "--seconds",
    type=Seconds.within("noise_s"),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Duration of the noise measurement, which times identical work repeatedly.",
)
@click.option("--no-noise", is_flag=True, help="Do not measure the noise.")
@json_option
@quiet_option
def doctor(seconds: float, no_noise: bool, as_json: bool, quiet: bool) -> None:
    """Report the machine, its noise and what disturbs measurements.

    The score is between 0 and 100. The noise and every finding lower it.
    """
    if no_noise:
        refuse_unused("the noise is not measured", "seconds")
    from lcbench.api import machine
    from lcbench.progress import show_progress

    with show_progress(quiet, timing=True) as progress:
        found = machine.doctor(None if no_noise else seconds, progress=progress, note=partial(click.echo, err=True))
    if as_json:
        import json

        import msgspec

        report = msgspec.to_builtins(found)
        if found.noise:
            report["noise"] |= _noise_statistics(found.noise)
        click.echo(json.dumps(report, indent=2))
        return

    from lcbench.report import style
    from lcbench.report.tables import doctor as doctor_tables

    console = style.console()
    tables = [
        doctor_tables.machine(found.machine, found.fingerprint, found.conditions.gpu),
        doctor_tables.threads(found.machine, found.numba),
        doctor_tables.versions(found.machine, found.lcbench, found.lcbench_revision),
        *([doctor_tables.noise(found.noise)] if found.noise else []),
        *([doctor_tables.findings(found.findings)] if found.findings else []),
    ]
    for table in tables:
        console.print(table)
        console.print()
    if not found.findings:
        console.print("Nothing was found that would disturb a measurement.")
    console.print(doctor_tables.score(found.score, found.noise))


def _noise_statistics(noise: Noise) -> dict[str, Any]:
    """Return the statistics that are computed from the samples."""
    from lcbench.stats import gate

    return {
        "spread": gate.process_spread(noise.processes),
        "detectable_60_s": gate.detectable_in_a_gate(noise.processes, noise.generation_s),
    }
