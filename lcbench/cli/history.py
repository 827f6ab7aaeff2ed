"""``lcbench history``: all results of this machine over time, and where a time changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from lcbench.cli.options import COUNTS, arrangement_options, flatten, implementations_option, json_option

if TYPE_CHECKING:
    from lcbench.report.table import Arrangement


@click.command(epilog="\b\nExamples:\n  lcbench history\n  lcbench history --impl numba-parallel --loss softmax")
@implementations_option(
    "Implementation, named as in the results. Repeat the option, or separate names by commas. Default: all."
)
@click.option(
    "--loss",
    "losses",
    multiple=True,
    type=click.Choice(["svm", "softmax"]),
    help="Loss; repeatable. Default: both.",
)
@click.option(
    "--rows", multiple=True, type=COUNTS, callback=flatten, metavar="N", help="Rows of X; repeatable. Default: all."
)
@click.option(
    "--since",
    metavar="WHEN",
    help="First date, such as 2026-01-31, or first measured git revision. Default: the first result.",
)
@json_option
@arrangement_options
def history(
    implementations: tuple[str, ...],
    losses: tuple[str, ...],
    rows: tuple[int, ...],
    since: str | None,
    as_json: bool,
    arrangement: Arrangement,
) -> None:
    """Show results over time and where a time changed.

    Each implementation, workload and number of threads is a series, with one point per result of this machine. A
    lasting change is reported with its size, the two results it lies between, and what else changed there: revision,
    versions, settings. Results of 'lcbench gate' and 'lcbench sweep' are not included because they are measured
    differently.
    """
    import msgspec

    from lcbench import api
    from lcbench.report import style
    from lcbench.report.tables import history as history_tables

    found = api.history(implementations, losses=losses, rows=rows, since=since, note=partial(click.echo, err=True))
    if as_json:
        fields = msgspec.to_builtins(found)
        for series_fields, series in zip(fields["series"], found.series, strict=True):
            series_fields["workload"] = series.workload._asdict()  # the names of a named tuple, not a list
        click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=1))
        return
    console = style.console()
    for table in history_tables.tables(found, arrangement):
        console.print(table)
