"""``lcbench compare``: newest results side by side, or two results with verdicts."""

from __future__ import annotations

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import SHARE, VerdictOutput, verdict_options
from lcbench.errors import ExitCode


@click.command(epilog="\b\nExamples:\n  lcbench compare\n  lcbench compare before after --fail-above 30%")
@click.argument("base", required=False, shell_complete=complete.results)
@click.argument("new", required=False, shell_complete=complete.results)
@click.option(
    "--fail-above",
    default="20%",
    show_default=True,
    type=SHARE,
    metavar="SHARE",
    help="How much slower a row may be: 20% or 0.2.",
)
@verdict_options
def compare(base: str | None, new: str | None, fail_above: float, output: VerdictOutput) -> ExitCode:
    """Did it get slower? Results side by side, or verdicts.

    Without arguments: the newest result of every implementation on this machine, side by side. With BASE and NEW (files
    or saved names; NEW defaults to the newest result): ratio, interval and verdict of every row. Two runs differ by
    some percent whatever they measure, for which there is an allowance; 'lcbench gate' measures in turn and sees more.

    Exit status: 0 not slower, 1 slower, 3 inconclusive, 4 a result was wrong, 2 nothing to compare.
    """
    from lcbench.report import style

    console = style.console()
    if base is None:
        if output.beyond_tables:
            raise click.UsageError("--format github, --junit and --markdown tell verdicts: name a BASE to compare with")
        return _side_by_side(console, output.as_json)

    from lcbench import record
    from lcbench.api import results
    from lcbench.report.tables import compare as compare_tables

    output.require_writable()
    judgement = results.compare(base, new, fail_above)
    if output.as_json:
        click.echo(record.to_json(judgement))
    else:
        for table in compare_tables.verdicts(judgement):
            console.print(table)
    if output.beyond_tables:
        notes = [] if judgement.same_machine else [compare_tables.OTHER_MACHINE]
        notes += compare_tables.only_in_one(judgement)
        heading = f"{new or 'the newest result'} against {base}"
        output.write(compare_tables.valid_comparisons(judgement), judgement.fail_above, heading, notes)
    return judgement.exit_code


def _side_by_side(console: object, as_json: bool) -> ExitCode:
    from lcbench import record
    from lcbench.api import results
    from lcbench.report.tables import compare as compare_tables

    groups = results.latest()
    if as_json:
        click.echo(record.to_json(groups))
    else:
        for table in compare_tables.latest(groups):
            console.print(table)  # type: ignore[attr-defined]
    return ExitCode.OK
