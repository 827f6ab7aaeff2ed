"""``lcbench plot``: plots of results, models and searches."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import quiet_option, refuse_unused
from lcbench.report.plots import FORMATS, KINDS

_HELP = "\n".join(
    [
        "Plot results, models and searches.",
        "",
        "\b",
        "Kinds of plots:",
        *(
            line
            for source, kinds in groupby(KINDS.values(), key=lambda kind: kind.source)
            for line in (f"of {source}:", *(f"  {kind.name:<15} {kind.description}" for kind in kinds))
        ),
        "",
        "FILE may also be a saved name of a result, or the beginning of its name or id. Default: the newest file in "
        "results. The same files always give the same plot, byte for byte.",
    ]
)


@click.command(
    help=_HELP,
    epilog="\b\nExamples:\n  lcbench plot bars\n  lcbench plot --all",
)
@click.argument("kind", required=False, metavar="KIND", shell_complete=complete.plots)
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete.plotted)
@click.option("--all", "plot_all", is_flag=True, help="Draw all plots that the files allow, instead of KIND.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help=f"Output file, {' or '.join(f'.{form}' for form in FORMATS)}. Default: next to the first file. "
    "With --all, the output folder, by default results/pictures.",
)
@click.option(
    "--dpi", type=click.IntRange(20, 600), default=160, show_default=True, help="Pixels per inch of a PNG file."
)
@quiet_option
def plot(kind: str | None, files: tuple[str, ...], plot_all: bool, output: Path | None, dpi: int, quiet: bool) -> None:
    """Draw plots and print their files."""
    if plot_all and kind in KINDS and not Path(kind).exists():
        raise click.UsageError(f"--all draws every kind: leave out '{kind}', or --all")
    if not plot_all and kind is None:
        raise click.UsageError("name a KIND of plot, or use --all; 'lcbench plot --help' lists the kinds")
    drawn = KINDS.get(kind or "")
    if drawn and not plot_all and (output.suffix.lower() if output else drawn.suffix) == ".svg":
        refuse_unused("an SVG file has no pixels", "dpi")
    from lcbench.api import results
    from lcbench.progress import show_progress

    notes: list[str] = []  # printed after the progress, which uses the same terminal
    try:
        with show_progress(quiet) as progress:
            if plot_all:
                named = (kind, *files) if kind else files
                results.plot_all(*named, output=output, dpi=dpi, progress=progress, note=notes.append)
            elif kind:
                path = results.plot(kind, *files, output=output, dpi=dpi, progress=progress, note=notes.append)
                notes.append(f"plot: {path}")
    finally:
        for line in notes:
            click.echo(line, err=True)
