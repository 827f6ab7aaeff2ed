"""``lcbench impls``: every implementation, and why one is not available here."""

from __future__ import annotations

from typing import Any

import click


@click.command(epilog="\b\nExamples:\n  lcbench impls\n  lcbench impls --json")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def impls(as_json: bool) -> None:
    """Every implementation, and why one cannot run here."""
    from lcbench.api import machine

    catalogue, offered = machine.catalog_lines(), machine.entry_points()
    if as_json:
        import json

        click.echo(json.dumps({"implementations": catalogue, "entry_points": offered}, indent=2))
    else:
        _print(catalogue, offered)


def _print(catalogue: list[dict[str, Any]], offered: list[dict[str, str]]) -> None:
    from lcbench.report import style
    from lcbench.report.table import WORD, Column, Table, pairs

    console = style.console()
    console.print(
        Table(
            "Implementations",
            catalogue,
            Column("name", "name", WORD),
            Column("device", "device"),
            Column("what", "what"),
            Column("available", "available"),
        )
    )

    missing = [line for line in catalogue if not line["available"]]
    if missing:
        # The command stands on a line of its own, so that it is never broken in two.
        reasons = [(line["name"], "\n".join(filter(None, (line["reason"], line["install"])))) for line in missing]
        console.print()
        console.print(pairs("Not available here, and why", reasons))
    if offered:
        console.print()
        console.print(pairs("Offered by installed packages", [(line["name"], line["value"]) for line in offered]))
