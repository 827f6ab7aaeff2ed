"""``lcbench synth``: synthetic images in an HDF5 file of any size."""

from __future__ import annotations

from pathlib import Path

import click

from lcbench.cli.options import COUNT, force_option, integer, quiet_option


@click.command(epilog="\b\nExamples:\n  lcbench synth --rows 20k synth.h5\n  lcbench synth --rows 1k --force synth.h5")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--rows", type=COUNT, required=True, metavar="N", help="Number of images, such as 50000, 500k, 5M or 1e6."
)
@click.option(
    "--features",
    type=integer("features"),
    default=3072,
    show_default=True,
    help="Values per image: pixels times 3 colours.",
)
@click.option("--classes", type=integer("classes"), default=10, show_default=True, help="Number of classes.")
@click.option("--seed", type=integer("seed"), default=0, show_default=True, help="Random seed.")
@force_option
@quiet_option
def synth(file: Path, rows: int, features: int, classes: int, seed: int, force: bool, quiet: bool) -> None:
    """Write synthetic images to an HDF5 file of any size.

    The file contains X (rows, features) uint8 and y (rows,), as 'run --data FILE' and 'train --data FILE' read them.
    Every class has at least one row. A file with more rows begins with the same rows.
    """
    from lcbench import units
    from lcbench.api import datasets
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        datasets.synth(file, rows, features=features, classes=classes, seed=seed, force=force, progress=progress)
    size = units.size(file.stat().st_size)
    click.echo(f"{file}: {rows:,} x {features:,} uint8 in {classes} classes, {size}")
