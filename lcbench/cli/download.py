"""``lcbench download``: CIFAR-10 in ``data/cifar10.h5``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click

from lcbench.cli.options import quiet_option, refuse_unused


@click.command(epilog="\b\nExamples:\n  lcbench download\n  lcbench download --verify")
@click.option(
    "--url", metavar="URL", help="URL of the archive, or of its folder if it ends in /. Default: the official site."
)
@click.option(
    "--file",
    type=click.Path(exists=True, path_type=Path),
    help="Read a local archive (.tar.gz, .tar, or the folder of its files), in either layout, instead of downloading.",
)
@click.option(
    "--layout",
    type=click.Choice(["binary", "python"]),
    default="binary",
    show_default=True,
    help="Official archive to download; both contain the same images.",
)
@click.option("--force", is_flag=True, help="Replace an existing file once the new one is complete.")
@click.option("--verify", is_flag=True, help="Verify every image of the file. Alone, it downloads nothing.")
@quiet_option
def download(
    url: str | None, file: Path | None, layout: Literal["binary", "python"], force: bool, verify: bool, quiet: bool
) -> None:
    """Download CIFAR-10, verified, to data/cifar10.h5.

    An interrupted download resumes where it stopped.
    """
    if url and file:
        raise click.UsageError("--url and --file are two sources: give one.")
    if file:
        refuse_unused("the archive of --file shows its own layout", "layout")
    elif verify and not (force or url):
        refuse_unused("--verify alone downloads nothing", "layout")

    from lcbench.api import datasets
    from lcbench.datasets.cifar10 import CIFAR10
    from lcbench.progress import show_progress

    if not verify or force or url or file:
        with show_progress(quiet) as progress:
            found = datasets.download(
                url=url, file=file, layout=layout, force=force, progress=progress, note=partial(click.echo, err=True)
            )
        if found.written:
            click.echo(f"{found.path}: written from {found.source}")
        else:
            click.echo(
                f"{found.path}: already exists, from {found.source} (--verify checks it, --force downloads it again)"
            )
    if verify:
        click.echo(f"{datasets.verify()}: verified, all images and labels are those of {CIFAR10.name}")
