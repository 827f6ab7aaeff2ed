"""``lcbench export``: a result in the file formats of other tools."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import print_utf8
from lcbench.report.exports import FORMATS


@click.command(
    epilog="\b\nExamples:\n  lcbench export --format csv --output samples.csv\n"
    "  lcbench export before --format github-action-benchmark"
)
@click.argument("result", required=False, shell_complete=complete.results)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="Output format.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Output file. Default: standard output.",
)
def export(result: str | None, form: str, output: Path | None) -> None:
    """Export a result for spreadsheets, CI and other tools.

    RESULT is a file, a saved name or the beginning of a result's name. Default: the newest result. Rows that are wrong,
    simulated or not measured have no times in any format.
    """
    from lcbench.api import results

    text = results.export(result, form, output=output, note=partial(click.echo, err=True))
    if not output:
        print_utf8()
        click.echo(text, nl=False)
