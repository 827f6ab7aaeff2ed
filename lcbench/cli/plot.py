"""``lcbench plot``: pictures of stored files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from lcbench.report.pictures import FORMATS, KINDS

_HELP = "\n".join(
    [
        "A picture of a model, of several, or of a search.",
        "",
        "\b",
        "KIND is one of",
        *(
            line
            for of, kinds in groupby(KINDS.values(), key=lambda kind: kind.of)
            for line in (f"of {of}:", *(f"  {kind.name:<15} {kind.what}" for kind in kinds))
        ),
        "",
        "Without FILE: the newest in results. The same files give the same picture, byte for byte.",
    ]
)


@click.command(
    help=_HELP,
    epilog="\b\nExamples:\n  lcbench plot curves\n  lcbench plot templates --output templates.svg",
)
@click.argument("kind")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Of the picture: {' or '.join(f'.{form}' for form in FORMATS)}. Default: beside the first file.",
)
@click.option("--dpi", type=click.IntRange(20, 600), default=160, show_default=True, help="Pixels an inch of a PNG.")
def plot(kind: str, files: tuple[Path, ...], output: Path | None, dpi: int) -> None:
    """Draws, and tells where the picture is."""
    from lcbench import whole_file
    from lcbench.cli.progress.stages import stages
    from lcbench.report import pictures

    chosen = pictures.kind(kind)
    files = files or (pictures.newest(chosen),)
    path = output or files[0].with_name(f"{files[0].stem}-{chosen.name}.png")
    form = pictures.form_of(path)
    with stages() as watch:
        content = pictures.drawn(chosen, files, form, dpi, watch)
    whole_file.write(path, content, "; --output names another file")
    click.echo(f"picture: {path}", err=True)
