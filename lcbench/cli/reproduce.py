"""``lcbench reproduce``: figures that others have published, beside what this machine gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lcbench.cli import completion as complete
from lcbench.errors import ExitCode

if TYPE_CHECKING:
    from lcbench.reproduction.figures import Outcome


@click.command(epilog="\b\nExamples:\n  lcbench reproduce\n  lcbench reproduce lr-0.1-first softmax-layer")
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option(
    "--impl",
    "implementation",
    default="numba-parallel",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    help="Whose losses and gradients are used.",
)
@click.option("--list", "only_list", is_flag=True, help="What can be reproduced, without doing it.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also draw what the rows trained, and keep it, in FOLDER.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress.")
def reproduce(
    rows: tuple[str, ...], implementation: str, only_list: bool, pictures: Path | None, as_json: bool, quiet: bool
) -> ExitCode:
    """Published figures beside what this machine gets.

    Every figure that five course notes on linear classifiers print, from softmax of 1, 2, 3 to the accuracy of an SVM
    on CIFAR-10, is computed again and held against the printed one. Rows on CIFAR-10 are skipped where it is not there.

    With ROW: every figure of that row.

    Exit status: 0 all reproduced, 4 a row failed, 2 nothing could be reproduced.
    """
    import msgspec

    from lcbench.reproduction.figures import select_rows

    wanted = select_rows(rows)
    from lcbench.report import style
    from lcbench.report.tables import reproduce as reproduce_tables

    console = style.console()
    if only_list and as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(reproduce_tables.listed(wanted)), indent=1))
        return ExitCode.OK
    if only_list:
        console.print(reproduce_tables.listing(wanted))
        return ExitCode.OK
    if pictures:
        from lcbench.report.plots import require_matplotlib

        require_matplotlib()
    from lcbench.api import datasets
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        outcomes = datasets.reproduce(rows, implementation=implementation, progress=progress)
    if as_json:
        found = {"implementation": implementation, "rows": reproduce_tables.as_json(outcomes)}
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    elif rows:
        for outcome in outcomes:
            for part in reproduce_tables.details(outcome):
                console.print(part)
        console.print(reproduce_tables.summary(outcomes))
    else:
        for part in reproduce_tables.overview(outcomes):
            console.print(part)
    if pictures:
        _draw(outcomes, pictures)
    verdicts = {outcome.verdict for outcome in outcomes}
    if "fails" in verdicts:
        return ExitCode.WRONG
    return ExitCode.OK if "passes" in verdicts else ExitCode.ERROR


def _draw(outcomes: list[Outcome], folder: Path) -> None:
    from lcbench.report.plots.files import draw_reproduced, reproduced_rows

    drawn = list(draw_reproduced(outcomes, folder))
    for path in drawn:
        click.echo(f"plot: {path}", err=True)
    if not drawn:
        rows = ", ".join(reproduced_rows())
        click.echo(f"no plot: none of the computed rows has one; rows that have a plot: {rows}", err=True)
