"""``lcbench plot``: pictures of stored files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from lcbench.cli import completion_values as complete
from lcbench.report.plots import FORMATS, KINDS

_HELP = "\n".join(
    [
        "Pictures of results, models and searches.",
        "",
        "\b",
        "KIND is one of",
        *(
            line
            for of, kinds in groupby(KINDS.values(), key=lambda kind: kind.of)
            for line in (f"of {of}:", *(f"  {kind.name:<15} {kind.what}" for kind in kinds))
        ),
        "",
        "FILE may also be a result's saved name, or the start of its name or id. Without FILE: the newest in results. "
        "The same files give the same picture, byte for byte.",
    ]
)


@click.command(
    help=_HELP,
    epilog="\b\nExamples:\n  lcbench plot bars\n  lcbench plot --all",
)
@click.argument("kind", required=False, metavar="KIND", shell_complete=complete.plots)
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete.plotted)
@click.option("--all", "everything", is_flag=True, help="Every picture that the files allow, in place of KIND.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help=f"Of the picture, {' or '.join(f'.{form}' for form in FORMATS)}; default: beside the first file. "
    "With --all, their folder; default: results/pictures.",
)
@click.option("--dpi", type=click.IntRange(20, 600), default=160, show_default=True, help="Pixels an inch of a PNG.")
@click.option("--quiet", is_flag=True, help="No progress.")
def plot(
    kind: str | None, files: tuple[str, ...], everything: bool, output: Path | None, dpi: int, quiet: bool
) -> None:
    """Draws, and tells where the pictures are."""
    if everything:
        if kind in KINDS and not Path(kind).exists():
            raise click.UsageError(f"--all draws every kind: leave out '{kind}', or --all")
        _draw_all((kind, *files) if kind else (), output, dpi, quiet)
    elif kind is None:
        raise click.UsageError("name a KIND of picture, or --all; 'lcbench plot --help' lists the kinds")
    else:
        _draw_one(kind, files, output, dpi, quiet)


def _draw_one(name: str, names: tuple[str, ...], output: Path | None, dpi: int, quiet: bool) -> None:
    from lcbench import whole_file
    from lcbench.progress import show_progress
    from lcbench.report import plots
    from lcbench.report.plots.files import resolve

    chosen = plots.kind(name)
    plots.require_drawable(chosen)
    if output:
        plots.form_of(chosen, output)
        _require_parent(output)
    files = resolve(chosen, names)
    path = output or files[0].with_name(f"{files[0].stem}-{chosen.name}{chosen.ending}")
    warnings: list[str] = []
    with show_progress(quiet) as progress:
        content = plots.drawn(chosen, files, plots.form_of(chosen, path), dpi, progress, warnings.append)
    whole_file.write(path, content, "; --output names another file")
    for line in warnings:
        click.echo(f"warning: {line}", err=True)
    click.echo(f"picture: {path}", err=True)


def _require_parent(output: Path) -> None:
    """Raises LcbenchError where the folder that holds what a user named does not exist: it may be misspelled."""
    from lcbench.errors import LcbenchError

    if not output.parent.is_dir():
        raise LcbenchError(f"no folder {output.parent}: create it first")


def _draw_all(names: tuple[str, ...], output: Path | None, dpi: int, quiet: bool) -> None:
    from lcbench import paths, whole_file
    from lcbench.errors import LcbenchError
    from lcbench.progress import show_progress
    from lcbench.report import plots
    from lcbench.report.plots.files import every

    if output:
        _require_parent(output)
    folder = output or paths.plots_folder()
    planned, unread = every(names)
    told, warnings = [f"left out: {reason}" for reason in unread], list[str]()
    made = 0
    with show_progress(quiet) as progress:
        for number, one in enumerate(planned):
            progress("pictures", number, len(planned))
            path = folder / one.file_name
            try:
                content = plots.drawn(one.kind, one.files, one.form, dpi, warn=warnings.append)
            except LcbenchError as error:
                told.append(f"left out: {one.file_name}: {error}")
                continue
            whole_file.write(path, content, "; --output names another folder")
            told.append(f"picture: {path}")
            made += 1
    for line in [*told, *(f"warning: {line}" for line in dict.fromkeys(warnings))]:  # not before, where the bar is
        click.echo(line, err=True)
    if not made:
        raise LcbenchError("no picture was drawn")
