"""``lcbench completion``: the script that makes a shell complete lcbench's commands, options and values."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

PROGRAM = "lcbench"

ASKS = "_LCBENCH_COMPLETE"
"""The variable by which the script asks; click answers it before any command runs."""


@click.command(
    epilog="\b\nInstall it for good with a line in ~/.bashrc, with zsh in ~/.zshrc:\n"
    "  source <(lcbench completion bash)\n"
    "fish reads it from a folder of its own:\n"
    "  lcbench completion fish > ~/.config/fish/completions/lcbench.fish\n\n"
    "\b\nExamples:\n  lcbench completion bash\n  lcbench completion zsh"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Completion of commands, options and names in a shell.

    Prints the script for SHELL.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script
    text = script(context.find_root().command, {}, PROGRAM, ASKS).source()
    # bash would put a space behind "rows=", whose values are still to come
    text = text.replace("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace")
    # click splits an answer at every comma, which would cut "numpy,numba-parallel"
    click.echo(text.replace('string split ","', 'string split --max 1 ","'))


# What the shell offers for the values of options and arguments: names of implementations, results, plots.
#
# Each function has click's signature (context, parameter, incomplete). Nothing here imports what takes long: the shell
# asks on every press of the key.

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
    from lcbench.datasets.features.catalog import CATALOG

    return _behind_commas("", incomplete, {name: feature.what for name, feature in CATALOG.items()})


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
    from lcbench import files

    saved = sorted(file.stem for file in files.baselines_folder().glob("*.json"))
    return [CompletionItem(name, help="saved") for name in saved if name.startswith(incomplete)]


def results(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Saved names, then results, the newest first; else files."""
    from lcbench import files

    stored = sorted((file.stem for file in files.results_folder().glob("[!.]*.json")), reverse=True)
    items = baselines(context, parameter, incomplete)
    items += [CompletionItem(name) for name in stored if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type=_FILES)]


def plots(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds of plots."""
    from lcbench.report.plots import KINDS

    return [
        CompletionItem(kind.name, help=kind.description) for kind in KINDS.values() if kind.name.startswith(incomplete)
    ]


def plotted(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of what a plot is drawn: results where the kind is of results, else files."""
    from lcbench.report.plots import KINDS

    kind = KINDS.get(str(context.params.get("kind")))
    if kind is None or "result" in kind.source or kind.source == "a sweep":
        return results(context, parameter, incomplete)
    return [CompletionItem(incomplete, type=_FILES)]
