"""``lcbench doctor``: the machine, the software on it, and what would disturb a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lcbench.cli.parameters import Seconds
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    from lcbench.measure.surroundings.noise import Noise


@click.command(epilog="\b\nExamples:\n  lcbench doctor --no-noise\n  lcbench doctor --seconds 3 --json")
@click.option(
    "--seconds",
    type=Seconds(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the noise is measured: identical work, timed again and again.",
)
@click.option("--no-noise", is_flag=True, help="Do not measure the noise.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
def doctor(seconds: float, no_noise: bool, as_json: bool, quiet: bool) -> None:
    """The machine, its noise, and what would disturb a measurement.

    The score, 0 to 100, falls with the noise and with each finding.
    """
    from lcbench.measure import machine
    from lcbench.measure.surroundings import disturbances
    from lcbench.measure.surroundings.conditions import conditions

    facts = machine.facts()
    fingerprint = machine.fingerprint(facts)
    numba = _numba_threads()
    now = conditions(facts)  # before the measurement, which is a load itself
    noise = None if no_noise else _noise(seconds, quiet)
    found = disturbances.findings(facts, now, noise.meanwhile if noise else None)
    score = disturbances.score(found, noise.spread if noise else None)
    if as_json:
        import json

        import msgspec

        report = {
            "fingerprint": fingerprint,
            "machine": facts,
            "numba": numba,
            "conditions": now,
            "noise": noise and _with_statements(noise),
            "findings": found,
            "score": score,
        }
        click.echo(json.dumps(msgspec.to_builtins(report), indent=2))
        return

    from lcbench.report import doctor_tables, style

    console = style.console()
    tables = [
        doctor_tables.machine(facts, fingerprint, now.gpu),
        doctor_tables.threads(facts, numba),
        doctor_tables.versions(facts),
        *([doctor_tables.noise(noise)] if noise else []),
        *([doctor_tables.findings(found)] if found else []),
    ]
    for table in tables:
        console.print(table)
        console.print()
    if not found:
        console.print("Nothing was found that would disturb a measurement.")
    console.print(doctor_tables.score(score, noise))


def _noise(seconds: float, quiet: bool) -> Noise | None:
    """Measured, with a progress bar; None where it cannot be, after the reason was told."""
    from lcbench.measure.surroundings import noise
    from lcbench.progress import show_progress

    try:
        with show_progress(quiet) as progress:
            return noise.measure(seconds, progress)
    except LcbenchError as error:
        click.echo(str(error), err=True)
        return None


def _with_statements(noise: Noise) -> dict[str, Any]:
    """The samples, and what follows from them."""
    import msgspec

    from lcbench.judge.sensitivity import detectable

    return {
        **msgspec.to_builtins(noise),
        "spread": noise.spread,
        "worst": noise.worst,
        "detectable_60_s": detectable(noise.log_ratios, noise.block_s),
    }


def _numba_threads() -> dict[str, Any]:
    """How many threads Numba starts, and which of its threading layers load here."""
    from numba import config

    from lcbench.measure.machine import numba_threading_layers

    return {"threads": config.NUMBA_NUM_THREADS, "threading_layers": numba_threading_layers()}
