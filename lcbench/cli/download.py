"""``lcbench download``: CIFAR-10 into ``data/cifar10.h5``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from lcbench.datasets.download import Progress


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

    destination = cifar10_file()
    only_verify = verify and not (force or url or file)
    if force or not (destination.exists() or only_verify):
        with _transfer(quiet) as progress:
            obtain(destination, url=url, file=file, layout=layout, report=_report, progress=progress)
        click.echo(f"{destination}: written, from {store.origin(destination).source}")
    elif not only_verify:
        source = store.origin(destination).source
        click.echo(f"{destination}: already here, from {source} (--verify checks it, --force fetches it again)")
    if verify:
        store.verify(destination)
        click.echo(f"{destination}: verified, every image and label is {CIFAR10.name}'s")


def _report(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _transfer(quiet: bool) -> Iterator[Progress]:
    """Shows a transfer on stderr: a bar on a terminal, otherwise a line at its start and one at its end."""
    if quiet:
        yield lambda here, size: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        bar = rich_progress.Progress(
            rich_progress.BarColumn(),
            rich_progress.DownloadColumn(),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
        )
        task = bar.add_task("", start=False)

        def show(here: int, size: int | None) -> None:
            bar.start()
            bar.start_task(task)
            bar.update(task, completed=here, total=size)
            if here == size:
                bar.stop()

        try:
            yield show
        finally:
            bar.stop()
    else:
        started = False

        def tell(here: int, size: int | None) -> None:
            nonlocal started
            if not started:
                started = True
                whole = f" {size / 1e6:.1f} MB" if size else ""
                _report(f"downloading{whole}" + (f", from {here / 1e6:.1f} MB on" if here else ""))
            elif here == size:
                _report(f"downloaded {here / 1e6:.1f} MB")

        yield tell
