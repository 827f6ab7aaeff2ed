"""``lcbench impls``: every implementation, and why one is not available here."""

from __future__ import annotations

from typing import Any

import click


@click.command(epilog="\b\nExamples:\n  lcbench impls\n  lcbench impls --json")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def impls(as_json: bool) -> None:
    """Every implementation, and why one cannot run here."""
    catalogue, offered = _catalogue(), _offered_by_packages()
    if as_json:
        import json

        click.echo(json.dumps({"implementations": catalogue, "entry_points": offered}, indent=2))
    else:
        _print(catalogue, offered)


def _catalogue() -> list[dict[str, Any]]:
    from lcbench.losses.catalog import CATALOG, device_here, why_unavailable

    lines = []
    for entry in CATALOG.values():
        why = why_unavailable(entry)
        lines.append(
            {
                "name": entry.name,
                "device": device_here(entry),
                "what": entry.what,
                "available": why is None,
                "reason": why.reason if why else "",
                "install": why.install if why else "",
            }
        )
    return lines


def _offered_by_packages() -> list[dict[str, str]]:
    from importlib.metadata import entry_points

    from lcbench.losses.user_code.discovery import ENTRY_POINT_GROUP

    return [{"name": entry.name, "value": entry.value} for entry in entry_points(group=ENTRY_POINT_GROUP)]


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
