"""``lcbench reproduce``: published figures computed again on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import errors_as_warnings, json_option, quiet_option, refuse_unused
from lcbench.errors import ExitCode

if TYPE_CHECKING:
    from lcbench.reproduction.figures import Outcome


@click.command(epilog="\b\nExamples:\n  lcbench reproduce\n  lcbench reproduce lr-0.1-first softmax-layer")
@click.argument("rows", nargs=-1, metavar="[ROW]...", shell_complete=complete.published_rows)
@click.option(
    "--impl",
    "implementation",
    default="numba-parallel",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    help="Implementation to compute losses and gradients with.",
)
@click.option("--list", "only_list", is_flag=True, help="List the rows without computing them.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also write the trained models and their plots to FOLDER.",
)
@json_option
@quiet_option
def reproduce(
    rows: tuple[str, ...], implementation: str, only_list: bool, pictures: Path | None, as_json: bool, quiet: bool
) -> ExitCode:
    """Reproduce published figures on this machine.

    Computes all figures in five course notes on linear classifiers, from the softmax of 1, 2, 3 to the accuracy of an
    SVM on CIFAR-10, and compares them with the published ones. Rows that need CIFAR-10 are skipped if it is not
    downloaded.

    With ROW: all figures of that row.

    Exit status: 0 if all are reproduced, 4 if a row failed, 2 if nothing could be reproduced.
    """
    import msgspec

    from lcbench.reproduction.figures import select_rows

    selected = select_rows(rows)
    from lcbench.report import style
    from lcbench.report.tables import reproduce as reproduce_tables

    console = style.console()
    if only_list:
        refuse_unused("the rows are only listed", "implementation", "pictures")
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(reproduce_tables.listed(selected)), indent=1))
        else:
            console.print(reproduce_tables.listing(selected))
        return ExitCode.OK
    if pictures:
        from lcbench import files
        from lcbench.report.plots import require_matplotlib

        files.require_folder(pictures)
        require_matplotlib()
        files.require_writable(pictures / "plot.png" if pictures.is_dir() else pictures)
    from lcbench.api import datasets
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        outcomes = datasets.reproduce(rows, implementation=implementation, progress=progress)
    if as_json:
        fields = {"implementation": implementation, "rows": reproduce_tables.as_json(outcomes)}
        click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=1))
    elif rows:
        for outcome in outcomes:
            for part in reproduce_tables.details(outcome):
                console.print(part)
        console.print(reproduce_tables.summary(outcomes))
    else:
        for part in reproduce_tables.overview(outcomes):
            console.print(part)
    if pictures:
        with errors_as_warnings():
            _draw(outcomes, pictures)
    verdicts = {outcome.verdict for outcome in outcomes}
    if "fails" in verdicts:
        return ExitCode.WRONG
    return ExitCode.OK if "passes" in verdicts else ExitCode.ERROR


def _draw(outcomes: list[Outcome], folder: Path) -> None:
    from lcbench.report.plots.files import draw_reproduced, reproduced_rows

    paths = list(draw_reproduced(outcomes, folder))
    for path in paths:
        click.echo(f"plot: {path}", err=True)
    if not paths:
        rows = ", ".join(reproduced_rows())
        click.echo(f"no plot: none of the computed rows has one; rows that have a plot: {rows}", err=True)
