"""``lcbench impls``: all implementations, and why one is not available."""

from __future__ import annotations

import click

from lcbench.cli.options import json_option


@click.command(epilog="\b\nExamples:\n  lcbench impls\n  lcbench impls --json")
@json_option
def impls(as_json: bool) -> None:
    """List implementations and why one is not available."""
    from lcbench.api import machine

    catalog, entry_points = machine.catalog_lines(), machine.entry_points()
    if as_json:
        import json

        click.echo(json.dumps({"implementations": catalog, "entry_points": entry_points}, indent=2))
        return

    from lcbench.report import style
    from lcbench.report.table import WORD, Column, Table, pairs

    console = style.console()
    console.print(
        Table(
            "Implementations",
            catalog,
            Column("name", "name", WORD),
            Column("device", "device"),
            Column("what", "what"),
            Column("available", "available"),
        )
    )
    for line in catalog:
        if line["pixels"]:
            console.print(f"{line['name']} computes on uint8 pixels {line['pixels']}", style="dim")
    missing = [line for line in catalog if not line["available"]]
    if missing:
        # The install command is on a line of its own so that it is never wrapped.
        reasons = [(line["name"], "\n".join(filter(None, (line["reason"], line["install"])))) for line in missing]
        console.print()
        console.print(pairs("Not available on this machine", reasons))
    if entry_points:
        console.print()
        console.print(pairs("From installed packages", [(line["name"], line["value"]) for line in entry_points]))
