"""What the shell offers for the values of options and arguments: names of implementations, results, plots.

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

    what = {name: entry.what for name, entry in CATALOG.items()} | {"all": "all that run here"}
    items = _behind_commas("", incomplete, what)
    return items or [CompletionItem(incomplete, type=_FILES)]


def axes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the axes of a sweep, with what each can be set to; of those with few values, the values."""
    from lcbench.measure import axes

    name, equals, begun = incomplete.partition("=")
    if equals:
        return _behind_commas(f"{name}=", begun, dict.fromkeys(axes.DTYPES, "")) if name == "dtype" else []
    taken = {text.partition("=")[0] for text in context.params.get("axes") or ()}
    return [
        CompletionItem(f"{axis}=", help=axes.FORMS if axis in axes.LEAST else " or ".join(axes.DTYPES))
        for axis in axes.AXES
        if axis.startswith(name) and axis not in taken
    ]


def features(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of features of images, each of several behind commas."""
    from lcbench.datasets.features.catalogue import CATALOGUE

    return _behind_commas("", incomplete, {name: feature.what for name, feature in CATALOGUE.items()})


def _behind_commas(prefix: str, incomplete: str, what: dict[str, str]) -> list[CompletionItem]:
    """The last of several names, with all before it; a name is offered once. what: each is, by name."""
    before, comma, begun = incomplete.rpartition(",")
    return [
        CompletionItem(f"{prefix}{before}{comma}{name}", help=said)
        for name, said in what.items()
        if name.startswith(begun) and name not in before.split(",")
    ]


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


def plots(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds of plots."""
    from lcbench.report.plots import KINDS

    return [CompletionItem(kind.name, help=kind.what) for kind in KINDS.values() if kind.name.startswith(incomplete)]


def plotted(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of what a plot is drawn: results where the kind is of results, else files."""
    from lcbench.report.plots import KINDS

    kind = KINDS.get(str(context.params.get("kind")))
    if kind is None or "result" in kind.of or kind.of == "a sweep":
        return results(context, parameter, incomplete)
    return [CompletionItem(incomplete, type=_FILES)]
