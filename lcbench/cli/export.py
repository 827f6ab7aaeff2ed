"""``lcbench export``: a result in the formats of other tools."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from lcbench.cli import completion as complete
from lcbench.report.exports import FORMATS


@click.command(
    epilog="\b\nExamples:\n  lcbench export --format csv --output samples.csv\n"
    "  lcbench export before --format github-action-benchmark"
)
@click.argument("result", required=False, shell_complete=complete.results)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, whole or not at all. Default: print it.",
)
def export(result: str | None, form: str, output: Path | None) -> None:
    """A result for other tools: spreadsheets, CI, trackers.

    RESULT is a file, a saved name or the start of a result's name; default: the newest. Rows that are wrong, simulated
    or were not measured have no time in any format.
    """
    from lcbench.api import results

    text = results.export(result, form, output=output, note=partial(click.echo, err=True))
    if not output:
        click.echo(text, nl=False)
