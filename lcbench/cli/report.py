"""``lcbench report``: results as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lcbench.errors import LcbenchError
from lcbench.losses.errors import did_you_mean

if TYPE_CHECKING:
    from lcbench.record import Record

ENDINGS = (".html", ".htm")


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
    from lcbench import paths, whole_file
    from lcbench.report.page import page

    if output and output.suffix.lower() not in ENDINGS:
        raise LcbenchError(f"cannot write {output}: a page is .html")
    if output:
        whole_file.require_folder(output)
    records = _records(files)
    _require_measured(baseline, records)
    path = output or paths.reports_folder() / f"{Path(records[0].path).stem}.html"
    whole_file.write(path, page.html(records, baseline), "; --output names another file")
    click.echo(f"page: {path}", err=True)


def _records(names: tuple[str, ...]) -> list[Record]:
    """What was named, each result once however often it was, or the newest."""
    from lcbench import record

    if names:
        return list({found.id: found for found in map(record.find, names)}.values())
    newest = next(record.newest_first(), None)
    if newest is None:
        raise LcbenchError("no result to report; 'lcbench run' makes one")
    return [newest]


def _require_measured(baseline: str, records: list[Record]) -> None:
    """Raises LcbenchError where the user asked for speed-ups over something that no result has."""
    names = list(dict.fromkeys(row.implementation for record in records for row in record.rows))
    if baseline in names or baseline == "numpy":
        return
    hint = did_you_mean(baseline, names, f"there is {', '.join(names) or 'none'}")
    raise LcbenchError(f"--baseline {baseline}: no such row; {hint}")
