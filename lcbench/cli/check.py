"""``lcbench check``: losses and gradients against the oracle. Options and output are shared with gradcheck."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import WEIGHTS, Seconds, implementations_option, json_option, quiet_option
from lcbench.errors import ExitCode


def check_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options that ``check`` and ``gradcheck`` share."""
    for option in reversed(
        (
            click.argument(
                "targets", nargs=-1, metavar="[FILE.py[:FUNCTION] | NAME]...", shell_complete=complete.implementations
            ),
            implementations_option(
                "Same as an argument; repeatable. A file is run with your rights: name only code that you trust."
            ),
            click.option(
                "--timeout",
                type=Seconds.within("timeout_s", least=1),
                default=120.0,
                show_default=True,
                metavar="SECONDS",
                help="Kill a worker process that reports nothing for this long.",
            ),
            json_option,
            quiet_option,
        )
    ):
        command = option(command)
    return command


def print_reports(found: Any, reports: list[Any], tables: Iterable[Any], as_json: bool) -> ExitCode:
    """Print the tables, or `found` as JSON, and return the exit code of the reports."""
    import msgspec

    from lcbench.report import style

    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    else:
        console = style.console()
        for table in tables:
            console.print(table)
    statuses = {report.status for report in reports}
    if statuses & {"wrong", "unstable"}:
        return ExitCode.WRONG
    return ExitCode.OK if statuses == {"ok"} else ExitCode.ERROR


@click.command(epilog="\b\nExamples:\n  lcbench check\n  lcbench check --impl numpy,numba-parallel --dtype float32")
@check_options
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=WEIGHTS,
    help="Data type of W and X; repeatable. Default: both; for your own code float64.",
)
def check(
    targets: tuple[str, ...],
    implementations: tuple[str, ...],
    dtypes: tuple[str, ...],
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Check losses and gradients against a float64 oracle.

    Every test case compares the loss and the gradient with a float64 oracle, and the gradient with central differences
    of the loss. If your own code is wrong, the report names the mistake where it is a known one, and shows a line of
    the code and a small example. Code that is right for ordinary scores only is unstable.

    Default: all implementations that run on this machine. With FILE.py or FILE.ipynb: every function and method in it
    that takes W, X, y and reg.

    Exit status: 0 if all are right, 4 if one is wrong or unstable, 2 if one could not be checked.
    """
    from lcbench.api.checks import check
    from lcbench.progress import show_progress
    from lcbench.report.tables import check as check_tables

    with show_progress(quiet) as progress:
        reports = check([*targets, *implementations], dtypes=dtypes, timeout_s=timeout, progress=progress)
    return print_reports(reports, reports, check_tables.tables(reports), as_json)
