"""``lcbench history``: every result of this machine over time, and where a time changed."""

from __future__ import annotations

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import COUNTS, joined


@click.command(epilog="\b\nExamples:\n  lcbench history\n  lcbench history --impl numba-parallel --loss softmax")
@click.option(
    "--impl",
    "implementations",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.implementations,
    help="Implementation, as the results name it. Repeat it, or separate names by commas. Default: all.",
)
@click.option("--loss", "losses", multiple=True, type=click.Choice(["svm", "softmax"]), help="Default: both.")
@click.option(
    "--rows", multiple=True, type=COUNTS, callback=joined, metavar="N", help="Rows of X; repeatable. Default: all."
)
@click.option(
    "--since", metavar="WHEN", help="A date such as 2026-01-31, or a git revision that was measured. Default: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def history(
    implementations: tuple[str, ...], losses: tuple[str, ...], rows: tuple[int, ...], since: str | None, as_json: bool
) -> None:
    """When did it get slower? All results of this machine over time.

    Every implementation, workload and number of threads is a series, with a point a result. Where it changed for good
    is told with its size, the two results it lies between, and what else changed there: revision, versions, settings.
    Results of 'lcbench gate' and 'lcbench sweep' are left out: they measure otherwise.
    """
    import msgspec

    from lcbench import api
    from lcbench.report import style
    from lcbench.report.tables import history as history_tables

    found = api.history(implementations, losses=losses, rows=rows, since=since)
    if as_json:
        named = msgspec.to_builtins(found)
        for told, series in zip(named["series"], found.series, strict=True):
            told["workload"] = series.workload._asdict()
        click.echo(msgspec.json.format(msgspec.json.encode(named), indent=1))
        return
    console = style.console()
    for table in history_tables.tables(found):
        console.print(table)
