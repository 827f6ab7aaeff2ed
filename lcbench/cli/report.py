"""``lcbench report``: results as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="\b\nExamples:\n  lcbench report\n  lcbench report --output page.html --baseline numba-parallel")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PAGE.html",
    help="Write to PAGE.html, whole or not at all. Default: in results/reports, named after the first result.",
)
@click.option("--baseline", default="numpy", show_default=True, metavar="NAME", help="What speed-ups are relative to.")
def report(files: tuple[str, ...], output: Path | None, baseline: str) -> None:
    """Results as one HTML page, to look at and to pass on.

    FILE is a result of 'run', 'sweep' or 'gate': a file, a saved name or the start of a result's name; default: the
    newest. Several share a page, and two runs also get verdicts. The page is one file that needs no network: tables
    that sort and filter, plots that show the samples behind every mark.
    """
    from lcbench.api import results

    click.echo(f"page: {results.write_report(*files, output=output, baseline=baseline)}", err=True)
