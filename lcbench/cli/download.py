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

    from lcbench.datasets import store
    from lcbench.datasets.cifar10 import CIFAR10
    from lcbench.datasets.download import obtain
    from lcbench.paths import cifar10_file
    from lcbench.progress import show_progress

    destination = cifar10_file()
    only_verify = verify and not (force or url or file)
    if force or not (destination.exists() or only_verify):
        with show_progress(quiet) as progress:
            obtain(
                destination, url=url, file=file, layout=layout, report=partial(click.echo, err=True), progress=progress
            )
        click.echo(f"{destination}: written, from {store.origin(destination).source}")
    elif not only_verify:
        source = store.origin(destination).source
        click.echo(f"{destination}: already here, from {source} (--verify checks it, --force fetches it again)")
    if verify:
        store.verify(destination)
        click.echo(f"{destination}: verified, every image and label is {CIFAR10.name}'s")
