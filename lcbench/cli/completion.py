"""``lcbench completion``, and the values that the shell offers for options and arguments."""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem


@click.command(
    epilog="\b\nTo enable completion permanently, add to ~/.bashrc (for zsh, to ~/.zshrc):\n"
    "  source <(lcbench completion bash)\n"
    "For fish, write the script to its folder of completions:\n"
    "  lcbench completion fish > ~/.config/fish/completions/lcbench.fish\n\n"
    "\b\nExamples:\n  lcbench completion bash\n  lcbench completion zsh"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for bash, zsh or fish.

    The script completes commands, options, and names of implementations, features, plots and results.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script
    text = script(context.find_root().command, {}, "lcbench", "_LCBENCH_COMPLETE").source()
    # bash would append a space to "rows=", although its values follow
    text = text.replace("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace")
    # fish: click splits each item at all commas, which would cut "numpy,numba-parallel"
    click.echo(text.replace('string split ","', 'string split --max 1 ","'))


# Values of options and arguments
#
# Each public function has click's signature (context, parameter, incomplete). The shell calls them at every press of
# the completion key, so they import nothing that is slow to import.


def implementations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of the catalog, possibly after others and a comma, or else files of user code."""
    from lcbench.losses.catalog import CATALOG

    helps = {name: entry.what for name, entry in CATALOG.items()} | {"all": "all that run here"}
    return _in_list(incomplete, helps) or _files(incomplete)


def implementation(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of the catalog, or else files of user code."""
    from lcbench.losses.catalog import CATALOG

    return _matching(incomplete, {name: entry.what for name, entry in CATALOG.items()}) or _files(incomplete)


def features(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of image features, possibly after others and a comma."""
    from lcbench.datasets.features.catalog import CATALOG

    return _in_list(incomplete, {name: feature.what for name, feature in CATALOG.items()})


def axes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return axes of a sweep that are not given yet, or after "dtype=" its values."""
    from lcbench.measure import axes

    name, equals, values = incomplete.partition("=")
    if equals:
        return _in_list(values, dict.fromkeys(axes.DTYPES, ""), f"{name}=") if name == "dtype" else []
    given = {text.partition("=")[0] for text in context.params.get("axes") or ()}
    return [
        CompletionItem(f"{axis}=", help=axes.FORMS if axis in axes.LEAST else " or ".join(axes.DTYPES))
        for axis in axes.AXES
        if axis.startswith(name) and axis not in given
    ]


def baselines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of saved results."""
    from lcbench import files

    saved = sorted(file.stem for file in files.baselines_folder().glob("*.json"))
    return _matching(incomplete, dict.fromkeys(saved, "saved"))


def results(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of saved results, then of all results, newest first, or else files."""
    from lcbench import files

    stored = sorted((file.stem for file in files.results_folder().glob("[!.]*.json")), reverse=True)
    items = baselines(context, parameter, incomplete)
    items += [CompletionItem(name) for name in stored if name.startswith(incomplete)]
    return items or _files(incomplete)


def plots(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return kinds of plots."""
    from lcbench.report.plots import KINDS

    return _matching(incomplete, {kind.name: kind.description for kind in KINDS.values()})


def plotted(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return results if the kind of plot is drawn of results, or else files."""
    from lcbench.report.plots import KINDS

    kind = KINDS.get(str(context.params.get("kind")))
    if kind is None or "result" in kind.source or kind.source == "a sweep":
        return results(context, parameter, incomplete)
    return _files(incomplete)


def _matching(incomplete: str, helps: Mapping[str, str]) -> list[CompletionItem]:
    """Return the names that begin with `incomplete`, with their help texts."""
    return [CompletionItem(name, help=text) for name, text in helps.items() if name.startswith(incomplete)]


def _in_list(incomplete: str, helps: Mapping[str, str], prefix: str = "") -> list[CompletionItem]:
    """Return the names that complete the last one of a comma-separated list, each after `prefix` and the others."""
    before, comma, last = incomplete.rpartition(",")
    return [
        CompletionItem(f"{prefix}{before}{comma}{name}", help=text)
        for name, text in helps.items()
        if name.startswith(last) and name not in before.split(",")
    ]


def _files(incomplete: str) -> list[CompletionItem]:
    """Return the item that makes the shell complete a path."""
    return [CompletionItem(incomplete, type="file")]
