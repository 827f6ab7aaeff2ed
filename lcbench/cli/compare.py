"""``lcbench compare``: two results with verdicts, or the newest results side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import SHARE, VerdictOutput, arrangement_options, refuse_unused, verdict_options
from lcbench.errors import ExitCode

if TYPE_CHECKING:
    from lcbench.report.table import Arrangement


@click.command(epilog="\b\nExamples:\n  lcbench compare\n  lcbench compare before after --fail-above 30%")
@click.argument("base", required=False, shell_complete=complete.results)
@click.argument("new", required=False, shell_complete=complete.results)
@click.option(
    "--fail-above",
    default="10%",
    show_default=True,
    type=SHARE,
    metavar="SHARE",
    help="Fail if a row is slower by more than this share: 10% or 0.1.",
)
@verdict_options
@arrangement_options
def compare(
    base: str | None, new: str | None, fail_above: float, output: VerdictOutput, arrangement: Arrangement
) -> ExitCode:
    """Compare two results, or list the newest ones.

    Without arguments: the newest result of every implementation on this machine, side by side. With BASE and NEW (files
    or saved names; NEW defaults to the newest result): the ratio of the times, its confidence interval and a verdict
    for every row. Rows whose code, versions and settings are the same in both results show what the machine did; if it
    was slower or faster, the change beyond that decides. The verdicts allow for the differences of some percent that
    any two runs have; 'lcbench gate' measures both versions alternately and detects smaller slowdowns.

    Exit status: 0 if not slower, 1 if slower, 3 if inconclusive, 4 if a result is wrong, 2 if nothing was compared.
    """
    from lcbench import record
    from lcbench.api import results
    from lcbench.report import style
    from lcbench.report.tables import compare as compare_tables

    note = partial(click.echo, err=True)
    if base is None:
        if output.beyond_tables:
            raise click.UsageError(
                "--format github, --junit and --markdown write verdicts: name a BASE to compare with"
            )
        refuse_unused("without a BASE there is no verdict", "fail_above")
        groups = results.latest(note)
        if output.as_json:
            click.echo(record.to_json(groups))
        else:
            for table in compare_tables.latest(groups, arrangement):
                style.console().print(table)
        return ExitCode.OK

    output.require_writable()
    judgement = results.compare(base, new, fail_above, note=note)
    try:
        if output.as_json:
            click.echo(record.to_json(judgement))
        else:
            for table in compare_tables.verdicts(judgement, arrangement):
                style.console().print(table)
    finally:
        if output.beyond_tables:
            notes = [] if judgement.same_machine else [compare_tables.OTHER_MACHINE]
            notes += compare_tables.only_in_one(judgement)
            notes += compare_tables.other_software(judgement.comparisons)
            heading = f"{new or 'the newest result'} against {base}"
            output.write(
                compare_tables.valid_comparisons(judgement),
                judgement.fail_above,
                heading,
                notes,
                compare_tables.machine_line(judgement),
            )
    return judgement.exit_code
