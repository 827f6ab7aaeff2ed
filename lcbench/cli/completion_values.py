"""What the shell offers for the values of options and arguments: names of implementations, results, pictures.

Each function has click's signature (context, parameter, incomplete). Nothing here imports what takes long: the shell
asks on every press of the key.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

_FILES = "file"
"""By click's name: the shell completes the path itself."""


def implementations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the catalogue, each of several behind commas; else files, for code of one's own."""
    from lcbench.losses.catalog import CATALOG

    before, comma, begun = incomplete.rpartition(",")
    taken = before.split(",")
    found = [name for name in (*CATALOG, "all") if name.startswith(begun) and name not in taken]
    items = [
        CompletionItem(f"{before}{comma}{name}", help=CATALOG[name].what if name in CATALOG else "all that run here")
        for name in found
    ]
    return items or [CompletionItem(incomplete, type=_FILES)]


def implementation(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One name of the catalogue; else files."""
    from lcbench.losses.catalog import CATALOG

    items = [CompletionItem(name, help=entry.what) for name, entry in CATALOG.items() if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type=_FILES)]


def baselines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names under which results were saved."""
    from lcbench import paths

    saved = sorted(file.stem for file in paths.baselines_folder().glob("*.json"))
    return [CompletionItem(name, help="saved") for name in saved if name.startswith(incomplete)]


def results(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Saved names, then results, the newest first; else files."""
    from lcbench import paths

    stored = sorted((file.stem for file in paths.results_folder().glob("[!.]*.json")), reverse=True)
    items = baselines(context, parameter, incomplete)
    items += [CompletionItem(name) for name in stored if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type=_FILES)]


def pictures(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds of pictures."""
    from lcbench.report.pictures import KINDS

    return [CompletionItem(kind.name, help=kind.what) for kind in KINDS.values() if kind.name.startswith(incomplete)]


def pictured(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of what a picture is drawn: results where the kind is of results, else files."""
    from lcbench.report.pictures import KINDS

    kind = KINDS.get(str(context.params.get("kind")))
    if kind is None or "result" in kind.of or kind.of == "a sweep":
        return results(context, parameter, incomplete)
    return [CompletionItem(incomplete, type=_FILES)]
