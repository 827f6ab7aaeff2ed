"""``lcbench check``: whether implementations compute what they promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import Seconds
from lcbench.errors import ExitCode


def checks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every check is told: what to check, how long to wait, and how to print."""
    for option in reversed(
        (
            click.argument(
                "targets", nargs=-1, metavar="[FILE.py[:FUNCTION] | NAME]...", shell_complete=complete.implementations
            ),
            click.option(
                "--impl",
                "implementations",
                multiple=True,
                metavar="NAME",
                shell_complete=complete.implementations,
                help="The same as an argument; repeatable.",
            ),
            click.option(
                "--timeout",
                type=Seconds(1),
                default=120.0,
                show_default=True,
                metavar="SECONDS",
                help="A process that says nothing for so long is given up.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
            click.option("--quiet", is_flag=True, help="No progress."),
        )
    ):
        command = option(command)
    return command


def show(found: Any, reports: list[Any], tables: Iterable[Any], as_json: bool) -> ExitCode:
    """Print what was found; return what the status of the reports comes to."""
    import msgspec

    from lcbench.report import style

    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    else:
        console = style.console()
        for table in tables:
            console.print(table)
    statuses = {report.status for report in reports}
    if "wrong" in statuses:
        return ExitCode.WRONG
    return ExitCode.OK if statuses == {"ok"} else ExitCode.ERROR


@click.command(epilog="\b\nExamples:\n  lcbench check\n  lcbench check --impl numpy,numba-parallel --dtype float32")
@checks
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "float64"]),
    help="Default: both; float64 for your own code, which is often written for it.",
)
def check(
    targets: tuple[str, ...],
    implementations: tuple[str, ...],
    dtypes: tuple[str, ...],
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Is it right? Losses and gradients against the oracle.

    Every case of a table is held against a float64 oracle, and the gradient against centred differences of the loss.
    Where your own code is wrong, the mistake is named if it is a known one.

    Without arguments: every implementation that runs here. With FILE.py: every function in it that has the signature
    (W, X, y, reg).

    Exit status: 0 all right, 4 something is wrong, 2 something could not be checked.
    """
    from lcbench.api.checks import check
    from lcbench.progress import show_progress
    from lcbench.report.tables import check as check_tables

    with show_progress(quiet) as progress:
        reports = check([*targets, *implementations], dtypes=dtypes, timeout_s=timeout, progress=progress)
    return show(reports, reports, check_tables.tables(reports), as_json)
