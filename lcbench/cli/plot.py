"""``lcbench plot``: plots of stored files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from lcbench.cli import completion as complete
from lcbench.report.plots import FORMATS, KINDS

_HELP = "\n".join(
    [
        "Plot results, models and searches.",
        "",
        "\b",
        "KIND is one of",
        *(
            line
            for source, kinds in groupby(KINDS.values(), key=lambda kind: kind.source)
            for line in (f"of {source}:", *(f"  {kind.name:<15} {kind.description}" for kind in kinds))
        ),
        "",
        "FILE may also be a result's saved name, or the start of its name or id. Without FILE: the newest in results. "
        "The same files give the same plot, byte for byte.",
    ]
)


@click.command(
    help=_HELP,
    epilog="\b\nExamples:\n  lcbench plot bars\n  lcbench plot --all",
)
@click.argument("kind", required=False, metavar="KIND", shell_complete=complete.plots)
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete.plotted)
@click.option("--all", "everything", is_flag=True, help="Every plot of the files, instead of KIND.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help=f"File of the plot, {' or '.join(f'.{form}' for form in FORMATS)}; default: beside the first file. "
    "With --all, their folder; default: results/pictures.",
)
@click.option("--dpi", type=click.IntRange(20, 600), default=160, show_default=True, help="Pixels an inch of a PNG.")
@click.option("--quiet", is_flag=True, help="No progress.")
def plot(
    kind: str | None, files: tuple[str, ...], everything: bool, output: Path | None, dpi: int, quiet: bool
) -> None:
    """Draw the plots, and print their paths."""
    if everything and kind in KINDS and not Path(kind).exists():
        raise click.UsageError(f"--all draws every kind: leave out '{kind}', or --all")
    if not everything and kind is None:
        raise click.UsageError("name a KIND of plot, or --all; 'lcbench plot --help' lists the kinds")
    from lcbench.api import results
    from lcbench.progress import show_progress

    told: list[str] = []  # after the progress, which is on the same terminal
    try:
        with show_progress(quiet) as progress:
            if everything:
                named = (kind, *files) if kind else files
                results.plot_all(*named, output=output, dpi=dpi, progress=progress, note=told.append)
            elif kind:
                path = results.plot(kind, *files, output=output, dpi=dpi, progress=progress, note=told.append)
                told.append(f"plot: {path}")
    finally:
        for line in told:
            click.echo(line, err=True)
