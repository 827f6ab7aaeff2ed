"""``lcbench report``: results as one HTML page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from lcbench.cli import completion as complete


@click.command(epilog="\b\nExamples:\n  lcbench report\n  lcbench report --output page.html --baseline numba-parallel")
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete.results)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PAGE.html",
    help="Output file. Default: a file in results/reports, named after the first result.",
)
@click.option(
    "--baseline",
    default="numpy",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    help="Implementation that speed-ups are relative to.",
)
def report(files: tuple[str, ...], output: Path | None, baseline: str) -> None:
    """Write results as one HTML page.

    FILE is a result of 'run', 'sweep' or 'gate': a file, a saved name or the beginning of a result's name. Default: the
    newest result. Several results share a page; two runs are also compared, with verdicts. The page is a single file
    and needs no network. Its tables can be sorted and filtered, and its plots show the samples of every point.
    """
    from lcbench.api import results

    path = results.write_report(*files, output=output, baseline=baseline, note=partial(click.echo, err=True))
    click.echo(f"page: {path}", err=True)
