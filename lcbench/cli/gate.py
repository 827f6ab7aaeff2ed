"""``lcbench gate``: base and head measured in turn in one job, and a verdict that a CI job can act on."""

from __future__ import annotations

from typing import Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import SHARE, Seconds, SettingsCommand, VerdictOutput, measurement_options, verdict_options
from lcbench.errors import ExitCode


@click.command(
    cls=SettingsCommand,
    settings="lcbench.settings:GateSettings",
    epilog="\b\nExamples:\n  lcbench gate --base HEAD~1\n  lcbench gate --base old.py --head new.py --fail-above 5%",
)
@click.option(
    "--base",
    metavar="WHAT",
    help="What head is held against: a git revision, a folder, a Python interpreter or virtual environment, or an "
    "implementation (FILE.py[:FUNCTION] or a name).",
)
@click.option("--head", show_default=True, metavar="WHAT", help="The same; '.' is this folder as it is.")
@click.option(
    "--impl",
    "implementations",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.implementations,
    help="What to measure on both sides, as in 'lcbench run'. Default: numba-parallel.",
)
@click.option("--rows", type=click.IntRange(1), show_default=True, metavar="N", help="Rows of X.")
@click.option("--data", type=click.Choice(["synthetic", "cifar10"]), show_default=True)
@click.option(
    "--fail-above",
    type=SHARE,
    show_default=True,
    metavar="SHARE",
    help="How much slower head may be: 3% or 0.03.",
)
@click.option(
    "--budget",
    "budget_s",
    type=Seconds(0, min_open=True),
    metavar="SECONDS",
    help="For everything, compilation included; it ends earlier where the verdicts are clear. Default: 60s, or until a "
    "verdict is possible.",
)
@measurement_options
@click.option("--build", metavar="COMMAND", help="Shell command to run in each checked-out revision; a .venv is used.")
@click.option("--self-test", is_flag=True, help="Hold base against itself, slowed down by 5%: is that caught?")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@verdict_options
def gate(
    settings: dict[str, Any],
    self_test: bool,
    quiet: bool,
    output: VerdictOutput,
) -> ExitCode:
    """Is head slower than base? Both measured in turn, in one job.

    Processes of base and head alternate in an order drawn by lot, and base is also held against itself, so that
    neither a drift of the machine nor its noise is taken for a change of the code. The test is exact, and all rows
    together raise a false alarm in at most 1 of 100 gates.

    Exit status: 0 not slower, 1 slower, 3 inconclusive, 4 head computes something wrong, 2 nothing measured.
    """
    if "base" not in settings and not self_test:
        raise click.UsageError("--base is missing: a git revision, folder, Python or FILE.py, as in --base HEAD~1")

    from lcbench import api, record
    from lcbench.api.measure import PLANTED
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import gate as gate_tables
    from lcbench.stats.gate import judge_gate

    if self_test:
        settings["base"] = settings["head"] = settings.get("base", ".")
        settings["planted"] = PLANTED
    output.require_writable()
    with show_progress(quiet) as progress:
        result = api.gate(progress=progress, **settings)
    assert result.gate
    gated = judge_gate(result.rows, result.gate)
    if output.as_json:
        import msgspec

        found = msgspec.to_builtins(gated) | {"exit_code": int(gated.exit_code), "record": result.path}
        click.echo(record.to_json(found))
    else:
        console = style.console()
        for table in gate_tables.tables(gated, result.gate):
            console.print(table)
    notes = gate_tables.notes(gated, result.gate)
    if not self_test:  # its verdict is about the gate, and no report should call it a slowdown of the code
        output.write(gated.comparisons, result.gate.fail_above, gate_tables.heading(result.gate), notes)
    if result.path:
        how = "stopped early; what was measured is in" if result.interrupted else "result:"
        click.echo(f"{how} {result.path}", err=True)
    if result.interrupted:
        return ExitCode.STOPPED
    return _self_tested(gated.exit_code) if self_test else gated.exit_code


def _self_tested(code: ExitCode) -> ExitCode:
    """The gate works where it says that a planted slowdown is one."""
    if code is ExitCode.REGRESSION:
        click.echo("self-test passed: the planted slowdown was caught", err=True)
        return ExitCode.OK
    if code is ExitCode.INCONCLUSIVE:
        click.echo("self-test inconclusive: too noisy here for this budget; 'lcbench doctor' says why", err=True)
    elif code is ExitCode.OK:
        click.echo("self-test failed: the planted slowdown was not caught", err=True)
        return ExitCode.INCONCLUSIVE
    return code
