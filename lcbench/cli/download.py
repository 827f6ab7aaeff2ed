"""``lcbench download``: CIFAR-10 into ``data/cifar10.h5``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click


@click.command(epilog="\b\nExamples:\n  lcbench download\n  lcbench download --verify")
@click.option("--url", metavar="URL", help="Fetch the archive from here (ends in /: from this folder), not from home.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this local .tar.gz, in either layout, and fetch nothing.",
)
@click.option(
    "--layout",
    type=click.Choice(["binary", "python"]),
    default="binary",
    show_default=True,
    help="Which of the two official archives to fetch; both hold the same images.",
)
@click.option("--force", is_flag=True, help="Replace the file that is there, once the new one is complete.")
@click.option("--verify", is_flag=True, help="Check every image of the file; alone, fetch nothing.")
@click.option("--quiet", is_flag=True, help="No progress.")
def download(
    url: str | None, file: Path | None, layout: Literal["binary", "python"], force: bool, verify: bool, quiet: bool
) -> None:
    """Fetch CIFAR-10, verified, into data/cifar10.h5.

    A download that was broken off goes on where it stopped.
    """
    if url and file:
        raise click.UsageError("--url and --file are two sources: give one.")

    from lcbench.api import datasets
    from lcbench.datasets.cifar10 import CIFAR10
    from lcbench.progress import show_progress

    if not verify or force or url or file:
        with show_progress(quiet) as progress:
            found = datasets.download(
                url=url, file=file, layout=layout, force=force, progress=progress, note=partial(click.echo, err=True)
            )
        if found.written:
            click.echo(f"{found.path}: written, from {found.source}")
        else:
            click.echo(
                f"{found.path}: already here, from {found.source} (--verify checks it, --force fetches it again)"
            )
    if verify:
        click.echo(f"{datasets.verify()}: verified, every image and label is {CIFAR10.name}'s")
